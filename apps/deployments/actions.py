"""What people and programs do with deployments."""

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction

from apps.accounts.models import User
from apps.approvals import actions as approval_actions
from apps.approvals.enums import PromotionState
from apps.approvals.models import Promotion
from apps.audit import actions as audit
from apps.audit.actors import SYSTEM, Actor
from apps.core import clock, hints, live
from apps.core.texts import one_line
from apps.core.verdict import Conflict, Verdict
from apps.deployments import permissions, transitions, wording
from apps.deployments.engine import locks, rollback, start
from apps.deployments.engine.orders import executor_of
from apps.deployments.engine.rollback import RollbackTarget
from apps.deployments.engine.start import LaneBusy, LaneRemoved, NotReady
from apps.deployments.enums import DeploymentState
from apps.deployments.models import Deployment
from apps.environments import actions as environment_actions
from apps.environments.models import Freeze, Hold, Lane, Window
from apps.environments.windows import WindowRule, is_open
from apps.releases.models import Release

__all__ = [
    "DataNotRestored",
    "LaneBusy", "LaneRemoved", "NoRollbackTarget", "NotReady", "RollbackTarget", "abandon_deployment",
    "cancel_deployment", "decline_abandonment", "look_again", "may_cancel", "passed", "roll_back",
    "rollback_target", "start_deployment",
]  # fmt: skip


class NoRollbackTarget(Conflict):
    code = "no_rollback_target"
    next_step = "Deploy a newer release instead."


class DataNotRestored(Conflict):
    """What would be brought back can't read the data as it is now."""

    code = "data_not_restored"
    next_step = (
        "Nothing was changed. Restore the data as the procedure of the migration says and tick that it is done, or "
        "deploy a newer release."
    )


@transaction.atomic
def start_deployment(promotion: Promotion, *, by: User | Actor, now: datetime) -> Deployment:
    """This function will queue the attempt of a promotion that is ready, and wake a worker.

    Raises LaneBusy: another attempt holds the lane; names it. Raises NotReady: the promotion is not ready.
    Raises Denied: this person may not.
    """
    permissions.may_begin(by, promotion).require()
    return start.start(promotion, by=by, now=now)


@transaction.atomic
def cancel_deployment(deployment: Deployment, *, reason: str, by: User, now: datetime) -> Deployment:
    """This function will end an attempt that waits, or leave the wish to end it, which its owner obeys at each beat.

    Raises Denied: this person may not, or it has ended. Raises TextInvalid: for the reason, which must be given.
    """
    reason = one_line(reason, name="The reason", limit=300)
    deployment = locks.deployment(deployment.pk)
    may_cancel(by, deployment).require()
    if deployment.state == DeploymentState.QUEUED:
        why = f"Cancelled by {by}: {reason}"
        transitions.advance(deployment, DeploymentState.CANCELLED, by=by, now=now, why=why)
        if deployment.promotion is not None:
            approval_actions.mark(deployment.promotion, PromotionState.PENDING, by=by, now=now, outcome=why)
        return deployment
    deployment.cancel_requested_at, deployment.cancel_requested_by, deployment.cancel_reason = now, by, reason
    deployment.save(update_fields=["cancel_requested_at", "cancel_requested_by", "cancel_reason"])
    words = f"Asked to cancel {wording.subject(deployment)} while {deployment.label.lower()}"
    _record(deployment, "deployment.cancel_requested", words, reason=reason, by=by)
    hints.wake("deployments.cancel", deployment.pk)
    return deployment


@transaction.atomic
def look_again(deployment: Deployment, *, by: User) -> Deployment:
    """This function will have the target asked at once how a lost attempt stands, and not when its next look is due.

    What follows from the answer is the engine's: it is adopted, tried once more where that is safe, or taken back.
    Raises Denied: this person may not, it is known, or the target is being asked.
    """
    deployment = locks.deployment(deployment.pk)
    now = clock.now()  # whoever waited for the lock with an older moment would not see that it is being asked
    permissions.may_look_again(by, deployment, now=now).require()
    due, deployment.probe_after = deployment.probe_after, now
    deployment.save(update_fields=["probe_after"])
    words = f"Asked to look now how {wording.subject(deployment)} stands"
    _record(
        deployment,
        "deployment.look_requested",
        words,
        reason="",
        by=by,
        change=({"probe_after": due}, {"probe_after": now}),
    )
    hints.wake("deployments.run", deployment.pk)
    return deployment


def may_cancel(by: User, deployment: Deployment) -> Verdict:
    """This function will say whether somebody may cancel a deployment, as its executor is able to."""
    return permissions.may_cancel(by, deployment, is_stoppable=executor_of(deployment.lane).can.cancel)


@transaction.atomic
def roll_back(
    lane: Lane,
    *,
    to: Release | None = None,
    reason: str,
    is_restored: bool = False,
    by: User | Actor,
    now: datetime,
) -> Deployment:
    """This function will bring back the release that ran well before, or `to`; freeze, hold and window do not stop it.

    `is_restored`: the person says that the data is as it was before the forward-only migrations since.
    Raises NoRollbackTarget: with the reasons why none can be brought back. Raises LaneBusy: as `start_deployment`.
    Raises NotAsked: what could be brought back changed just now.
    Raises DataNotRestored: a forward-only migration may have run since, and nobody says that the data was restored.
    """
    reason = one_line(reason, name="The reason", limit=300)
    lane = Lane.objects.with_cell().get(pk=lane.pk)
    said = rollback.ask(lane, rollback.candidates(lane, to))
    lane = locks.lane(lane.pk)
    permissions.may_roll_back(by, lane).require()
    start.require_free(lane, now=now)
    target = rollback.target_for(lane, said) if to is None else _target_named(lane, to, said)
    if isinstance(target, Verdict):
        raise NoRollbackTarget(target.sentence)
    why = passed(lane, now)
    if target.forward_only:
        names = ", ".join(migration.name for migration in target.forward_only)
        if not is_restored:
            raise DataNotRestored(
                f"{target.release.version} can't read the data since {names} ran, which is forward-only."
            )
        why = f"{why} The data was restored to before {names}, says {by}.".strip()
    return start.start_rollback(lane, target=target, reason=reason, why=why, by=by, now=now)


@transaction.atomic
def abandon_deployment(deployment: Deployment, *, reason: str, by: User, now: datetime) -> Deployment:
    """This function will give an attempt up that nobody can find out about; its lane gets a hold.

    In Production the first person's word is kept as a proposal, and the second person's ends the attempt.
    Raises Denied: this person may not, or the engine can still tell.
    Raises TextInvalid: for the reason, which must be given.
    """
    reason = one_line(reason, name="The reason", limit=300)
    deployment = locks.deployment(deployment.pk)
    permissions.may_abandon(by, deployment, now=now).require()
    why = f"Abandoned by {by}: {reason}"
    if first := deployment.abandon_proposed_by:
        why = f"Abandoned by {first} ({deployment.abandon_reason}) and {by}: {reason}"
    elif deployment.lane.environment.is_production:
        return _propose_abandonment(deployment, reason=reason, by=by, now=now)
    transitions.advance(deployment, DeploymentState.ABANDONED, by=by, now=now, why=why)
    environment_actions.set_hold(
        deployment.lane, reason=f"{deployment} was abandoned: {reason}"[:300], deployment_id=deployment.pk,
        by=SYSTEM, now=now,
    )  # fmt: skip
    if deployment.promotion is not None:
        approval_actions.mark(deployment.promotion, PromotionState.FAILED, by=by, now=now, outcome=why)
    return deployment


@transaction.atomic
def decline_abandonment(deployment: Deployment, *, reason: str, by: User) -> Deployment:
    """This function will turn the proposal to abandon an attempt down: it goes on being asked about.

    Raises Denied: this person may not, or nobody proposes it any more.
    """
    reason = one_line(reason, name="The reason", limit=300)
    deployment = locks.deployment(deployment.pk)
    permissions.may_decline(by, deployment).require()
    words = f"Declined to abandon {wording.subject(deployment)}, as {deployment.abandon_proposed_by} had proposed"
    proposed_by = deployment.abandon_proposed_by
    _set_proposal(deployment, at=None, by=None, reason="")
    _record(
        deployment, "deployment.abandonment_declined", words, reason=reason, by=by,
        people=[proposed_by] if proposed_by else (),
    )  # fmt: skip
    return deployment


def _propose_abandonment(deployment: Deployment, *, reason: str, by: User, now: datetime) -> Deployment:
    _set_proposal(deployment, at=now, by=by, reason=reason)
    words = f"Proposed to abandon {wording.subject(deployment)}; another person has to agree"
    _record(deployment, "deployment.abandonment_proposed", words, reason=reason, by=by)
    return deployment


def _set_proposal(deployment: Deployment, *, at: datetime | None, by: User | None, reason: str) -> None:
    deployment.abandon_proposed_at, deployment.abandon_proposed_by, deployment.abandon_reason = at, by, reason
    deployment.save(update_fields=["abandon_proposed_at", "abandon_proposed_by", "abandon_reason"])


def _record(
    deployment: Deployment,
    kind: str,
    summary: str,
    *,
    reason: str,
    by: User,
    change: tuple[audit.Change, audit.Change] = ({}, {}),
    people: Iterable[User] = (),
) -> None:
    audit.record(
        kind,
        by=by,
        target=deployment,
        target_details={"release": deployment.release.version},
        summary=summary,
        reason=reason,
        before=change[0],
        after=change[1],
        environment_id=deployment.lane.environment_id,
        service_id=deployment.lane.service_id,
        causation={"deployment_id": str(deployment.pk), "fence": deployment.fence},
        people=people,
    )
    live.hint(deployment.workspace_id, f"deployment:{deployment.pk}", f"lane:{deployment.lane_id}")


def rollback_target(lane: Lane) -> RollbackTarget | Verdict:
    """This function will find what one click would bring back, else a refusal (falsy) that says why nothing can be."""
    return rollback.target_for(Lane.objects.with_cell().get(pk=lane.pk))


def passed(lane: Lane, now: datetime) -> str:
    """This function will say loudly what a rollback passes now; empty for nothing."""
    what = [f"the freeze “{freeze.reason}”" for freeze in Freeze.objects.in_force(now).over(lane)]
    what += [f"the hold “{hold.reason}”" for hold in Hold.objects.open().filter(lane=lane)]
    rules = tuple(
        WindowRule(rule.kind, frozenset(rule.weekdays), rule.starts_at, rule.ends_at, rule.zone, rule.label)
        for rule in Window.objects.filter(environment_id=lane.environment_id)
    )
    if not is_open(rules, now):
        what.append("the closed deployment window")
    return f"Passes {' and '.join(what)}." if what else ""


def _target_named(lane: Lane, release: Release, said: rollback.Said) -> RollbackTarget | Verdict:
    if release.pk == lane.live_release_id and not rollback.is_adrift(lane):
        raise NoRollbackTarget(f"{release.version} runs here now.")
    earlier = rollback.candidates(lane, release)
    if not earlier:
        raise NoRollbackTarget(f"{release.version} has never run well here.")
    return rollback.usable(lane, earlier[0], said)
