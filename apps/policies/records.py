"""What is on record of environments, held against the policies in force: their data, and their backups."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.functions import JSONObject

from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.environments.data_rules import DataRules, DataState, data_state
from apps.environments.enums import DataKind
from apps.environments.models import DataRefresh, Environment, RecoveryRecord
from apps.policies.clauses import Gate, Owner, When
from apps.policies.documents import data_rules_of
from apps.policies.facts import RecordFacts
from apps.policies.models import PolicyVersion
from apps.policies.recovery import Measure, measures

Document = Mapping[str, Any] | None
FIGURES = (
    "kind", "succeeded", "point_in_time", "reach_hours", "kept_daily", "kept_monthly", "rpo_minutes", "rto_minutes",
)  # fmt: skip


def with_records(environments: "QuerySet[Environment]") -> "QuerySet[Environment]":
    """This function will return environments with what counts of their records, for the functions below."""
    told = RecoveryRecord.objects.counting().filter(environment=OuterRef("pk"))
    told = told.annotate(record=JSONObject(at="done_at", **{name: name for name in FIGURES}))
    data = DataRefresh.objects.filter(environment=OuterRef("pk")).order_by("-refreshed_at").values("refreshed_at")
    return environments.annotate(
        records=ArraySubquery(told.values("record")),
        refreshed_at=Subquery(data.exclude(kind=DataKind.REMOVED)[:1]),
        removed_at=Subquery(data.filter(kind=DataKind.REMOVED)[:1]),
    )


def data_of(environment: Any, document: Document, now: datetime) -> DataState | None:
    """This function will say how the data of an environment `with_records` stand; None where nothing is asked."""
    return data_state(
        rules_of(environment.tier, document),
        created_at=environment.created_at,
        refreshed_at=environment.refreshed_at,
        removed_at=environment.removed_at,
        now=now,
    )


def backups_of(environment: Any, document: Document, now: datetime) -> tuple[Measure, ...]:
    """This function will hold the backups of an environment `with_records` against the policy; empty: none is asked."""
    owner = Owner.PLATFORM if environment.workspace_id == PLATFORM_WORKSPACE_ID else Owner.CUSTOMER
    asked = next((row for row in (document or {}).get("clauses", ()) if _asks_for_backups(row, owner)), None)
    if asked is None:
        return ()
    records = [RecordFacts(**{**raw, "at": datetime.fromisoformat(raw["at"])}) for raw in environment.records]
    return measures(asked["settings"], records, now)


def rules_of(tier: str, document: Document) -> DataRules:
    """This function will read what a tier's document asks of data; None, where none is in force, is as everywhere."""
    return data_rules_of((document or {}).get("data"), tier)


def rules_in_force(tier: str) -> DataRules:
    """This function will look up what the policy of a tier asks of data now."""
    return data_rules_of(PolicyVersion.objects.in_force(tier).values_list("document__data", flat=True).first(), tier)


def asks_for_records(tier: str, document: Document) -> bool:
    """This function will say whether anything that time alone can turn is asked of environments of a tier."""
    rules = rules_of(tier, document)
    clauses = (document or {}).get("clauses", ())
    asks_of_data = rules.refreshed_days is not None or rules.kept_days is not None
    return asks_of_data or any(_asks_for_backups(row, owner) for row in clauses for owner in Owner)


def _asks_for_backups(row: Mapping[str, Any], owner: Owner) -> bool:
    return (
        row["gate"] == Gate.RECOVERY
        and row.get("owner", Owner.ALL) in (Owner.ALL, owner)
        and row.get("when") != When.EMERGENCY
    )
