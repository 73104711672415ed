"""One GET request over a unix socket or a loopback port, timed."""

import http.client
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

BODY_LIMIT = 65536


@dataclass(frozen=True, slots=True)
class Answer:
    status: int | None
    """None: no answer came, `detail` says why."""
    milliseconds: float
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""

    @property
    def is_good(self) -> bool:
        return self.status is not None and 200 <= self.status < 400


def get(path: str, *, to: Path | int, timeout: float = 5.0) -> Answer:
    """Ask for a path, `to` a unix socket or a port of this machine. Never raises for what the other side does."""
    started = time.monotonic()
    connection = http.client.HTTPConnection("localhost", timeout=timeout)
    try:
        connection.sock = _connected(to, timeout)
        connection.request("GET", path, headers={"Connection": "close", "User-Agent": "eaip-operations"})
        answer = connection.getresponse()
        answer.read(BODY_LIMIT)
    except (OSError, http.client.HTTPException) as error:
        reason = "no answer in time" if isinstance(error, TimeoutError) else (str(error) or type(error).__name__)
        return Answer(None, (time.monotonic() - started) * 1000, reason)
    finally:
        connection.close()
    headers = {name.lower(): value for name, value in answer.getheaders()}
    return Answer(answer.status, (time.monotonic() - started) * 1000, f"{answer.status} {answer.reason}", headers)


def _connected(to: Path | int, timeout: float) -> socket.socket:
    if isinstance(to, int):
        return socket.create_connection(("127.0.0.1", to), timeout=timeout)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout)
    try:
        connection.connect(str(to))
    except OSError:
        connection.close()
        raise
    return connection
