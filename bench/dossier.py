"""The dossier of a period with 1,000 changes: gathered, proved, written as JSON, printed, checked; beside one with 100.

Also its number of queries, and what its process that prints needs of memory. Who checks is the client, as an auditor
runs it.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import django

django.setup()

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.approvals.models import Decision, Promotion, Requirement
from apps.audit import actions as audit
from apps.audit.actors import SYSTEM
from apps.audit.keys import SigningKey
from apps.audit.sealing import seal
from apps.compliance.dossiers.copies import Made, copy_of, printed
from apps.compliance.dossiers.period import Period, period_dossier
from apps.compliance.dossiers.proofs import proofs_of
from apps.configuration.models import ConfigurationVersion
from apps.core.canonical import canonical
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.deployments.models import Deployment
from apps.environments.models import Lane
from apps.workspaces.models import Workspace
from apps.workspaces.scope import workspace_scope
from bench.promotions import _pairs, _person
from bench.table import print_table
from deploy.launcher.paths import ROOT
from tests.dashboards.matrix import fill
from tests.engines import Engines

CHANGES = int(os.environ.get("BENCH_CHANGES", "1000"))
FEW = 100
PLATFORM = (PLATFORM_WORKSPACE_ID,)
KEY = SigningKey(Ed25519PrivateKey.generate())

# Four entries of each change: asked for, approved, queued, ended.
ENTRIES = """
INSERT INTO audit_event (event_id, workspace_id, recorded_at, kind, outcome, actor_type, actor_id, actor_label,
    target_type, target_id, target_label, environment_id, request_id, summary, reason, actor, source, target, change,
    approval, causation, canonical)
SELECT i.id, d.workspace_id, d.requested_at, told.kind, 'SUCCESS', 'PERSON', '', 'DevOps', told.type,
    CASE told.type WHEN 'deployment' THEN d.id ELSE d.promotion_id END::text, '', l.environment_id, '',
    told.kind || ' of #' || d.number, '', '{"method": "password"}', '{"via": "page", "ip": "127.0.0.1"}', '{}', '{}',
    CASE WHEN told.kind = 'decision.approved' THEN jsonb_build_object('decision', (
        SELECT id FROM approvals_decision c WHERE c.promotion_id = d.promotion_id LIMIT 1)) ELSE '{}' END, '{}',
    convert_to(jsonb_build_object('event_id', i.id, 'workspace_id', d.workspace_id, 'kind', told.kind,
        'recorded_at', to_char(d.requested_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'actor', '{"type": "PERSON", "id": "", "label": "DevOps"}'::jsonb, 'summary', told.kind || ' of #' || d.number,
        'reason', repeat('x', 400))::text, 'UTF8')
FROM deployments_deployment d JOIN environments_lane l ON l.id = d.lane_id
CROSS JOIN (VALUES ('promotion', 'promotion.requested'), ('promotion', 'decision.approved'),
    ('deployment', 'deployment.queued'), ('deployment', 'deployment.succeeded')) AS told (type, kind)
CROSS JOIN LATERAL (SELECT uuidv7(d.requested_at - now() + length(told.kind) * interval '1 us') AS id) i
WHERE d.promotion_id IS NOT NULL
"""


def main() -> None:
    now = timezone.now()
    with workspace_scope(PLATFORM):
        devops = _person("devops", "DEVOPS")
        lanes = fill(-(-CHANGES // 20), 5, now=now - timedelta(days=400))
        _write(_pairs(lanes)[:CHANGES], devops, now)
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as owner:
        owner.execute("SELECT set_config('app.workspaces', %s, false)", [str(PLATFORM_WORKSPACE_ID)])
        owner.execute(ENTRIES)
    database = os.environ["DATABASE_URL"].rpartition("/")[2].partition("?")[0]
    with psycopg.connect(Engines.joined().postgres.url(database=database), autocommit=True) as admin:
        admin.execute("INSERT INTO audit_key (key_id, public_key) VALUES (%s, %s)", [KEY.id, KEY.public])
        seal(admin, KEY, each=timedelta(0), at_least=timedelta(hours=1))
        admin.execute("ANALYZE")
    print_table(
        "Dossier of a period",
        ("changes", "queries", "gathered", "proved", "queries", "JSON", "size", "PDF", "size", "printer", "checked"),
        [_measured(number, now) for number in (FEW, CHANGES)],
    )


def _write(pairs: list[tuple[Lane, Any]], devops: Any, now: Any) -> None:
    configurations = {row.lane_id: row for row in ConfigurationVersion.objects.all()}
    # An event in the transaction: otherwise the net under the ledger tells of each row.
    audit.record("demonstration.loaded", by=SYSTEM, target=None, workspace_id=PLATFORM_WORKSPACE_ID, summary="Bench")
    promotions, requirements, decisions, deployments = [], [], [], []
    for number, (lane, release) in enumerate(pairs):
        at = now - timedelta(minutes=number)
        base = {"workspace_id": lane.workspace_id, "release": release, "lane": lane,
                "configuration": configurations[lane.pk], "plan_hash": f"{number:064x}", "requested_at": at,
                "requested_by_label": "Release engineer"}  # fmt: skip
        promotion = Promotion(
            **base, plan={}, policy_version=1, expires_at=at, state="COMPLETED", ended_at=at, outcome="Deployed."
        )
        need = Requirement(
            workspace_id=lane.workspace_id, promotion=promotion, role_id="DEVOPS", position=0, reason="x"
        )
        promotions.append(promotion)
        requirements.append(need)
        decisions.append(Decision(
            workspace_id=lane.workspace_id, requirement=need, promotion=promotion, choice="APPROVE",
            plan_hash=promotion.plan_hash, decided_at=at - timedelta(minutes=5), decided_by=devops,
        ))  # fmt: skip
        deployments.append(Deployment(
            **base, promotion=promotion, target_key=lane.target_key, started_at=at, ended_at=at,
            state="FAILED" if number % 9 == 0 else "SUCCEEDED", outcome="Verified by 12 samples.",
        ))  # fmt: skip
    for rows in (promotions, requirements, decisions, deployments):
        type(rows[0]).objects.bulk_create(rows, batch_size=500)


def _measured(changes: int, now: Any) -> tuple[object, ...]:
    with workspace_scope(PLATFORM):
        platform = Workspace.objects.get(pk=PLATFORM_WORKSPACE_ID)
        period = Period(platform, None, now - timedelta(minutes=changes) + timedelta(seconds=30),
                        now + timedelta(days=1), "bench", 25)  # fmt: skip
        started = time.perf_counter()
        with CaptureQueriesContext(connection) as queries:
            dossier = period_dossier(period, now=now)
        gathered = time.perf_counter() - started
    assert len(dossier.section("changes").rows) == changes
    with workspace_scope(PLATFORM), CaptureQueriesContext(connection) as asked:
        proofs, proved = _timed(lambda: proofs_of(dossier))
    copy = copy_of(dossier, Made("Auditor", now, "https://portal.example"), proofs)
    text, took_text = _timed(lambda: canonical(copy))
    paper, took_paper = _timed(lambda: printed(copy))
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    return (
        f"{changes:,}", len(queries), f"{gathered:.2f} s", f"{proved:.2f} s", len(asked), f"{took_text:.2f} s",
        f"{len(text) / 1e6:.1f} MB", f"{took_paper:.2f} s", f"{len(paper) / 1e6:.1f} MB", f"{memory} MB",
        f"{_checked(text):.2f} s",
    )  # fmt: skip


def _timed(makes: Any) -> tuple[Any, float]:
    started = time.perf_counter()
    made = makes()
    return made, time.perf_counter() - started


def _checked(copy: bytes) -> float:
    client, key = str(ROOT / "clients" / "verify_audit.py"), str(KEY.vkey(PLATFORM_WORKSPACE_ID))
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        Path(file.name).write_bytes(copy)
        command = [sys.executable, "-I", "-S", client, "dossier", file.name, "--key", key]
        done, took = _timed(lambda: subprocess.run(command, check=False, capture_output=True, text=True))
    assert done.returncode == 0, done.stdout[-2000:]
    return float(took)


if __name__ == "__main__":
    main()
