"""All that the page of one deployment shows beside its log."""

from datetime import datetime
from statistics import median
from typing import Any

from django.conf import settings
from django.db.models import BooleanField, ExpressionWrapper, Q

from apps.accounts.models import User
from apps.approvals.actions.facts import order_of
from apps.approvals.checklists import by_phase, shown_checklists
from apps.approvals.enums import PromotionState
from apps.approvals.models import Decision, Waiver
from apps.configuration.difference import changed_keys
from apps.core.clock import clock_in
from apps.deployments import actions, permissions, watching
from apps.deployments.enums import UNTOUCHED, DeploymentKind, DeploymentState, StepVerdict
from apps.deployments.forms import RollbackForm
from apps.deployments.measured import alerts_around, measured_context
from apps.deployments.models import Deployment, Step
from apps.deployments.progress import last_tries, progress_of, usual_of
from apps.environments import permissions as environment_permissions
from apps.environments.models import ArtifactAnswer, Hold, Lane
from apps.health import links
from apps.health.links import Link
from apps.incidents import permissions as incident_permissions
from apps.incidents.models import Incident
from apps.policies.checklists import Phase


def deployment_page(deployment: Deployment, *, by: User, now: datetime) -> dict[str, Any]:
    """This function will load what the page shows. Queries: the same number for every deployment."""
    hold = Hold.objects.open().filter(lane_id=deployment.lane_id).first()
    return {
        **progress_context(deployment, now=now),
        **_controls(deployment, hold, by=by, now=now),
        **measured_context(deployment, now=now),
        "alerts": alerts_around(deployment, now=now),
        "decisions": _decisions(deployment),
        "waivers": list(Waiver.objects.of(deployment.promotion_id)),
        **_checklists(deployment, by=by, now=now),
        "transitions": list(deployment.transitions.order_by("n")),
        "changed_keys": _changed_keys(deployment),
        "hold": hold,
        "links": _links(deployment, now=now),
        **_incidents(deployment, by=by),
        "is_watched": _is_current(deployment) and deployment.lane.is_watched_closely(now),
    }


def rollback_offer(lane: Lane) -> dict[str, Any]:
    """This function will tell what one click would bring back, how long that has taken, or why nothing can be."""
    target = actions.rollback_target(lane)
    before = Deployment.objects.filter(
        lane=lane, kind=DeploymentKind.ROLLBACK, state=DeploymentState.SUCCEEDED, started_at__isnull=False
    )
    took = [deployment.took.total_seconds() for deployment in before.order_by("-number")[:5] if deployment.took]
    return {
        "target": target if target else None,
        "no_target": None if target else target,
        "rollback_took": median(took) if took else None,
        "kept_releases": _kept_releases(lane),
    }


def _kept_releases(lane: Lane) -> list[ArtifactAnswer]:
    """Return what was said of the last releases where the lane takes them from, what runs first; `is_old` of answers
    that should have been given anew long ago.
    """
    old = ExpressionWrapper(Q(answered_at__lt=clock_in(-2 * settings.ARTIFACTS_EVERY)), output_field=BooleanField())
    rows = ArtifactAnswer.objects.filter(lane=lane).select_related("release").annotate(is_old=old)
    return sorted(rows, key=lambda row: (row.release_id == lane.live_release_id, order_of(row.release)), reverse=True)


def progress_context(deployment: Deployment, *, now: datetime) -> dict[str, Any]:
    """This function will load what the live part of the page shows: how far it is, step by step."""
    steps = last_tries(deployment.steps.order_by("seq", "attempt"))
    usual, rollback = usual_of(deployment), deployment.rollbacks.order_by("-number").first()
    is_rollback = deployment.kind == DeploymentKind.ROLLBACK
    # Users wait for a rollback from when it was asked for.
    began = deployment.requested_at if is_rollback else deployment.started_at or deployment.requested_at
    return {
        "deployment": deployment,
        "rollback": rollback,
        "calls_at": _calls_at(deployment),
        "now": now,
        "is_untouched": deployment.state in UNTOUCHED or not any(map(_reaches_target, steps)),
        "progress": progress_of(deployment, steps, usual, now=now),
        "step_of": {step.seq: step for step in steps},
        "usual": usual,
        "began": began,
        "elapsed": (deployment.ended_at or now) - began,
        "limit": settings.ENGINE_ROLLBACK_LIMIT if is_rollback else None,
        "failed_step": next((step for step in steps if step.verdict == StepVerdict.FAILED), None),
    }


def _calls_at(deployment: Deployment) -> datetime | None:
    """Return from when on a person is called if nobody can tell by then how the attempt stands."""
    since = deployment.unknown_since if deployment.state == DeploymentState.UNKNOWN else None
    return since + settings.ENGINE_UNKNOWN_ALARM if since else None


def _reaches_target(step: Step) -> bool:
    return step.started_at is not None and step.intent.get("state") != DeploymentState.STARTING


def _links(deployment: Deployment, *, now: datetime) -> list[Link]:
    """Return where to look on: from before the start until what it brought is watched no more, or now."""
    began, place = deployment.started_at or deployment.requested_at, deployment.lane.environment
    return links.links(
        service=deployment.lane.service.slug,
        environment=place.slug,
        workspace=place.workspace.slug,
        version=deployment.release.version,
        since=began - links.BEFORE,
        until=min(watching.over_at(deployment, deployment.lane) or now, now),
    )


def _incidents(deployment: Deployment, *, by: User) -> dict[str, Any]:
    """Return the incidents that it is linked to, and whether one may be declared of what ended badly or was undone."""
    found: dict[str, Any] = {"incidents": Incident.objects.filter(entries__deployment=deployment).order_by("-number")}
    if deployment.tone == "bad" or deployment.kind == DeploymentKind.ROLLBACK or deployment.rollbacks.exists():
        found["may_declare"] = incident_permissions.may_declare(by, deployment.lane.environment.workspace)
    return found


def _is_current(deployment: Deployment) -> bool:
    """Say whether it is under way, or what it brought serves."""
    return deployment.is_open or deployment.lane.live_release_id == deployment.release_id


def _is_left(deployment: Deployment) -> bool:
    """Say whether it failed and stays as it is until a person goes back or on."""
    if not deployment.rollback_withheld:
        return False
    later = Deployment.objects.filter(lane=deployment.lane, number__gt=deployment.number)
    return not later.filter(state=DeploymentState.SUCCEEDED).exists()


def _decisions(deployment: Deployment) -> list[Decision]:
    if deployment.promotion_id is None:
        return []
    standing = Decision.objects.standing().filter(promotion_id=deployment.promotion_id)
    return list(standing.with_people())


def _checklists(deployment: Deployment, *, by: User, now: datetime) -> dict[str, Any]:
    promotion = deployment.promotion
    if promotion is None:
        return {}
    promotion.lane = deployment.lane
    checklists = by_phase(shown_checklists(promotion, by, now=now))
    return {"before_start": checklists[Phase.PRE], "checklists": checklists[Phase.POST]}


def _changed_keys(deployment: Deployment) -> tuple[Any, ...]:
    before = deployment.from_configuration.values if deployment.from_configuration else {}
    return changed_keys(before, deployment.configuration.values)


def _controls(deployment: Deployment, hold: Hold | None, *, by: User, now: datetime) -> dict[str, Any]:
    """Return the verdicts of the buttons that make sense as the attempt stands, and nothing for the others."""
    controls: dict[str, Any] = {}
    if deployment.is_open:
        controls["may_cancel"] = actions.may_cancel(by, deployment)
    elif _is_current(deployment) or _is_left(deployment):
        controls["may_roll_back"] = permissions.may_roll_back(by, deployment.lane)
        controls |= rollback_offer(deployment.lane) | {"rollback_form": RollbackForm()}
    promotion = deployment.promotion
    if not deployment.is_open and promotion is not None and promotion.state == PromotionState.READY:
        promotion.lane = deployment.lane
        # It stays ready until its next attempt is claimed.
        if not Deployment.objects.open().filter(lane=deployment.lane).exists():
            controls["may_start"] = permissions.may_start(by, promotion)
    if deployment.state == DeploymentState.UNKNOWN:
        controls["may_look_again"] = permissions.may_look_again(by, deployment, now=now)
    if deployment.state in (DeploymentState.UNKNOWN, DeploymentState.CANCELLING):
        controls["may_abandon"] = permissions.may_abandon(by, deployment, now=now)
    if hold is not None:
        controls["may_lift_hold"] = environment_permissions.may_lift_hold(by, deployment.lane)
    return controls
