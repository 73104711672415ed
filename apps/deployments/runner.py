"""What workers do with rows that are due, whoever told them: a hint, or the sweeper."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection

from apps.approvals import actions as approval_actions
from apps.approvals.models import Promotion
from apps.audit.actors import SYSTEM
from apps.audit.source import coming_from, task_source
from apps.core import clock
from apps.core.durations import in_words
from apps.core.verdict import Refusal
from apps.deployments import rollouts, transitions, watching
from apps.deployments.engine import endings, epoch, lease, locks, rollback, start
from apps.deployments.engine import run as engine
from apps.deployments.enums import DeploymentState
from apps.deployments.models import Deployment, RolloutLane
from apps.environments.models import Lane
from apps.health.models import Trouble
from apps.workspaces.scope import workspace_scope

log = logging.getLogger(__name__)

AT_ONCE = timedelta(0)


@dataclass(frozen=True, slots=True)
class Due:
    workspace_id: UUID
    kind: str
    id: UUID


def due_work(*, unclaimed: timedelta, one: UUID | None = None) -> list[Due]:
    """This function will ask past the scope what is due: ids, to be handled each in its own workspace.

    Units: `unclaimed` is how long a row waits for somebody who was told of it.
    """
    epoch.look()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT workspace_id, kind, id FROM due_work(make_interval(secs => %s), %s)",
            [unclaimed.total_seconds(), one],
        )
        return [Due(*row) for row in cursor.fetchall()]


def handle(due: Due) -> None:
    """This function will do what is due with one row. Somebody quicker, or a gate that turned, is no fault."""
    with coming_from(task_source(**{_CAUSES[due.kind]: due.id})), _calmly(due):
        _HANDLERS[due.kind](due.workspace_id, due.id)


def run(deployment_id: UUID) -> None:
    """This function will run an attempt if it is due, whatever it waits for."""
    for due in due_work(unclaimed=AT_ONCE, one=deployment_id):
        handle(due)


def start_ready(promotion_id: UUID) -> None:
    """This function will start a promotion that is ready and starts by itself."""
    for due in due_work(unclaimed=AT_ONCE, one=promotion_id):
        handle(due)


def roll_out(one: UUID | None = None) -> None:
    """This function will bring the roll-outs that run as far as they get now, or this one."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT workspaces, id FROM rollouts_running(%s)", [one])
        running = cursor.fetchall()
    for workspaces, rollout_id in running:
        try:
            with coming_from(task_source(rollout_id=rollout_id)), workspace_scope(workspaces):
                rollouts.go_on(rollout_id, now=clock.now())
        except Exception:
            log.exception("roll-out %s can't go on; it is looked at again", rollout_id)


def call_for_lost() -> None:
    """This function will call a person for attempts of which nobody has been able to tell for long how they stand."""
    with connection.cursor() as cursor:
        long_enough = settings.ENGINE_UNKNOWN_ALARM.total_seconds()
        cursor.execute("SELECT workspace_id, id FROM lost_attempts(make_interval(secs => %s))", [long_enough])
        lost = cursor.fetchall()
    for workspace_id, deployment_id in lost:
        with _alone(deployment_id=deployment_id), workspace_scope([workspace_id]):
            deployment = locks.deployment(deployment_id)
            if deployment.state == DeploymentState.UNKNOWN and deployment.called_at is None:  # nobody was quicker
                why = deployment.probed or "The target has not been asked yet."
                alarm = in_words(settings.ENGINE_UNKNOWN_ALARM)
                endings.call_for_person(deployment, f"Nobody has been able to tell for {alarm} how it stands. {why}")


def judge_watched() -> None:
    """This function will roll back what serves where something is wrong that came up with it and stands."""
    with connection.cursor() as cursor:
        # Nearly all that `watching` asks of a lane is asked there of all at once: few are looked at in vain.
        cursor.execute(
            "SELECT workspace_id, id FROM lanes_that_hurt(make_interval(secs => %s), %s)",
            [settings.ENGINE_WATCH.total_seconds(), list(settings.ALERT_SEVERITIES)],
        )
        hurting = cursor.fetchall()
    for workspace_id, lane_id in hurting:
        with _alone(lane_id=lane_id):
            _judge(workspace_id, lane_id)


def _judge(workspace_id: UUID, lane_id: UUID) -> None:
    """The target, which may be silent, is asked outside of any transaction."""
    with workspace_scope([workspace_id]):
        if not Trouble.objects.standing().filter(lane=lane_id).exists():
            return
        lane = Lane.objects.with_cell().get(pk=lane_id)
        serving = watching.watched(lane)
        if serving is None or watching.blamed(serving, lane) is None:
            return
        candidates = rollback.candidates(lane)
    said = rollback.ask(lane, candidates)
    with workspace_scope([workspace_id]):
        watching.judge(lane_id, said)


def cancel(deployment_id: UUID) -> None:
    """This function will make the owner look at its row at once; if it has none any more, the sweeper obeys."""
    lease.look_at(deployment_id)


def _run(workspace_id: UUID, deployment_id: UUID) -> None:
    engine.run(workspace_id, deployment_id)
    with workspace_scope([workspace_id]):
        lane_id = Deployment.objects.values_list("lane_id", flat=True).get(pk=deployment_id)
    _judge(workspace_id, lane_id)
    with workspace_scope([workspace_id]):
        promotion = Deployment.objects.filter(pk=deployment_id).values("promotion_id")
        part = RolloutLane.objects.filter(promotion_id__in=promotion).select_related("rollout").first()
    if part is None:
        return
    # In a scope of all its workspaces, and what goes wrong there is nothing of this attempt.
    roll_out(part.rollout_id)
    with _alone(rollout_id=part.rollout_id), workspace_scope(part.rollout.workspaces):
        rollouts.tell_home(part.rollout_id, now=clock.now())  # also where it has ended, or is paused


def _lapse(workspace_id: UUID, deployment_id: UUID) -> None:
    with workspace_scope([workspace_id]):
        deployment = locks.deployment(deployment_id)
        if deployment.lease_until is None or deployment.lease_until >= clock.now():
            return
        endings.give_up(deployment, why="Its worker has not been heard of.", at_once=True)
    engine.run(workspace_id, deployment_id)


def _expire(workspace_id: UUID, deployment_id: UUID) -> None:
    with workspace_scope([workspace_id]):
        deployment = locks.deployment(deployment_id)
        if deployment.state != DeploymentState.QUEUED:
            return
        why = "No worker could start it in time."
        transitions.advance(deployment, DeploymentState.EXPIRED, by=SYSTEM, now=clock.now(), why=why)


def _start(workspace_id: UUID, promotion_id: UUID) -> None:
    with workspace_scope([workspace_id]):
        promotion = Promotion.objects.get(pk=promotion_id)
        deployment = start.start(promotion, by=SYSTEM, now=clock.now())
    _run(workspace_id, deployment.pk)


def _settle(workspace_id: UUID, _id: UUID) -> None:
    with workspace_scope([workspace_id]):
        approval_actions.settle_waiting(workspace_id=workspace_id, now=clock.now(), judged=settings.ENGINE_JUDGE)


# What each kind of work was caused by, as the ledger names it.
_CAUSES = {
    "RUN": "deployment_id", "LAPSE": "deployment_id", "EXPIRE": "deployment_id", "START": "promotion_id",
    "SETTLE": "workspace_id",
}  # fmt: skip
_HANDLERS = {"RUN": _run, "LAPSE": _lapse, "EXPIRE": _expire, "START": _start, "SETTLE": _settle}


@contextmanager
def _alone(**cause: UUID) -> Iterator[None]:
    """Do something with one row; what goes wrong there keeps nobody from the next."""
    try:
        with coming_from(task_source(**cause)):
            yield
    except Exception:
        log.exception("%s: it is looked at again", cause)


@contextmanager
def _calmly(due: Due) -> Iterator[None]:
    try:
        yield
    except Refusal as refusal:
        log.info("%s %s: %s", due.kind, due.id, refusal)
