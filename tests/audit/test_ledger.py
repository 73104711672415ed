"""The ledger refuses everything but `record_event`, whoever asks."""

import json
from uuid import uuid4

import psycopg
import pytest
from django.db import DatabaseError, ProgrammingError, connection, transaction

from apps.audit import actions as audit
from apps.audit.actors import SYSTEM
from apps.audit.models import AuditEvent
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.workspaces.models import Workspace
from apps.workspaces.scope import workspace_scope

FORBIDDEN = [
    "INSERT INTO audit_event SELECT * FROM audit_event",
    "UPDATE audit_event SET summary = 'nothing happened'",
    "DELETE FROM audit_event",
    "TRUNCATE audit_event",
    "ALTER TABLE audit_event DISABLE TRIGGER ALL",
    "SET LOCAL session_replication_role = replica",
    "DROP TABLE audit_event",
    "ALTER TABLE audit_event NO FORCE ROW LEVEL SECURITY",
    "SET ROLE eaip_owner",
]


def _record(**fields: object) -> AuditEvent:
    defaults = {"by": SYSTEM, "target": None, "summary": "A test wrote this"}
    return AuditEvent.objects.get(pk=audit.record("release.sealed", **(defaults | fields)))


@pytest.fixture
def scope(db: None) -> object:
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        yield


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_application_role_cannot_change_the_ledger(scope: None, statement: str) -> None:
    _record()

    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)

    assert AuditEvent.objects.count() == 1


@pytest.mark.parametrize("statement", ["UPDATE audit_event SET summary = ''", "DELETE FROM audit_event"])
@pytest.mark.parametrize("role", ["origin", "replica"])
def test_triggers_refuse_even_the_administrator(engines: object, database: str, statement: str, role: str) -> None:
    url = engines.postgres.url(database=database)
    event = {
        "workspace_id": str(PLATFORM_WORKSPACE_ID), "kind": "release.sealed", "outcome": "SUCCESS",
        "actor": {"type": "SYSTEM", "id": "", "label": ""}, "target": {"type": "", "id": "", "label": ""},
        "request_id": "", "source": {}, "summary": "", "reason": "", "change": {}, "approval": {}, "causation": {},
    }  # fmt: skip
    with psycopg.connect(url) as administrator:
        administrator.execute("SELECT record_event(%s::jsonb)", [json.dumps(event)])
        administrator.execute(f"SET session_replication_role = {role}")

        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            administrator.execute(statement)
        administrator.rollback()


@pytest.mark.parametrize("table", ["audit_event", "audit_event_later"])
def test_truncate_is_refused_for_every_partition(owner_url: str, table: str) -> None:
    with psycopg.connect(owner_url) as owner, pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        owner.execute(f"TRUNCATE {table}")


def test_event_carries_who_what_when_and_from_where(scope: None) -> None:
    event = _record(before={"state": "DRAFT", "tag": "v1"}, after={"state": "SEALED", "tag": "v1"}, reason="because")

    assert event.actor_label == "EAIP Operations"
    assert event.change == {"state": {"before": "DRAFT", "after": "SEALED"}}
    assert event.workspace_id == PLATFORM_WORKSPACE_ID
    assert event.source["via"] == "command"
    assert event.reason == "because"


def test_canonical_bytes_hold_what_the_columns_say(scope: None) -> None:
    event = _record(summary="Ünïcode and \x00 a NUL")

    stored = json.loads(bytes(event.canonical))

    assert stored["event_id"] == str(event.event_id)
    assert stored["recorded_at"] == f"{event.recorded_at:%Y-%m-%dT%H:%M:%S.%f}Z"
    assert stored["summary"] == event.summary == "Ünïcode and \ufffd a NUL"


def test_unknown_kind_is_a_programming_error(scope: None) -> None:
    with pytest.raises(audit.UnknownKind):
        audit.record("release.slaed", by=SYSTEM, target=None, summary="")


def test_event_of_a_workspace_out_of_scope_is_refused(scope: None) -> None:
    with pytest.raises(ProgrammingError, match="not in scope"), transaction.atomic():
        _record(workspace_id=uuid4())


def test_event_of_another_workspace_is_not_seen(db: None) -> None:
    other = uuid4()
    with workspace_scope([other]):
        Workspace.objects.create(
            id=other, slug="other", name="Other", deployment_model="BYOC", created_at="2026-01-01T00:00Z"
        )
        audit.record("workspace.created", by=SYSTEM, target=None, workspace_id=other, summary="Other")

    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        assert not AuditEvent.objects.filter(workspace_id=other).exists()


def test_partition_of_each_coming_month_exists(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_inherits WHERE inhparent = 'audit_event'::regclass")
        before = cursor.fetchone()[0]
        cursor.execute("SELECT ensure_audit_partitions(14)")
        assert cursor.fetchone()[0] == 2
        cursor.execute("SELECT ensure_audit_partitions(14)")
        assert cursor.fetchone()[0] == 0

    assert before == 14  # thirteen months and the one for all others
