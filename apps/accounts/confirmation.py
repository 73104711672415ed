"""That the person at the keyboard is the one who signed in, confirmed again not long ago."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.contrib.sessions.backends.base import SessionBase

from apps.accounts.enums import Proof

LASTS = timedelta(minutes=5)
_KEY = "confirmation"


@dataclass(frozen=True)
class Confirmation:
    """`factor` is the second factor that was used; None for a password or a recovery code."""

    person: UUID
    proof: Proof
    at: datetime
    factor: UUID | None = None

    @property
    def until(self) -> datetime:
        return self.at + LASTS


@dataclass(frozen=True)
class Given:
    """What somebody gave to confirm that it is them; `passkey` is the browser's answer as JSON."""

    code: str = ""
    password: str = ""
    passkey: str = ""

    def __bool__(self) -> bool:
        return bool(self.code or self.password or self.passkey)


def remember(session: SessionBase, confirmation: Confirmation) -> None:
    """This function will keep a confirmation in the session, under a new key: whoever copied the old one has none.

    Only for an answer whose transaction is committed.
    """
    session.cycle_key()
    session[_KEY] = [
        str(confirmation.person),
        confirmation.proof.value,
        confirmation.at.isoformat(),
        str(confirmation.factor or ""),
    ]


def remembered(session: SessionBase) -> Confirmation | None:
    """This function will return the last confirmation of a session, however old."""
    if (row := session.get(_KEY)) is None:
        return None
    person, proof, at, factor = row
    return Confirmation(UUID(person), Proof(proof), datetime.fromisoformat(at), UUID(factor) if factor else None)
