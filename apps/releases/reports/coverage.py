"""Which part of the lines was run by tests: Cobertura's XML and LCOV's tracefiles."""

import re
from typing import Any

from apps.releases.reports import Unreadable, documents

_RECORD = re.compile(r"DA:(\d+),(\d+)")


def read_cobertura(report: bytes) -> dict[str, Any]:
    """This function will count lines of files; a line that stands in several classes of a file counts once."""
    root = documents.xml(report, root=("coverage",))
    hits: dict[tuple[str, int], int] = {}
    for owner in root.iter("class"):
        file = owner.get("filename", owner.get("name", ""))
        for line in owner.iterfind("lines/line"):
            try:
                place, count = (file, int(line.get("number", ""))), int(line.get("hits", ""))
            except ValueError as error:
                raise Unreadable(f"A line of {file[:100]} has no number or no hits.") from error
            hits[place] = max(hits.get(place, 0), count)
    return _figures(list(hits.values()))


def read_lcov(report: bytes) -> dict[str, Any]:
    """This function will count the lines (DA) of each source file (SF)."""
    try:
        text = report.decode()
    except UnicodeDecodeError as error:
        raise Unreadable("It is not text in UTF-8.") from error
    hits: dict[tuple[str, int], int] = {}
    file = ""
    for record in map(str.strip, text.splitlines()):
        if record.startswith("SF:"):
            file = record[3:]
        elif record == "end_of_record":
            file = ""
        elif record.startswith("DA:"):
            found = _RECORD.match(record)
            if found is None or not file:
                raise Unreadable(f"“{record[:60]}” is not a line of a source file.")
            place = (file, int(found[1]))
            hits[place] = max(hits.get(place, 0), int(found[2]))
    if file:
        raise Unreadable("It ends in the middle of a source file: end_of_record is missing.")
    return _figures(list(hits.values()))


def _figures(hits: list[int]) -> dict[str, Any]:
    if not hits:
        raise Unreadable("It holds no line of code.")
    covered = sum(count > 0 for count in hits)
    # Rounded down: 69.99 % is not 70 %.
    return {"lines": len(hits), "covered": covered, "percent": covered * 1000 // len(hits) / 10}
