"""What has become of it? The target itself is asked, and what it says is believed (ADR 0020)."""

from collections.abc import Callable

from apps.audit.actors import SYSTEM
from apps.core import clock
from apps.core.crashpoints import crashpoint
from apps.deployments import transitions, wording
from apps.deployments.engine import endings, journal, verification
from apps.deployments.engine.attempt import Attempt
from apps.deployments.enums import DeploymentKind, DeploymentState
from apps.deployments.executors.contract import (
    Cancelled,
    ExecutorError,
    Observation,
    OutcomeUnknown,
    ReleaseFailed,
    StaleFence,
    Standing,
)
from apps.deployments.models import Deployment
from apps.workspaces.scope import workspace_scope

S = DeploymentState
ATTEMPTS = 2

CarryOut = Callable[[Attempt], Deployment | None]


def resolve(attempt: Attempt, carry_out: CarryOut) -> Deployment | None:
    """This function will bring an attempt that nobody knows about to its end, or leave it for a later look.

    Shapes: returns the rollback that follows, if one does.
    """
    seen = probe(attempt)
    crashpoint(f"after_probe:{seen.state}")
    _note(attempt, seen)
    if seen.state in (Standing.IN_FLIGHT, Standing.UNREACHABLE):
        endings.give_up(attempt.deployment, why=seen.detail)
        return None
    if attempt.deployment.cancel_requested_at is not None:
        return cancel(attempt, seen)
    if seen.state == Standing.APPLIED:
        return _adopt(attempt, seen)
    return _try_again(attempt, seen, carry_out)


def cancel(attempt: Attempt, seen: Observation | None = None) -> Deployment | None:
    """This function will obey the wish to cancel: untouched is cancelled, applied is taken back.

    Shapes: returns the rollback that follows, if one does.
    """
    deployment = attempt.deployment
    with workspace_scope([deployment.workspace_id]):
        deployment.refresh_from_db(fields=["cancel_requested_at", "cancel_requested_by", "cancel_reason"])
    by = deployment.cancel_requested_by or SYSTEM
    why = f"Cancelled by {by}: {deployment.cancel_reason}"
    if deployment.state != S.CANCELLING:
        with workspace_scope([deployment.workspace_id]):
            transitions.advance(deployment, S.CANCELLING, by=by, now=clock.now(), why=why)
        crashpoint("after_cancelling_commit")
    seen = seen or probe(attempt)
    if seen.state in (Standing.APPLIED, Standing.BEGUN):
        how_far = "It served already." if seen.state == Standing.APPLIED else "It had begun to serve."
        return endings.fail(attempt, why=f"{why} {how_far}", at_fault=False)
    if seen.state != Standing.NOT_APPLIED:
        endings.lose_sight(attempt, why=f"{why} {seen.detail}")
        return None
    endings.cancelled(attempt, why=why)
    return None


def probe(attempt: Attempt) -> Observation:
    """This function will ask the target; one that can't answer is unreachable."""
    if not attempt.executor.can.probe:
        return Observation(Standing.UNREACHABLE, "Its executor can't say what is applied: a person has to look.")
    try:
        return attempt.executor.probe(attempt.order)
    except StaleFence:
        raise
    except (ExecutorError, OSError) as error:
        return Observation(Standing.UNREACHABLE, str(error))


def _adopt(attempt: Attempt, seen: Observation) -> Deployment | None:
    if seen.live_slot is None and attempt.executor.can.keep_warm:
        raise OutcomeUnknown("The target says that it is applied, but not where.")
    try:
        verification.agree_late(attempt)
        verification.verify(attempt)
    except ReleaseFailed as failure:
        return endings.fail(attempt, why=attempt.log.masked(str(failure)))
    try:
        endings.succeed(attempt, seen.live_slot, why=f"Adopted: it was applied and is healthy. {seen.detail}")
    except Cancelled:
        return cancel(attempt, seen)
    return None


def _try_again(attempt: Attempt, seen: Observation, carry_out: CarryOut) -> Deployment | None:
    deployment = attempt.deployment
    if deployment.attempt < ATTEMPTS and attempt.executor.can.repeat:
        with workspace_scope([deployment.workspace_id]):
            changes = {"attempt": deployment.attempt + 1}
            why = f"Not applied: {seen.detail} Tried once more."
            transitions.advance(deployment, S.STARTING, by=SYSTEM, now=clock.now(), why=why, changes=changes)
            journal.plan(deployment)
        crashpoint("after_retry_commit")
        return carry_out(attempt)
    lost = f"Its outcome was lost {deployment.attempt} times"
    if seen.state == Standing.BEGUN:
        return endings.fail(attempt, why=f"{lost}. {seen.detail}", at_fault=False)
    why = f"{lost}, and it is not applied. {seen.detail}"
    if deployment.kind == DeploymentKind.ROLLBACK:
        return endings.fail(attempt, why=why)
    endings.error(attempt, why=why)
    return None


def _note(attempt: Attempt, seen: Observation) -> None:
    attempt.say(f"The target says: {seen.detail}")
    with workspace_scope([attempt.deployment.workspace_id]):
        Deployment.objects.filter(pk=attempt.deployment.pk, fence=attempt.deployment.fence).update(
            probed=wording.plain(f"{seen.state}: {seen.detail}", 300)
        )
