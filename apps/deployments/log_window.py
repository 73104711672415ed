"""The part of a deployment's log that a page shows: the newest lines, those before them, a range, or what was found."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from django.db.models import F
from django.utils.safestring import SafeString

from apps.deployments import ansi
from apps.deployments.models import Deployment, LogChunk

SHOWN = 2_000
AROUND = 200
FOUND_AT_MOST = 500

# What programs begin a complaint with; "0 errors" and names such as error_rate are none.
_ERROR = re.compile(
    r"\b(?:error|fatal|critical|panic|failed|failure|traceback|\w+(?:Error|Exception))\b", re.IGNORECASE
)
_NO_ERROR = re.compile(r"\b(?:0|no|without) (?:errors?|failures?|failed)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Line:
    number: int
    at_ms: int
    text: str
    step_seq: int
    is_marked: bool = False

    @property
    def html(self) -> SafeString:
        return ansi.to_html(self.text)

    @property
    def at(self) -> str:
        """Return the time since the start as mm:ss, or h:mm:ss."""
        minutes, seconds = divmod(self.at_ms // 1000, 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes:02}:{seconds:02}"


@dataclass(frozen=True)
class Section:
    """Lines of one step that stand together; number 0 is what was written before the first step."""

    step_seq: int
    lines: tuple[Line, ...]

    @property
    def first(self) -> int:
        return self.lines[0].number


@dataclass(frozen=True)
class LogWindow:
    sections: tuple[Section, ...]
    first: int
    last: int
    total: int
    query: str = ""
    found: int = 0
    floor: int = 0

    @property
    def earlier(self) -> int | None:
        """Return the line to ask for lines before, or None when the first one above `floor` is shown."""
        return self.first if self.first > self.floor + 1 and not self.query else None

    @property
    def later(self) -> int | None:
        return self.last if self.last < self.total and not self.query else None

    @property
    def is_cut(self) -> bool:
        """Was more found than is shown?"""
        return self.found > FOUND_AT_MOST

    @property
    def is_long(self) -> bool:
        return self.last - self.first >= SHOWN // 2


@dataclass(frozen=True)
class Wanted:
    """What of the log is asked for. `first` and `last` mark a range, bounds included; all are line numbers from 1.

    With `before` and `after`, what lies between the two.
    """

    before: int | None = None
    after: int | None = None
    first: int | None = None
    last: int | None = None
    query: str = ""


def window_of(deployment: Deployment, wanted: Wanted) -> LogWindow:
    """This function will read the wanted part of the log, at most SHOWN lines of it, in one query."""
    if wanted.query:
        return _found(deployment, wanted.query)
    start, end = _bounds(wanted, deployment.log_lines)
    lines = [_marked(line, wanted) for line in lines_between(deployment, start, end)]
    last = lines[-1].number if lines else max(start - 1, 0)
    return LogWindow(_sections(lines), start, last, deployment.log_lines, floor=_floor(wanted))


def first_error(deployment: Deployment) -> int | None:
    """This function will return the number of the first line that reads like an error; None where none does."""
    return next((line.number for line in _matching(deployment, _is_error)), None)


def lines_between(deployment: Deployment, first: int, last: int) -> Iterator[Line]:
    """This function will read lines by number, bounds included, in order, without loading the whole log."""
    chunks = LogChunk.objects.filter(
        deployment=deployment, first_line__lte=last, first_line__gt=first - F("line_count")
    ).order_by("first_line")
    for chunk in chunks.iterator(chunk_size=50):
        for line in _lines_of(chunk):
            if first <= line.number <= last:
                yield line


def step_of(deployment: Deployment, number: int) -> int | None:
    """This function will say to which step a line belongs; None where there is no such line."""
    return next((line.step_seq for line in lines_between(deployment, number, number)), None)


def _bounds(wanted: Wanted, total: int) -> tuple[int, int]:
    if wanted.first:
        end = min(max(wanted.last or wanted.first, wanted.first), wanted.first + SHOWN - 1)
        if wanted.first > total - SHOWN:
            return max(1, total - SHOWN + 1), total
        return max(1, wanted.first - AROUND), max(end, min(total, end + AROUND))
    if wanted.before:
        return max(1, _floor(wanted) + 1, wanted.before - SHOWN), wanted.before - 1
    if wanted.after is not None:
        return wanted.after + 1, min(wanted.after + SHOWN, max(total, wanted.after))
    return max(1, total - SHOWN + 1), total


def _marked(line: Line, wanted: Wanted) -> Line:
    if wanted.first and wanted.first <= line.number <= (wanted.last or wanted.first):
        return Line(line.number, line.at_ms, line.text, line.step_seq, is_marked=True)
    return line


def _floor(wanted: Wanted) -> int:
    return wanted.after or 0 if wanted.before else 0


def _found(deployment: Deployment, query: str) -> LogWindow:
    # Colours may stand in the middle of a word, so the database can't search the text as it is stored.
    needle, found, shown = query.casefold(), 0, []
    for line in _matching(deployment, lambda text: needle in text.casefold()):
        found += 1
        if found <= FOUND_AT_MOST:
            shown.append(line)
    first, last = (shown[0].number, shown[-1].number) if shown else (0, 0)
    return LogWindow(_sections(shown), first, last, deployment.log_lines, query, found)


def _matching(deployment: Deployment, matches: Callable[[str], bool]) -> Iterator[Line]:
    """Yield the lines that match; of a chunk without any, the text is looked at once."""
    chunks = LogChunk.objects.filter(deployment=deployment, first_line__lte=deployment.log_lines).order_by("first_line")
    for chunk in chunks.iterator(chunk_size=50):
        if matches(ansi.text_of([text for _, text in chunk.lines])):
            for number, (at_ms, text) in enumerate(chunk.lines, chunk.first_line):
                if matches(ansi.plain(text)):
                    yield Line(number, int(at_ms), text, chunk.step_seq)


def _is_error(text: str) -> bool:
    return bool(_ERROR.search(_NO_ERROR.sub("", text)))


def _sections(lines: Iterable[Line]) -> tuple[Section, ...]:
    return tuple(Section(seq, tuple(group)) for seq, group in groupby(lines, key=lambda line: line.step_seq))


def _lines_of(chunk: LogChunk) -> Iterator[Line]:
    for offset, (at_ms, text) in enumerate(chunk.lines):
        yield Line(chunk.first_line + offset, int(at_ms), text, chunk.step_seq)
