"""What serves is watched for a while after it succeeded: what comes up then is laid at its door."""

from contextlib import suppress
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from apps.audit.actors import SYSTEM
from apps.core import clock
from apps.core.verdict import Verdict
from apps.deployments import wording
from apps.deployments.engine import endings, locks, rollback, start
from apps.deployments.engine.rollback import NotAsked, Said
from apps.deployments.enums import DeploymentKind, DeploymentState
from apps.deployments.models import Deployment
from apps.environments import actions as environment_actions
from apps.environments.models import Lane
from apps.health.models import Trouble


def ask(lane: Lane) -> Said:
    """This function will ask the target of a lane that is watched about what could be brought back.

    That takes a while: nothing may be locked. Shapes: empty where nothing is watched.
    """
    return rollback.ask(lane, rollback.candidates(lane)) if watched(lane) else {}


def judge(lane_id: UUID, said: Said) -> Deployment | None:
    """This function will roll back what serves where something is wrong that came up with it, as a failed verification
    would: with hold and quarantine, once.

    `said` is what the target said before anything was locked, as `ask` does.
    Shapes: None where nothing is to be rolled back (the watch is over, a rollback serves, another attempt runs), where
    it is another by now that could be brought back (it is judged anew with the next sweep), and where nothing can be:
    then the lane is held and a person is called for, once.
    """
    with suppress(NotAsked):
        return _judge(lane_id, said)
    return None


@transaction.atomic
def _judge(lane_id: UUID, said: Said) -> Deployment | None:
    lane = locks.lane(lane_id)
    serving = watched(lane)
    trouble = blamed(serving, lane) if serving else None
    if serving is None or trouble is None:
        return None
    serving, now = Deployment.objects.with_subject().get(pk=serving.pk), clock.now()
    reason = wording.plain(f"{wording.subject(serving)} hurts ({serving}): {trouble.why}", 300)
    environment_actions.set_hold(lane, reason=reason, deployment_id=serving.pk, by=SYSTEM, now=now)
    endings.blame(serving, reason=reason, now=now)
    target = rollback.target_by_itself(lane, said)
    if isinstance(target, Verdict):
        endings.call_for_person(serving, f"{trouble.why} It can't be rolled back: {target.sentence}")
        return None
    return start.start_rollback(lane, target=target, reason=reason, why="", by=SYSTEM, now=now)


def watched(lane: Lane) -> Deployment | None:
    """This function will find the attempt that brought what serves, while what comes up is laid at its door.

    Shapes: None once its watch is over or it was answered for, for a rollback, and while another attempt is open.
    """
    serving = rollback.live_deployment(lane)
    if serving is None or serving.kind == DeploymentKind.ROLLBACK or _is_answered(serving) or _is_busy(lane):
        return None
    until = over_at(serving, lane)
    if until is None or clock.now() > until:
        return None
    # Where a rollback was withheld another release may serve than the one that would be blamed; a person was called.
    return None if rollback.left_at(lane) else serving


def blamed(serving: Deployment, lane: Lane) -> Trouble | None:
    """This function will find what is wrong and came up with what is `watched`, while it was (two queries).

    A check counts that was heard since it succeeded, and that was ever answered well: else it may be wrong itself. A
    close watch may begin because of a trouble, which is then not of it.
    """
    ended_at = serving.ended_at or serving.requested_at
    in_time = Q(since__lte=ended_at + settings.ENGINE_WATCH)
    if lane.close_watch_since is not None:
        in_time |= Q(since__gte=lane.close_watch_since)
    heard = Q(heard_at=None) | Q(heard_at__gte=ended_at)
    found = Trouble.objects.standing().filter(in_time, heard, lane=lane, since__gte=_came_at(serving), is_proved=True)
    return found.first()


def over_at(serving: Deployment, lane: Lane) -> datetime | None:
    """This function will say until when what serves is watched: as long as always, or until the close watch of its lane
    ends. Shapes: None while the attempt itself lasts.
    """
    if serving.ended_at is None:
        return None
    usual = serving.ended_at + settings.ENGINE_WATCH
    serves = lane.live_release_id == serving.release_id
    return max(usual, lane.close_watch_until) if serves and lane.close_watch_until else usual


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
