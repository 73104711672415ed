"""Parts of a log: a period, and one event by its own proof as its page hands it out."""

import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoDbBlocker

from apps.audit import merkle, sealing, seals
from apps.audit.models import AuditEvent
from apps.workspaces.scope import workspace_scope
from tests.audit.real_ledger import CLIENT, Ledger, disable_triggers, verify
from tests.engines import Engines


@pytest.fixture
def ledger(engines: Engines, django_db_blocker: DjangoDbBlocker) -> Iterator[Ledger]:
    made = Ledger(engines, django_db_blocker, f"eaip_proofs_{uuid4().hex[:8]}")
    made.begin()
    yield made
    engines.drop(made.database)


def test_of_a_period_it_shows_that_nothing_is_missing(ledger: Ledger, tmp_path: Path) -> None:
    workspace = uuid4()
    for _ in range(3):
        ledger.record(workspace, 3)
        ledger.seal()
    with ledger.superuser() as admin:
        times = [row[0] for row in admin.execute("SELECT recorded_at FROM audit_leaf ORDER BY leaf_index").fetchall()]
    period = (times[3], times[6])

    clean = verify(ledger.export(workspace, tmp_path / "period.zip", period=period), "--key", ledger.vkey(workspace))
    with ledger.superuser() as admin:
        disable_triggers(admin)
        admin.execute("DELETE FROM audit_event WHERE recorded_at = %s", [times[4]])
    told = verify(ledger.export(workspace, tmp_path / "period.zip", period=period), "--key", ledger.vkey(workspace))

    assert clean.code == 0
    assert "no entry is missing from leaf 3 to 5" in clean.text
    assert (told.kind, told.leaf) == ("missing", 4)


def test_proof_leads_from_an_event_to_a_checkpoint(ledger: Ledger, tmp_path: Path) -> None:
    workspace = uuid4()
    for _ in range(2):
        ledger.record(workspace, 300)
        ledger.seal()

    with ledger.from_django(), workspace_scope([workspace]):
        for place, event in enumerate(AuditEvent.objects.order_by("recorded_at")[298:302]):
            (tmp_path / f"{place}.json").write_bytes(bytes(event.canonical))
            (tmp_path / f"{place}.tlog-proof").write_text(seals.proof_of(event, seals.place_of(event)))

    with ledger.from_django(), workspace_scope([workspace]), connection.cursor() as cursor:
        roots = sealing.roots_of(cursor.cursor, workspace)
        for size in (1, 256, 257, 512, 600):
            wanted = {0, 255, 256, 300, 511, size - 1} & set(range(size))
            with CaptureQueriesContext(connection) as queries:
                paths = seals.paths_of(workspace, wanted, size)
            one_by_one = {leaf: merkle.inclusion_proof(roots, leaf, size) for leaf in wanted}
            assert {leaf: [b64decode(node) for node in path] for leaf, path in paths.items()} == one_by_one
            assert len(queries) == (1 if size < 256 else 2)

    for place in range(4):
        command = [sys.executable, "-I", "-S", str(CLIENT), "proof", f"{place}.json", f"{place}.tlog-proof"]
        done = subprocess.run(
            [*command, "--key", ledger.vkey(workspace)], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert f"is leaf {298 + place} of" in done.stdout, done.stdout + done.stderr
