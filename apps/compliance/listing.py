"""Pages of what is computed rather than queried: cut by the key of a row, as apps.core.keyset cuts queries."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from django.http import QueryDict

from apps.core.keyset import cursor_of, text_of


class Keyed(Protocol):
    @property
    def key(self) -> str: ...


Row = TypeVar("Row", bound=Keyed)


@dataclass(frozen=True)
class Listing(Generic[Row]):
    """Rows in the order of their keys. `newer` and `older` are cursors for the query keys `after` and `before`."""

    rows: Sequence[Row]
    newer: str | None
    older: str | None
    total: int


def listing_of(rows: Sequence[Row], query: QueryDict, *, size: int = 50) -> Listing[Row]:
    """This function will cut one page out of rows that are sorted by `key`, each of which is there once.

    Shapes: a cursor that can't be read is taken as none.
    """
    after, before = (text_of(query.get(name, "")) for name in ("after", "before"))
    first = 0
    if after:
        first = max(0, sum(row.key < after for row in rows) - size)
    elif before:
        first = sum(row.key <= before for row in rows)
    shown = rows[first : first + size]
    newer = cursor_of(shown[0].key) if first and shown else None
    older = cursor_of(shown[-1].key) if shown and first + size < len(rows) else None
    return Listing(shown, newer, older, len(rows))
