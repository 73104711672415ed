"""The migration that took names out of the sealed bytes goes back and forward again, and nothing is lost by it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from django.core.management import call_command
from django.db import connections
from pytest_django import DjangoDbBlocker

from tests.audit.real_ledger import Ledger, verify
from tests.engines import Engines

BEFORE = "0006"
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
