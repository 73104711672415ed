"""What jobs elsewhere report: backups of Production, tests of them, and the data sets of QA and Staging.

Unlike reports of releases, these stand for jobs that the demonstration does not have: each report says so.
"""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from apps.audit.actors import Actor
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.environments import actions
from apps.environments.enums import DataKind, RecordKind
from apps.environments.models import DataRefresh, Environment, RecoveryRecord
from apps.policies.records import rules_in_force

JOB = Actor("SYSTEM", "demonstration-backups", "Backup job of the demonstration")
FIGURES: Mapping[RecordKind, Mapping[str, Any]] = {
    RecordKind.BACKUP: {"point_in_time": True, "reach_hours": 168, "kept_daily": 30, "kept_monthly": 12},
    RecordKind.RESTORE_TEST: {"rpo_minutes": 5, "rto_minutes": 42},
    RecordKind.RECOVERY_TEST: {"rpo_minutes": 12, "rto_minutes": 95},
}
EVERY = {
    RecordKind.BACKUP: timedelta(hours=12),
    RecordKind.RESTORE_TEST: timedelta(days=30),
    RecordKind.RECOVERY_TEST: timedelta(days=60),
}
DATA = {"qa": DataKind.MASKED, "staging": DataKind.ANONYMISED}
REFRESHED_EVERY = timedelta(days=5)


def report(now: datetime) -> None:
    """This function will report what is due, so that the demonstration stays ready however long it stands."""
    standing = Environment.objects.standing().filter(workspace_id=PLATFORM_WORKSPACE_ID)
    places = {place.slug: place for place in standing}
    production = places.get("production")
    if production is None:
        return
    for kind, figures in FIGURES.items():
        newest = RecoveryRecord.objects.filter(environment=production, kind=kind).order_by("-done_at").first()
        if newest is None or newest.done_at + EVERY[kind] <= now:
            evidence = _evidence(kind.lower(), figures)
            actions.record_recovery(
                production, kind=kind, done_at=now, figures=figures, evidence=evidence, by=JOB, now=now
            )
    for slug, made in DATA.items():
        if slug not in places:
            continue  # a visitor has destroyed it
        rules = rules_in_force(places[slug].tier)
        if made not in rules.kinds:
            continue  # a visitor has changed the policy
        refresh = DataRefresh.objects.filter(environment=places[slug]).order_by("-refreshed_at").first()
        if refresh is None or refresh.refreshed_at + REFRESHED_EVERY <= now:
            evidence = _evidence(made.lower(), {"columns": 48, "changed": 48})
            told: dict[str, Any] = {"kind": made, "refreshed_at": now, "source": production, "evidence": evidence}
            actions.record_refresh(places[slug], rules=rules, **told, by=JOB, now=now)


def _evidence(name: str, figures: Mapping[str, Any]) -> actions.Evidence:
    said = {"about": "A report of the demonstration: no such job ran.", **figures}
    return actions.Evidence(report=json.dumps(said, indent=2).encode(), name=f"{name}.json")
