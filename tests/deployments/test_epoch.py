"""Another database than before: nothing that was under way is believed until the target was asked (R7)."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from apps.audit.models import AuditEvent
from apps.core import clock
from apps.deployments import runner
from apps.deployments.engine import claim, epoch, journal
from apps.deployments.enums import DeploymentState as S
from apps.deployments.executors.contract import StaleFence, StepKind
from apps.deployments.models import DatabaseEpoch, Deployment
from tests.processes import eventually

LOOKING = 8


def _another_database() -> None:
    """Remember another one than this: to the engine it is as if this one had just been promoted."""
    assert DatabaseEpoch.objects.update(identity="7000000000000000000/00000001") == 1


def _claimed(stage, environment=None) -> Deployment:
    deployment = stage.start(environment=environment)
    return claim.claim(deployment.workspace_id, deployment.pk)


def test_the_same_database_changes_nothing(stage) -> None:
    mine = _claimed(stage)

    runner.due_work(unclaimed=runner.AT_ONCE)

    assert stage.fresh(mine).state == S.STARTING
    assert DatabaseEpoch.objects.get().identity.count("/") == 1


def test_what_was_under_way_is_asked_about_before_anything_else(stage) -> None:
    mine = _claimed(stage)
    _another_database()

    due = runner.due_work(unclaimed=runner.AT_ONCE, one=mine.pk)

    lost = stage.fresh(mine)
    assert (lost.state, lost.lease_token) == (S.UNKNOWN, None)
    assert [found.kind for found in due] == ["RUN"], "the target is asked at once"
    with stage.everything():
        event = AuditEvent.objects.get(kind="deployment.unknown", target_id=str(mine.pk))
        assert "a backup was restored" in event.summary
        with pytest.raises(StaleFence):
            journal.require_owner(mine)
    epoch.look()
    assert stage.states(mine) == ["QUEUED", "STARTING", "UNKNOWN"]
    assert claim.claim(mine.workspace_id, mine.pk).fence > mine.fence + 1_000_000


def test_what_nobody_knew_about_already_is_asked_again_at_once(stage) -> None:
    stage.deploy()
    stage.judge.behave(v1_1_0={"START_GREEN": "bug"})
    lost = stage.deploy("1.1.0")
    with stage.everything():
        Deployment.objects.filter(pk=lost.pk).update(probe_after=timezone.now() + timedelta(hours=1))
    _another_database()

    epoch.look()

    assert stage.fresh(lost).probe_after <= clock.now()


def test_what_waits_is_left_to_its_claim(stage) -> None:
    waiting = stage.start()
    _another_database()

    runner.run(waiting.pk)

    assert stage.states(waiting)[:2] == ["QUEUED", "STARTING"]
    assert stage.fresh(waiting).state == S.SUCCEEDED


def test_its_owner_gives_up_and_what_was_applied_is_adopted_not_done_again(stage, settings) -> None:
    settings.ENGINE_BEAT = timedelta(seconds=0.05)
    stage.deploy()
    deployment = stage.start(stage.release("1.1.0"))
    owner = stage.run_until(StepKind.DRAIN_BLUE, deployment)
    _another_database()

    epoch.look()
    owner.join(20)
    stage.judge.let_go(StepKind.DRAIN_BLUE)
    eventually(lambda: runner.run(deployment.pk) or not stage.fresh(deployment).is_open)

    ended = stage.fresh(deployment)
    assert (ended.state, ended.outcome.startswith("Adopted")) == (S.SUCCEEDED, True)
    stage.judge.require_once(deployment.target_key)


def test_of_many_that_notice_at_once_one_does_it(stage) -> None:
    mine, barrier = _claimed(stage), threading.Barrier(LOOKING)
    _another_database()

    def look(_number: int) -> None:
        barrier.wait()
        try:
            epoch.look()
        finally:
            connection.close()

    with ThreadPoolExecutor(LOOKING) as threads:
        list(threads.map(look, range(LOOKING)))

    assert stage.states(mine) == ["QUEUED", "STARTING", "UNKNOWN"]
    assert claim.claim(mine.workspace_id, mine.pk).fence < mine.fence + 2_000_000
