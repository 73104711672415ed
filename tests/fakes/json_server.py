"""What the fakes of services with a JSON API have in common: a real HTTP server, a token, doors for tests to shut."""

import json
import re
import threading
import urllib.parse
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from tests.published import Description, Exchange, require

TOKEN = "no-secret"


class Answer(Exception):
    """Anything but 200 with what was asked for."""

    def __init__(self, status: int, content: Any = None, **headers: str) -> None:
        super().__init__(status)
        self.status, self.content = status, content
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@dataclass
class Asked:
    method: str
    path: str
    query: dict[str, str]
    body: Any
    status: int = 0


@dataclass
class Rule:
    pattern: re.Pattern[str]
    times: int


@dataclass
class Script:
    """What goes wrong, for requests whose `METHOD path` matches."""

    lost: list[Rule] = field(default_factory=list)
    answers: list[tuple[Rule, Answer]] = field(default_factory=list)
    held: re.Pattern[str] | None = None


class JsonServer:
    description: Description | None = None
    """What the service publishes of itself, where there is such a thing: all that was said has to agree with it."""
    stranger: Any = {"message": "401 Unauthorized"}

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.asked: list[Asked] = []
        self.exchanges: list[Exchange] = []
        self.token = TOKEN
        self._script, self._door, self._waiting = Script(), threading.Condition(), 0

    def answer(self, asked: Asked) -> Any:
        """Return what is answered with 200. Raises Answer: something else is."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"fake": self}))
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.let_go()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
        if self.description is not None:
            require(self.description, self.exchanges)

    def connection(self, path: Path) -> Path:
        """Write the file that the portal's settings name."""
        path.write_text(json.dumps({"url": f"http://127.0.0.1:{self.server.server_port}", "token": TOKEN}))
        path.chmod(0o600)
        return path

    def sent(self, pattern: str) -> list[Asked]:
        """Return the requests that were carried out and whose `METHOD path` matches."""
        with self.lock:
            return [a for a in self.asked if re.search(pattern, f"{a.method} {a.path}") and 0 < a.status < 300]

    def lose_answer(self, pattern: str, *, times: int = 1) -> None:
        """Do what is asked, and cut the connection in place of an answer."""
        self._script.lost.append(Rule(re.compile(pattern), times))

    def refuse(self, pattern: str, answer: Answer, *, times: int = 1) -> None:
        self._script.answers.append((Rule(re.compile(pattern), times), answer))

    def hold(self, pattern: str) -> None:
        """Keep requests waiting until `let_go`."""
        self._script.held = re.compile(pattern)

    def let_go(self) -> None:
        with self._door:
            self._script.held = None
            self._door.notify_all()

    @property
    def is_holding(self) -> bool:
        return self._waiting > 0

    def pass_door(self, line: str) -> None:
        with self._door:
            if self._script.held is None or not self._script.held.search(line):
                return
            self._waiting += 1
            self._door.wait_for(lambda: self._script.held is None)
            self._waiting -= 1

    def scripted(self, line: str) -> Answer | None:
        return next((answer for rule, answer in self._script.answers if _applies(rule, line)), None)

    def is_lost(self, line: str) -> bool:
        return any(_applies(rule, line) for rule in self._script.lost)


def _applies(rule: Rule, line: str) -> bool:
    if rule.times < 1 or not rule.pattern.search(line):
        return False
    rule.times -= 1
    return True


class _Handler(BaseHTTPRequestHandler):
    fake: JsonServer
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        parts = urllib.parse.urlsplit(self.path)
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pairs = urllib.parse.parse_qsl(parts.query, keep_blank_values=True)
        asked = Asked(self.command, urllib.parse.unquote(parts.path), dict(pairs), json.loads(raw) if raw else None)
        line = f"{asked.method} {asked.path}"
        self.fake.pass_door(line)
        answer = self._answered(asked, line)
        with self.fake.lock:
            asked.status = answer.status
            self.fake.asked.append(asked)
            self.fake.exchanges.append(
                Exchange(self.command, parts.path, tuple(pairs), asked.body, answer.status, answer.content)
            )
        if self.fake.is_lost(line):
            self.close_connection = True
            return
        self._send(answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def _answered(self, asked: Asked, line: str) -> Answer:
        words = self.headers.get("Authorization", "").split() or [self.headers.get("PRIVATE-TOKEN", "")]
        if words[-1] != self.fake.token:
            return Answer(401, self.fake.stranger)
        if scripted := self.fake.scripted(line):
            return scripted
        try:
            with self.fake.lock:
                return Answer(200, self.fake.answer(asked))
        except Answer as answer:
            return answer

    def _send(self, answer: Answer) -> None:
        body = b"" if answer.content is None else json.dumps(answer.content).encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing: the log of requests is the fake's."""
