"""Migrations of a ledger that is in use go back and forward again, and nothing is lost by it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import psycopg
import pytest
from django.core.management import call_command
from django.db import ProgrammingError, connections
from pytest_django import DjangoDbBlocker

from apps.audit.querysets import COLUMNS_OF_TERMS
from tests.audit.real_ledger import Ledger, record, verify
from tests.engines import Engines

BEFORE, BEFORE_DAYS = "0006", "0008"
SEALED = f"SELECT count(*) FROM audit_event WHERE audit_terms({', '.join(COLUMNS_OF_TERMS)}) @@ 'sealed'"  # noqa: S608
MORE = """
INSERT INTO audit_event (workspace_id, kind, outcome, actor_type, actor_id, actor_label, target_type, target_id,
    target_label, request_id, summary, reason, actor, source, target, change, approval, causation, canonical)
SELECT workspace_id, kind, outcome, actor_type, actor_id, actor_label, target_type, target_id, target_label, request_id,
    summary || n, reason, actor, source, target, change, approval, causation, canonical
FROM audit_event, generate_series(1, 30000) n
"""
BUILDS = "SELECT min(pid || relid::text) FROM pg_stat_progress_create_index WHERE datname = current_database()"
ODD = """
SELECT (SELECT count(*) FROM pg_index WHERE NOT indisvalid), (SELECT count(*) FROM pg_inherits
    WHERE inhparent = 'audit_event'::regclass) - (SELECT count(*) FROM pg_inherits
    WHERE inhparent = 'audit_event_terms'::regclass), (SELECT count(*) FROM pg_class WHERE relname LIKE '%terms_of_%'
    AND relkind = 'I')
"""
VERSIONS = "SELECT array_agg(schema_version ORDER BY recorded_at) FROM audit_event WHERE workspace_id = %s"


@pytest.fixture
def ledger(engines: Engines, django_db_blocker: DjangoDbBlocker) -> Iterator[Ledger]:
    made = Ledger(engines, django_db_blocker, f"eaip_back_{uuid4().hex[:8]}")
    made.begin()
    yield made
    engines.drop(made.database)


@contextmanager
def by_the_owner(ledger: Ledger) -> Iterator[None]:
    """Let Django's connection be as who migrates."""
    settings = connections.settings["default"]
    usual = {name: settings[name] for name in ("USER", "PASSWORD")}
    owner = urlsplit(ledger.engines.database_url(ledger.database, "eaip_owner"))
    with ledger.from_django():
        settings.update(USER=owner.username, PASSWORD=owner.password or "")
        try:
            yield
        finally:
            connections.close_all()
            settings.update(usual)


@pytest.mark.reliability
def test_entries_and_what_opens_them_outlast_going_back_and_forward(ledger: Ledger, tmp_path: Path) -> None:
    workspace = uuid4()
    ledger.record(workspace, 3)
    ledger.seal()

    with by_the_owner(ledger):
        call_command("migrate", "audit", BEFORE, verbosity=0)
    ledger.record(workspace)
    with (
        psycopg.connect(ledger.engines.database_url(ledger.database), autocommit=True) as app,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        app.execute("SELECT opening FROM audit_subject")
    with by_the_owner(ledger):
        call_command("migrate", verbosity=0)
    ledger.record(workspace)
    ledger.seal()

    with ledger.superuser() as admin:
        assert admin.execute(VERSIONS, [workspace]).fetchone() == ([2, 2, 2, 1, 2],)
    told = verify(ledger.export(workspace, tmp_path / "log.zip"), "--key", ledger.vkey(workspace))
    assert told.code == 0, told.text
    assert "4 times personal data fit their commitment, 0 times they are erased" in told.text


class Writer(Thread):
    """Writes one entry after the other until it is told to end, and counts those that an index was built beside."""

    def __init__(self, ledger: Ledger, workspace: UUID) -> None:
        super().__init__()
        self.ledger, self.workspace = ledger, workspace
        self.ended, self.written, self.beside_a_build = Event(), 0, 0

    def run(self) -> None:
        with self.ledger.superuser() as own:
            while not self.ended.is_set():
                before = own.execute(BUILDS).fetchone()
                record(own, self.workspace)
                self.written += 1
                self.beside_a_build += before == own.execute(BUILDS).fetchone() != (None,)


@contextmanager
def writing(ledger: Ledger, workspace: UUID) -> Iterator[Writer]:
    writer = Writer(ledger, workspace)
    writer.start()
    try:
        yield writer
    finally:
        writer.ended.set()
        writer.join()


@pytest.mark.reliability
def test_index_of_the_search_is_built_anew_while_entries_are_written(ledger: Ledger) -> None:
    workspace = uuid4()
    ledger.record(workspace)
    with ledger.superuser() as admin:
        admin.execute(MORE)
    number = 30001

    for step in (["audit", BEFORE_DAYS], []):
        with by_the_owner(ledger), writing(ledger, workspace) as writer:
            call_command("migrate", *step, verbosity=0)
        assert writer.beside_a_build > 0
        number += writer.written
        with ledger.superuser() as admin:
            assert admin.execute(ODD).fetchone() == (0, 0, 0)

    with ledger.superuser() as admin:
        admin.execute("SET enable_seqscan = off")
        assert admin.execute(SEALED).fetchone() == (number,)


@pytest.mark.reliability
def test_migration_that_was_ended_half_way_goes_on(ledger: Ledger) -> None:
    ledger.record(uuid4())
    with by_the_owner(ledger):
        call_command("migrate", "audit", BEFORE_DAYS, verbosity=0)
        with ledger.superuser() as admin:
            admin.execute("CREATE TABLE audit_event_later_terms_of_days ()")
        with pytest.raises(ProgrammingError, match="is not an index"):
            call_command("migrate", verbosity=0)
        with ledger.superuser() as admin:
            assert admin.execute("SELECT count(*) FROM audit_event").fetchone() == (1,)
            admin.execute("DROP TABLE audit_event_later_terms_of_days")
        call_command("migrate", verbosity=0)
    with ledger.superuser() as admin:
        assert admin.execute(ODD).fetchone() == (0, 0, 0)
