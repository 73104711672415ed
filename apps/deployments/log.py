"""The log of an attempt: written in chunks while it runs, read by line numbers that never change."""

import base64
import json
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from urllib.parse import quote

from django.db import connection
from django.db.models import F

from apps.configuration.difference import SECRET_NAME
from apps.core import live
from apps.deployments.models import Deployment, LogChunk
from apps.workspaces.scope import workspace_scope

logger = logging.getLogger(__name__)

FLUSH_BYTES = 4096
FLUSH_SECONDS = 1.0
LIMIT_BYTES = 16 * 1024 * 1024
MASK = "••••••"
CUT = "\x1b[33mThe log ends here: it has reached 16 MB.\x1b[0m"

_SHORTEST_SECRET = 4


@dataclass(frozen=True, slots=True)
class Line:
    """`milliseconds` count from the start of the attempt; `text` keeps its ANSI codes."""

    number: int
    milliseconds: int
    text: str


def secrets_in(values: Mapping[str, Any]) -> tuple[str, ...]:
    """This function will return what must not be shown of a configuration, in every form that it may appear in."""
    plain = {
        str(value) for name, value in values.items() if SECRET_NAME.search(name) and len(str(value)) >= _SHORTEST_SECRET
    }
    forms = plain | {quote(value, safe="") for value in plain} | {json.dumps(value)[1:-1] for value in plain}
    forms |= {base64.b64encode(value.encode()).decode().rstrip("=") for value in plain}
    return tuple(sorted(forms, key=len, reverse=True))


class LogWriter:
    """Collects lines from any thread; `flush` stores them while the attempt still has the fence it was made with.

    The owner of the attempt calls `flush_if_due` from its heartbeat, so that the last line before a silence is seen.
    """

    def __init__(self, deployment: Deployment, fence: int) -> None:
        self._deployment_id, self._workspace_id = deployment.pk, deployment.workspace_id
        self._fence = fence
        self._secrets = secrets_in(deployment.configuration.values)
        self._began = time.time() if deployment.started_at is None else deployment.started_at.timestamp()
        self._lock, self._storing = threading.Lock(), threading.Lock()
        self._lines: list[tuple[int, int, str]] = []  # with the step that was under way
        self._size = 0
        self._total = deployment.log_bytes
        self._flushed_at = time.monotonic()
        self.step = 0

    def write(self, text: str) -> None:
        """Take one or more lines. What does not fit under the limit is dropped, and the log says so once."""
        for raw in text.splitlines() or [""]:
            line = self._masked(raw)
            with self._lock:
                if self._total >= LIMIT_BYTES:
                    return
                size = len(line.encode()) + 1
                self._total += size
                if self._total >= LIMIT_BYTES:
                    line = CUT
                self._lines.append((self.step, max(0, round((time.time() - self._began) * 1000)), line))
                self._size += size
        self.flush_if_due()

    def flush_if_due(self) -> None:
        with self._lock:
            late = time.monotonic() - self._flushed_at >= FLUSH_SECONDS
            due = bool(self._lines) and (late or self._size >= FLUSH_BYTES)
        if due:
            self.flush()

    def flush(self) -> None:
        """Store what was collected. A stale fence stores nothing: the lines belong to nobody any more."""
        if connection.in_atomic_block:
            return  # a line written inside a transaction waits for the next flush outside of it
        with self._storing:
            with self._lock:
                lines, size, self._lines, self._size = self._lines, self._size, [], 0
                self._flushed_at = time.monotonic()
            if lines:
                self._store(lines, size)

    def _store(self, lines: Sequence[tuple[int, int, str]], size: int) -> None:
        with workspace_scope([self._workspace_id]):
            mine = Deployment.objects.filter(pk=self._deployment_id, fence=self._fence)
            if not mine.update(log_lines=F("log_lines") + len(lines), log_bytes=F("log_bytes") + size):
                logger.info("log of %s: fence %s is stale", self._deployment_id, self._fence)
                return
            first = mine.values_list("log_lines", flat=True).get() - len(lines) + 1
            for step, of_step in groupby(lines, key=lambda line: line[0]):
                texts = [(milliseconds, text) for _step, milliseconds, text in of_step]
                LogChunk.objects.create(
                    workspace_id=self._workspace_id,
                    deployment_id=self._deployment_id,
                    seq=first,
                    step_seq=step,
                    first_line=first,
                    line_count=len(texts),
                    lines=texts,
                )
                first += len(texts)
            live.hint(self._workspace_id, f"deployment:{self._deployment_id}")

    def _masked(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text.replace("\x00", "\ufffd")


def read_lines(deployment: Deployment, first: int, last: int) -> list[Line]:
    """This function will return the lines from `first` to `last`, counted from 1, both included."""
    chunks = LogChunk.objects.filter(deployment=deployment)
    held_in = chunks.filter(first_line__lte=first).order_by("-first_line").values_list("first_line", flat=True).first()
    return [
        Line(number, milliseconds, text)
        for chunk in chunks.filter(first_line__gte=held_in or 0, first_line__lte=last).order_by("seq")
        for number, (milliseconds, text) in enumerate(chunk.lines, chunk.first_line)
        if first <= number <= last
    ]
