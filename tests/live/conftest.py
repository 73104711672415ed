"""A stream as a page holds it: read by a thread, asked with a time limit."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest
import redis
from django.conf import settings
from django.test import Client

from apps.accounts.models import User
from apps.core import live as hints
from tests.processes import WebServer, eventually, start_web

QUICK = {"LIVE_BEAT_SECONDS": "0.5", "LIVE_RECHECK_SECONDS": "1", "LIVE_STREAMS_PER_PERSON": "3"}


@dataclass(frozen=True)
class Message:
    event: str
    data: str
    id: str


@dataclass
class Listening:
    """What a stream said so far; `ended` once the server closed it."""

    status: int = 0
    messages: list[Message] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def next(self, event: str = "", *, within: float = 10) -> Message:
        """Return the first message of this kind, or wait for it."""
        return self._first(lambda message: message.event == event, within)

    def until(self, text: str, *, within: float = 10) -> Message:
        """Return the first message with this text, or wait for it."""
        return self._first(lambda message: text in message.data, within)

    def _first(self, fits: Callable[[Message], bool], within: float) -> Message:
        return eventually(lambda: next(filter(fits, list(self.messages)), None), within_seconds=within)

    def is_settled(self) -> bool:
        """Whether the last two things said were beats: nothing more is on its way."""
        return [message.event for message in self.messages[-2:]] == ["beat", "beat"]

    def is_silent(self, *, for_seconds: float) -> bool:
        """Whether nothing but beats comes for so long."""
        time.sleep(for_seconds)
        return not any(message.event == "" for message in list(self.messages))


@dataclass(frozen=True)
class Watching:
    server: WebServer

    def cookies(self, user: User) -> dict[str, str]:
        client = Client()
        client.force_login(user)
        return {settings.SESSION_COOKIE_NAME: client.cookies[settings.SESSION_COOKIE_NAME].value}

    @contextmanager
    def watch(self, path: str, cookies: dict[str, str], *, last: str = "") -> Iterator[Listening]:
        listening = Listening()
        headers = {"Last-Event-ID": last} if last else {}
        with (
            httpx2.Client(base_url=self.server.url, cookies=cookies, timeout=httpx2.Timeout(30)) as client,
            client.stream("GET", path, headers=headers) as response,
        ):
            listening.status = response.status_code
            thread = threading.Thread(target=_read, args=(response, listening), daemon=True)
            thread.start()
            yield listening

    def get(self, path: str, cookies: dict[str, str]) -> httpx2.Response:
        """Return the answer; of one that would never end, only its status."""
        with httpx2.stream("GET", f"{self.server.url}{path}", cookies=cookies) as response:
            if "event-stream" not in response.headers["content-type"]:
                response.read()
            return response


def _read(response: httpx2.Response, listening: Listening) -> None:
    fields: dict[str, list[str]] = {}
    try:
        for line in response.iter_lines():
            if line:
                name, _, value = line.partition(": ")
                fields.setdefault(name, []).append(value)
                continue
            message = Message(*("\n".join(fields.get(name, ())) for name in ("event", "data", "id")))
            listening.messages.append(message)
            fields = {}
    except (httpx2.HTTPError, httpx2.StreamError):
        pass
    listening.ended.set()


@pytest.fixture
def live(transactional_db: None, redis_url: str, tmp_path: Path) -> Iterator[Watching]:
    with start_web(tmp_path, environment=QUICK) as server, redis.Redis.from_url(redis_url) as client:
        eventually(lambda: client.pubsub_numsub(hints.channel())[0][1], because="the server does not listen for hints")
        yield Watching(server)


@pytest.fixture
def without_redis(transactional_db: None, tmp_path: Path) -> Iterator[Watching]:
    with start_web(tmp_path, environment={**QUICK, "REDIS_URL": "redis://127.0.0.1:1/0"}) as server:
        yield Watching(server)
