"""One release on its way to production: where it is, what hinders it, and what came of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Prefetch, Q

from apps.accounts.enums import Capability
from apps.accounts.models import User
from apps.approvals.actions.facts import order_of, owner_of, path_of, release_facts
from apps.approvals.models import Promotion
from apps.approvals.page import changes_in, promotion_page
from apps.audit.models import AuditEvent
from apps.core.verdict import Verdict, refused
from apps.deployments.enums import DeploymentState
from apps.deployments.models import Deployment
from apps.environments.enums import Tier
from apps.environments.models import Lane
from apps.health.models import Trouble
from apps.incidents.models import Incident
from apps.policies import documents
from apps.policies.clauses import Gate, Owner
from apps.policies.gates import is_hotfix
from apps.policies.models import PolicyVersion
from apps.releases import events, manifests, notes, support
from apps.releases import permissions as release_permissions
from apps.releases.enums import ReleaseState
from apps.releases.events import EventBeside
from apps.releases.models import Evidence, Release
from apps.workspaces.models import Workspace
from apps.workspaces.rights import Rights

EVENTS_SHOWN = 8


@dataclass(frozen=True)
class Stop:
    """One environment on the way, as this release stands there."""

    lane: Lane
    promotion: Promotion | None
    last: Deployment | None
    succeeded: Deployment | None
    is_live: bool
    is_faulty: bool
    soaked: timedelta | None

    @property
    def tone(self) -> str:
        if self.last is not None and self.last.is_open:
            return self.last.tone
        if self.promotion is not None:
            return self.promotion.tone
        if self.is_live:
            return "bad" if self.is_faulty else "ok"
        if self.last is not None and self.last.state == DeploymentState.FAILED:
            return "bad"
        return "ok" if self.succeeded else "idle"

    @property
    def word(self) -> str:
        if self.last is not None and self.last.is_open:
            return self.last.label
        if self.promotion is not None:
            return self.promotion.label
        if self.is_live:
            return "Live, faulty" if self.is_faulty else "Live"
        if self.last is not None and self.last.state == DeploymentState.FAILED:
            return "Failed"
        return "Verified" if self.succeeded else "Not here yet"

    @property
    def is_now(self) -> bool:
        """Something goes on here at this moment, so the eye should land here."""
        return self.promotion is not None or (self.last is not None and self.last.is_open)

    @property
    def gate(self) -> tuple[str, str, str]:
        """Return tone, icon and words of the mark on the joint to the next environment."""
        if self.succeeded or self.is_live:
            return "", "check", "passed"
        return ("bad", "x", "failed here") if self.tone == "bad" else ("idle", "lock", "not passed yet")


@dataclass(frozen=True)
class Hurry:
    """Where an open incident lets the release be asked for as an emergency."""

    lane: Lane
    incident: Incident


def release_page(
    release: Release, *, by: User, workspaces: tuple[UUID, ...], rights: Rights, now: datetime
) -> dict[str, Any]:
    """This function will load what is shown of a release. Queries: the same number for every release; one more for a
    patch of what Production runs, three while there is an open incident.
    """
    stops = stops_of(release, workspaces=workspaces, now=now)
    asks = asks_of(release, stops, rights)
    offers = [stop for stop, verdict in asks.items() if verdict]
    focus = focus_of(stops)
    artifact = getattr(release, "artifact", None)
    may_release = release_permissions.may_release(by, release.service)
    may_quarantine = release_permissions.may_quarantine(by, release)
    [(_, supported)] = support.of_releases([release], today=now.date())
    return {
        "release": release,
        "supported": supported,
        "files": manifests.files_of(artifact.manifest) if artifact else [],
        "images": manifests.images_of(artifact.manifest) if artifact else [],
        "notes": notes.to_html(release.notes),
        "notes_url": release.notes_source if release.notes_source.startswith(("https://", "http://")) else "",
        "migrations": list(release.migrations.order_by("position")),
        "evidence": _evidence(release, workspaces),
        "traits": list(release.traits.all()),
        "may_declare": may_release or may_quarantine,
        "published": _published(release, workspaces),
        "brings": list(release.changes.order_by("position")),
        "stops": stops,
        "offers": offers,
        "hurries": hurries_of(release, asks, workspaces=workspaces, rights=rights),
        "rollouts": _rollouts(release, offers, rights),
        "why_not": _why_not(asks),
        "promotion": None,
        **(
            promotion_page(focus.promotion, by=by, now=now)
            if focus and focus.promotion
            else _what_next(release, offers)
        ),
        "others_open": [stop.promotion for stop in stops if stop.promotion and stop is not focus],
        "events": _events(release, stops, workspaces),
        "may_release": may_release,
        "may_quarantine": may_quarantine,
    }


def stops_of(release: Release, *, workspaces: tuple[UUID, ...], now: datetime) -> tuple[Stop, ...]:
    """This function will tell how the release stands in each environment of its service, first tier first."""
    lanes = Lane.objects.visible_in(workspaces).standing().filter(service=release.service_id).with_cell()
    lanes = lanes.prefetch_related(Prefetch("troubles", Trouble.objects.counting()))
    ordered = list(lanes.order_by("environment__position", "environment__name"))
    promotions = {
        promotion.lane_id: promotion
        for promotion in Promotion.objects.visible_in(workspaces).open().filter(release=release).with_subject()
    }
    attempts = Deployment.objects.visible_in(workspaces).filter(release=release).order_by("lane_id", "-number")
    last = {attempt.lane_id: attempt for attempt in attempts.distinct("lane_id")}
    good = attempts.filter(state=DeploymentState.SUCCEEDED).distinct("lane_id")
    succeeded = {attempt.lane_id: attempt for attempt in good}
    stops = []
    for lane in ordered:
        is_live, troubles = lane.live_release_id == release.pk, lane.troubles.all()
        is_faulty = any(trouble.stands for trouble in troubles)
        soaks_since = min(now, max([lane.live_since or now, *(trouble.since for trouble in troubles)]))
        stops.append(
            Stop(
                lane=lane,
                promotion=promotions.get(lane.pk),
                last=last.get(lane.pk),
                succeeded=succeeded.get(lane.pk),
                is_live=is_live,
                is_faulty=is_faulty,
                soaked=now - soaks_since if is_live and not is_faulty else None,
            )
        )
    return tuple(stops)


def asks_of(release: Release, stops: Sequence[Stop], rights: Rights) -> dict[Stop, Verdict]:
    """This function will say for each stop whether it makes sense to ask for a promotion there (one query)."""
    passed = _passed(release)
    return {stop: _may_ask(release, stop, passed, rights) for stop in stops}


def hurries_of(
    release: Release, asks: Mapping[Stop, Verdict], *, workspaces: tuple[UUID, ...], rights: Rights
) -> list[Hurry]:
    """This function will say where an emergency may be asked for: in Production, and where the usual way is longer."""
    own = release_facts(release)
    live = [stop.lane.live_release for stop in asks if stop.lane.environment.is_production]
    if not any(is_hotfix(own, release_facts(runs)) for runs in live if runs):
        return []
    incidents = list(Incident.objects.visible_in(workspaces).open().with_subject().order_by("severity", "declared_at"))
    if not incidents:
        return []
    passed, spared = _passed(release), _tiers_that_ask_for_none_before()
    found = []
    for stop, usual in asks.items():
        lane, tier = stop.lane, Tier(stop.lane.environment.tier)
        incident = next((each for each in incidents if each.concerns(lane)), None)
        if incident is None or (usual and not lane.environment.is_production):
            continue
        before = {str(tier.previous.label)} if tier.previous and (tier, owner_of(lane)) in spared else set()
        if _may_ask(release, stop, passed | before, rights):
            found.append(Hurry(lane, incident))
    return found


def _passed(release: Release) -> set[str]:
    # Asked past the viewer's scope: a customer's Production stands behind the platform's Staging.
    return {found.tier for found in path_of(release, Tier.PRODUCTION) if found.at}


def _tiers_that_ask_for_none_before() -> set[tuple[str, Owner]]:
    """Return the tiers, for each owner, whose policy lets an emergency come there first."""
    return {
        (version.tier, owner)
        for version in PolicyVersion.objects.filter(is_active=True)
        for owner in (Owner.PLATFORM, Owner.CUSTOMER)
        if documents.parse(version.document).for_owner(owner, in_emergency=True).clause_of(Gate.PREVIOUS_TIER) is None
    }


def _may_ask(release: Release, stop: Stop, passed: set[str], rights: Rights) -> Verdict:
    """Say whether it makes sense to offer the promotion; the action judges again, with everything that counts."""
    lane, promotion = stop.lane, stop.promotion
    name, where = f"{release.service} {release.version}", lane.environment.name
    if release.state != ReleaseState.SEALED:
        return refused("not_deployable", f"{name} is {release.label.lower()}: only a sealed release can be promoted.")
    if promotion is not None:
        return refused("already_open", f"Promotion #{promotion.number} asks for it in {where} already.")
    if lane.live_release_id == release.pk:
        return refused("already_runs", f"{name} runs in {where} already.")
    if lane.live_release is not None and order_of(release) < order_of(lane.live_release):
        return refused("version_too_low", f"{lane.live_release} in {where} is higher; to go back, roll back there.")
    previous = Tier(lane.environment.tier).previous
    if previous is not None and previous.label not in passed:
        return refused("tier_skipped", f"{name} has not succeeded in {previous.label} yet, so {where} has to wait.")
    return rights.may(Capability.PROMOTION_REQUEST, lane.workspace_id)


def _evidence(release: Release, workspaces: tuple[UUID, ...]) -> list[Evidence] | None:
    """Return the newest report of each thing; None for those who read the release of another workspace."""
    if release.workspace_id not in workspaces:
        return None
    newest = release.evidence.order_by("kind", "suite", "environment_id", "-received_at", "-pk")
    return list(newest.distinct("kind", "suite", "environment_id").select_related("environment"))


def _published(release: Release, workspaces: tuple[UUID, ...]) -> tuple[EventBeside, ...] | None:
    """Return its events beside what runs in Production; None where it lists none, or for who only reads the release."""
    found = events.beside(release.pk) if release.workspace_id in workspaces else None
    return found.events if found and found.is_listed else None


def focus_of(stops: Sequence[Stop]) -> Stop | None:
    """Return the stop whose gates are shown: the one furthest on the way."""
    return next((stop for stop in reversed(stops) if stop.promotion is not None), None)


def _rollouts(release: Release, offers: Sequence[Stop], rights: Rights) -> list[Workspace]:
    """Return the workspaces from which the release could go to several environments at once.

    From the one that owns it, to environments of others too.
    """
    count = Counter(stop.lane.workspace_id for stop in offers)
    found = [workspace for workspace, lanes in count.items() if lanes > 1]
    if len(offers) > 1 and rights.may(Capability.PROMOTION_REQUEST, release.workspace_id):
        found = [release.workspace_id]
    return list(Workspace.objects.filter(pk__in=found))


def _why_not(asks: Mapping[Stop, Verdict]) -> str:
    """Answer "why can't I promote it?" for the next stop, where nothing goes on and nothing is offered."""
    if any(verdict or stop.is_now for stop, verdict in asks.items()):
        return ""
    return next((why.sentence for stop, why in asks.items() if not stop.is_live and not stop.succeeded), "")


def _what_next(release: Release, offers: Sequence[Stop]) -> Mapping[str, Any]:
    """Show what would change in the environment that comes next, before anybody asks."""
    if not offers:
        return {}
    lane = offers[-1].lane
    newest = lane.configuration_versions.order_by("-number").first()
    return {"changes": changes_in(lane, release, newest.values if newest else {}), "next": offers[-1]}


def _events(release: Release, stops: Sequence[Stop], workspaces: tuple[UUID, ...]) -> list[AuditEvent]:
    promotions = release.promotions.filter(workspace_id__in=workspaces).values_list("pk", flat=True)
    attempts = release.deployments.filter(workspace_id__in=workspaces).values_list("pk", flat=True)
    about = Q(target_type="release", target_id=str(release.pk))
    about |= Q(target_type="promotion", target_id__in=[str(pk) for pk in promotions.order_by("-number")[:EVENTS_SHOWN]])
    about |= Q(target_type="deployment", target_id__in=[str(pk) for pk in attempts.order_by("-number")[:EVENTS_SHOWN]])
    return list(AuditEvent.objects.visible_in(workspaces).filter(about).newest_first()[:EVENTS_SHOWN])
