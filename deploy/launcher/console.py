"""What the launcher says: one line for each step, and signs of life while a step takes longer than two seconds."""

import sys
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

SILENT_SECONDS = 2.0
LINE_EVERY_SECONDS = 5.0


def say(text: str = "") -> None:
    _write(text + "\n")


def _write(text: str) -> None:
    with suppress(OSError):  # the terminal was closed; the work goes on
        sys.stdout.write(text)
        sys.stdout.flush()


class Refused(Exception):
    """The launcher can't go on; the text says why and what to do."""


class Step:
    """One step of the start. `tick()` is called often; it decides what to show."""

    def __init__(self, doing: str, done: str) -> None:
        self.doing, self.done = doing, done
        self.started = self.shown = time.monotonic()
        self.terminal = sys.stdout.isatty()

    def __enter__(self) -> Self:
        return self

    def tick(self, detail: str = "") -> None:
        now = time.monotonic()
        every = 1.0 if self.terminal else LINE_EVERY_SECONDS
        first = self.shown == self.started
        if now - self.started < SILENT_SECONDS or (not first and now - self.shown < every):
            return
        self.shown = now
        text = f"  .. {self.doing}, {now - self.started:.0f} s" + (f": {detail}" if detail else "")
        if self.terminal:
            _write(f"\r\033[K{text[:100]}")
        else:
            say(text)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.terminal and self.shown != self.started:
            _write("\r\033[K")
        if kind is None:
            say(f"  ok {self.done} ({time.monotonic() - self.started:.1f} s)")
