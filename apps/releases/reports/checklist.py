"""What a job says of lines of checklists: which are done, by what proof, and which it takes back."""

from datetime import UTC, datetime
from typing import Any

from apps.releases.reports import Unreadable, documents

# As many lines as one checklist may have; a name is as long as a policy lets it be.
MOST_LINES, LONGEST_NAME, LONGEST_PROOF = 50, 40, 300

_REPORT, _LINE = {"at", "lines"}, {"checklist", "line", "done", "proof"}


def read_checklist(report: bytes) -> dict[str, Any]:
    """This function will read what is said of each line, each once; nothing may stand there that has no meaning."""
    document = documents.json_object(report)
    _require(document, _REPORT, "")
    lines = documents.rows(document, "lines")
    if not 0 < len(lines) <= MOST_LINES:
        raise Unreadable(f"lines: expected 1 to {MOST_LINES}.")
    read = [_line(row, f"lines[{index}]") for index, row in enumerate(lines)]
    if len({(line["checklist"], line["line"]) for line in read}) < len(read):
        raise Unreadable("lines: one stands there twice.")
    return {"at": _moment(document["at"]), "lines": read}


def _line(row: dict[str, Any], place: str) -> dict[str, Any]:
    _require(row, _LINE, f"{place}: ")
    if type(row["done"]) is not bool:
        raise Unreadable(f"{place}.done: expected true or false.")
    names = {name: _text(row[name], f"{place}.{name}", LONGEST_NAME) for name in ("checklist", "line")}
    return {**names, "done": row["done"], "proof": _text(row["proof"], f"{place}.proof", LONGEST_PROOF)}


def _require(found: dict[str, Any], names: set[str], place: str) -> None:
    if found.keys() != names:
        raise Unreadable(f"{place}expected {', '.join(sorted(names))}, and nothing else.")


def _text(value: object, place: str, most: int) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > most or not value.isprintable():
        raise Unreadable(f"{place}: expected a text of one line, at most {most} characters.")
    return value.strip()


def _moment(value: object) -> str:
    wrong = Unreadable("at: expected a time with a zone, such as 2026-11-18T02:10:00Z.")
    try:
        moment = datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError as error:
        raise wrong from error
    if moment.tzinfo is None or not 2000 <= moment.year < 3000:
        raise wrong
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
