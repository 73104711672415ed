from datetime import datetime

from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from apps.accounts.models import User
from apps.audit import actions as audit
from apps.audit.actors import Actor
from apps.core.texts import one_line
from apps.core.verdict import Conflict, Denied, Invalid

PREFERENCES = ("theme", "time_zone", "single_key_shortcuts")


class AccountInvalid(Invalid):
    code = "account_invalid"


class AccountClosed(Conflict):
    code = "account_closed"


class SignInRefused(Denied):
    """The name and the password do not belong together, or the account is closed."""

    code = "sign_in_refused"
    kind = "session.refused"


@transaction.atomic
def create_account(*, username: str, display_name: str, email: str, password: str, by: Actor, now: datetime) -> User:
    """This function will make an account that can sign in and may do nothing yet.

    Raises AccountInvalid: the name is taken or malformed, the address is another account's (one person with two
    accounts would count twice), or the password is too weak.
    """
    user = User(username=username, display_name=display_name, email=email, date_joined=now)
    try:
        validate_password(password, user)
        user.set_password(password)
        user.full_clean(exclude=["password"])
    except ValidationError as error:
        raise AccountInvalid(" ".join(error.messages)) from error
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError as error:
        raise AccountInvalid("An account with this name or address was made at the same moment.") from error
    audit.record(
        "account.created", by=by, target=user, summary=f"Created the account of {user}", after={"username": username}
    )
    return user


@transaction.atomic
def change_preferences(user: User, *, by: User, **changes: object) -> User:
    """This function will set some of a person's preferences (theme, time_zone, single_key_shortcuts).

    Raises ValueError: for a field that is not a preference.
    """
    if unknown := set(changes) - set(PREFERENCES):
        raise ValueError(f"not a preference: {', '.join(sorted(unknown))}")
    user = User.objects.select_for_update().get(pk=user.pk)
    before = {name: getattr(user, name) for name in changes}
    # Not save(): field history belongs to the platform's workspace, which a customer's person may not write to.
    User.objects.filter(pk=user.pk).update(**changes)
    audit.record(
        "profile.changed", by=by, target=user, summary=f"{user} changed preferences", before=before, after=changes
    )
    return User.objects.get(pk=user.pk)


@transaction.atomic
def close_account(user: User, *, reason: str, by: Actor) -> User:
    """This function will close the account of somebody who left: they can't sign in, and their roles count no more.

    Raises AccountClosed: it is closed already. Raises TextInvalid: no reason is given.
    """
    reason = one_line(reason, name="The reason", limit=300)
    user = User.objects.select_for_update().get(pk=user.pk)
    if not user.is_active:
        raise AccountClosed(f"The account of {user} is closed already.")
    User.objects.filter(pk=user.pk).update(is_active=False)
    audit.record(
        "account.closed", by=by, target=user, summary=f"Closed the account of {user}", reason=reason,
        before={"is_active": True}, after={"is_active": False},
    )  # fmt: skip
    return User.objects.get(pk=user.pk)


def erase_account(user: User) -> User:
    """This function will leave of a closed account its id: no name, no address, nothing to sign in with.

    The caller records it, in the same transaction. Raises ValueError: the account is open.
    """
    user = User.objects.select_for_update().get(pk=user.pk)
    if user.is_active:
        raise ValueError("the account is open")
    user.second_factors.all().delete()
    user.recovery_codes.all().delete()
    User.objects.filter(pk=user.pk).update(
        username=f"erased-{user.pk}", display_name=f"Erased {user.pk}", first_name="", last_name="", email="",
        password=make_password(None), time_zone="", last_login=None,
    )  # fmt: skip
    return User.objects.get(pk=user.pk)


def start_session(user: User, *, by: User) -> None:
    """This function will write down that a person signed in."""
    audit.record("session.started", by=by, target=user, summary=f"{user} signed in")


def end_session(user: User, *, by: User) -> None:
    """This function will write down that a person signed out."""
    audit.record("session.ended", by=by, target=user, summary=f"{user} signed out")
