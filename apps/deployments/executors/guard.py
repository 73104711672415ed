"""Run a child under a guard process, so that no descendant outlives the worker, whatever happens to the worker."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from apps.deployments.executors.contract import StaleFence

GUARD = Path(__file__).with_name("guard_process.py")
ALLOWED_ENVIRONMENT = ("LANG", "LC_ALL", "PATH", "SSL_CERT_DIR", "SSL_CERT_FILE", "TMPDIR", "TZ")
LINE_LIMIT = 8192
TAIL_LINES = 40


@dataclass(frozen=True, slots=True)
class Outcome:
    reason: str
    """exited, cancelled, silence, limit or orphaned."""
    exit_code: int | None
    seconds: float
    tail: tuple[str, ...]

    @property
    def succeeded(self) -> bool:
        return self.reason == "exited" and self.exit_code == 0

    @property
    def last_line(self) -> str:
        return next((line for line in reversed(self.tail) if line.strip()), "no output")


class Lifeline:
    """The pipes to the guards of one piece of work: renewed by its heartbeat, cut by its cancellation."""

    def __init__(self, renewed_at: float | None = None) -> None:
        """`renewed_at`, of time.monotonic(), is when the lease was renewed last; without one it is now."""
        self._lock = threading.Lock()
        self._pipes: set[int] = set()
        self._cancelled = threading.Event()
        self.renewed_at = time.monotonic() if renewed_at is None else renewed_at

    def renew(self, at: float) -> None:
        """Tell the guards that the lease lives, and since when: they count from then, not from when they hear it."""
        self.renewed_at = at
        self._tell(f"{at}\n".encode())

    def cancel(self) -> None:
        self._cancelled.set()
        self._tell(b"c\n")

    def require(self, silence: float) -> None:
        """Raises StaleFence: the last renewal is further back, so somebody else may be at work by now."""
        if time.monotonic() - self.renewed_at > silence:
            raise StaleFence(f"Nothing was begun: the lease was not renewed for {silence:g} s.")

    @property
    def is_cancelled(self) -> bool:
        return self._cancelled.is_set()

    def pause(self, seconds: float) -> bool:
        """Wait; True when cancelled meanwhile."""
        return self._cancelled.wait(seconds)

    @contextlib.contextmanager
    def tied_to(self, pipe: int) -> Iterator[None]:
        os.set_blocking(pipe, False)
        with self._lock:
            self._pipes.add(pipe)
        if self.is_cancelled:
            self._tell(b"c\n")
        try:
            yield
        finally:
            with self._lock:
                self._pipes.discard(pipe)

    def _tell(self, word: bytes) -> None:
        with self._lock:
            for pipe in self._pipes:
                with contextlib.suppress(BlockingIOError, BrokenPipeError):
                    os.write(pipe, word)


def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    log: Callable[[str], None],
    lifeline: Lifeline | None = None,
    env: Mapping[str, str] | None = None,
    limit: float | None = None,
    silence: float | None = None,
    grace: float = 5.0,
    orphan_grace: float = 0.5,
    keep_fds: Sequence[int] = (),
) -> Outcome:
    """Run `argv` to its end and hand each line of its output to `log`.

    Units: seconds. `silence` is how long the child may live after the last renewal of the lifeline, `limit` in all.
    When so long has passed already, as in a worker that stood still, no child begins.
    `keep_fds` are held open by the guard (locks that shall last as long as any descendant), never by the child.
    Environment: the allow-list of this module from our own, then `env`. Descendants left by the child are killed.
    """
    started = time.monotonic()
    lifeline = lifeline or Lifeline()
    spec = {
        "argv": [str(part) for part in argv],
        "env": {name: os.environ[name] for name in ALLOWED_ENVIRONMENT if name in os.environ} | dict(env or {}),
        "cwd": str(cwd),
        "parent": os.getpid(),
        "renewed": lifeline.renewed_at,
        "silence": silence,
        "limit": limit,
        "grace": grace,
        "orphan_grace": orphan_grace,
    }
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    reading, writing = os.pipe()
    with open(reading, "rb") as status, _guard(writing, keep_fds) as (stdin, stdout):
        try:
            stdin.write(json.dumps(spec).encode() + b"\n")
            with lifeline.tied_to(stdin.fileno()):
                for line in lines(stdout):
                    tail.append(line)
                    log(line)
                report = json.loads(status.readline() or b'{"reason": "orphaned", "exit_code": null}')
        finally:
            with contextlib.suppress(BrokenPipeError):
                stdin.close()
    return Outcome(report["reason"], report["exit_code"], time.monotonic() - started, tuple(tail))


@contextlib.contextmanager
def _guard(status: int, keep_fds: Sequence[int]) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(GUARD), str(status)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={},
            pass_fds=(status, *keep_fds),
            bufsize=0,
        )
    finally:
        os.close(status)
    with process:
        yield cast(IO[bytes], process.stdin), cast(IO[bytes], process.stdout)


def lines(stream: IO[bytes]) -> Iterator[str]:
    """Yield the lines of a stream as they come; one over the limit comes in pieces, so memory stays bounded."""
    rest = b""
    while chunk := stream.read(65536):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield from _pieces(line)
        while len(rest) > LINE_LIMIT:
            yield from _pieces(rest[:LINE_LIMIT])
            rest = rest[LINE_LIMIT:]
    if rest:
        yield from _pieces(rest)


def _pieces(line: bytes) -> Iterator[str]:
    text = line.rstrip(b"\r")
    for start in range(0, len(text) or 1, LINE_LIMIT):
        yield text[start : start + LINE_LIMIT].decode("utf-8", "replace")
