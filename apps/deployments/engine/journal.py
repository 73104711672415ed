"""The journal of steps: plan with the claim, intent before the effect, result after it, all under the claim's fence."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from apps.audit.actors import SYSTEM
from apps.core import clock, live
from apps.core.clock import CLOCK
from apps.deployments import transitions, wording
from apps.deployments.engine.orders import executor_of, order_of
from apps.deployments.enums import DeploymentState, StepVerdict
from apps.deployments.executors.contract import Order, StaleFence, StepPlan
from apps.deployments.models import Deployment, Step
from apps.workspaces.scope import workspace_scope


def plan(deployment: Deployment) -> None:
    """This function will write down the steps of this attempt, and close those of an attempt before it."""
    steps = Step.objects.filter(deployment=deployment)
    steps.filter(verdict=StepVerdict.RUNNING).update(verdict=StepVerdict.UNKNOWN, ended_at=CLOCK)
    steps.filter(verdict=StepVerdict.PLANNED).update(verdict=StepVerdict.SKIPPED)
    Step.objects.bulk_create(
        _planned(deployment, seq, step)
        for seq, step in enumerate(executor_of(deployment.lane).plan(order_of(deployment)), 1)
    )


def _planned(deployment: Deployment, seq: int, step: StepPlan) -> Step:
    intent = {"state": step.state, "expected_seconds": step.expected_seconds}
    return Step(
        workspace_id=deployment.workspace_id,
        deployment=deployment,
        seq=seq,
        attempt=deployment.attempt,
        kind=step.kind,
        label=step.label[:120],
        intent=intent,
        intent_sha256=_digest(intent),
        fence=deployment.fence,
    )


def begin(deployment: Deployment, seq: int, step: StepPlan, order: Order) -> None:
    """This function will commit that a step begins, and the state that it runs in.

    Raises StaleFence: this worker no longer owns the attempt.
    """
    with workspace_scope([deployment.workspace_id]):
        require_owner(deployment)
        if deployment.state != step.state:
            transitions.advance(deployment, DeploymentState(step.state), by=SYSTEM, now=clock.now())
        if deployment.first_effect_at is None:
            _change(deployment, first_effect_at=CLOCK)
        intent = {"state": step.state, "expected_seconds": step.expected_seconds, **_told(order)}
        _row(deployment, seq).update(
            verdict=StepVerdict.RUNNING,
            started_at=CLOCK,
            fence=deployment.fence,
            intent=intent,
            intent_sha256=_digest(intent),
        )
        _hint(deployment)


def end(
    deployment: Deployment, seq: int, verdict: StepVerdict, *, detail: str, evidence: Mapping[str, Any] | None = None
) -> None:
    """This function will commit how a step ended. Raises StaleFence: this worker no longer owns the attempt."""
    with workspace_scope([deployment.workspace_id]):
        require_owner(deployment)
        _row(deployment, seq).update(
            verdict=verdict, ended_at=CLOCK, detail=wording.plain(detail, 300), evidence=dict(evidence or {})
        )
        _hint(deployment)


def close(deployment: Deployment) -> None:
    """This function will close the steps that never came; the caller has ended the attempt."""
    steps = Step.objects.filter(deployment=deployment)
    steps.filter(verdict=StepVerdict.PLANNED).update(verdict=StepVerdict.SKIPPED)
    steps.filter(verdict=StepVerdict.RUNNING).update(verdict=StepVerdict.UNKNOWN, ended_at=CLOCK)


def require_owner(deployment: Deployment) -> None:
    """Lock the row as its owner. Raises StaleFence: another worker has it."""
    mine = Deployment.objects.locked().filter(
        pk=deployment.pk, fence=deployment.fence, lease_token=deployment.lease_token, state=deployment.state
    )
    if deployment.lease_token is None or not mine.exists():
        raise StaleFence(f"Fence {deployment.fence} of deployment {deployment} is no longer the last one.")


def _change(deployment: Deployment, **fields: Any) -> None:
    Deployment.objects.filter(pk=deployment.pk).update(**fields)
    deployment.refresh_from_db(fields=[*fields])


def _row(deployment: Deployment, seq: int) -> Any:
    return Step.objects.filter(deployment=deployment, seq=seq, attempt=deployment.attempt)


def _told(order: Order) -> dict[str, Any]:
    """What the executor is told, without values and manifest: those are named by their number and digest."""
    return {
        "target": dataclasses.asdict(order.target),
        "version": order.release.version,
        "digest": order.release.digest,
        "configuration": order.configuration.number,
        "fence": order.fence,
        "rolls_back": str(order.rolls_back or ""),
    }


def _digest(intent: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(intent, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _hint(deployment: Deployment) -> None:
    live.hint(deployment.workspace_id, f"deployment:{deployment.pk}", f"lane:{deployment.lane_id}")
