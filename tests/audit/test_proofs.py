"""One event by its own proof, as its page hands it out, with nothing else of the log."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from django.db import connections
from pytest_django import DjangoDbBlocker

from apps.audit import seals
from apps.audit.models import AuditEvent
from apps.workspaces.scope import workspace_scope
from tests.audit.real_ledger import CLIENT, Ledger
from tests.engines import Engines
from tests.prepared import connect_to


@pytest.fixture
def ledger(engines: Engines, django_db_blocker: DjangoDbBlocker) -> Iterator[Ledger]:
    made = Ledger(engines, django_db_blocker, f"eaip_proofs_{uuid4().hex[:8]}")
    made.begin()
    usual = connections.settings["default"]["NAME"]
    connect_to(made.database)
    with django_db_blocker.unblock():
        yield made
        connections.close_all()
    connect_to(usual)
    engines.drop(made.database)


def test_proof_leads_from_an_event_to_a_checkpoint(ledger: Ledger, tmp_path: Path) -> None:
    workspace = uuid4()
    for _ in range(2):
        ledger.record(workspace, 300)
        ledger.seal()

    with workspace_scope([workspace]):
        for place, event in enumerate(AuditEvent.objects.order_by("recorded_at")[298:302]):
            (tmp_path / f"{place}.json").write_bytes(bytes(event.canonical))
            (tmp_path / f"{place}.tlog-proof").write_text(seals.proof_of(event, seals.place_of(event)))

    for place in range(4):
        command = [sys.executable, "-I", "-S", str(CLIENT), "proof", f"{place}.json", f"{place}.tlog-proof"]
        done = subprocess.run(
            [*command, "--key", ledger.vkey(workspace)], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert f"is leaf {298 + place} of" in done.stdout, done.stdout + done.stderr
