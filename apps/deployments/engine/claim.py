"""Who may work on an attempt: one conditional UPDATE, with a new fence and a new random lease token."""

from datetime import datetime
from uuid import UUID, uuid4

from django.conf import settings
from django.db import connection
from django.db.models import Q

from apps.approvals import actions as approval_actions
from apps.approvals.enums import PromotionState
from apps.approvals.models import Promotion
from apps.audit.actors import SYSTEM
from apps.core import clock
from apps.core.clock import CLOCK, clock_in
from apps.core.crashpoints import crashpoint
from apps.core.verdict import Conflict
from apps.deployments import transitions
from apps.deployments.engine import epoch, journal, locks
from apps.deployments.enums import DeploymentKind, DeploymentState
from apps.deployments.models import Deployment
from apps.workspaces.scope import workspace_scope

S = DeploymentState


class NotDue(Conflict):
    """A hint came late or twice: another worker has the attempt, or it has ended, or it may not start any more."""

    code = "not_due"


def claim(workspace_id: UUID, deployment_id: UUID) -> Deployment:
    """This function will take an attempt for this worker and return it with the fence and the lease of the claim.

    An attempt that waits is started, if its promotion still passes all gates; one that nobody knows about is taken to
    find out. Raises NotDue: see there.
    """
    epoch.look()
    with workspace_scope([workspace_id]):
        try:
            deployment = locks.deployment(deployment_id)
        except Deployment.DoesNotExist as error:
            raise NotDue("There is no such deployment.") from error
        refusal = _claim(deployment, clock.now())
        crashpoint("before_claim_commit")
    if refusal:
        raise NotDue(refusal)
    crashpoint("after_claim_commit")
    return deployment


def _claim(deployment: Deployment, now: datetime) -> str:
    """Return why not, or nothing."""
    if deployment.state == S.QUEUED:
        if refusal := _start(deployment, now):
            return refusal
        journal.plan(deployment)
        return ""
    unclaimed = deployment.state == S.STARTING and deployment.lease_token is None
    if not unclaimed and deployment.state != S.UNKNOWN:
        return f"Deployment {deployment} is {deployment.label.lower()}."
    if not _take(deployment):
        return f"Another worker has deployment {deployment}."
    if unclaimed:
        journal.plan(deployment)
    return ""


def _start(deployment: Deployment, now: datetime) -> str:
    if (promotion := deployment.promotion) is not None:
        promotion.refresh_from_db()
        if refusal := _turned(deployment, promotion, now):
            return refusal
    transitions.advance(
        deployment,
        S.STARTING,
        by=SYSTEM,
        now=now,
        changes=_lease() | {"started_at": CLOCK} | _before(deployment),
    )
    if promotion is not None:
        approval_actions.mark(promotion, PromotionState.DEPLOYING, by=SYSTEM, now=now)
    return ""


def _before(deployment: Deployment) -> dict[str, object]:
    """What runs now, and no deadline any more; a rollback knows already what it undoes, and keeps its deadline."""
    if deployment.kind == DeploymentKind.ROLLBACK:
        return {}
    lane = deployment.lane
    return {"from_release": lane.live_release, "from_configuration": lane.live_configuration, "deadline_at": None}


def _turned(deployment: Deployment, promotion: Promotion, now: datetime) -> str:
    """End an attempt that may not start any more; return why."""
    if promotion.state not in (PromotionState.READY, PromotionState.PENDING):
        why = f"The promotion is {promotion.label.lower()}."
        transitions.advance(deployment, S.SUPERSEDED, by=SYSTEM, now=now, why=why)
        return why
    if promotion.plan_hash != deployment.plan_hash:
        why = "The plan has changed since this was queued."
        transitions.advance(deployment, S.SUPERSEDED, by=SYSTEM, now=now, why=why)
        approval_actions.settle(promotion, now=now)
        return why
    closed = [gate for gate in approval_actions.recheck(promotion, now=now) if not gate.outcome.lets_pass]
    if closed:
        why = "A gate has turned: " + " ".join(gate.sentence for gate in closed)
        transitions.advance(deployment, S.EXPIRED, by=SYSTEM, now=now, why=why)
        approval_actions.settle(promotion, now=now)
        return why
    if promotion.state == PromotionState.PENDING:
        approval_actions.settle(promotion, now=now)
        promotion.refresh_from_db()
    return ""


def _lease() -> dict[str, object]:
    return {"fence": _next_fence(), "lease_token": uuid4(), "lease_until": clock_in(settings.ENGINE_LEASE)}


def _take(deployment: Deployment) -> bool:
    """Take over a row in the state it has, unless somebody else holds a living lease on it."""
    lease = _lease()
    free = Q(lease_token=None) | Q(lease_until__lt=CLOCK)
    extra = {"probe_after": clock_in(settings.ENGINE_LEASE)} if deployment.state == S.UNKNOWN else {"started_at": CLOCK}
    taken = Deployment.objects.filter(free, pk=deployment.pk, state=deployment.state).update(**lease, **extra)
    deployment.refresh_from_db(fields=[*lease, *extra])
    return bool(taken)


def _next_fence() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('deployment_fence')")
        return int(cursor.fetchone()[0])
