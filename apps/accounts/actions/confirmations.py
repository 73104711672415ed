"""A person confirms that it is them: with a passkey, an app's code, a recovery code, or their password."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from apps.accounts import codes, passkeys
from apps.accounts.confirmation import Confirmation, Given
from apps.accounts.enums import FactorKind, Proof
from apps.accounts.models import RecoveryCode, SecondFactor, User
from apps.accounts.passkeys import PasskeyRefused, Place
from apps.audit import actions as audit
from apps.core.sealing import SealBroken, unseal

MOST_FAILURES = 5
PAUSE = timedelta(minutes=15)
SEALED_FOR = "authenticator app"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Attempt:
    """What became of an attempt to confirm: a confirmation, or why there is none (empty: nothing was tried)."""

    confirmation: Confirmation | None
    error: str = ""


class _Wrong(Exception):
    pass


@transaction.atomic
def confirm(user: User, given: Given, *, place: Place | None, now: datetime) -> Attempt:
    """This function will check what a person gave to confirm that it is them. What is accepted is used up by it.

    It does not raise where the proof is wrong: the attempt is counted, and counts only if the caller commits. After
    MOST_FAILURES in a row, each within PAUSE of the one before, nothing is looked at until PAUSE has passed.
    """
    user = lock(user)
    if error := _why_paused(user, now):
        return Attempt(None, error)
    try:
        confirmation = _read(user, given, place, now)
    except _Wrong as wrong:
        return Attempt(None, f"{wrong} {_count(user, str(wrong), now)}")
    User.objects.filter(pk=user.pk).update(failed_proofs=0, failed_proof_at=None)
    audit.record(
        "confirmation.given",
        by=user,
        target=user,
        summary=f"{user} confirmed that it is them with {confirmation.proof.label}",
        after={"confirmed_with": confirmation.proof.value, "factor": str(confirmation.factor or "")},
    )
    return Attempt(confirmation)


def lock(user: User) -> User:
    """This function will lock a person's row for what is done with their second factors."""
    return User.objects.select_for_update(no_key=True).get(pk=user.pk)


def _read(user: User, given: Given, place: Place | None, now: datetime) -> Confirmation:
    factors = list(user.second_factors.all())
    if given.passkey and place:
        return _by_passkey(user, factors, given.passkey, place, now)
    if given.code:
        typed = "".join(given.code.split())
        if len(typed) == codes.DIGITS and typed.isdecimal():
            return _by_app(user, factors, typed, now)
        return _by_recovery_code(user, typed, now)
    if factors:
        raise _Wrong("You have a second factor: confirm with it, not with your password.")
    if not user.check_password(given.password):
        raise _Wrong("This is not your password. It minds upper and lower case.")
    return Confirmation(user.pk, Proof.PASSWORD, now)


def _by_app(user: User, factors: Sequence[SecondFactor], code: str, now: datetime) -> Confirmation:
    app = next((factor for factor in factors if factor.kind == FactorKind.TOTP), None)
    if app is None:
        raise _Wrong("No authenticator app is registered for you.")
    try:
        secret = unseal(bytes(app.secret or b""), purpose=SEALED_FOR, owner=str(app.pk))
    except SealBroken as error:
        log.warning("second factor %s can't be read: was SECRET_KEY changed?", app.pk)
        raise _Wrong(
            "Your authenticator app can't be checked any more. Use a recovery code, and register it anew."
        ) from error
    step = codes.step_of(code, secret, after=app.last_step or 0, now=now)
    unused = SecondFactor.objects.filter(pk=app.pk, last_step__lt=step or 0)
    if step is None or not unused.update(last_step=step, last_used_at=now):
        raise _Wrong("This is not the code that your app shows now, or it was used already. Wait for the next one.")
    return Confirmation(user.pk, Proof.TOTP, now, app.pk)


def _by_recovery_code(user: User, code: str, now: datetime) -> Confirmation:
    if not RecoveryCode.objects.filter(user=user, digest=codes.digest_of(code), used_at=None).update(used_at=now):
        raise _Wrong("This is none of your recovery codes, or it was used already.")
    return Confirmation(user.pk, Proof.RECOVERY_CODE, now)


def _by_passkey(
    user: User, factors: Sequence[SecondFactor], response: str, place: Place, now: datetime
) -> Confirmation:
    known = {bytes(factor.credential_id): factor for factor in factors if factor.credential_id is not None}
    try:
        answer = passkeys.read_request(
            place, user, [bytes(factor.credential or b"") for factor in known.values()], response, now=now
        )
    except PasskeyRefused as refusal:
        raise _Wrong(str(refusal)) from refusal
    factor = known[answer.credential.credential_id]
    if passkeys.is_copied(answer.sign_count, factor.sign_count or 0):
        raise _Wrong(
            f"The passkey “{factor}” seems to have been copied: its count went back. Remove it, and register it anew."
        )
    if not use_challenge(user, answer.challenge):
        raise _Wrong("This answer of the passkey was used already. Ask it again.")
    SecondFactor.objects.filter(pk=factor.pk).update(sign_count=answer.sign_count, last_used_at=now)
    return Confirmation(user.pk, Proof.PASSKEY, now, factor.pk)


def use_challenge(user: User, number: int) -> bool:
    """This function will say whether a challenge is younger than the last one used, and use it up."""
    return bool(User.objects.filter(pk=user.pk, last_challenge__lt=number).update(last_challenge=number))


def _why_paused(user: User, now: datetime) -> str:
    if user.failed_proof_at is None or user.failed_proofs < MOST_FAILURES or now >= user.failed_proof_at + PAUSE:
        return ""
    minutes = int((user.failed_proof_at + PAUSE - now).total_seconds() // 60) + 1
    return f"{MOST_FAILURES} attempts in a row were wrong: none is looked at for {minutes} min. Nothing was changed."


def _count(user: User, why: str, now: datetime) -> str:
    """Write a failure down, and return what is left to the person."""
    follows = user.failed_proof_at is not None and now < user.failed_proof_at + PAUSE
    failures = user.failed_proofs + 1 if follows else 1
    User.objects.filter(pk=user.pk).update(failed_proofs=failures, failed_proof_at=now)
    audit.record(
        "confirmation.refused",
        by=user,
        target=user,
        summary=f"{user} failed to confirm that it is them: {why}",
        outcome="REFUSED",
        after={"failures": failures},
    )
    left = MOST_FAILURES - failures
    return f"Attempts left: {left}." if left > 0 else f"No more is looked at for {PAUSE.total_seconds() / 60:.0f} min."
