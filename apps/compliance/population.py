"""Everything that was observed running, and the entry of the ledger that brought it, or that none did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Case, CharField, Exists, F, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Cast

from apps.accounts.enums import Capability
from apps.audit.models import AuditEvent
from apps.compliance.enums import Standing
from apps.deployments.engine.orders import is_observed
from apps.deployments.enums import UNTOUCHED, DeploymentState
from apps.deployments.models import Deployment
from apps.environments.models import Lane
from apps.health.models import EndpointCheck
from apps.incidents.models import Incident
from apps.workspaces import rights

COLUMNS = (
    "workspace", "environment", "tier", "service", "release", "configuration", "since", "executor", "observed",
    "standing", "deployment", "entry", "drift", "drift_since", "called",
)  # fmt: skip


@dataclass(frozen=True)
class Running:
    """One thing that runs, for a page: its lane, and who was called where it is not on record."""

    lane: Any
    called: str

    @property
    def standing(self) -> Standing:
        return Standing(self.lane.standing)

    @property
    def is_observed(self) -> bool:
        return is_observed(self.lane.executor) or bool(self.lane.is_named)

    def as_row(self) -> dict[str, Any]:
        """Return the row as it is exported."""
        lane = self.lane
        return {
            "workspace": str(lane.workspace), "environment": lane.environment.name, "tier": lane.environment.tier,
            "service": lane.service.name, "release": str(lane.live_release or ""),
            "configuration": str(lane.live_configuration or ""), "since": lane.live_since, "executor": lane.executor,
            "observed": "yes" if self.is_observed else "no", "standing": self.standing.label,
            "deployment": f"#{lane.brought_number}" if lane.brought_number else "",
            "entry": lane.entry or "", "drift": lane.drift, "drift_since": lane.drift_since, "called": self.called,
        }  # fmt: skip


def running_in(workspaces: tuple[UUID, ...]) -> "QuerySet[Lane]":
    """This function will return the lanes where something runs, as the portal last saw it, each with its `standing`.

    Shapes: `brought_number` is the deployment that brought the live release, and `entry` its event in the ledger; a
    lane that drifts is DRIFT whatever is on record, since what runs is something else; `is_named`: an endpoint check is
    told what runs. Paged by `created_at`.
    """
    # What failed or is under way may serve all the same; what succeeded last says what serves, and nothing before it.
    brought = Deployment.objects.filter(
        Q(state=DeploymentState.SUCCEEDED) | Q(release=OuterRef("live_release")) & ~Q(state__in=UNTOUCHED),
        lane=OuterRef("pk"),
    ).order_by("-number")
    entry = AuditEvent.objects.filter(
        target_type="deployment", target_id=OuterRef("brought"), kind__startswith="deployment."
    ).order_by("-recorded_at")
    return (
        Lane.objects.visible_in(workspaces)
        .filter(Q(live_release__isnull=False) | ~Q(drift=""))
        .select_related("workspace", "environment", "service", "live_release", "live_configuration")
        .annotate(
            brought=Cast(Subquery(brought.values("pk")[:1]), CharField()),
            brought_number=Subquery(brought.values("number")[:1]),
            brought_release=Subquery(brought.values("release")[:1]),
            is_named=Exists(EndpointCheck.objects.naming().filter(lane=OuterRef("pk"))),
        )
        .annotate(entry=Subquery(entry.values("event_id")[:1]), has_entry=Exists(entry))
        .annotate(
            standing=Case(
                When(~Q(drift=""), then=Value(Standing.DRIFT.value)),
                When(has_entry=True, brought_release=F("live_release"), then=Value(Standing.RECORDED.value)),
                default=Value(Standing.NO_ENTRY.value),
                output_field=CharField(),
            )
        )
    )


def told(lanes: Sequence[Any]) -> list[Running]:
    """This function will say of each lane who was called since it drifts. Queries: none while all is on record."""
    adrift = [lane for lane in lanes if lane.standing != Standing.RECORDED]
    incidents = _incidents(adrift)
    operators = {
        workspace: ", ".join(map(str, rights.capable(Capability.DEPLOYMENT_OPERATE, workspace)))
        for workspace in {lane.workspace_id for lane in adrift}
    }
    return [Running(lane, _called(lane, incidents, operators)) for lane in lanes]


def _incidents(lanes: Sequence[Any]) -> Mapping[tuple[UUID | None, UUID | None], Incident]:
    if not lanes:
        return {}
    found = Incident.objects.filter(
        environment__in={lane.environment_id for lane in lanes}, service__in={lane.service_id for lane in lanes}
    ).select_related("declared_by")
    return {(one.environment_id, one.service_id): one for one in found.order_by("declared_at")}


def _called(
    lane: Any, incidents: Mapping[tuple[UUID | None, UUID | None], Incident], operators: Mapping[UUID, str]
) -> str:
    if lane.standing == Standing.RECORDED:
        return ""
    incident = incidents.get((lane.environment_id, lane.service_id))
    began: datetime | None = lane.drift_since or lane.live_since
    if incident and began and incident.declared_at >= began:
        return f"Incident {incident}, declared by {incident.declared_by}"
    if lane.standing == Standing.NO_ENTRY:
        return "No incident; it is seen on this page alone"
    names = operators[lane.workspace_id]
    return f"No incident; the dashboard shows it to {names}" if names else "Nobody: no one may operate it"
