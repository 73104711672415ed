"""What changes a governed row past the application is in the trail: every column, whoever did it, by whatever way."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.apps import apps
from django.db import connection, transaction
from django.utils import timezone

from apps.audit import actions as audit
from apps.audit.actors import SYSTEM
from apps.audit.models import AuditEvent
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.environments.models import Window
from tests.world import World

OTHER = "00000000-0000-4000-8000-00000000000a"

# Tables that the net does not lie under, each with the reason why nothing is lost.
EXEMPT = {
    "accounts_user_groups": "Django's; unused",
    "accounts_user_user_permissions": "Django's; unused",
    "api_idempotentrequest": "answers that were given; the release that was made has its event",
    "api_timing": "how long things took, counted",
    "approvals_checklistline": "what was asked can't be changed; ticks are governed",
    "approvals_notice": "what somebody was told; `requirement.*` and `notice.mailed` say so",
    "audit_checkpoint": "the seal: append-only",
    "audit_cosignature": "witnesses of the seal: append-only",
    "audit_event": "the ledger itself: append-only",
    "audit_fieldhistory": "a convenience beside the ledger",
    "audit_key": "public keys, written by the sealer alone",
    "audit_leaf": "the seal: append-only",
    "audit_node": "the seal: append-only",
    "audit_sealing": "how far the seal is",
    "audit_subject": "openings: written by `record_event`, erased and cut by confirmed functions alone",
    "audit_tree": "the seal: what a wrong one would sign is refused",
    "auth_group": "Django's; unused",
    "auth_group_permissions": "Django's; unused",
    "auth_permission": "names of permissions, made by migrations",
    "auditlog_logentry": "closed",
    "compliance_accesschange": "the history of access, kept by triggers",
    "compliance_anchor": "how far checkpoints were brought out; `anchor.failing` and `anchor.recovered` tell of it",
    "compliance_auditexport": "what was asked can't be changed, its states tell their events",
    "compliance_identitychange": "the same, of accounts",
    "compliance_streamletter": "the engine's own; `stream.entry_refused` and `stream.replayed` tell of each",
    "deployments_databaseepoch": "names the database",
    "deployments_guestpart": "what a roll-out's home may know; `rollout.guest_moved` tells of each change",
    "deployments_logchunk": "can't be changed; written many times a second",
    "deployments_step": "the engine's journal under a fence; the deployment it belongs to is governed",
    "deployments_sweeplease": "the engine's turns",
    "deployments_transition": "can't be changed; each row is born with its event",
    "deployments_verificationsample": "can't be changed; measurements",
    "django_content_type": "names of models",
    "django_migrations": "names of migrations",
    "django_session": "`session.*` events say who signed in and out; its key is a secret",
    "environments_admissiondenial": "what `admission.denied` told, counted",
    "environments_artifactanswer": "what was heard elsewhere; `artifact.answered` tells of each change",
    "environments_datarefresh": "can't be changed; each row is born with its event",
    "environments_recordreminder": "what owners were told; `data.reminded` and `recovery.reminded` say so",
    "environments_recoveryrecord": "can't be changed; each row is born with its event",
    "guardian_groupobjectpermission": "closed",
    "guardian_userobjectpermission": "closed",
    "health_alert": "what Alertmanager says; `alert.*` events tell of it",
    "health_checkquota": "a counter of each minute",
    "health_dependency": "the engine's own view of what it leans on; `dependency.*` events tell of it",
    "health_endpointsample": "measurements",
    "health_healthcheck": "the engine's own, from the lane, which is governed",
    "health_healthsample": "measurements",
    "incidents_call": "what the on-call service was told; `incident.called` and `incident.call_*` tell of it",
    "incidents_entry": "can't be changed; each row is born with its event",
    "releases_apichange": "can't be changed; part of a comparison",
    "releases_apicomparison": "final when it is finished, with `api.compared`",
    "releases_apipromise": "can't be changed",
    "releases_artifact": "can't be changed; its digest is in the sealed release",
    "releases_datamigration": "part of a release, whose seal covers it",
    "releases_eventpublication": "can't be changed",
    "releases_eventschema": "final when it is checked, with `event_schema.checked`",
    "releases_eventsubject": "can't be changed",
    "releases_eventversion": "final when it is dropped, with `event_version.dropped`",
    "releases_evidence": "can't be changed; `evidence.received` holds its digest",
    "releases_finding": "can't be changed; part of evidence",
    "releases_part": "can't be changed; part of evidence",
    "releases_pushedcommit": "what a repository told; `push.received` and the release's events say what came of it",
    "releases_releasechange": "part of a release, from its repository",
    "releases_releasetrait": "`release.trait_declared` tells of each",
}

# A value that differs from the one before, by the type of the column.
VALUES = {
    "uuid": "gen_random_uuid()", "text": "md5(random()::text)", "character varying": "left(md5(random()::text), 4)",
    "boolean": "NOT COALESCE({0}, false)", "smallint": "COALESCE({0}, 0) + 1", "integer": "COALESCE({0}, 0) + 1",
    "bigint": "COALESCE({0}, 0) + 1", "double precision": "COALESCE({0}, 0) + 1", "numeric": "COALESCE({0}, 0) + 1",
    "timestamp with time zone": "clock_timestamp()", "date": "COALESCE({0}, now()::date) + 1",
    "interval": "COALESCE({0}, '0') + interval '1 s'", "jsonb": "jsonb_build_object('a', random())",
    "bytea": "decode(md5(random()::text), 'hex')", "_varchar": "ARRAY[left(md5(random()::text), 4)]",
    "_text": "ARRAY[md5(random()::text)]", "_uuid": "ARRAY[gen_random_uuid()]",
    "_int2": "ARRAY[COALESCE({0}[1], 0) + 1]",
    "time without time zone": "COALESCE({0}, '00:00') + interval '1 min'",
}  # fmt: skip

# In a transaction that is rolled back: without rules of their own, every table takes a row of nothing but its key.
WITHOUT_RULES = """
DO $$ DECLARE c record; BEGIN
    FOR c IN SELECT conrelid::regclass AS t, conname FROM pg_constraint
        WHERE conrelid::regclass::text = ANY (string_to_array(current_setting('net.tables'), ',')) AND contype IN ('c', 'f')
    LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.t, c.conname); END LOOP;
    FOR c IN SELECT tgrelid::regclass AS t, tgname FROM pg_trigger WHERE NOT tgisinternal
        AND tgrelid::regclass::text = ANY (string_to_array(current_setting('net.tables'), ',')) AND tgname NOT LIKE 'audit_net%'
    LOOP EXECUTE format('ALTER TABLE %s DISABLE TRIGGER %I', c.t, c.tgname); END LOOP;
    FOR c IN SELECT attrelid::regclass AS t, attname FROM pg_attribute
        WHERE attrelid::regclass::text = ANY (string_to_array(current_setting('net.tables'), ',')) AND attnum > 0
        AND attnotnull AND attidentity = '' AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = attrelid AND indisprimary AND attnum = ANY (indkey))
    LOOP EXECUTE format('ALTER TABLE %s ALTER %I DROP NOT NULL', c.t, c.attname); END LOOP;
    FOR c IN SELECT unnest(string_to_array(current_setting('net.tables'), ',')) AS t
    LOOP EXECUTE format('GRANT ALL ON %s TO eaip_app', c.t); END LOOP;
END $$
"""  # noqa: E501


def _governed() -> dict[str, set[str]]:
    """Return the tables that the net lies under, even in a replica, with the columns that it does not watch."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT tgrelid::regclass::text, string_agg(DISTINCT encode(tgargs, 'escape'), ' '), count(*)
            FROM pg_trigger WHERE tgname LIKE 'audit_net_%' AND tgenabled = 'A' AND tgfoid = 'audit_net'::regproc
            GROUP BY 1
            """
        )
        rows = cursor.fetchall()
    assert {number for *_, number in rows} == {4}
    return {table: set(arguments.split("\\000")[0].strip("{}").split(",")) - {""} for table, arguments, _ in rows}


def test_every_table_is_governed_or_says_why_not(db: None) -> None:
    """A new model needs `govern` in a migration of its app, or a line in EXEMPT."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.oid::regclass::text FROM pg_class c WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition "
            "AND c.relnamespace = 'public'::regnamespace"
        )
        tables = {row[0] for row in cursor.fetchall()}
    governed = _governed().keys()

    assert tables - governed - EXEMPT.keys() == set(), "neither governed nor exempt"
    assert governed & EXEMPT.keys() == set()
    assert EXEMPT.keys() - tables == set(), "exempt, and not there"
    assert governed <= {model._meta.db_table for model in apps.get_models()}


@pytest.mark.parametrize("by", ["postgres", "eaip_app"])
def test_every_governed_column_is_told_of(engines: Any, database: str, db: None, by: str) -> None:
    governed = _governed()
    with psycopg.connect(engines.postgres.url(database=database)) as administrator:
        who = administrator.execute("SELECT session_user").fetchone()[0] if by == "postgres" else by
        administrator.execute("SELECT set_config('net.tables', %s, true)", [",".join(governed)])
        administrator.execute(WITHOUT_RULES)
        columns: dict[str, list[tuple[str, str]]] = {}
        for table, name, kind in administrator.execute(
            "SELECT table_name, column_name, CASE data_type WHEN 'ARRAY' THEN udt_name ELSE data_type END "
            "FROM information_schema.columns "
            "WHERE table_schema = 'public' AND table_name = ANY (%s) ORDER BY 1, ordinal_position", [list(governed)]
        ):  # fmt: skip
            columns.setdefault(table, []).append((name, kind))
        administrator.execute("SELECT set_config('app.workspaces', %s, true)", [f"{PLATFORM_WORKSPACE_ID},{OTHER}"])
        if by != "postgres":
            administrator.execute(f"SET LOCAL SESSION AUTHORIZATION {by}")
            administrator.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table, found in columns.items():
            for statement in _changes_of_one_row(table, dict(found)):
                administrator.execute(statement)
        administrator.execute("RESET SESSION AUTHORIZATION")
        told: dict[str, set[str]] = {}
        for table, name in administrator.execute(
            "SELECT target->>'table', jsonb_object_keys(change) FROM audit_event "
            "WHERE kind = 'database.changed' AND summary LIKE 'UPDATE%%' AND actor_id = %s", [f"db:{who}"]
        ):  # fmt: skip
            told.setdefault(table, set()).add(name)
        administrator.rollback()

    assert told == {table: {name for name, _ in columns[table]} - unwatched for table, unwatched in governed.items()}


def _changes_of_one_row(table: str, columns: dict[str, str]) -> Iterator[str]:
    key = "code" if "id" not in columns else "id"
    first = {key: f"'{PLATFORM_WORKSPACE_ID}'" if columns[key] == "uuid" else "'0'"}
    if "workspace_id" in columns:
        first["workspace_id"] = f"'{PLATFORM_WORKSPACE_ID}'"
    where = f"WHERE {key} = {first[key]}"
    yield f"DELETE FROM {table} {where}"  # noqa: S608
    yield f"INSERT INTO {table} ({', '.join(first)}) VALUES ({', '.join(first.values())})"  # noqa: S608
    last = [name for name in columns if name != key] + [key]  # the key last, since it is found by it
    for name in last:
        value = VALUES[columns[name]].format(name)
        if name == "workspace_id" or (table == "workspaces_workspace" and name == "id"):
            value = f"'{OTHER}'"
        yield f"UPDATE {table} SET {name} = {value} {where}"  # noqa: S608


def _save(window: Window) -> None:
    window.label = "Quietly"
    window.save()


def _bulk_create(window: Window) -> None:
    window.pk = uuid4()
    window.label = "Quietly"
    Window.objects.bulk_create([window])


def _bulk_update(window: Window) -> None:
    window.label = "Quietly"
    Window.objects.bulk_update([window], ["label"])


def _update(window: Window) -> None:
    Window.objects.filter(pk=window.pk).update(label="Quietly")


def _delete(window: Window) -> None:
    window.delete()


def _raw(window: Window) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE environments_window SET label = 'Quietly' WHERE id = %s", [window.pk])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("change", [_save, _bulk_create, _bulk_update, _update, _raw, _delete])
def test_change_without_an_event_is_told_of_when_it_commits(world: World, change: Callable[[Window], None]) -> None:
    with world.everything():
        window = world.production.windows.get()
        change(window)
    with world.everything():
        event = AuditEvent.objects.get(kind="database.changed")

    assert (event.actor_type, event.actor_id, event.source["via"]) == ("DATABASE", "db:eaip_app", "database")
    assert (event.target_type, event.target["table"]) == ("window", "environments_window")
    assert event.workspace_id == world.cast.platform.pk
    assert "Quietly" in (event.change["label"]["before"], event.change["label"]["after"]) or change is _delete
    assert event.environment_id == world.production.pk


@pytest.mark.django_db(transaction=True)
def test_change_with_its_event_is_not_told_of_twice(world: World) -> None:
    with world.everything():
        window = world.production.windows.get()
        _save(window)
        audit.record("window.set", by=SYSTEM, target=window, summary="It was renamed", after={"label": "Quietly"})
    with world.everything():
        assert not AuditEvent.objects.filter(kind="database.changed").exists()


@pytest.mark.django_db(transaction=True)
def test_event_that_is_rolled_back_covers_nothing(world: World) -> None:
    with world.everything():
        window = world.production.windows.get()
        _save(window)
        with transaction.atomic():
            audit.record("window.set", by=SYSTEM, target=window, summary="It was renamed")
            transaction.set_rollback(True)
    with world.everything():
        assert AuditEvent.objects.filter(kind="database.changed").count() == 1


@pytest.mark.django_db(transaction=True)
def test_what_only_the_engine_writes_is_not_told_of(world: World) -> None:
    with world.everything():
        lane = world.lane(world.staging)
        type(lane).objects.filter(pk=lane.pk).update(health_checked_at=timezone.now())
    with world.everything():
        assert not AuditEvent.objects.filter(kind="database.changed").exists()


@pytest.mark.parametrize("mode", ["origin", "replica"])
def test_person_at_the_database_is_in_the_trail(engines: Any, database: str, world: World, mode: str) -> None:
    """Whatever they write into the ledger beside it: only the application's events cover a change."""
    with psycopg.connect(engines.postgres.url(database=database), application_name="psql") as administrator:
        administrator.execute(f"SET session_replication_role = {mode}")
        administrator.execute("UPDATE accounts_user SET is_superuser = NOT is_superuser, password = 'argon2$stolen'")
        row = administrator.execute(
            "SELECT actor_id, source, change, convert_from(canonical, 'UTF8'), count(*) OVER () FROM audit_event "
            "WHERE kind = 'database.changed' LIMIT 1"
        ).fetchone()
        people = administrator.execute("SELECT count(*) FROM accounts_user").fetchone()
        administrator.rollback()

    who, source, change, canonical, events = row
    assert (who, source["user_agent"], events) == ("db:postgres", "psql", people[0])
    assert change["is_superuser"]["before"] != change["is_superuser"]["after"]
    assert change["password"]["after"].startswith("sha256:")
    assert "stolen" not in canonical


def test_emptied_table_is_in_the_trail(owner_url: str, db: None) -> None:
    with psycopg.connect(owner_url) as owner:
        owner.execute("TRUNCATE health_trafficqueries")
        owner.execute("SELECT set_config('app.workspaces', %s, true)", [str(PLATFORM_WORKSPACE_ID)])
        told = owner.execute(
            "SELECT actor_id, target->>'table' FROM audit_event WHERE kind = 'database.changed'"
        ).fetchall()
        owner.rollback()

    assert told == [("db:eaip_owner", "health_trafficqueries")]
