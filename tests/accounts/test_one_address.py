"""One address, one open account: by the action, by the database, when two are made at once, and on upgrading."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from pytest_django import DjangoDbBlocker

from apps.accounts import actions
from apps.accounts.models import User
from apps.api.people import person_of
from apps.audit.actors import SYSTEM
from apps.audit.models import AuditEvent
from tests.approvals.test_races import one_behind_another
from tests.audit.real_ledger import Ledger
from tests.audit.test_going_back import by_the_owner
from tests.cast import NOW
from tests.engines import Engines
from tests.world import World

INSERT = """
INSERT INTO accounts_user (id, username, email, is_active, password, is_superuser, is_staff, first_name, last_name,
    date_joined, display_name, theme, time_zone, single_key_shortcuts)
VALUES (gen_random_uuid(), %s, %s, %s, '', false, false, '', '', now(), '', 'AUTO', '', true)
"""


def make(username: str, email: str = "twin@example.com") -> User:
    return actions.create_account(
        username=username, display_name="Twin", email=email, password="a-long-enough-password", by=SYSTEM, now=NOW
    )


@pytest.mark.django_db
def test_the_address_is_taken_in_any_case_and_none_is_nobodys(world: World) -> None:
    make("twin")
    make("without", "")
    make("without-too", "")

    with pytest.raises(actions.AccountInvalid, match="There is an account with this address already"):
        make("other", "Twin@Example.COM")
    with pytest.raises(IntegrityError, match="user_email_once"), transaction.atomic():
        User.objects.create(username="other", email="TWIN@example.com")
    with pytest.raises(IntegrityError, match="user_email_once"), transaction.atomic():
        User.objects.filter(username="without").update(email="twin@Example.com")


@pytest.mark.django_db
def test_who_comes_back_gets_a_new_account_and_the_closed_one_stays_closed(world: World) -> None:
    left = actions.close_account(make("left"), reason="Left", by=SYSTEM)

    back = make("back", "TWIN@example.com")

    assert person_of("twin@example.com") == back
    with pytest.raises(IntegrityError, match="user_email_once"), transaction.atomic():
        User.objects.filter(pk=left.pk).update(is_active=True)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("username", "email"), [("other", "Twin@example.com"), ("twin", "other@example.com")])
def test_of_two_that_are_made_at_once_one_is(world: World, username: str, email: str) -> None:
    made, refused = one_behind_another(world, lambda: make("twin"), lambda: make(username, email))

    assert isinstance(made, User)
    assert isinstance(refused, actions.AccountInvalid), refused
    assert str(refused) == "An account with this name or address was made at the same moment."
    with world.everything():
        assert AuditEvent.objects.filter(kind="account.created").count() == 1


@pytest.fixture
def installation(engines: Engines, django_db_blocker: DjangoDbBlocker) -> Iterator[Ledger]:
    """A database of its own, as the release before left it: with two open accounts of one address."""
    made = Ledger(engines, django_db_blocker, f"eaip_twins_{uuid4().hex[:8]}")
    made.begin()
    with by_the_owner(made):
        call_command("migrate", "accounts", "0008", verbosity=0)
    yield made
    engines.drop(made.database)


def test_upgrading_names_the_accounts_that_share_one_and_changes_nothing(installation: Ledger) -> None:
    def tell(statement: str, *values: object) -> list[Any]:
        with installation.superuser() as admin:
            admin.autocommit = True
            rows = admin.execute(statement, values or None)
            return rows.fetchall() if rows.description else []

    for username, email, is_open in (("a", "A@x.test", True), ("b", "a@X.test", True), ("c", "a@x.test", False)):
        tell(INSERT, username, email, is_open)
    with by_the_owner(installation), pytest.raises(CommandError, match=r"  a, b: a@x\.test\n(.|\n)*close_account"):
        call_command("migrate", "accounts", verbosity=0)
    assert tell("SELECT 1 FROM django_migrations WHERE app = 'accounts' AND name LIKE '0009%'") == []

    tell("UPDATE accounts_user SET is_active = false WHERE username = 'b'")
    with by_the_owner(installation):
        call_command("migrate", "accounts", verbosity=0)

    assert tell("SELECT count(*) FROM accounts_user") == [(3,)]
    assert tell("SELECT indisunique FROM pg_index WHERE indexrelid = 'user_email_once'::regclass") == [(True,)]
