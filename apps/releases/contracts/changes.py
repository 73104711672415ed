"""One change between two descriptions of an API, and how it is judged."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Effect(StrEnum):
    BREAKING = "BREAKING"
    COMPATIBLE = "COMPATIBLE"
    UNDECIDED = "UNDECIDED"


@dataclass(frozen=True)
class Change:
    """`sunset` is the day until which what is gone was promised to stay, as ISO 8601; "" for none."""

    operation: str
    place: str
    rule: str
    effect: Effect
    sentence: str
    sunset: str = ""


_REMOVALS = ("operation-removed", "version-removed")
WORST_FIRST = (Effect.BREAKING, Effect.UNDECIDED, Effect.COMPATIBLE)


def worst_first(changes: Iterable[Change]) -> list[Change]:
    """This function will order changes by their effect, and leave those of one effect in their order."""
    return sorted(changes, key=lambda change: WORST_FIRST.index(change.effect))


def last_to_end(changes: Iterable[Change]) -> list[Change]:
    """This function will return what took something away: first what was never announced, then by its last day."""
    removals = [change for change in changes if change.rule in _REMOVALS]
    return sorted(removals, key=lambda change: change.sunset or "9999", reverse=True)
