"""How an attempt ends: each ending is one transaction that only the owner of the last fence can make.

What runs in a lane is written when it is proved and not before, in the transaction that says SUCCEEDED (ADR 0020).
"""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.conf import settings

from apps.approvals import actions as approval_actions
from apps.approvals.enums import PromotionState
from apps.approvals.models import Promotion
from apps.audit import actions as audit
from apps.audit.actors import SYSTEM
from apps.core import clock, live
from apps.core.clock import CLOCK, clock_in
from apps.core.crashpoints import crashpoint
from apps.deployments import transitions, wording
from apps.deployments.engine import journal, locks, rollback
from apps.deployments.engine.attempt import GREEN, RED, YELLOW, Attempt
from apps.deployments.engine.orders import stored
from apps.deployments.enums import DeploymentKind, DeploymentState
from apps.deployments.executors.contract import Cancelled, ExecutorError, LaneRow, NotIdle, Slot
from apps.deployments.models import Deployment
from apps.environments import actions as environment_actions
from apps.environments.models import Lane
from apps.health import checks as health_checks
from apps.releases import actions as release_actions
from apps.releases.models import Release
from apps.releases.transitions import StaleRelease
from apps.workspaces.scope import workspace_scope

S = DeploymentState


def succeed(attempt: Attempt, slot: Slot | None, *, why: str) -> None:
    """This function will write what runs in the lane now, and complete the promotion.

    Raises Cancelled: somebody asked for the end during the last step; nothing is written then.
    """
    deployment = attempt.deployment
    attempt.say(why, GREEN)
    with _ending(deployment) as (lane, promotion, now):
        if Deployment.objects.filter(pk=deployment.pk, cancel_requested_at__isnull=False).exists():
            raise Cancelled("Cancelled during its last step.")
        to_do = rollback.data_left(deployment, lane)
        transitions.advance(deployment, S.SUCCEEDED, by=SYSTEM, now=now, why=f"{why} {to_do}".strip())
        journal.close(deployment)
        _move(lane, deployment, slot, now)
        health_checks.watch(lane, now=now)
        if deployment.kind == DeploymentKind.ROLLBACK:
            reason = f"{wording.place(lane)} was rolled back to {deployment.release.version} by {deployment}. {to_do}"
            environment_actions.set_hold(lane, reason=reason, deployment_id=deployment.pk, by=SYSTEM, now=now)
            if to_do:
                call_for_person(deployment, to_do)
        elif attempt.doubt:
            environment_actions.set_hold(lane, reason=attempt.doubt, deployment_id=deployment.pk, by=SYSTEM, now=now)
        _tell_approvals(lane, promotion, PromotionState.COMPLETED, why=why, now=now)
        crashpoint("before_success_commit")
    crashpoint("after_success_commit")


def fail(attempt: Attempt, *, why: str, at_fault: bool = True) -> Deployment | None:
    """This function will end an attempt that touched the target, and begin its rollback in the same transaction.

    `at_fault` says that the release is, and is quarantined. A rollback has no rollback: it leaves the hold, and
    calls for a person; so does an attempt that may have run a forward-only migration.
    Shapes: returns the rollback, due and unclaimed; None where there is nothing to go back to, or only by a person.
    """
    deployment = attempt.deployment
    if deployment.kind != DeploymentKind.ROLLBACK and deployment.lane.live_release_id is None:
        why = f"{why} {_empty(attempt)}"
    attempt.say(why, RED)
    with _ending(deployment) as (lane, promotion, now):
        withheld = rollback.withheld(deployment, lane)
        changes = {"rollback_withheld": withheld}
        transitions.advance(deployment, S.FAILED, by=SYSTEM, now=now, why=why, changes=changes)
        journal.close(deployment)
        failed = f"{wording.subject(deployment)} failed ({deployment})"
        held = wording.plain(f"{failed}: {withheld or why}", 300)
        environment_actions.set_hold(lane, reason=held, deployment_id=deployment.pk, by=SYSTEM, now=now)
        if at_fault:
            blame(deployment, reason=wording.plain(f"{failed}: {why}", 300), now=now)
        back = rollback.begin(deployment, lane, why=why, now=now)
        _tell_approvals(lane, promotion, PromotionState.FAILED, why=why, now=now)
        if withheld:
            call_for_person(deployment, f"{withheld} It failed: {why}")
        elif back is None and deployment.kind == DeploymentKind.ROLLBACK:
            call_for_person(deployment, f"The rollback failed: {why}")
        elif back is None and not attempt.executor.can.roll_back:
            call_for_person(deployment, f"Its executor brings nothing back by itself: {why}")
        crashpoint("before_failure_commit")
    crashpoint("after_failure_commit")
    return back


def fail_untouched(attempt: Attempt, *, why: str) -> None:
    """This function will end an attempt whose release can't be prepared; the target is as it was."""
    _discard(attempt)
    _give_back(attempt, S.FAILED, PromotionState.FAILED, why=why)


def error(attempt: Attempt, *, why: str) -> None:
    """This function will end an attempt that our side could not carry out; the target is as it was."""
    _discard(attempt)
    _give_back(attempt, S.ERRORED, PromotionState.PENDING, why=why)


def cancelled(attempt: Attempt, *, why: str) -> None:
    """This function will end an attempt that a person cancelled; the target is as it was."""
    _discard(attempt)
    _give_back(attempt, S.CANCELLED, PromotionState.PENDING, why=why)


def lose_sight(attempt: Attempt, *, why: str, at_once: bool = False) -> None:
    """This function will give the attempt to whoever finds out first how far it came; the lane stays held."""
    attempt.say(why, YELLOW)
    attempt.log.flush()
    give_up(attempt.deployment, why=why, at_once=at_once)


def give_up(deployment: Deployment, *, why: str, at_once: bool = False) -> None:
    """This function will end the claim in hand; in UNKNOWN the state stays and the next look comes later."""
    next_look = CLOCK if at_once else clock_in(settings.ENGINE_PROBE_EVERY)
    changes: dict[str, Any] = {"lease_token": None, "lease_until": None, "probe_after": next_look}
    with workspace_scope([deployment.workspace_id]):
        if deployment.state == S.UNKNOWN:
            changes["probed"] = wording.plain(why, 300)
            Deployment.objects.filter(
                pk=deployment.pk, state=S.UNKNOWN, fence=deployment.fence, lease_token=deployment.lease_token
            ).update(**changes)
            live.hint(deployment.workspace_id, f"deployment:{deployment.pk}")
        else:
            changes["unknown_since"] = CLOCK
            transitions.advance(deployment, S.UNKNOWN, by=SYSTEM, now=clock.now(), why=why, changes=changes)
        crashpoint("before_unknown_commit")


def blame(deployment: Deployment, *, reason: str, now: datetime) -> None:
    """This function will quarantine the release of a deployment that hurts, unless it ran well here before."""
    # A new configuration, or the way back, says nothing against it.
    if deployment.kind != DeploymentKind.ROLLBACK and deployment.release_id != deployment.from_release_id:
        quarantine(deployment.release, deployment.lane, reason=reason, now=now)


def quarantine(release: Release, lane: Lane, *, reason: str, now: datetime) -> None:
    """This function will take a release that hurts in a lane out of use, where the lane's workspace may say so."""
    # A customer's lane may not speak for the platform's release.
    if release.workspace_id == lane.workspace_id:
        # Another lane, where it hurts too, may have been quicker.
        with contextlib.suppress(StaleRelease):
            release_actions.quarantine_release(release, reason=reason, by=SYSTEM, now=now)


def call_for_person(deployment: Deployment, why: str) -> None:
    """This function will say, in the row and by its event, that nobody but a person gets further here."""
    Deployment.objects.filter(pk=deployment.pk).update(alarmed_at=CLOCK)
    audit.record(
        "deployment.alarmed",
        by=SYSTEM,
        target=deployment,
        target_details={"release": deployment.release.version},
        summary=f"{wording.subject(deployment)} needs a person. {why}",
        outcome="FAILED",
        environment_id=deployment.lane.environment_id,
        service_id=deployment.lane.service_id,
        causation={"deployment_id": str(deployment.pk), "fence": deployment.fence},
    )
    live.hint(deployment.workspace_id, f"deployment:{deployment.pk}", f"lane:{deployment.lane_id}")


@contextmanager
def _ending(deployment: Deployment) -> Iterator[tuple[Lane, Promotion | None, datetime]]:
    with workspace_scope([deployment.workspace_id]):
        lane = locks.lane(deployment.lane_id)
        promotion = None
        if deployment.promotion_id:
            promotion = Promotion.objects.locked().get(pk=deployment.promotion_id)
        journal.require_owner(deployment)
        yield lane, promotion, clock.now()


def _tell_approvals(lane: Lane, promotion: Promotion | None, state: PromotionState, *, why: str, now: datetime) -> None:
    """Last of all, since what else waits for the lane is judged by what the lane is now."""
    if promotion:
        approval_actions.mark(promotion, state, by=SYSTEM, now=now, outcome=why)
    else:
        approval_actions.settle_for_lane(lane, now=now)


def _give_back(attempt: Attempt, to: DeploymentState, promotion_to: PromotionState, *, why: str) -> None:
    deployment = attempt.deployment
    attempt.say(why, RED)
    with _ending(deployment) as (lane, promotion, now):
        transitions.advance(deployment, to, by=SYSTEM, now=now, why=why)
        journal.close(deployment)
        if deployment.kind == DeploymentKind.ROLLBACK:
            environment_actions.set_hold(
                lane, reason=wording.plain(why, 300), deployment_id=deployment.pk, by=SYSTEM, now=now
            )
            call_for_person(deployment, why)
        _tell_approvals(lane, promotion, promotion_to, why=why, now=now)
        crashpoint("before_untouched_commit")
    crashpoint("after_untouched_commit")


def _move(lane: Lane, deployment: Deployment, slot: Slot | None, now: datetime) -> None:
    before = {"release": str(lane.live_release or ""), "slot": lane.live_slot}
    moved = lane.live_release_id != deployment.release_id
    undone = deployment.kind == DeploymentKind.ROLLBACK
    changes: dict[str, Any] = {
        "live_release": deployment.release,
        "live_configuration": deployment.configuration,
        "live_slot": stored(slot),
        "generation": lane.generation + 1,
        "rolled_back_from": deployment.from_release if undone else None,
        "drift": "",
        "drift_since": None,
    }
    if moved:
        changes |= {"live_since": now, "previous_release": None if undone else lane.live_release}
    elif lane.live_since is None:
        changes["live_since"] = now
    Lane.objects.filter(pk=lane.pk).update(**changes)
    for name, value in changes.items():
        setattr(lane, name, value)
    audit.record(
        "lane.switched",
        by=SYSTEM,
        target=lane,
        target_details={"release": deployment.release.version},
        summary=f"{wording.place(lane)} runs {deployment.release.version}",
        environment_id=lane.environment_id,
        service_id=lane.service_id,
        before=before,
        after={"release": deployment.release.version, "slot": lane.live_slot},
        causation={"deployment_id": str(deployment.pk), "fence": deployment.fence},
    )


def _empty(attempt: Attempt) -> str:
    """Stop what the first deployment of a lane left; return the sentence about it."""
    try:
        try:
            attempt.executor.discard(attempt.order, log=attempt.log.write)
        except NotIdle:
            row = LaneRow(target=attempt.order.target, fence=attempt.order.fence, live=None)
            undone = [fix for fix in attempt.executor.reconcile((row,)) if not fix.mended]
            if undone:
                return f"Nothing ran here before; it could not be stopped yet: {undone[0].detail}"
    except ExecutorError as problem:
        return f"Nothing ran here before; it could not be stopped yet: {problem}"
    return "Nothing ran here before, so nothing can be brought back: it is stopped."


def _discard(attempt: Attempt) -> None:
    attempt.lease.require()
    attempt.executor.discard(attempt.order, log=attempt.log.write)
