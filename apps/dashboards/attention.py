"""What needs somebody: the strip of figures, and the list "Needs you" but for what awaits one's decision."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, F, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from apps.approvals.checklists import Owed, owed_in
from apps.approvals.enums import PromotionState
from apps.approvals.models import ChecklistLine, Decision, Promotion, Requirement
from apps.compliance.models import Review
from apps.dashboards.cells import UNSUCCESSFUL
from apps.dashboards.places import Place
from apps.deployments.models import Deployment
from apps.environments.enums import Tier
from apps.environments.models import Hold, Lane
from apps.environments.querysets import LaneQuerySet
from apps.incidents.models import Debt, Incident
from apps.releases import support
from apps.workspaces.models import Workspace

MOST_FAILURES = 5
# So long before its end what runs is to be replaced.
SOON = timedelta(days=30)
# Of so many lines the checklists are told.
MOST_LINES = 100


@dataclass(frozen=True)
class Figures:
    """How much is going on: over the workspaces in question. What there is none of needs no query of its own."""

    deploying: int
    awaiting: int
    on_hold: int
    drifting: int
    owed: int
    incidents: int
    unticked: int
    overdue: int
    running_out: int


def figures_of(workspaces: tuple[UUID, ...], *, now: datetime) -> Figures:
    """Return the figures of all these workspaces together, in one query."""
    undecided = Requirement.objects.standing().filter(
        ~Exists(Decision.objects.standing().filter(requirement=OuterRef("pk"))), promotion=OuterRef("pk")
    )
    awaiting = Promotion.objects.filter(Exists(undecided), state=PromotionState.PENDING)
    found = Workspace.objects.visible_in(workspaces).aggregate(
        deploying=Coalesce(Sum(_counted(Deployment.objects.open())), 0),
        awaiting=Coalesce(Sum(_counted(awaiting)), 0),
        on_hold=Coalesce(Sum(_counted(Hold.objects.open())), 0),
        drifting=Coalesce(Sum(_counted(_adrift())), 0),
        owed=Coalesce(Sum(_counted(Debt.objects.unpaid())), 0),
        incidents=Coalesce(Sum(_counted(Incident.objects.open())), 0),
        unticked=Coalesce(Sum(_counted(ChecklistLine.objects.owed())), 0),
        overdue=Coalesce(Sum(_counted(Review.objects.overdue(now.date()))), 0),
        running_out=Coalesce(Sum(_counted(_running_out(now))), 0),
    )
    return Figures(**found)


def _counted(rows: "QuerySet[Any]") -> Subquery:
    of_workspace = rows.filter(workspace=OuterRef("pk")).order_by().values("workspace").annotate(n=Count("pk"))
    return Subquery(of_workspace.values("n"))


def failures(workspaces: tuple[UUID, ...]) -> "QuerySet[Deployment]":
    """Return the last attempts of lanes that ended badly, or for which a person was called; newest first."""
    newer = Deployment.objects.filter(lane=OuterRef("lane"), number__gt=OuterRef("number"))
    last = Deployment.objects.visible_in(workspaces).filter(~Exists(newer), lane__removed_at=None)
    ended = last.filter(state__in=list(UNSUCCESSFUL)).exclude(lane__live_release=F("release"))
    return (ended | last.called_for()).with_subject().order_by("-number")


def drifting(workspaces: tuple[UUID, ...]) -> list[Lane]:
    """Return lanes that run something else than was deployed there, the oldest first. Queries: one."""
    lanes = _adrift().visible_in(workspaces).select_related("service", "environment__workspace")
    return list(lanes.order_by("drift_since")[:MOST_FAILURES])


def _adrift() -> LaneQuerySet:
    return Lane.objects.standing().exclude(drift="")


def running_out(workspaces: tuple[UUID, ...], *, now: datetime) -> list[dict[str, Any]]:
    """Return lanes that run what is not supported any more, or not for long, the oldest end first. Queries: one."""
    lanes = _running_out(now).visible_in(workspaces).select_related("service", "environment__workspace", "live_release")
    today = now.date()
    return [{"lane": lane, "is_over": lane.ends_date <= today} for lane in lanes.order_by("ends_date")[:MOST_FAILURES]]


def _running_out(now: datetime) -> LaneQuerySet:
    return Lane.objects.standing().annotate(ends_date=support.end_of_what_runs()).filter(
        ends_date__lte=now.date() + SOON
    )  # fmt: skip


def incidents(workspaces: tuple[UUID, ...]) -> list[Incident]:
    """Return the open incidents, the worst first, then the oldest. Queries: one."""
    found = Incident.objects.visible_in(workspaces).open().with_subject()
    return list(found.order_by("severity", "declared_at")[:MOST_FAILURES])


def debts(workspaces: tuple[UUID, ...], *, now: datetime) -> list[dict[str, Any]]:
    """Return what emergencies left owed, the most urgent first, and whether it is late. Queries: one."""
    unpaid = Debt.objects.visible_in(workspaces).unpaid().with_subject().order_by("due_at")[:MOST_FAILURES]
    return [{"debt": debt, "is_overdue": debt.is_overdue(now)} for debt in unpaid]


def checklists(workspaces: tuple[UUID, ...], *, now: datetime) -> list[Owed]:
    """Return what is to be ticked of deployments, the most urgent first. Queries: one."""
    return owed_in(workspaces, now=now, most=MOST_LINES)[:MOST_FAILURES]


def reviews(workspaces: tuple[UUID, ...], *, now: datetime) -> list[Review]:
    """Return reviews that are overdue, the longest first. Queries: one."""
    found = Review.objects.visible_in(workspaces).overdue(now.date()).with_owner()
    return list(found.order_by("next_due_date")[:MOST_FAILURES])


def wanting(standing: Sequence[Place]) -> list[Place]:
    """Return the environments whose data are overdue or expired, or whose backups fall short. Queries: none."""
    found = [place for place in standing if place.lacks or (place.data and place.data.at_fault_since)]
    return found[:MOST_FAILURES]


@dataclass(frozen=True)
class Coming:
    """Something that happens by itself at a known moment."""

    icon: str
    tone: str
    title: str
    at: datetime
    sentence: str = ""


def coming_up(places: Sequence[Place]) -> list[Coming]:
    """Return when windows open and close and when freezes end, soonest first."""
    found = {
        Coming("snowflake", "bad", f"Freeze of {place.name} ends", place.freeze.ends_at, place.freeze.reason)
        for place in places
        if place.freeze and place.freeze.ends_at
    }
    for place in places:
        state = place.state
        if state is not None and state.next_open:
            found.add(Coming("calendar-clock", "idle", f"{place.name} window opens", state.next_open, state.sentence))
        elif state is not None and state.closes_at:
            found.add(Coming("door-open", "ok", f"{place.name} window closes", state.closes_at, state.sentence))
    return sorted(found, key=lambda coming: (coming.at, coming.title))[:6]


def production_of(places: Sequence[Place]) -> Place | None:
    """Return the first production environment that has windows: its window stands in the strip."""
    return next((place for place in places if place.environment.tier == Tier.PRODUCTION and place.state), None)
