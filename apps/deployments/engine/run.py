"""One attempt from its claim to its end, step by step."""

import logging
import time
from contextlib import AbstractContextManager
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from apps.core import clock, hints, tracing
from apps.core.crashpoints import crashpoint
from apps.core.durations import in_words
from apps.core.timings import timings
from apps.deployments import transitions
from apps.deployments.engine import claim, deafness, endings, journal, locks, registry, resolve, verification
from apps.deployments.engine.attempt import Attempt
from apps.deployments.engine.lease import Lease
from apps.deployments.engine.orders import executor_of, order_of
from apps.deployments.enums import ACTIVE, DeploymentKind, DeploymentState, StepVerdict
from apps.deployments.executors.contract import (
    ArtifactRejected,
    Cancelled,
    ExecutorError,
    Log,
    OutcomeUnknown,
    ReleaseFailed,
    Slot,
    StaleFence,
    Standing,
    StepKind,
    StepPlan,
    StepResult,
    TargetUntouched,
)
from apps.deployments.log import LogWriter
from apps.deployments.models import Deployment
from apps.workspaces.scope import workspace_scope

logger = logging.getLogger(__name__)

# A connection that broke, or can't be had.
AWAY = (OperationalError, InterfaceError)
RETRY_SECONDS = 0.5


def run(workspace_id: UUID, deployment_id: UUID) -> None:
    """This function will claim an attempt and bring it to its end, and the rollback that may follow it.

    Raises NotDue: another worker has it, or it may not start.
    """
    due: UUID | None = deployment_id
    while due is not None:
        asked_at = time.monotonic()
        following = _run(claim.claim(workspace_id, due), asked_at)
        due = following.pk if following else None


def _run(deployment: Deployment, claimed_at: float) -> Deployment | None:
    executor, log = executor_of(deployment.lane), LogWriter(deployment, deployment.fence)
    try:
        with _traced(deployment), Lease(deployment, executor, log, claimed_at) as lease:
            attempt = Attempt(deployment, executor, order_of(deployment), lease, log)
            if deployment.state == DeploymentState.UNKNOWN:
                return _resolve(attempt)
            return _carry_out(attempt)
    except (StaleFence, transitions.StaleState) as stale:
        logger.warning("deployment %s: %s", deployment.pk, stale)
        return None
    except AWAY as error:
        logger.warning("deployment %s: the database is away: %s", deployment.pk, error)
        _hand_over(deployment)
        return None
    finally:
        log.flush()


def _traced(deployment: Deployment) -> AbstractContextManager[object]:
    """Its worker may be told of it in the trace that asked for it; one that finds it says which that was."""
    kind, fence = deployment.kind.lower(), deployment.fence
    return tracing.span(
        "deployment", asked_by=deployment.traceparent, deployment=deployment.number, kind=kind, fence=fence
    )


def _hand_over(deployment: Deployment) -> None:
    """What this worker could not write is found out as soon as the database is back, not when the lease runs out."""
    until = time.monotonic() + settings.ENGINE_GUARD_SILENCE.total_seconds()
    is_told = False
    while not is_told and time.monotonic() < until:
        try:
            with workspace_scope([deployment.workspace_id]):
                known = locks.deployment(deployment.pk)
                if known.lease_token == deployment.lease_token and known.state in ACTIVE:
                    endings.give_up(known, why="The database was away while it was at work.", at_once=True)
                    hints.wake("deployments.run", deployment.pk)
            is_told = True
        except AWAY:
            connection.close()
            time.sleep(RETRY_SECONDS)


def _resolve(attempt: Attempt) -> Deployment | None:
    try:
        return resolve.resolve(attempt, _carry_out)
    except StaleFence:
        raise
    except Exception as error:  # noqa: BLE001  every error has an ending
        return _judge(attempt, error)


def _carry_out(attempt: Attempt) -> Deployment | None:
    """Return the rollback that follows, if one does."""
    try:
        _keep_to_deadline(attempt)
        verification.agree(attempt)
        slot = _steps(attempt)
    except StaleFence:
        raise
    except Exception as error:  # noqa: BLE001  every error has an ending
        return _judge(attempt, error)
    release, length = attempt.order.release.version, in_words(_length(attempt.deployment))
    try:
        endings.succeed(attempt, slot, why=f"{release} serves, verified after {length}.")
    except Cancelled:
        return resolve.cancel(attempt)
    return None


def _keep_to_deadline(attempt: Attempt) -> None:
    """Leave a rollback what is left of its time, whoever had it before. Raises Cancelled: nothing is left."""
    deployment = attempt.deployment
    if deployment.deadline_at is None:
        return
    left = deployment.deadline_at - clock.now()
    # With no worker there to begin it in time, it is begun late: what hurts serves meanwhile.
    attempt.lease.end_within(left if deployment.first_effect_at else max(left, settings.ENGINE_APPLY_LIMIT))


def _steps(attempt: Attempt) -> Slot | None:
    slot: Slot | None = None
    for seq, step in enumerate(attempt.executor.plan(attempt.order), 1):
        attempt.lease.require()
        if attempt.lease.must_end:
            raise Cancelled("Cancelled before the next step.")
        result = _step(attempt, seq, step)
        slot = result.slot or slot
    if slot is None and attempt.executor.can.keep_warm:
        raise OutcomeUnknown("No step named the slot that serves.")
    return slot


def _step(attempt: Attempt, seq: int, step: StepPlan) -> StepResult:
    crashpoint(f"before_intent:{step.kind}")
    journal.begin(attempt.deployment, seq, step, attempt.order)
    crashpoint(f"after_intent:{step.kind}")
    attempt.log.step = seq
    attempt.say(step.label)
    began = time.monotonic()
    try:
        with tracing.span(f"step {step.kind.lower()}", deployment=attempt.deployment.number, step=seq):
            result = _effect(attempt, seq, step)
    except StaleFence:
        raise
    except Exception as error:
        definite = isinstance(error, ArtifactRejected | ReleaseFailed | TargetUntouched | Cancelled)
        verdict = StepVerdict.FAILED if definite else StepVerdict.UNKNOWN
        _count(step, verdict, began)
        journal.end(attempt.deployment, seq, verdict, detail=attempt.log.masked(str(error)))
        raise
    _count(step, StepVerdict.DONE, began)
    crashpoint(f"after_effect:{step.kind}")
    attempt.lease.require()
    evidence = dict(result.evidence) | {"changed": result.changed} | ({"slot": result.slot} if result.slot else {})
    journal.end(attempt.deployment, seq, StepVerdict.DONE, detail=result.detail, evidence=evidence)
    crashpoint(f"after_result:{step.kind}")
    attempt.log.write(result.detail)
    return result


def _count(step: StepPlan, verdict: StepVerdict, began: float) -> None:
    timings.count("deployment_step", step.kind.lower(), verdict.lower(), seconds=time.monotonic() - began)


def _effect(attempt: Attempt, seq: int, step: StepPlan) -> StepResult:
    if step.kind == StepKind.VERIFY:
        return verification.verify(attempt)
    check = registry.check_before(attempt.deployment) if seq == 1 else None

    def effect(log: Log) -> StepResult:
        if check is not None:
            check.verify(log)
        return attempt.executor.apply(step.kind, attempt.order, log=log)

    return deafness.listen(attempt.lease, effect, log=attempt.log.write)


def _judge(attempt: Attempt, error: Exception) -> Deployment | None:
    """End the attempt as the error says; return the rollback that follows, if one does."""
    attempt.lease.require()
    why = attempt.log.masked(str(error))  # often the program's own words
    match error:
        case Cancelled():
            return _obey(attempt, why)
        case ArtifactRejected() | ReleaseFailed():
            return _release_failed(attempt, why)
        case TargetUntouched():
            _untouched(attempt, why)
        case ExecutorError():
            endings.lose_sight(attempt, why=why)
        case _:
            logger.error("deployment %s", attempt.deployment.pk, exc_info=error)
            endings.lose_sight(attempt, why=f"Unexpected: {why}")
    return None


def _obey(attempt: Attempt, why: str) -> Deployment | None:
    if attempt.lease.is_cancelled:
        return resolve.cancel(attempt)
    if attempt.lease.is_stopped:
        endings.lose_sight(attempt, why="The worker was stopped in the middle of it.", at_once=True)
        return None
    if attempt.lease.is_late:
        deadline = attempt.deployment.deadline_at
        is_over = deadline is not None and deadline <= clock.now()
        limit = settings.ENGINE_ROLLBACK_LIMIT if is_over else settings.ENGINE_APPLY_LIMIT
        return _release_failed(attempt, f"It was not done within {in_words(limit)}.")
    endings.lose_sight(attempt, why=why)
    return None


def _release_failed(attempt: Attempt, why: str) -> Deployment | None:
    deployment = attempt.deployment
    prepared = deployment.state != DeploymentState.STARTING
    if prepared or deployment.kind == DeploymentKind.ROLLBACK:
        return endings.fail(attempt, why=why)
    endings.fail_untouched(attempt, why=why)
    return None


def _untouched(attempt: Attempt, why: str) -> None:
    # A rollback leaves the bad release serving, so it isn't given back: the target is asked again until it answers.
    is_rollback = attempt.deployment.kind == DeploymentKind.ROLLBACK
    if not is_rollback and resolve.probe(attempt).state == Standing.NOT_APPLIED:
        endings.error(attempt, why=why)
    else:
        endings.lose_sight(attempt, why=why)


def _length(deployment: Deployment) -> timedelta:
    return clock.now() - (deployment.started_at or deployment.requested_at)
