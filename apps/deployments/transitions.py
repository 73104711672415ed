"""Which state may follow which, and the one function that changes a deployment's state."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db.models import Max

from apps.audit import actions as audit
from apps.audit.actors import actor_of
from apps.core import live, tracing
from apps.core.verdict import Conflict
from apps.deployments import wording
from apps.deployments.enums import TERMINAL, DeploymentState
from apps.deployments.models import Deployment, Transition

S = DeploymentState

# MIGRATING is passed by executors whose plan has migrations; the others go straight on.
TABLE: dict[DeploymentState, frozenset[DeploymentState]] = {
    S.QUEUED: frozenset({S.STARTING, S.SUPERSEDED, S.CANCELLED, S.EXPIRED}),
    S.STARTING: frozenset({S.MIGRATING, S.APPLYING, S.FAILED, S.ERRORED, S.CANCELLING, S.UNKNOWN}),
    S.MIGRATING: frozenset({S.APPLYING, S.FAILED, S.ERRORED, S.CANCELLING, S.UNKNOWN}),
    S.APPLYING: frozenset({S.VERIFYING, S.FAILED, S.ERRORED, S.CANCELLING, S.UNKNOWN}),
    S.VERIFYING: frozenset({S.SUCCEEDED, S.FAILED, S.ERRORED, S.CANCELLING, S.UNKNOWN}),
    S.CANCELLING: frozenset({S.CANCELLED, S.FAILED, S.ERRORED, S.UNKNOWN, S.ABANDONED}),
    # STARTING: the one retry. CANCELLING: somebody asked for the end while nobody was there to obey.
    S.UNKNOWN: frozenset({S.STARTING, S.SUCCEEDED, S.FAILED, S.ERRORED, S.CANCELLING, S.ABANDONED}),
    **{state: frozenset() for state in TERMINAL},
}

# What brings an attempt into each state (docs/reference/states.md).
WHEN: dict[DeploymentState, str] = {
    S.QUEUED: "started by a person, or by the engine when its promotion is ready",
    S.STARTING: "claimed by a worker, all gates judged again; or tried once more; a rollback begins here",
    S.MIGRATING: "artifact verified and installed, and the plan has migrations",
    S.APPLYING: "artifact verified and installed; the new slot starts and takes the traffic over",
    S.VERIFYING: "the new slot has the traffic",
    S.CANCELLING: "a person asked for the end",
    S.UNKNOWN: "its worker was lost, or nobody can tell what came of a step: the target is asked",
    S.SUCCEEDED: "verified; the lane says so from here on",
    S.FAILED: "the release can't be prepared, does not start, or is not healthy",
    S.ERRORED: "our own fault, and the target is as it was",
    S.CANCELLED: "cancelled, and the target is as it was",
    S.SUPERSEDED: "its plan or its promotion changed before it started",
    S.EXPIRED: "a gate turned, or nobody started it in time",
    S.ABANDONED: "a person gave up finding out",
}


class NotAnEdge(ValueError):
    """Programming error: the table has no such change."""


class StaleState(Conflict):
    """The row has another state, or another owner, than the one in hand."""

    code = "stale_state"


def create(deployment: Deployment, *, by: object, why: str = "") -> Deployment:
    """This function will insert an attempt in its first state, with the first row of its history.

    Raises IntegrityError: another attempt holds the lane.
    """
    deployment.traceparent = tracing.traceparent()
    deployment.save(force_insert=True)
    _tell(deployment, "", by=by, at=deployment.requested_at, why=why)
    return deployment


def advance(
    deployment: Deployment,
    to: DeploymentState,
    *,
    by: object,
    now: datetime,
    why: str = "",
    changes: Mapping[str, Any] | None = None,
) -> None:
    """This function will change the state, write its history and its event, and tell open pages.

    The row in hand names the state, the fence and the lease that the change is based on. `changes` are further columns
    of the same row; an ended row gives its lease back and takes `why` as its outcome.
    Raises StaleState: the row is no longer as it is in hand. Raises NotAnEdge: the table has no such change.
    """
    before, why = DeploymentState(deployment.state), wording.plain(why, 500)
    if to not in TABLE[before]:
        raise NotAnEdge(f"{before} to {to}")
    # Who proposed to abandon it spoke of the state that it had.
    proposal = {"abandon_proposed_at": None, "abandon_proposed_by": None, "abandon_reason": ""}
    fields: dict[str, Any] = {"state": to, **proposal, **(changes or {})}
    if to in TERMINAL:
        fields |= {"ended_at": now, "outcome": why, "lease_token": None, "lease_until": None}
    changed = Deployment.objects.filter(
        pk=deployment.pk, state=before, fence=deployment.fence, lease_token=deployment.lease_token
    ).update(**fields)
    if not changed:
        raise StaleState(f"Deployment {deployment} is no longer {before.label.lower()}, or another worker has it.")
    deployment.refresh_from_db(fields=[*fields])
    _tell(deployment, before, by=by, at=now, why=why)


def _tell(deployment: Deployment, before: str, *, by: object, at: datetime, why: str) -> None:
    last = Transition.objects.filter(deployment=deployment).aggregate(n=Max("n"))["n"] or 0
    Transition.objects.create(
        workspace_id=deployment.workspace_id,
        deployment=deployment,
        n=last + 1,
        from_state=before,
        to_state=deployment.state,
        why=why,
        actor_label=actor_of(by).label[:150],
        fence=deployment.fence,
        at=at,
    )
    lane = deployment.lane
    words = DeploymentState(deployment.state).label.lower()
    audit.record(
        f"deployment.{deployment.state.lower()}",
        by=by,
        target=deployment,
        target_details={
            "service": lane.service.slug,
            "environment": lane.environment.slug,
            "release": deployment.release.version,
            "artifact_digest": deployment.release.artifact_digest,
            "plan_hash": deployment.plan_hash,
        },
        summary=f"{wording.subject(deployment)}: {words}. {why}".strip(),
        outcome="FAILED" if deployment.state in (S.FAILED, S.ERRORED) else "SUCCESS",
        environment_id=lane.environment_id,
        service_id=lane.service_id,
        before={"state": before} if before else None,
        after={"state": deployment.state},
        reason=deployment.reason,
        causation={"deployment_id": str(deployment.pk), "fence": deployment.fence},
    )
    live.hint(
        deployment.workspace_id,
        f"deployment:{deployment.pk}",
        f"lane:{deployment.lane_id}",
        f"environment:{lane.environment_id}",
        f"release:{deployment.release_id}",
    )
