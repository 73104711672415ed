"""An attempt comes into being: from a promotion that is ready, or to go back."""

from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction

from apps.accounts.models import User
from apps.approvals.enums import PromotionState
from apps.approvals.models import Promotion
from apps.audit.actors import Actor, actor_of
from apps.core import hints
from apps.core.clock import clock_in
from apps.core.durations import in_words
from apps.core.verdict import Conflict
from apps.deployments import transitions, wording
from apps.deployments.engine import locks, rollback
from apps.deployments.enums import DeploymentKind
from apps.deployments.models import Deployment
from apps.environments.models import Lane


class LaneBusy(Conflict):
    """Another attempt holds the lane; `holder` is that attempt, where it is still there to be named."""

    code = "lane_busy"
    next_step = "Wait until it has ended, or cancel it."
    holder: Deployment | None = None


class LaneRemoved(Conflict):
    code = "lane_removed"


class NotReady(Conflict):
    code = "not_ready"


def start(promotion: Promotion, *, by: User | Actor, now: datetime) -> Deployment:
    """This function will queue the attempt of a promotion.

    Raises LaneBusy: another attempt holds the lane. Raises NotReady: the promotion isn't.
    """
    require_free(promotion.lane, now=now)  # who is clearly late need not wait for the lane's lock to be told
    lane = locks.lane(promotion.lane_id)
    require_free(lane, now=now)
    Promotion.objects.locked().only("pk").get(pk=promotion.pk)
    promotion = Promotion.objects.with_subject().get(pk=promotion.pk)
    if promotion.state != PromotionState.READY:
        raise NotReady(f"Promotion #{promotion.number} is {promotion.label.lower()}, so nothing can be started.")
    return _queue(
        Deployment(
            lane=lane,
            kind=DeploymentKind.DEPLOY,
            promotion=promotion,
            release=promotion.release,
            configuration=promotion.configuration,
            from_release=lane.live_release,
            from_configuration=lane.live_configuration,
            plan_hash=promotion.plan_hash,
            reason=promotion.reason,
        ),
        by=by,
        now=now,
    )


def start_rollback(
    lane: Lane, *, target: rollback.RollbackTarget, reason: str, why: str, by: User | Actor, now: datetime
) -> Deployment:
    """This function will queue the way back; the caller holds the lane's lock. Raises LaneBusy: as above."""
    require_free(lane, now=now)
    # Where nobody vouches for what serves, there is no attempt to be undone, only one to be made true again.
    adrift = rollback.is_adrift(lane)
    return _queue(
        Deployment(
            lane=lane,
            kind=DeploymentKind.ROLLBACK,
            release=target.release,
            configuration=target.configuration,
            from_release=None if adrift else lane.live_release,
            from_configuration=None if adrift else lane.live_configuration,
            rolls_back=None if adrift else rollback.live_deployment(lane),
            reason=reason[:300],
        ),
        by=by,
        now=now,
        why=why,
    )


def require_free(lane: Lane, *, now: datetime) -> None:
    """Raises LaneBusy: an attempt holds the lane. Raises LaneRemoved: the lane is no more."""
    if lane.removed_at is not None:
        raise LaneRemoved(f"{wording.place(lane)} is no more.")
    # Only what the sentence names: many may come late at once, and plans and manifests are large.
    open_ones = Deployment.objects.open().select_related("release", "lane__environment", "lane__service")
    holder = open_ones.filter(target_key=lane.target_key).first()
    if holder is None:
        return
    age = in_words(now - (holder.started_at or holder.requested_at), parts=1)
    busy = LaneBusy(
        f"{wording.place(lane)} is held by deployment {holder}: {wording.subject(holder)}, {holder.label.lower()}, "
        f"started by {holder.requested_by_label} {age} ago."
    )
    busy.holder = holder
    raise busy


def _queue(deployment: Deployment, *, by: User | Actor, now: datetime, why: str = "") -> Deployment:
    deployment.workspace_id = deployment.lane.workspace_id
    deployment.target_key = deployment.lane.target_key
    deployment.requested_at = now
    asked = deployment.promotion
    if asked is not None and not isinstance(by, User):  # it starts by itself, for whoever asked for it
        deployment.requested_by, deployment.requested_by_label = asked.requested_by, asked.requested_by_label
    else:
        deployment.requested_by = by if isinstance(by, User) else None
        deployment.requested_by_label = actor_of(by).label[:150]
    is_rollback = deployment.kind == DeploymentKind.ROLLBACK
    deployment.deadline_at = clock_in(settings.ENGINE_ROLLBACK_LIMIT if is_rollback else settings.ENGINE_START_BY)
    try:
        with transaction.atomic():
            transitions.create(deployment, by=by, why=why)
    except IntegrityError:
        # Only without the lane's lock could somebody come in between; the database has the last word all the same.
        require_free(deployment.lane, now=now)
        raise
    deployment.refresh_from_db(fields=["number", "deadline_at"])
    hints.wake("deployments.run", deployment.pk)
    return deployment
