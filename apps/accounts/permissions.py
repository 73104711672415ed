"""Whether what is to be done was confirmed by the person themselves. Asked by pages and by actions alike."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from apps.accounts.confirmation import LASTS, Confirmation
from apps.accounts.enums import Proof
from apps.accounts.models import User
from apps.core.verdict import ALLOWED, Denied, Verdict, refused

MINUTES = int(LASTS.total_seconds() // 60)


class NotConfirmed(Denied):
    """It needs a confirmation by the person themselves, and there is none that counts."""

    code = "not_confirmed"


def is_confirmed(
    by: User,
    confirmation: Confirmation | None,
    *,
    factors: Collection[UUID],
    now: datetime,
    needs_factor: bool = False,
) -> Verdict:
    """This function will say whether a confirmation counts; `factors` are those that the person has now.

    Who has a second factor uses it: their password counts only while they have none, and where none is needed.
    """
    if needs_factor and not factors:
        return refused(
            "factor_missing", "This needs a second factor, and you have none. Register one on your account's page."
        )
    if confirmation is None or confirmation.person != by.pk:
        return refused("confirmation_missing", f"Confirm that it is you: {_how(factors)}.")
    if not now < confirmation.until:
        return refused(
            "confirmation_old", f"Your confirmation is older than {MINUTES} minutes. Give another: {_how(factors)}."
        )
    if confirmation.proof == Proof.PASSWORD and (factors or needs_factor):
        return refused("confirmation_weak", "You have a second factor: confirm with it, not with your password.")
    if confirmation.factor is not None and confirmation.factor not in factors:
        return refused("factor_removed", "You confirmed with a second factor that was removed since. Use another.")
    return ALLOWED


def require_confirmed(verdict: Verdict, *, next_step: str = "") -> None:
    """Raises NotConfirmed: when the verdict of `is_confirmed` is no."""
    if not verdict:
        raise NotConfirmed(verdict.sentence, code=verdict.reasons[0].code, next_step=next_step)


def _how(factors: Collection[UUID]) -> str:
    return "with your passkey, or a code" if factors else "with your password"
