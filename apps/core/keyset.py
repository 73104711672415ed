"""Pages by key, not by number: what is on screen stays put while rows are added, and no row is counted."""

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from django.http import QueryDict

Row = TypeVar("Row", bound=Model)
Cursor = tuple[Any, Any]


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Newest first. `newer` and `older` are cursors for the query keys `after` and `before`; None at either end."""

    rows: list[Row]
    newer: str | None
    older: str | None


def page_of(rows: QuerySet[Row], query: QueryDict, *, moment: str = "occurred_at", size: int = 50) -> Page[Row]:
    """This function will cut one page out of the rows, newest first, by (moment, pk); a number is ordered alike.

    Shapes: `moment` names a field of moments, or of whole numbers, of which the highest comes first. Reads `before` and
    `after` from the query; a cursor that can't be read is taken as none.
    """
    newest_first = (f"-{moment}", "-pk")
    after, before = (read_cursor(query.get(name, ""), rows.model, moment) for name in ("after", "before"))
    if after:
        found = list(rows.filter(_beyond(moment, "gt", after)).order_by(moment, "pk")[: size + 1])
        return page_of_found(found, moment, after=after, before=None, size=size)
    if before:
        rows = rows.filter(_beyond(moment, "lt", before))
    found = list(rows.order_by(*newest_first)[: size + 1])
    return page_of_found(found, moment, after=None, before=before, size=size)


def page_of_found(
    found: list[Row], moment: str, *, after: Cursor | None, before: Cursor | None, size: int = 50
) -> Page[Row]:
    """This function will make the page of rows that somebody else has looked up: one more than `size`, if there is one.

    Shapes: after `after` the rows come oldest first, as they follow it; otherwise newest first.
    """
    more, shown = len(found) > size, found[:size]
    if after:
        shown = shown[::-1]
        return Page(shown, _cursor(shown[0], moment) if more else None, _cursor(shown[-1], moment) if shown else None)
    newer = _cursor(shown[0], moment) if before and shown else None
    return Page(shown, newer, _cursor(shown[-1], moment) if more else None)


def _beyond(moment: str, side: str, cursor: Cursor) -> Q:
    when, key = cursor
    # The first condition alone is what an index can use; the second decides among rows of the same moment.
    return Q(**{f"{moment}__{side}e": when}) & (Q(**{f"{moment}__{side}": when}) | Q(**{f"pk__{side}": key}))


def _cursor(row: Any, moment: str) -> str:
    when = getattr(row, moment)
    return cursor_at(when, row.pk)


def cursor_at(when: Any, key: object) -> str:
    """This function will return the cursor of a place between rows: of a row's moment and key, or of any others."""
    text = when.isoformat() if isinstance(when, datetime) else str(when)
    return cursor_of(f"{text} {key}")


def cursor_of(text: str) -> str:
    """This function will return the cursor that stands for any text, fit for an address."""
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def text_of(cursor: str) -> str:
    """This function will return the text that a cursor stands for; none, if it can't be read."""
    try:
        return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (ValueError, binascii.Error):
        return ""


def read_cursor(cursor: str, model: type[Model], moment: str) -> Cursor | None:
    """This function will return the moment and the key that a cursor stands for; none, if it can't be read."""
    field: Any = model._meta.get_field(moment)
    key = model._meta.pk
    try:
        when, text = text_of(cursor).split(" ")
        place, value = field.to_python(when), key.to_python(text)
    except (ValueError, ValidationError):
        return None
    is_whole = place is not None and (not isinstance(place, datetime) or place.tzinfo)
    return (place, value) if is_whole and value else None
