"""Asking that a release comes to a lane."""

from datetime import datetime

from django.db import connection, transaction

from apps.accounts.enums import Capability
from apps.accounts.models import User
from apps.approvals import permissions
from apps.approvals.actions.facts import emergency_facts, open_case, order_of, path_of, release_facts
from apps.approvals.actions.requirements import ask_for
from apps.approvals.actions.settling import lock, settle_locked
from apps.approvals.enums import WAITING, PromotionState
from apps.approvals.ledger import record
from apps.approvals.models import Promotion
from apps.approvals.transitions import advance
from apps.audit.actors import Actor, actor_of
from apps.configuration.models import ConfigurationVersion
from apps.core.texts import one_line
from apps.core.verdict import Conflict, Invalid
from apps.environments.models import Lane
from apps.incidents.models import Incident
from apps.policies.clauses import Gate
from apps.policies.gates import is_hotfix
from apps.releases.enums import ReleaseState
from apps.releases.models import Release
from apps.workspaces import rights


class WrongLane(Invalid):
    """The lane, or the configuration, belongs to something else."""

    code = "wrong_lane"


class LaneGone(Conflict):
    code = "lane_gone"
    next_step = "Choose another environment."


class NoConfiguration(Conflict):
    code = "no_configuration"
    next_step = "Write a configuration version for the service there first."


class NotDeployable(Conflict):
    """The release is a draft, in quarantine or retired."""

    code = "not_deployable"
    next_step = "Choose a sealed release."


class TierSkipped(Conflict):
    code = "tier_skipped"
    next_step = "Ask for the missing tier first."


class VersionTooLow(Conflict):
    code = "version_too_low"
    next_step = "To go back, use the rollback of the service in this environment."


class NoEmergency(Conflict):
    """The incident is over, or concerns something else, or the release is more than a patch of what Production runs."""

    code = "no_emergency"
    next_step = "Ask for it as an ordinary promotion, or release a patch of what Production runs."


class AlreadyRuns(Conflict):
    code = "already_runs"
    next_step = "To change its settings, write a new configuration version and ask for that."


class AlreadyOpen(Conflict):
    """There is a promotion of this release to this lane that has not ended."""

    code = "already_open"
    next_step = "Go on with that one, or withdraw it."


@transaction.atomic
def request_promotion(
    release: Release,
    *,
    lane: Lane,
    by: User | Actor,
    now: datetime,
    configuration: ConfigurationVersion | None = None,
    reason: str = "",
    starts_by_itself: bool = True,
    incident: Incident | None = None,
) -> Promotion:
    """This function will ask that a release comes to a lane, with its newest configuration there or the one given.

    With an open incident that concerns the lane it is an emergency: freezes and windows let a patch of what Production
    runs pass while the incident is open (ADR 0087). Waiting promotions of lower versions to the same lane are
    superseded. The gates are judged at once.
    Raises Denied: `by` may not ask. Raises WrongLane, LaneGone, NoConfiguration, NotDeployable, TierSkipped,
    VersionTooLow, NoEmergency, AlreadyRuns, AlreadyOpen: as they say. Raises TextInvalid: for the reason.
    """
    reason = one_line(reason, name="The reason", limit=300, required=False)
    _take_turns(lane)
    lane = Lane.objects.with_cell().get(pk=lane.pk)
    release = Release.objects.select_related("service").get(pk=release.pk)
    _require_place(release, lane)
    promotion = Promotion(
        workspace_id=lane.workspace_id,
        release=release,
        lane=lane,
        configuration=_configuration(lane, configuration),
        starts_by_itself=starts_by_itself,
        reason=reason,
        incident=incident,
        requested_at=now,
        requested_by=by if isinstance(by, User) else None,
        requested_by_label=actor_of(by).label[:150],
    )
    case = open_case(promotion)
    right = rights.may(by, Capability.PROMOTION_REQUEST, lane.workspace_id, lane.environment)
    needs_people = bool(case.policy.clauses_of(Gate.APPROVALS))
    permissions.may_request(by, right=right, needs_people=needs_people).require()
    asks_for_previous = case.policy.clause_of(Gate.PREVIOUS_TIER) is not None
    _require_release(release, lane, asks_for_previous=asks_for_previous, in_emergency=promotion.is_emergency)
    if incident is not None:
        _require_emergency(promotion, incident)
    _require_news(promotion)
    promotion.plan, promotion.plan_hash = case.plan, case.plan_hash
    promotion.policy_version = case.policy_version
    promotion.expires_at = now + case.policy.request_lasts
    promotion.save(force_insert=True)
    promotion = lock(promotion.pk)
    _record(promotion, by=by)
    ask_for(promotion, case.policy, now=now)
    _supersede_lower(promotion, by=by, now=now)
    return settle_locked(promotion, now=now)


def _take_turns(lane: Lane) -> None:
    """Let one asker at a time go on for a lane, so that each finds what the one before asked for.

    Not by the row's lock: the engine holds that one while it starts and ends attempts, and needs none of this.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"promotion to {lane.pk}"])


def _require_place(release: Release, lane: Lane) -> None:
    if release.service_id != lane.service_id:
        raise WrongLane(f"{release.service} does not run in this lane of {lane.environment}, {lane.service} does.")
    if lane.removed_at or lane.environment.destroyed_at:
        raise LaneGone(f"{lane.service} is no longer in {lane.environment}.")


def _configuration(lane: Lane, wanted: ConfigurationVersion | None) -> ConfigurationVersion:
    if wanted is not None and wanted.lane_id != lane.pk:
        raise WrongLane(f"Configuration {wanted} is not one of {lane.service} in {lane.environment}.")
    found = wanted or lane.configuration_versions.order_by("-number").first()
    if found is None:
        raise NoConfiguration(f"{lane.service} has no configuration in {lane.environment} yet.")
    return found


def _require_release(release: Release, lane: Lane, *, asks_for_previous: bool, in_emergency: bool) -> None:
    named = f"{release.service} {release.version}"
    if release.state != ReleaseState.SEALED:
        why = f": “{release.quarantine_reason}”" if release.quarantine_reason else ""
        raise NotDeployable(f"{named} is {release.label.lower()}{why}.")
    path = path_of(release, lane.environment.tier) if asks_for_previous else ()
    if path and path[-1].at is None:
        missing = [passed.tier for passed in (path[-1:] if in_emergency else path) if passed.at is None]
        raise TierSkipped(
            f"{named} has not succeeded in {path[-1].tier} yet, so it can't come to {lane.environment}. "
            f"Missing: {', '.join(missing)}.",
            next_step=f"Ask for {missing[0]} first.",
        )
    if lane.live_release and order_of(release) < order_of(lane.live_release):
        raise VersionTooLow(f"{named} is lower than {lane.live_release}, which runs in {lane.environment}.")


def _require_emergency(promotion: Promotion, incident: Incident) -> None:
    lane, release = promotion.lane, promotion.release
    if not Incident.objects.open().concerning(lane).filter(pk=incident.pk).exists():
        raise NoEmergency(f"Incident {incident} is not an open one of {lane.service} in {lane.environment}.")
    facts = emergency_facts(promotion)
    if facts is None or not is_hotfix(release_facts(release), facts.production):
        runs = facts.production.version if facts and facts.production else "nothing"
        raise NoEmergency(f"{release.service} {release} is not a patch of what Production runs: {runs}.")


def _require_news(promotion: Promotion) -> None:
    lane, release = promotion.lane, promotion.release
    if (release.pk, promotion.configuration.pk) == (lane.live_release_id, lane.live_configuration_id):
        raise AlreadyRuns(
            f"{release.service} {release} runs in {lane.environment} already, with configuration "
            f"{promotion.configuration}."
        )
    if there := Promotion.objects.open().filter(release=release, lane=lane).first():
        raise AlreadyOpen(
            f"Promotion #{there.number} asks for {release.service} {release} in {lane.environment} already; "
            f"it is {there.label.lower()}."
        )


def _record(promotion: Promotion, *, by: User | Actor) -> None:
    record(
        promotion,
        "promotion.requested",
        f"was asked for by {promotion.requested_by_label}{_why_emergency(promotion)}",
        by=by,
        after={
            "release": promotion.release.version,
            "configuration": promotion.configuration.number,
            "plan_hash": promotion.plan_hash,
            "starts_by_itself": promotion.starts_by_itself,
            **({"incident": promotion.incident.number} if promotion.incident else {}),
        },
        reason=promotion.reason,
    )


def _why_emergency(promotion: Promotion) -> str:
    return f" as an emergency, for incident {promotion.incident}" if promotion.incident else ""


def _supersede_lower(promotion: Promotion, *, by: User | Actor, now: datetime) -> None:
    waiting = Promotion.objects.waiting().filter(lane_id=promotion.lane_id).exclude(pk=promotion.pk)
    for pk in list(waiting.order_by("pk").values_list("pk", flat=True)):
        older = lock(pk)
        if older.state in WAITING and order_of(older.release) < order_of(promotion.release):
            why = f"Promotion #{promotion.number} asks for the higher version {promotion.release}."
            sentence = f"was superseded. {why}"
            advance(older, PromotionState.SUPERSEDED, by=by, now=now, sentence=sentence, outcome=why)
