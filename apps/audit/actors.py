"""Who did it, as plain strings: the ledger outlives every row that it speaks of."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Actor:
    type: Literal["PERSON", "TOKEN", "SYSTEM", "UNKNOWN"]
    id: str
    label: str

    def __str__(self) -> str:
        return self.label


SYSTEM = Actor("SYSTEM", "system", "EAIP Operations")
NOBODY = Actor("UNKNOWN", "", "Somebody not signed in")


def actor_of(by: object) -> Actor:
    """Return the actor that `by` stands for: an Actor itself, or a person (any object with `pk` and a text)."""
    if isinstance(by, Actor):
        return by
    return Actor("PERSON", str(by.pk), str(by))  # type: ignore[attr-defined]  # audit knows no user model
