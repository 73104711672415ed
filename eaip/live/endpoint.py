"""The endpoint, raw ASGI: /live/<page>/[<id>/] streams, /poll/<page>/[<id>/] answers once what it would send."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

from django.conf import settings
from django.db import Error as DatabaseError
from django.utils import timezone

from eaip.live import authority, door
from eaip.live.desk import Desk
from eaip.live.hub import BEAT, Hub, Stream
from eaip.live.listener import listen

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

ADDRESS = re.compile(r"^/(?P<way>live|poll)/(?P<page>[a-z-]+)/(?:(?P<subject>[0-9a-f-]{36})/)?$")
STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
PAGE_HEADERS = [(b"content-type", b"text/html; charset=utf-8"), (b"cache-control", b"no-store")]


@dataclass
class Endpoint:
    """One per process; `start` and `stop` come from the server's lifespan."""

    hub: Hub = field(
        default_factory=lambda: Hub(desk=Desk(threads=settings.LIVE_THREADS), interval=settings.LIVE_INTERVAL)
    )
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def start(self) -> None:
        self._keep(listen(self.hub, self._hear))
        self._keep(self._beat())
        self._keep(authority.recheck_regularly(self.hub, settings.LIVE_RECHECK))

    def stop(self) -> None:
        for stream in list(self.hub.streams):
            stream.cut()
        for task in self.tasks:
            task.cancel()
        self.hub.desk.close()

    def _hear(self, workspace: UUID, topics: frozenset[str]) -> None:
        self.hub.hear(workspace, topics)
        if streams := authority.concerned(self.hub, workspace, topics):
            self._keep(authority.recheck(self.hub, streams))

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(settings.LIVE_BEAT)
            await self.hub.beat()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match = ADDRESS.match(scope["path"])
        if match is None or scope["method"] != "GET":
            await _refuse(send, door.Refused(404, "There is nothing to watch at this address."))
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        key = door.session_key(headers.get(b"cookie", ""))
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        since = headers.get(b"last-event-id") or query.pop("since", "")
        query.pop("since", None)
        subject = match["subject"] or ""
        now = timezone.now()
        ask = partial(door.admit, key, name=match["page"], subject=subject, query=query, since=since, now=now)
        try:
            admission = await self.hub.desk.run(ask)
        except DatabaseError:
            admission = door.Refused(503, "The database can't be reached.")
        if isinstance(admission, door.Refused):
            await _refuse(send, admission)
        elif match["way"] == "poll":
            await self._answer_once(admission, send)
        elif self.hub.open_by(admission.viewer.user_id) >= settings.LIVE_STREAMS_PER_PERSON:
            await _refuse(send, door.Refused(429, "Too many pages are open at once; this one polls."))
        else:
            await self._stream(admission, key, receive, send)

    async def _answer_once(self, admission: door.Admission, send: Send) -> None:
        feeds = self.hub.feeds_of(admission.page, admission.ask, admission.viewer)
        whole = [await feed.render(None, "") for feed in feeds if feed.region.name in admission.owed]
        messages = [rendered.body_for(admission.viewer) for rendered in whole if rendered is not None]
        body = b"".join(
            line.removeprefix(b"data: ") for message in messages for line in message.splitlines(keepends=True)
        )
        await send({"type": "http.response.start", "status": 200 if body else 204, "headers": PAGE_HEADERS})
        await send({"type": "http.response.body", "body": body})

    async def _stream(self, admission: door.Admission, session: str, receive: Receive, send: Send) -> None:
        stream = Stream(admission.viewer, session, admission.cursor)
        await send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})
        await send({"type": "http.response.body", "body": BEAT, "more_body": True})
        self.hub.open(stream, self.hub.feeds_of(admission.page, admission.ask, admission.viewer), admission.owed)
        departure = asyncio.create_task(_until_gone(stream, receive))
        try:
            while (message := await stream.outbox.get()) is not None:
                await send({"type": "http.response.body", "body": message, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            self.hub.close(stream)
            departure.cancel()


async def _until_gone(stream: Stream, receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.cut()


async def _refuse(send: Send, refused: door.Refused) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": refused.sentence.encode()})
