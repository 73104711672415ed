"""What somebody has beside their password: registered and removed by themselves, and only after they confirmed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from django.db import transaction

from apps.accounts import codes, permissions
from apps.accounts.actions.confirmations import SEALED_FOR, lock, use_challenge
from apps.accounts.confirmation import Confirmation
from apps.accounts.enums import FactorKind
from apps.accounts.models import RecoveryCode, SecondFactor, User
from apps.accounts.passkeys import Answer
from apps.audit import actions as audit
from apps.audit.actors import Actor
from apps.core.sealing import seal
from apps.core.texts import one_line
from apps.core.verdict import Invalid

MOST_FACTORS = 10


class FactorInvalid(Invalid):
    code = "factor_invalid"


@dataclass(frozen=True)
class Registered:
    """`recovery_codes` are shown this once; empty where the person has some already."""

    factor: SecondFactor
    recovery_codes: tuple[str, ...]


@transaction.atomic
def register_app(
    user: User, *, name: str, secret: bytes, code: str, confirmation: Confirmation | None, now: datetime
) -> Registered:
    """This function will register an authenticator app that shows a right code for the secret.

    Raises NotConfirmed: the person did not confirm. Raises FactorInvalid: the code is wrong, or there is an app.
    """
    user = _confirmed(user, confirmation, now)
    if user.second_factors.filter(kind=FactorKind.TOTP).exists():
        raise FactorInvalid("You have an authenticator app already.", next_step="Remove it first.")
    step = codes.step_of(code, secret, after=0, now=now)
    if step is None:
        raise FactorInvalid("This is not the code that the app shows now. Is the clock of its device right?")
    key = uuid4()
    sealed = seal(secret, purpose=SEALED_FOR, owner=str(key))
    return _register(user, FactorKind.TOTP, name, now, pk=key, secret=sealed, last_step=step)


@transaction.atomic
def register_passkey(
    user: User, *, name: str, answer: Answer, confirmation: Confirmation | None, now: datetime
) -> Registered:
    """This function will register a passkey that a browser made for the person.

    Raises NotConfirmed: the person did not confirm. Raises FactorInvalid: it is registered, or was asked for before.
    """
    user = _confirmed(user, confirmation, now)
    credential_id = answer.credential.credential_id
    if not use_challenge(user, answer.challenge):
        raise FactorInvalid("This answer of the browser was used already.", next_step="Register the passkey again.")
    if SecondFactor.objects.filter(credential_id=credential_id).exists():
        raise FactorInvalid("This passkey is registered already.")
    return _register(
        user, FactorKind.PASSKEY, name, now,
        credential_id=credential_id, credential=bytes(answer.credential), sign_count=answer.sign_count,
    )  # fmt: skip


@transaction.atomic
def remove_factor(factor: SecondFactor, *, by: User, confirmation: Confirmation | None, now: datetime) -> None:
    """This function will remove a second factor with its secret; with the last one the recovery codes go too.

    Raises NotConfirmed: the person did not confirm.
    """
    user = _confirmed(by, confirmation, now)
    factor = user.second_factors.get(pk=factor.pk)
    audit.record(
        "factor.removed", by=user, target=user, summary=f"{user} removed the second factor “{factor}”",
        before=_told(factor),
    )  # fmt: skip
    factor.delete()
    if not user.second_factors.exists():
        user.recovery_codes.all().delete()


@transaction.atomic
def renew_recovery_codes(user: User, *, confirmation: Confirmation | None, now: datetime) -> tuple[str, ...]:
    """This function will replace a person's recovery codes, and return the new ones; they are not kept as text.

    Raises NotConfirmed: the person did not confirm. Raises FactorInvalid: there is no factor to stand in for.
    """
    user = _confirmed(user, confirmation, now)
    if not user.second_factors.exists():
        raise FactorInvalid("Recovery codes stand in for second factors, and you have none.")
    return _renew(user)


@transaction.atomic
def remove_lost_factors(user: User, *, reason: str, by: Actor) -> int:
    """This function will remove all second factors of somebody who lost them, and return how many there were.

    Raises TextInvalid: no reason is given. Raises FactorInvalid: there are none.
    """
    reason = one_line(reason, name="The reason", limit=300)
    user = lock(user)
    factors = list(user.second_factors.all())
    if not factors:
        raise FactorInvalid(f"{user} has no second factor.")
    for factor in factors:
        audit.record(
            "factor.removed", by=by, target=user, reason=reason, before=_told(factor),
            summary=f"The lost second factor “{factor}” of {user} was removed",
        )  # fmt: skip
        factor.delete()
    user.recovery_codes.all().delete()
    return len(factors)


def _confirmed(user: User, confirmation: Confirmation | None, now: datetime) -> User:
    user = lock(user)
    factors = frozenset(user.second_factors.values_list("pk", flat=True))
    permissions.require_confirmed(permissions.is_confirmed(user, confirmation, factors=factors, now=now))
    return user


def _register(user: User, kind: FactorKind, name: str, now: datetime, **columns: Any) -> Registered:
    if user.second_factors.count() >= MOST_FACTORS:
        raise FactorInvalid(
            f"You have {MOST_FACTORS} second factors, which is the most.", next_step="Remove one first."
        )
    name = one_line(name or kind.label, name="The name", limit=60)
    factor = SecondFactor.objects.create(user=user, kind=kind, name=name, registered_at=now, **columns)
    audit.record(
        "factor.registered", by=user, target=user, summary=f"{user} registered the second factor “{factor}”",
        after=_told(factor),
    )  # fmt: skip
    has_codes = user.recovery_codes.filter(used_at=None).exists()
    return Registered(factor, () if has_codes else _renew(user))


def _renew(user: User) -> tuple[str, ...]:
    user.recovery_codes.all().delete()
    texts = codes.new_recovery_codes()
    RecoveryCode.objects.bulk_create(RecoveryCode(user=user, digest=codes.digest_of(text)) for text in texts)
    audit.record("recovery_codes.renewed", by=user, target=user, summary=f"{user} made new recovery codes")
    return texts


def _told(factor: SecondFactor) -> dict[str, str]:
    return {"kind": factor.kind, "name": factor.name, "factor": str(factor.pk)}
