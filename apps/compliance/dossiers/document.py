"""The one structure that page, PDF and JSON are drawn from (docs/reference/audit.md, static/schemas/dossier-1.json).

Plain values alone, and no floats: equal facts have equal canonical bytes, and so the same SHA-256.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any
from uuid import UUID

from apps.core.canonical import sha256_of

FORMAT = "eaip-dossier/1"


class Show(StrEnum):
    """How a value is shown; what it is stays as it is in the data."""

    TEXT = "text"
    TIME = "time"
    CODE = "code"
    STATE = "state"


@dataclass(frozen=True)
class Column:
    """`weight` is its share of a table's width on paper."""

    key: str
    label: str
    show: Show = Show.TEXT
    weight: int = 4


@dataclass(frozen=True)
class Row:
    """`entries` are the ids of the ledger's entries that prove it; `tone` is bad, warn, ok or nothing."""

    values: Mapping[str, Any]
    entries: tuple[str, ...] = ()
    tone: str = ""
    link: str = ""


@dataclass(frozen=True)
class Fact:
    key: str
    label: str
    value: Any
    show: Show = Show.TEXT
    entries: tuple[str, ...] = ()


@dataclass(frozen=True)
class Section:
    """Facts, then a table, then lines as they were written. `says` is a sentence about it, also where it is empty."""

    key: str
    title: str
    says: str = ""
    facts: tuple[Fact, ...] = ()
    columns: tuple[Column, ...] = ()
    rows: tuple[Row, ...] = ()
    lines: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.facts or self.rows or self.lines)

    def as_json(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "title": self.title,
            "says": self.says,
            "facts": [
                {"key": each.key, "label": each.label, "value": plain(each.value), "show": each.show.value,
                 "entries": list(each.entries)}
                for each in self.facts
            ],
            "columns": [
                {"key": each.key, "label": each.label, "show": each.show.value, "weight": each.weight}
                for each in self.columns
            ],
            "rows": [
                {"values": {column.key: plain(row.values.get(column.key)) for column in self.columns},
                 "entries": list(row.entries), "tone": row.tone, "link": row.link}
                for row in self.rows
            ],
            "lines": list(self.lines),
        }  # fmt: skip

    def cited(self) -> Iterator[str]:
        for fact in self.facts:
            yield from fact.entries
        for row in self.rows:
            yield from row.entries


@dataclass(frozen=True)
class Entry:
    """An entry of the ledger, as the dossier cites it. `leaf` is its place in the tree that the dossier's checkpoint
    signs, None while that does not hold it.
    """

    id: str
    workspace_id: str
    at: str
    kind: str
    actor: str
    summary: str
    leaf: int | None = None


@dataclass(frozen=True)
class Seal:
    """The newest tree of a workspace's ledger that was signed when the dossier was gathered."""

    workspace_id: str
    workspace: str
    tree_size: int
    root: str
    signed_at: str
    key: str
    note: str


@dataclass(frozen=True)
class Dossier:
    """`digest` is of the facts and of which entries prove them; the seal beside them is signed by itself."""

    subject: Mapping[str, Any]
    title: str
    sections: tuple[Section, ...]
    entries: tuple[Entry, ...] = ()
    seals: tuple[Seal, ...] = ()

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What the digest is of."""
        return {
            "format": FORMAT,
            "subject": plain(self.subject),
            "title": self.title,
            "sections": [section.as_json() for section in self.sections],
            "entries": [
                {"id": each.id, "workspace": each.workspace_id, "at": each.at, "kind": each.kind,
                 "actor": each.actor, "summary": each.summary}
                for each in self.entries
            ],
        }  # fmt: skip

    def seal(self) -> dict[str, Any]:
        """This function will return the checkpoints, and where the entries are in their trees."""
        return {
            "checkpoints": [
                {"workspace": each.workspace_id, "name": each.workspace, "tree_size": each.tree_size,
                 "root": each.root, "signed_at": each.signed_at, "key": each.key, "note": each.note}
                for each in self.seals
            ],
            "leaves": {each.id: each.leaf for each in self.entries},
        }  # fmt: skip

    @cached_property
    def digest(self) -> str:
        return sha256_of(self.facts)

    @property
    def unsealed(self) -> tuple[Entry, ...]:
        """The entries that no checkpoint of it holds."""
        return tuple(each for each in self.entries if each.leaf is None)

    @property
    def numbers(self) -> dict[str, int]:
        """What each entry is called in the dossier: [1] is the oldest."""
        return {each.id: number for number, each in enumerate(self.entries, 1)}

    def section(self, key: str) -> Section:
        return next(section for section in self.sections if section.key == key)


def plain(value: Any) -> Any:  # noqa: PLR0911  one answer for each type
    """This function will return a value as the data holds it: times in UTC with microseconds, numbers and words."""
    match value:
        case None | bool() | int() | str():
            return value
        case datetime():
            return moment(value)
        case date():
            return value.isoformat()
        case timedelta():
            return took(value)
        case Mapping():
            return {str(name): plain(inner) for name, inner in value.items()}
        case list() | tuple():
            return [plain(inner) for inner in value]
        case float():
            return f"{value:.3f}".rstrip("0").rstrip(".")
        case UUID():
            return str(value)
        case _:
            return str(value)


def moment(value: datetime) -> str:
    """This function will write a moment as the ledger does."""
    return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def took(value: timedelta) -> str:
    seconds = round(value.total_seconds())
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds % 60} s" if minutes else f"{seconds} s"


def section(key: str, title: str, says: str, columns: Sequence[Column], rows: Iterable[Row], *, none: str) -> Section:
    """This function will make a table, with `none` as its sentence where it has no row."""
    found = tuple(rows)
    return Section(key, title, says if found else none, columns=tuple(columns) if found else (), rows=found)
