"""The log of an attempt: written in chunks while it runs, read by line numbers that never change."""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from django.db import InterfaceError, OperationalError, connection
from django.db.models import F

from apps.configuration.secrecy import secrets_in
from apps.core import live
from apps.deployments.masking import Masker
from apps.deployments.models import Deployment, LogChunk
from apps.workspaces.scope import workspace_scope

logger = logging.getLogger(__name__)

FLUSH_BYTES = 256 * 1024
FLUSH_SECONDS = 0.25
LINE_LENGTH = 4096  # a longer one goes on in the next line
CHUNK_LINES = 1000
LIMIT_BYTES = 16 * 1024 * 1024
LAST_LINES = 200  # kept of what comes after the limit
CUT = f"\x1b[33mThe log has reached 16 MB. Of what follows, the last {LAST_LINES} lines are kept.\x1b[0m"

# A line with the step that was under way, and the milliseconds since the attempt began.
Stamped = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class Line:
    """`milliseconds` count from the start of the attempt; `text` keeps its ANSI codes."""

    number: int
    milliseconds: int
    text: str


def lines_of(text: str) -> list[str]:
    """This function will part text into lines. Of a line that carriage returns rewrote, the last state stays."""
    return [line.rstrip("\r").rpartition("\r")[2] for line in text.removesuffix("\n").split("\n")]


class LogWriter:
    """Collects lines from any thread; `flush` masks and stores them.

    Nothing is stored once the attempt has another fence than the writer was made with. The owner of the attempt calls
    `flush_if_due` from its heartbeat, so that the last line before a silence is seen.
    """

    def __init__(self, deployment: Deployment, fence: int) -> None:
        self._deployment_id, self._workspace_id = deployment.pk, deployment.workspace_id
        self._fence = fence
        self._known = self._secrets(deployment)
        self._masker = Masker(self._known)
        self._began = time.time() if deployment.started_at is None else deployment.started_at.timestamp()
        self._lock, self._storing = threading.Lock(), threading.Lock()
        self._lines: list[Stamped] = []
        self._size = 0
        self._masked: list[Stamped] = []  # of these, what waits for the database
        self._total = deployment.log_bytes
        self._last: deque[Stamped] = deque(maxlen=LAST_LINES)
        self._left_out = 0
        self._flushed_at = time.monotonic()
        self.step = 0

    def write(self, text: str) -> None:
        """Take one or more whole lines."""
        at = max(0, round((time.time() - self._began) * 1000))
        with self._lock:
            self._lines += [(self.step, at, line) for line in lines_of(text)]
            self._size += len(text) + 1
        self.flush_if_due()

    def masked(self, text: str) -> str:
        """Return what is shown elsewhere than in the log without the secrets that the log leaves out."""
        return "\n".join(Masker(self._known).masked(text.split("\n")))

    def flush_if_due(self) -> None:
        with self._lock:
            late = time.monotonic() - self._flushed_at >= FLUSH_SECONDS
            due = self._size >= FLUSH_BYTES or (late and bool(self._lines or self._masked))
        if due:
            self._flush()

    def flush(self) -> None:
        """Store all that was collected, because the attempt ends or waits: of what was too much, the last lines."""
        self._flush(is_end=True)

    def _flush(self, *, is_end: bool = False) -> None:
        if connection.in_atomic_block:
            return  # a line written inside a transaction waits for the next flush outside of it
        with self._storing:
            with self._lock:
                lines, self._lines, self._size = self._lines, [], 0
                self._flushed_at = time.monotonic()
            masked = self._masker.masked([text for _step, _at, text in lines])
            self._masked += self._fitting((step, at, text) for (step, at, _), text in zip(lines, masked, strict=True))
            if is_end:
                self._masked += self._rest()
            if self._masked:
                self._keep(self._masked)

    def _keep(self, lines: list[Stamped]) -> None:
        try:
            self._store(lines)
        except (OperationalError, InterfaceError) as error:
            logger.warning("log of %s: %s lines wait for the database: %s", self._deployment_id, len(lines), error)
            connection.close()
        else:
            self._masked = []

    def _fitting(self, lines: Iterable[Stamped]) -> Iterator[Stamped]:
        """Yield what fits under the limit, then once that it is reached; remember the last of what does not fit."""
        for step, at, line in lines:
            for text in _pieces(line):
                if self._total >= LIMIT_BYTES:
                    self._left_out += len(self._last) == LAST_LINES
                    self._last.append((step, at, text))
                    continue
                self._total += len(text.encode()) + 1
                yield step, at, text
                if self._total >= LIMIT_BYTES:
                    yield step, at, CUT

    def _rest(self) -> list[Stamped]:
        """Return the last of what did not fit, below a line that says how much is missing."""
        rest, left_out = list(self._last), self._left_out
        self._last.clear()
        self._left_out = 0
        if left_out:
            step, at, _text = rest[0]
            rest.insert(0, (step, at, f"\x1b[33m{left_out} lines are left out here.\x1b[0m"))
        return rest

    def _store(self, lines: Sequence[Stamped]) -> None:
        size = sum(len(text.encode()) + 1 for _step, _at, text in lines)
        with workspace_scope([self._workspace_id]):
            mine = Deployment.objects.filter(pk=self._deployment_id, fence=self._fence)
            if not mine.update(log_lines=F("log_lines") + len(lines), log_bytes=F("log_bytes") + size):
                # The lines belong to nobody any more.
                logger.info("log of %s: fence %s is stale", self._deployment_id, self._fence)
                return
            first = mine.values_list("log_lines", flat=True).get() - len(lines) + 1
            LogChunk.objects.bulk_create(self._chunks(lines, first))
            live.hint(self._workspace_id, f"log:{self._deployment_id}")

    def _chunks(self, lines: Sequence[Stamped], first: int) -> Iterator[LogChunk]:
        for step, group in groupby(lines, key=lambda line: line[0]):
            of_step = [(milliseconds, text) for _step, milliseconds, text in group]
            for start in range(0, len(of_step), CHUNK_LINES):
                texts = of_step[start : start + CHUNK_LINES]
                yield LogChunk(
                    workspace_id=self._workspace_id,
                    deployment_id=self._deployment_id,
                    seq=first,
                    step_seq=step,
                    first_line=first,
                    line_count=len(texts),
                    lines=texts,
                )
                first += len(texts)

    def _secrets(self, deployment: Deployment) -> set[str]:
        """Those of the version that is installed, and of the one before: its program may still speak."""
        with workspace_scope([self._workspace_id]):
            before = deployment.from_configuration
        return secrets_in(deployment.configuration.values) | (secrets_in(before.values) if before else set())


def _pieces(line: str) -> Iterator[str]:
    """Part a line that is too long, not in the middle of a colour."""
    while len(line) > LINE_LENGTH:
        escape = line.rfind("\x1b", LINE_LENGTH - 20, LINE_LENGTH)
        end = escape if escape >= 0 and "m" not in line[escape:LINE_LENGTH] else LINE_LENGTH
        yield line[:end]
        line = line[end:]
    yield line


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
