"""What an export is asked to hold, as it is kept in its row: the day and the zone in which it was asked are in it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

MOMENTS = ("since", "until")


def kept(criteria: Mapping[str, Any]) -> dict[str, Any]:
    """This function will write the arguments of `EventQuerySet.matching` as JSON."""
    return {
        name: value.isoformat() if name in MOMENTS else list(value) if isinstance(value, tuple) else str(value)
        for name, value in criteria.items()
        if value
    }


def read(criteria: Mapping[str, Any]) -> dict[str, Any]:
    """This function will read them again."""
    return {
        name: datetime.fromisoformat(value) if name in MOMENTS else tuple(value) if isinstance(value, list) else value
        for name, value in criteria.items()
    }
