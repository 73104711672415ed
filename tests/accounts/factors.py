"""Second factors of the tests' people, registered by the product's actions."""

from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from apps.accounts import actions
from apps.accounts.actions import Registered
from apps.accounts.confirmation import Confirmation
from apps.accounts.enums import Proof
from apps.accounts.models import User
from tests.cast import NOW

SECRET = b"12345678901234567890"


def code_at(secret: bytes, now: datetime) -> str:
    """Return the code that an authenticator app shows at a moment."""
    return TOTP(secret, 6, SHA1(), 30).generate(int(now.timestamp())).decode()  # noqa: S303  what such apps know


def by_password(person: Any, now: datetime = NOW) -> Confirmation | None:
    return Confirmation(person.pk, Proof.PASSWORD, now) if isinstance(person, User) else None


def register_app(person: User, *, now: datetime = NOW) -> Registered:
    """Register an app; the code by which it was registered is an hour old."""
    then = now - timedelta(hours=1)
    return actions.register_app(
        person, name="Phone", secret=SECRET, code=code_at(SECRET, then),
        confirmation=by_password(person, then), now=then,
    )  # fmt: skip
