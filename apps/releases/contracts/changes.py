"""One change between two descriptions of an API, and how it is judged."""

from dataclasses import dataclass
from enum import StrEnum


class Effect(StrEnum):
    BREAKING = "BREAKING"
    COMPATIBLE = "COMPATIBLE"
    UNDECIDED = "UNDECIDED"


@dataclass(frozen=True)
class Change:
    operation: str
    place: str
    rule: str
    effect: Effect
    sentence: str
