"""Who did it, as plain strings: the ledger outlives every row that it speaks of."""

from dataclasses import dataclass
from typing import Literal

from apps.audit.source import Source

# How an actor proved who they are: `session` is a fingerprint, never the key; `on_behalf_of` is a person's id.
IDENTITY = ("method", "session", "authenticated_at", "confirmed_with", "confirmed_at", "token", "on_behalf_of")


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


def as_json(actor: Actor, source: Source) -> dict[str, str]:
    """Return the actor as the ledger keeps it, with how they proved who they are.

    What the portal does by itself while it answers somebody names that person as the one on whose behalf it acts.
    """
    told = {"type": actor.type, "id": actor.id, "label": actor.label[:150]}
    identity = source.identify()
    if identity.get("id") == actor.id:
        return told | {name: identity[name] for name in IDENTITY if identity.get(name)}
    if actor.type == "SYSTEM" and identity.get("id"):
        return told | {"on_behalf_of": identity["id"]}
    return told
