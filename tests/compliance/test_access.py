"""Who could do what at a moment, from what the database kept."""

from datetime import datetime

import pytest
from django.db import IntegrityError, ProgrammingError, connection, transaction
from django.test import Client
from guardian.shortcuts import assign_perm, remove_perm

from apps.accounts.models import Role, User
from apps.compliance.access import access_at, known_since, moves
from apps.compliance.enums import Way
from apps.compliance.models import AccessChange, IdentityChange
from apps.workspaces import actions as workspace_actions
from apps.workspaces.models import Membership
from tests.approvals.promotions import lend
from tests.cast import NOW, Cast
from tests.world import World

pytestmark = pytest.mark.django_db


def clock() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]


def of(cast: Cast, person: User, at: datetime) -> list[tuple[str, str]]:
    rows = access_at(at, [workspace.pk for workspace in cast.workspaces])
    return [(row.way.value, row.what) for row in rows if row.person_id == str(person.pk)]


def test_roles_loans_grants_and_tokens_are_seen_as_they_were(world: World) -> None:
    cast, before = world.cast, clock()
    lent = lend(cast.devops, "DEVOPS", to=cast.security, now=before)
    assign_perm("operate_environment", cast.auditor, world.staging)
    workspace_actions.create_token(
        cast.platform, name="Pipeline", scopes=["release:create"], days=30, by=cast.release_engineer, now=before
    )
    between = clock()
    remove_perm("operate_environment", cast.auditor, world.staging)
    lent.ended_at, lent.end_reason = clock(), "Back"
    lent.save()
    Membership.objects.filter(user=cast.security).update(ended_at=clock(), ended_by=cast.administrator)
    after = clock()

    assert of(cast, cast.security, before) == [("ROLE", "Security")]
    assert of(cast, cast.security, between) == [("LOAN", "DevOps"), ("ROLE", "Security")]
    assert of(cast, cast.security, after) == []
    assert of(cast, cast.auditor, between) == [("GRANT", "operate_environment"), ("ROLE", "Auditor")]
    assert of(cast, cast.auditor, after) == [("ROLE", "Auditor")]
    [token] = [row for row in access_at(after, [cast.platform.pk]) if row.way == Way.TOKEN]
    assert (token.who, token.capabilities, token.given_by) == ("Pipeline", ("RELEASE_CREATE",), "Release engineer")


def test_change_past_the_application_is_kept_with_who_was_signed_in(cast: Cast) -> None:
    before = clock()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM workspaces_membership WHERE user_id = %s", [cast.auditor.pk])
        cursor.execute("UPDATE accounts_user SET is_superuser = true WHERE id = %s", [cast.devops.pk])
        cursor.execute("UPDATE accounts_user SET display_name = 'X' WHERE id = %s", [cast.security.pk])
    after = clock()

    assert (of(cast, cast.auditor, before), of(cast, cast.auditor, after)) == ([("ROLE", "Auditor")], [])
    assert of(cast, cast.devops, after)[-1] == ("SUPERUSER", "Superuser, which gives no right here")
    gone = AccessChange.objects.latest("id")
    assert (gone.row, gone.through, gone.is_baseline) == (None, "eaip_app", False)
    assert not IdentityChange.objects.filter(row_key=str(cast.security.pk), at__gt=before).exists()
    kept = IdentityChange.objects.filter(row_key=str(cast.devops.pk)).latest("id")
    assert kept.row == {"id": str(cast.devops.pk), "is_active": True, "is_superuser": True}


@pytest.mark.parametrize(
    "statement", ["UPDATE {} SET through = 'x'", "DELETE FROM {}", "INSERT INTO {} (id) VALUES (0)"]
)
@pytest.mark.parametrize("table", ["compliance_accesschange", "compliance_identitychange"])
def test_history_can_not_be_written_by_the_application(cast: Cast, table: str, statement: str) -> None:
    with pytest.raises((ProgrammingError, IntegrityError)), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement.format(table))


def test_who_joins_moves_and_leaves_between_two_moments(cast: Cast) -> None:
    scope, before = [cast.platform.pk], clock()
    workspace_actions.grant_role(
        cast.outsider, role="AUDITOR", workspace=cast.platform, by=cast.administrator, now=before
    )
    User.objects.filter(pk=cast.auditor.pk).update(is_active=False)
    role = Role.objects.get(code="SECURITY")
    role.capabilities = [*role.capabilities, "CONFIGURE"]
    role.save()
    after = clock()

    found = moves(access_at(before, scope), access_at(after, scope))

    assert [(move.who, move.word) for move in found] == [
        ("Auditor", "Left"), ("Outsider", "Joined"), ("Security", "Changed"),
    ]  # fmt: skip
    assert ["CONFIGURE" in move for move in (*found[2].lost, *found[2].gained)] == [False, True]


def test_before_the_history_begins_rows_say_themselves_when_they_began(cast: Cast) -> None:
    since = known_since()

    assert since is not None
    assert access_at(NOW.replace(year=2020), [cast.platform.pk]) == []


def test_another_workspace_is_not_seen(cast: Cast) -> None:
    rows = access_at(clock(), [cast.customer.pk])

    assert {row.workspace for row in rows} == {"North Bank"}


def test_a_moment_before_any_calendar_of_ours_is_refused_in_every_zone(client: Client, cast: Cast) -> None:
    client.force_login(cast.auditor)
    for zone in ("UTC", "Pacific/Auckland", "America/Los_Angeles"):
        client.cookies["browser_zone"] = zone
        for name in ("at", "before"):
            assert client.get("/compliance/access/", {name: "0001-01-01T00:00"}).status_code == 422


def test_a_dossier_of_a_period_past_the_calendar_is_refused(client: Client, cast: Cast) -> None:
    client.force_login(cast.auditor)
    asked = {"workspace": str(cast.platform.pk), "since": "2026-01-01", "until": "9999-12-31"}

    assert client.get("/compliance/dossiers/", asked).status_code == 422
