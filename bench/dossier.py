"""The dossier of a period with 1,000 changes: gathered, written as JSON, printed; beside one with 100.

Also its number of queries, and what its process that prints needs of memory.
"""

import os
import resource
import time
from datetime import timedelta
from typing import Any

import django

django.setup()

import psycopg
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.approvals.models import Decision, Promotion, Requirement
from apps.audit import actions as audit
from apps.audit.actors import SYSTEM
from apps.compliance.dossiers.copies import Made, copy_of, printed
from apps.compliance.dossiers.period import Period, period_dossier
from apps.configuration.models import ConfigurationVersion
from apps.core.canonical import canonical
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.deployments.models import Deployment
from apps.environments.models import Lane
from apps.workspaces.models import Workspace
from apps.workspaces.scope import workspace_scope
from bench.promotions import _pairs, _person
from bench.table import print_table
from tests.dashboards.matrix import fill

CHANGES = int(os.environ.get("BENCH_CHANGES", "1000"))
FEW = 100
PLATFORM = (PLATFORM_WORKSPACE_ID,)

# Four entries of each change: asked for, approved, queued, ended.
ENTRIES = """
INSERT INTO audit_event (workspace_id, recorded_at, kind, outcome, actor_type, actor_id, actor_label, target_type,
    target_id, target_label, environment_id, request_id, summary, reason, actor, source, target, change, approval,
    causation, canonical)
SELECT d.workspace_id, d.requested_at, told.kind, 'SUCCESS', 'PERSON', '', 'DevOps', told.type,
    CASE told.type WHEN 'deployment' THEN d.id ELSE d.promotion_id END::text, '', l.environment_id, '',
    told.kind || ' of #' || d.number, '', '{"method": "password"}', '{"via": "page", "ip": "127.0.0.1"}', '{}', '{}',
    CASE WHEN told.kind = 'decision.approved' THEN jsonb_build_object('decision', (
        SELECT id FROM approvals_decision c WHERE c.promotion_id = d.promotion_id LIMIT 1)) ELSE '{}' END, '{}', '{}'
FROM deployments_deployment d JOIN environments_lane l ON l.id = d.lane_id
CROSS JOIN (VALUES ('promotion', 'promotion.requested'), ('promotion', 'decision.approved'),
    ('deployment', 'deployment.queued'), ('deployment', 'deployment.succeeded')) AS told (type, kind)
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
        owner.execute("ANALYZE")
    print_table(
        "Dossier of a period",
        ("changes", "queries", "gathered", "JSON", "size", "PDF", "size", "highest memory of the printer"),
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
    made = Made("Auditor", now, "https://portal.example")
    text, took_text = _timed(lambda: canonical(copy_of(dossier, made)))
    paper, took_paper = _timed(lambda: printed(dossier, made))
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    return (
        f"{changes:,}", len(queries), f"{gathered:.2f} s", f"{took_text:.2f} s", f"{len(text) / 1e6:.1f} MB",
        f"{took_paper:.2f} s", f"{len(paper) / 1e6:.1f} MB", f"{memory} MB",
    )  # fmt: skip


def _timed(makes: Any) -> tuple[bytes, float]:
    started = time.perf_counter()
    made: bytes = makes()
    return made, time.perf_counter() - started


if __name__ == "__main__":
    main()
