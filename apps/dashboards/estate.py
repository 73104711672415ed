"""What the pages of environments show, from live data."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.functions import JSONObject

from apps.accounts.models import Role, User
from apps.configuration import permissions as configuration_permissions
from apps.configuration.models import ConfigurationVersion
from apps.core import charts
from apps.dashboards import needs, places
from apps.dashboards.band import TO, hours_of
from apps.dashboards.places import Place
from apps.deployments.engine.orders import is_observed
from apps.environments import permissions
from apps.environments.enums import FreezeScope, Health, Tier
from apps.environments.models import Environment, Freeze, Hold, Lane, Window
from apps.health import links, standing
from apps.health.links import Link
from apps.health.models import Alert, HealthSample
from apps.health.standing import Standing
from apps.incidents import permissions as incident_permissions
from apps.incidents.models import Incident
from apps.policies.clauses import Gate, When
from apps.releases import support

SAMPLES = 60
LOCKED = ("environment", "service", "live_release", "live_configuration")


@dataclass(frozen=True)
class Approval:
    """Who must approve there, in words; nobody where the policy asks for none."""

    roles: tuple[str, ...]
    clauses: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.roles)


def approval_of(place: Place, labels: dict[str, str]) -> Approval:
    """Return what the policy in force asks for in this environment; a customer's has clauses of its own."""
    owner = "PLATFORM" if place.environment.workspace.deployment_model == "PLATFORM" else "CUSTOMER"
    clauses = [
        clause
        for clause in (place.document or {}).get("clauses", ())
        if clause["gate"] == Gate.APPROVALS
        and clause.get("when") != When.EMERGENCY
        and clause.get("owner", "ALL") in ("ALL", owner)
    ]
    roles = [str(clause.get("settings", {}).get("role", "")) for clause in clauses]
    return Approval(tuple(labels.get(role, role) for role in roles), tuple(clause["id"] for clause in clauses))


def table(workspaces: tuple[UUID, ...], freezes: Sequence[Freeze], *, now: datetime) -> list[dict[str, Any]]:
    """Return a line for each environment: what the strategy's tables say, as it is now. Queries: two, and two
    more where a policy asks something of environments themselves.
    """
    labels, found = role_labels(), places.load(workspaces, freezes, now=now)
    tallies = needs.tallies(found)
    return [
        {
            "place": place,
            "approval": approval_of(place, labels),
            "hours": [hours_of(rule) for rule in place.windows],
            "needs": tallies.get(place.id),
        }
        for place in found
    ]


def role_labels() -> dict[str, str]:
    return dict(Role.objects.values_list("code", "label"))


@dataclass(frozen=True)
class LaneLine:
    """One service in the environment, with its last health samples as a line."""

    lane: Any
    spark: charts.Line | None
    checked: int
    faulty: int
    newest_configuration: int | None
    hold: str
    alerts: str
    checks: Standing
    is_watched: bool
    is_observed: bool
    ends_date: date | None
    is_over: bool
    links: Sequence[Link]

    @property
    def tone(self) -> str:
        return Health(self.lane.health).tone

    @property
    def word(self) -> str:
        return Health(self.lane.health).label

    @property
    def history(self) -> str:
        """The samples in words, for whoever can't see the line."""
        if not self.checked:
            return "No health check yet"
        return f"{self.checked - self.faulty} of the last {self.checked} checks answered well"


def lanes(environment: Environment, *, now: datetime) -> list[LaneLine]:
    """Return the services of an environment, in one query."""
    sample = JSONObject(ms="latency_ms", verdict="verdict")
    samples = HealthSample.objects.filter(lane=OuterRef("pk")).order_by("-checked_at").annotate(sample=sample)
    newest = ConfigurationVersion.objects.filter(lane=OuterRef("pk")).order_by("-number").values("number")[:1]
    found = Lane.objects.filter(environment=environment, removed_at=None).select_related(*LOCKED)
    found = found.annotate(
        samples=ArraySubquery(samples.values("sample")[:SAMPLES]),
        newest=Subquery(newest),
        fires=Alert.objects.firing().names_of_lane(),
        hold=Subquery(Hold.objects.open().filter(lane=OuterRef("pk")).values("reason")[:1]),
        check_counts=standing.counts(),
        ends_date=support.end_of_what_runs(),
    )
    return [_line(lane, environment, now) for lane in found.order_by("service__name")]


def _line(lane: Any, environment: Environment, now: datetime) -> LaneLine:
    samples = lane.samples[::-1]
    points = [(float(n), sample["ms"]) for n, sample in enumerate(samples)]
    checks = Standing.read(lane.check_counts)
    return LaneLine(
        lane=lane,
        spark=charts.line(points) if any(value is not None for _, value in points) else None,
        checked=len(samples),
        faulty=sum(sample["verdict"] == Health.FAULTY for sample in samples),
        newest_configuration=lane.newest,
        hold=lane.hold or "",
        alerts=lane.fires or "",
        checks=checks,
        is_watched=lane.is_watched_closely(now),
        is_observed=is_observed(lane.executor) or checks.naming > 0,
        ends_date=lane.ends_date,
        is_over=lane.ends_date is not None and lane.ends_date <= now.date(),
        links=links.links(
            service=lane.service.slug,
            environment=environment.slug,
            workspace=environment.workspace.slug,
            version=lane.live_release.version if lane.live_release else "",
            since=now - links.LATELY,
            until=now,
        ),
    )


@dataclass(frozen=True)
class WindowLine:
    """A window in the zone in which it is written, and today's span as the viewer's clock has it."""

    window: Window
    hours: str
    viewers: str


def windows(environment: Environment, *, now: datetime, zone: ZoneInfo) -> list[WindowLine]:
    return [
        WindowLine(window, hours_of(places.rule(window)), _viewers(window, now=now, zone=zone))
        for window in environment.windows.all()
    ]


def _viewers(window: Window, *, now: datetime, zone: ZoneInfo) -> str:
    day = now.astimezone(ZoneInfo(window.zone)).date()
    moments = [
        datetime.combine(day, wall, tzinfo=ZoneInfo(window.zone)).astimezone(zone)
        for wall in (window.starts_at, window.ends_at)
    ]
    return f"{moments[0]:%H:%M}{TO}{moments[1]:%H:%M} {moments[0]:%Z}"


def freezes_of(environment: Environment, freezes: Sequence[Freeze]) -> list[Freeze]:
    """Return those of the freezes in force that hold something here."""
    return [
        freeze
        for freeze in freezes
        if places.is_frozen_by(freeze, environment)
        or (freeze.lane is not None and freeze.lane.environment_id == environment.pk)
    ]


def open_incidents(environment: Environment) -> "QuerySet[Incident]":
    """Return what goes wrong there now, or in all of its workspace; the newest of a storm."""
    return Incident.objects.open().touching(environment).order_by("-number")[:5]


def verdicts(user: User, environment: Environment) -> dict[str, Any]:
    """Return what this person may do here. Queries: the same number for every environment."""
    return {
        "may_manage": permissions.may_manage(user, environment),
        "may_destroy": permissions.may_destroy(user, environment),
        "may_prepare": permissions.may_prepare(user, environment),
        "may_freeze": permissions.may_freeze(
            user, environment.workspace, scope=FreezeScope.ENVIRONMENT, environment=environment
        ),
        "may_watch": permissions.may_watch_closely(user, environment),
        "may_declare": incident_permissions.may_declare(user, environment.workspace),
        "is_local": environment.tier == Tier.LOCAL,
    }


def may_configure(user: User, lane: Lane) -> Any:
    return configuration_permissions.may_configure(user, lane)


def versions(lane: Lane) -> "QuerySet[ConfigurationVersion]":
    return ConfigurationVersion.objects.filter(lane=lane).select_related("created_by")
