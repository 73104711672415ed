"""Whether one JSON Schema accepts all that another does, asked of jsonsubschema in a process of its own.

The library may run for minutes on a pattern or a union, and can't be interrupted; a process can.
"""

import contextlib
import json
import selectors
import subprocess
import sys
from collections.abc import Callable
from time import monotonic
from types import TracebackType
from typing import Any

SECONDS = 3.0
_SECONDS_OF_ALL = 60.0
_START = 15.0

# Whether the first accepts nothing that the second refuses; None: it can't be told.
Judge = Callable[[Any, Any], bool | None]

_PROGRAM = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
from jsonsubschema import isSubschema
answers, sys.stdout = sys.stdout, sys.stderr
print("ready", file=answers, flush=True)
for line in sys.stdin:
    try:
        found = isSubschema(*json.loads(line))
    except BaseException:
        found = None
    print(json.dumps(found if isinstance(found, bool) else None), file=answers, flush=True)
"""


class Child:
    """A judge for the length of a `with`; the process starts with the first question."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds, self._until = seconds, monotonic() + _SECONDS_OF_ALL
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def __call__(self, inner: Any, outer: Any) -> bool | None:
        if monotonic() > self._until:
            return None
        with contextlib.suppress(OSError, ValueError):
            if self._process is None:
                self._start()
            answer = self._asked(json.dumps([inner, outer]))
            if answer in ("true", "false"):
                return answer == "true"
            if answer == "null":
                return None
        self._end()
        return None

    def _start(self) -> None:
        command = [sys.executable, "-I", "-W", "ignore", "-c", _PROGRAM]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)
        if self._line(_START) != "ready":
            raise OSError("the process that compares schemas did not start")

    def _asked(self, question: str) -> str:
        if self._process is None or self._process.stdin is None:
            return ""
        self._process.stdin.write(question + "\n")
        self._process.stdin.flush()
        return self._line(self._seconds)

    def _line(self, seconds: float) -> str:
        if self._process is None or self._process.stdout is None:
            return ""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            return self._process.stdout.readline().strip() if selector.select(seconds) else ""

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with contextlib.suppress(OSError):
                process.communicate()
