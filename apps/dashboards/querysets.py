"""One query for the whole matrix: each service with its lanes, and with each lane all that its cell shows."""

from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Case, F, Func, OuterRef, Q, QuerySet, Subquery, When
from django.db.models.functions import Coalesce, JSONObject

from apps.approvals.models import Promotion
from apps.deployments.enums import OPEN, StepVerdict
from apps.deployments.models import Deployment, Step
from apps.environments.models import Hold, Lane
from apps.releases.enums import ReleaseState
from apps.releases.models import Release, Service

PASSED = (StepVerdict.DONE, StepVerdict.SKIPPED)


def with_cells(services: "QuerySet[Service]", lanes: "QuerySet[Lane]") -> "QuerySet[Service]":
    """Return the services, each with `cells`: a list of plain mappings, one for each of these lanes it has."""
    cells = lanes.filter(service=OuterRef("pk")).annotate(cell=_cell()).values("cell")
    return services.annotate(cells=ArraySubquery(cells))


def _cell() -> JSONObject:
    return JSONObject(
        id="id",
        environment="environment_id",
        version="live_release__version",
        since="live_since",
        health="health",
        health_detail="health_detail",
        checked_at="health_checked_at",
        rolled_back_from="rolled_back_from__version",
        newer=_count(_newer()),
        attempt=_first(Deployment.objects.filter(lane=OuterRef("pk")).order_by("-number"), _attempt()),
        waiting=_first(Promotion.objects.waiting().filter(lane=OuterRef("pk")).order_by("-number"), _promotion()),
        hold=Subquery(Hold.objects.open().filter(lane=OuterRef("pk")).values("reason")[:1]),
    )


def _attempt() -> JSONObject:
    steps = Step.objects.filter(deployment=OuterRef("pk"))
    return JSONObject(
        number="number",
        kind="kind",
        state="state",
        version="release__version",
        at=Coalesce("ended_at", "started_at", "requested_at"),
        outcome="outcome",
        # Only what runs has steps to show.
        done=Case(When(state__in=OPEN, then=_count(steps.filter(verdict__in=PASSED), distinct="seq"))),
        total=Case(When(state__in=OPEN, then=_count(steps, distinct="seq"))),
    )


def _promotion() -> JSONObject:
    return JSONObject(
        number="number",
        state="state",
        version="release__version",
        at="requested_at",
        gates="gates",
        release="release_id",
    )


def _newer() -> "QuerySet[Release]":
    """Sealed releases of the lane's service above the one that is live there."""
    here = {part: OuterRef(f"live_release__{part}") for part in ("major", "minor", "patch", "precedence")}
    same_major = Q(major=here["major"])
    same_minor = same_major & Q(minor=here["minor"])
    above = (
        Q(major__gt=here["major"])
        | (same_major & Q(minor__gt=here["minor"]))
        | (same_minor & Q(patch__gt=here["patch"]))
        | (same_minor & Q(patch=here["patch"], precedence__gt=here["precedence"]))
    )
    return Release.objects.filter(above, service=OuterRef("service"), state=ReleaseState.SEALED)


def _first(rows: "QuerySet[Any]", shape: JSONObject) -> Subquery:
    return Subquery(rows.annotate(shape=shape).values("shape")[:1])


def _count(rows: "QuerySet[Any]", *, distinct: str = "pk") -> Subquery:
    # Grouped by nothing, so that the subquery gives one row: the count.
    return Subquery(
        rows.order_by()
        .annotate(n=Func(F(distinct), function="COUNT", template="%(function)s(DISTINCT %(expressions)s)"))
        .values("n")
    )
