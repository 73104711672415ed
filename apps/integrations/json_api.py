"""A service that speaks JSON over HTTPS and knows its callers by a token: Argo CD, GitHub, GitLab, Kubernetes.

What a service asks for when it has had too much (`Retry-After`) is kept: nothing is sent before that time.
"""

import json
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlsplit

import httpx2

from apps.core.crashpoints import crashpoint

LIMIT = 20.0
BODY_LIMIT = 16 << 20
SHORTEST_WAIT, LONGEST_WAIT = 1.0, 3600.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")
WORDS = 300


_limit: ContextVar[float] = ContextVar("limit", default=LIMIT)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Wait for no answer longer than this."""
    before = _limit.set(seconds)
    try:
        yield
    finally:
        _limit.reset(before)


class ApiProblem(Exception):
    """The service has not done what it was asked for, or nobody knows whether it has."""


class NoAnswer(ApiProblem):
    """Nothing usable came back: what was asked for may have been done."""


class TooMany(ApiProblem):
    """The service takes no more for `seconds`; nothing was done."""

    def __init__(self, message: str, *, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class Refused(ApiProblem):
    """The service said no; nothing was done. `code` is its own number for the reason, where it gives one."""

    def __init__(self, message: str, *, status: int, code: int | None = None) -> None:
        super().__init__(message)
        self.status, self.code = status, code


@dataclass(frozen=True, slots=True)
class Connection:
    url: str
    token: str
    ca_file: str | None


def read(path: Path) -> Connection:
    """Read `{"url", "token", "ca_file"}`. Raises ApiProblem: not there, not readable, or a token in clear text."""
    try:
        row = json.loads(path.read_text())
        found = Connection(row["url"].rstrip("/"), row["token"].strip(), row.get("ca_file"))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise ApiProblem(f"{path} is not a readable file of JSON with url and token: {error}") from error
    parts = urlsplit(found.url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise ApiProblem(f"{path} names {found.url}: a token is sent by https only.")
    return found


class JsonApi:
    """`scheme` is the word before the token in the Authorization header; `path` is read anew for each request."""

    def __init__(self, path: Path, *, scheme: str = "Bearer", accept: str = "application/json") -> None:
        self.path, self._scheme, self._accept = path, scheme, accept
        self._closed_until = 0.0

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> Any:
        """Return what the service answers, None for an empty answer. Raises NoAnswer, TooMany, Refused, ApiProblem."""
        if (left := self._closed_until - time.monotonic()) > 0:
            raise TooMany(f"The service takes no more requests for {left:.0f} s.", seconds=left)
        connection = read(self.path)
        headers = {
            "Authorization": f"{self._scheme} {connection.token}",
            "Accept": self._accept,
            "Content-Type": content_type,
            "User-Agent": "EAIP-Operations",
        }
        crashpoint(f"before_{method}")
        try:
            verify = ssl.create_default_context(cafile=connection.ca_file)
            with httpx2.Client(timeout=_limit.get(), follow_redirects=False, trust_env=False, verify=verify) as client:
                content = None if body is None else json.dumps(body)
                answer = client.request(method, connection.url + path, params=query, content=content, headers=headers)
        except (httpx2.HTTPError, OSError) as error:
            said = str(error) or type(error).__name__
            raise NoAnswer(f"No answer from {connection.url}: {said}"[:WORDS]) from error
        crashpoint(f"after_{method}")
        return self._read(answer, connection)

    def _read(self, answer: httpx2.Response, connection: Connection) -> Any:
        status = answer.status_code
        if seconds := _wait(status, answer.headers):
            self._closed_until = time.monotonic() + seconds
            said = f"{connection.url} takes no more requests for {seconds:.0f} s (it answered {status})."
            raise TooMany(said, seconds=seconds)
        if len(answer.content) > BODY_LIMIT:
            raise NoAnswer(f"The answer of {connection.url} is too large.")
        try:
            content = json.loads(answer.content) if answer.content else None
        except ValueError as error:
            if status < 300:
                raise NoAnswer(f"{connection.url} does not answer in JSON.") from error
            content = None
        if status >= 300:
            raise _refusal(status, content, connection, self.path)
        return content


def part(text: str) -> str:
    """Return a text as one segment of a path."""
    return quote(text, safe="")


def _refusal(status: int, content: Any, connection: Connection, path: Path) -> ApiProblem:
    row = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
    told = row.get("message") or row.get("error") or "no reason given"
    if status == 401:
        return Refused(f"{connection.url} does not accept the token of {path}: renew it there.", status=status)
    if status in (502, 504):
        return NoAnswer(f"{connection.url} answered {status}: {told}"[:WORDS])
    code = row.get("code")
    said = f"{connection.url} answered {status}: {told}"[:WORDS]
    return Refused(said, status=status, code=code if isinstance(code, int) else None)


def _wait(status: int, headers: Mapping[str, str]) -> float:
    """Return for how long the service wants to be left alone, 0 when it has not said so.

    Source: RFC 9110 section 10.2.3, RFC 6585 section 4; GitHub says a used-up limit as 403 with x-ratelimit headers.
    """
    after, spent = headers.get("retry-after", ""), headers.get("x-ratelimit-remaining") == "0"
    if status != 429 and not (status == 403 and (after or spent)):
        return 0.0
    if after.isdecimal():
        seconds = float(after)
    elif (reset := headers.get("x-ratelimit-reset", headers.get("ratelimit-reset", ""))).isdecimal():
        seconds = float(reset) - time.time()
    else:
        seconds = 60.0
    return min(max(seconds, SHORTEST_WAIT), LONGEST_WAIT)
