"""Records of data and backups, made by the product's actions."""

from datetime import datetime
from typing import Any

from apps.environments import actions
from apps.environments.models import DataRefresh, RecoveryRecord
from apps.policies.records import rules_in_force
from tests.cast import NOW
from tests.world import World

LINK = "https://reports.example.test/1.json"
PROOF = actions.Evidence(link=LINK, sha256="a" * 64)
BACKUP = {"point_in_time": True, "reach_hours": 168, "kept_daily": 30, "kept_monthly": 12}
TESTED = {"rpo_minutes": 5, "rto_minutes": 42}


def refresh(world: World, *, at: datetime = NOW, **fields: Any) -> DataRefresh:
    """Bring anonymised data of Production to Staging, or what else is said."""
    values = {"kind": "ANONYMISED", "source": world.production, "evidence": PROOF, "by": world.cast.devops, **fields}
    place = values.pop("place", world.staging)
    rules = rules_in_force(place.tier)
    return actions.record_refresh(place, rules=rules, refreshed_at=at, **{"now": at, **values})[0]


def remove(world: World, *, at: datetime = NOW, **fields: Any) -> DataRefresh:
    """Remove the data set of Staging, or what else is said."""
    values = {"by": world.cast.devops, "now": at, **fields}
    return actions.record_removal(values.pop("place", world.staging), removed_at=at, **values)[0]


def record(world: World, kind: str = "BACKUP", *, at: datetime = NOW, **fields: Any) -> RecoveryRecord:
    """Record a backup of Production, or what else is said."""
    usual = {"figures": BACKUP if kind == "BACKUP" else TESTED, "evidence": PROOF, "by": world.cast.devops}
    values = usual | fields
    place = values.pop("place", world.production)
    return actions.record_recovery(place, kind=kind, done_at=at, **{"now": at, **values})[0]


def record_all(world: World, *, at: datetime = NOW, **fields: Any) -> None:
    """Record all that Production asks for as shipped."""
    for kind in ("BACKUP", "RESTORE_TEST", "RECOVERY_TEST"):
        record(world, kind, at=at, **fields)
