"""Names, addresses and browsers are shown and can be opened, and are not among the bytes that are sealed."""

import hashlib
import json
from typing import Any
from uuid import uuid4

import pytest
from django.db import DatabaseError, connection, transaction

from apps.accounts import actions as account_actions
from apps.audit import actions as audit
from apps.audit.models import AuditEvent
from apps.audit.people import without_names
from apps.audit.source import Source, coming_from
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.workspaces import actions as workspace_actions
from tests.cast import NOW
from tests.world import World, last_event

pytestmark = pytest.mark.django_db
OWNER = {"a1": "Owner", "a2": "Owner Lead"}


@pytest.mark.parametrize(
    ("text", "sealed"),
    [
        ("Owner Lead met Owner", "person:a2 met person:a1"),
        ("Ownership report of Owner.", "Ownership report of person:a1."),
        ({"Owner": ["Owner", 1, None]}, {"Owner": ["person:a1", 1, None]}),
    ],
)
def test_token_stands_for_a_whole_name(text: Any, sealed: Any) -> None:
    assert without_names(text, OWNER) == sealed
    assert without_names(text, {"a1": ""}) == text


def opening(sealed: dict[str, str]) -> dict[str, Any]:
    """Return what a commitment opens to, checked as an auditor would."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT salt, opening FROM audit_subject WHERE id = %s", [sealed["subject"]])
        salt, text = cursor.fetchone()
    assert hashlib.sha256(bytes(salt) + text.encode()).hexdigest() == sealed["commitment"]
    return json.loads(text)


def bytes_of(event: AuditEvent) -> dict[str, Any]:
    return json.loads(bytes(event.canonical))


def test_entry_holds_commitments_and_shows_names(world: World) -> None:
    with coming_from(Source(via="page", ip="192.0.2.7", user_agent="Browser")):
        account_actions.start_session(world.cast.security, by=world.cast.security)
    event = last_event("session.started")
    sealed, key = bytes_of(event), str(world.cast.security.pk)

    assert (event.summary, event.actor_label, event.target_label) == ("Security signed in", "Security", "Security")
    assert (event.source["ip"], event.schema_version, sealed["schema_version"]) == ("192.0.2.7", 2, 2)
    assert not [word for word in (b"Security", b"192.0.2.7", b"Browser") if word in bytes(event.canonical)]
    assert (sealed["summary"], sealed["actor"]["id"], sealed["target"]["id"]) == (f"person:{key} signed in", key, key)
    assert sealed["source"] == {"via": "page", "request_id": event.request_id}
    assert opening(sealed["actor"]) == {"ip": "192.0.2.7", "label": "Security", "user_agent": "Browser"}
    assert opening(sealed["target"]) == {"label": "Security"}


def test_opening_has_the_bytes_that_are_described(world: World) -> None:
    with coming_from(Source(via="page", ip="192.0.2.7", user_agent='A "b"\\\n\x01é')):
        audit.record("release.sealed", by=world.cast.devops, target=None, summary="")
    with connection.cursor() as cursor:
        key = bytes_of(last_event("release.sealed"))["actor"]["subject"]
        cursor.execute("SELECT opening FROM audit_subject WHERE id = %s", [key])
        text = cursor.fetchone()[0]

    assert text == r'{"ip": "192.0.2.7", "label": "DevOps", "user_agent": "A \"b\"\\\n\u0001é"}'


def test_others_who_are_named_are_opened_by_their_ids(world: World) -> None:
    person = world.cast.auditor
    audit.record(
        "release.sealed", by=world.cast.devops, target=None, summary="Auditor told DevOps", people=[person],
        after={"owner": "Auditor"}, reason="As Auditor said",
    )  # fmt: skip
    event, key = last_event("release.sealed"), str(person.pk)
    sealed = bytes_of(event)

    assert (event.summary, event.change["owner"]["after"], event.reason) == (
        "Auditor told DevOps", "Auditor", "As Auditor said",
    )  # fmt: skip
    assert sealed["summary"] == f"person:{key} told person:{world.cast.devops.pk}"
    assert (sealed["change"]["owner"]["after"], sealed["reason"]) == (f"person:{key}", f"As person:{key} said")
    assert opening(sealed["people"][key]) == {"label": "Auditor"}
    assert "sealed" not in sealed


def test_what_is_equal_within_a_month_is_one_subject(world: World) -> None:
    for _ in range(3):
        audit.record("release.sealed", by=world.cast.devops, target=None, summary="")
    events = AuditEvent.objects.filter(kind="release.sealed", actor_id=str(world.cast.devops.pk))

    assert len({bytes_of(event)["actor"]["subject"] for event in events[:3]}) == 1


def test_a_persons_row_is_opened_too(world: World) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    workspace_actions.grant_role(
        world.cast.outsider, role="AUDITOR", workspace=world.cast.platform, by=world.cast.administrator, now=NOW
    )
    audit.record(
        "account.created", by=world.cast.devops, target=world.cast.outsider, summary="Created it",
        after={"username": "outsider", "theme": "DARK"},
    )  # fmt: skip
    event = last_event("account.created")
    sealed = bytes_of(event)

    assert event.change["username"]["after"] == "outsider"
    assert sealed["change"] == {"theme": {"before": None, "after": "DARK"}}
    assert opening(sealed["target"])["change"] == {"username": {"before": None, "after": "outsider"}}
    assert bytes_of(last_event("membership.granted"))["summary"].startswith(f"person:{world.cast.outsider.pk} became")


def test_what_an_auditor_judges_by_has_doors_of_its_own(world: World) -> None:
    audit.record("release.sealed", by=world.cast.devops, target=None, summary="")
    told = bytes_of(last_event("release.sealed")) | {"actor": {"type": "SYSTEM", "id": "system", "label": "A test"}}

    for statement, fields, refusal in (
        ("record_event", {"kind": "audit.key_rotated"}, "door of its own"),
        ("record_event", {"kind": "retention.cut"}, "door of its own"),
        ("record_cut", {"kind": "retention.cut", "target": {"id": str(uuid4())}}, "nobody confirmed"),
        ("record_rotation", {}, "permission denied"),
        ("write_event", {}, "permission denied"),
    ):
        with pytest.raises(DatabaseError, match=refusal), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SELECT {statement}(%s::jsonb)", [json.dumps(told | fields)])
    with connection.cursor() as cursor:
        cursor.execute("SELECT record_event(%s::jsonb)", [json.dumps(told | {"sealed": {"kind": "retention.cut"}})])
        assert bytes_of(AuditEvent.objects.get(pk=cursor.fetchone()[0]))["kind"] == "release.sealed"


FORBIDDEN = [
    "UPDATE {} SET workspace_id = workspace_id",
    "DELETE FROM {}",
    "TRUNCATE {}",
    "ALTER TABLE {} DISABLE TRIGGER ALL",
    "SET LOCAL session_replication_role = replica",
    "ALTER TABLE {} ADD COLUMN more text",
    "INSERT INTO {0} SELECT * FROM {0}",
    "SET ROLE eaip_gate",
]


@pytest.mark.parametrize("table", ["audit_event", "audit_subject", "audit_leaf", "audit_node", "audit_checkpoint"])
@pytest.mark.parametrize("statement", FORBIDDEN)
def test_application_changes_nothing_of_the_ledger(world: World, table: str, statement: str) -> None:
    audit.record("release.sealed", by=world.cast.devops, target=None, summary="", workspace_id=PLATFORM_WORKSPACE_ID)

    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement.format(table))
