"""What serves is watched for a while after it succeeded: what comes up then is laid at its door."""

from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import transaction

from apps.audit.actors import SYSTEM
from apps.core.verdict import Verdict
from apps.deployments import wording
from apps.deployments.engine import endings, locks, rollback, start
from apps.deployments.enums import DeploymentKind, DeploymentState
from apps.deployments.models import Deployment
from apps.environments import actions as environment_actions
from apps.environments.models import Lane
from apps.health import troubles


@transaction.atomic
def breach(lane: Lane, *, why: str, since: datetime, now: datetime) -> Deployment | None:
    """This function will roll back what serves, as a failed verification would: with hold and quarantine, once.

    `since` is when the trouble began: what began before the deployment did is not its doing.
    Shapes: None where nothing is to be rolled back (the watch is over, a rollback serves, another attempt runs), and
    where nothing can be: then the lane is held and a person is called for, once.
    """
    lane = locks.lane(lane.pk)
    serving = rollback.live_deployment(lane)
    if serving is None or not _is_watched(serving, lane, since, now) or _is_busy(lane) or _is_answered(serving):
        return None
    if rollback.left_at(lane):  # another release may serve than the one that would be blamed, and a person was called
        return None
    serving = Deployment.objects.with_subject().get(pk=serving.pk)
    reason = wording.plain(f"{wording.subject(serving)} hurts ({serving}): {why}", 300)
    environment_actions.set_hold(lane, reason=reason, deployment_id=serving.pk, by=SYSTEM, now=now)
    endings.blame(serving, reason=reason, now=now)
    target = rollback.target_by_itself(lane)
    if isinstance(target, Verdict):
        endings.call_for_person(serving, f"{why} It can't be rolled back: {target.sentence}")
        return None
    return start.start_rollback(lane, target=target, reason=reason, why="", by=SYSTEM, now=now)


@transaction.atomic
def judge(lane_id: UUID, *, now: datetime) -> Deployment | None:
    """This function will roll back what serves where something is wrong that came up with it, as `breach` says.

    What turns faulty, or begins to fire, is laid at its door at once, but not while an attempt is open; what still
    stands afterwards is found here.
    """
    lane = locks.lane(lane_id)
    serving = rollback.live_deployment(lane)
    if serving is None or serving.ended_at is None:
        return None
    for trouble in troubles.standing(lane, since=_came_at(serving), heard_since=serving.ended_at):
        if back := breach(lane, why=trouble.why, since=trouble.since, now=now):
            return back
    return None


def over_at(serving: Deployment, lane: Lane) -> datetime | None:
    """This function will say until when what serves is watched: as long as always, or until the close watch of its lane
    ends. Shapes: None while the attempt itself lasts.
    """
    if serving.ended_at is None:
        return None
    usual = serving.ended_at + settings.ENGINE_WATCH
    serves = lane.live_release_id == serving.release_id
    return max(usual, lane.close_watch_until) if serves and lane.close_watch_until else usual


def faulty(lane: Lane, detail: str, now: datetime) -> Deployment | None:
    """This function will roll back what serves where its health check has just become faulty, as `breach` says."""
    return breach(lane, why=troubles.of_check(detail), since=now, now=now)


def _is_watched(serving: Deployment, lane: Lane, since: datetime, now: datetime) -> bool:
    """Say whether it is watched now, and was when the trouble began: a close watch may begin because of one."""
    until = over_at(serving, lane)
    if serving.kind == DeploymentKind.ROLLBACK or serving.ended_at is None or until is None or now > until:
        return False
    is_of_the_close_watch = lane.close_watch_since is not None and since >= lane.close_watch_since
    return _came_at(serving) <= since and (is_of_the_close_watch or since <= serving.ended_at + settings.ENGINE_WATCH)


def _came_at(serving: Deployment) -> datetime:
    """Return from when on it could be felt: before, it was only prepared."""
    felt = serving.transitions.filter(to_state__in=(DeploymentState.MIGRATING, DeploymentState.APPLYING))
    first = felt.order_by("n").values_list("at", flat=True).first()
    return first or serving.started_at or serving.requested_at


def _is_busy(lane: Lane) -> bool:
    return Deployment.objects.open().filter(target_key=lane.target_key).exists()


def _is_answered(serving: Deployment) -> bool:
    """Say whether it was rolled back before, or a person was called for: whoever ended that has decided.

    A person who was called before it succeeded was called for something else.
    """
    called = serving.alarmed_at and serving.ended_at and serving.alarmed_at >= serving.ended_at
    return bool(called) or serving.rollbacks.exists()
