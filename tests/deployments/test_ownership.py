"""Who owns an attempt: the last fence alone, and only while its lease is renewed."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from django.db import Error, connection
from django.utils import timezone

from apps.deployments import runner, transitions
from apps.deployments.engine import claim, endings, journal, locks
from apps.deployments.engine.attempt import Attempt
from apps.deployments.engine.lease import Lease
from apps.deployments.engine.orders import executor_of, order_of
from apps.deployments.enums import DeploymentState as S
from apps.deployments.executors.contract import Slot, StaleFence, StepKind
from apps.deployments.log import LogWriter, read_lines
from apps.deployments.models import Deployment, Step
from apps.environments.models import Lane
from apps.workspaces.scope import workspace_scope
from tests.processes import eventually, start_worker


def _claimed(stage) -> Deployment:
    deployment = stage.start()
    return claim.claim(deployment.workspace_id, deployment.pk)


def _take_over(stage, deployment: Deployment) -> None:
    """Another worker has claimed the row since."""
    with stage.everything():
        Deployment.objects.filter(pk=deployment.pk).update(fence=deployment.fence + 1, lease_token=uuid4())


def test_of_many_claims_at_once_one_gets_the_attempt(stage) -> None:
    deployment, barrier = stage.start(), threading.Barrier(8)

    def try_it(_number: int) -> Deployment | claim.NotDue:
        barrier.wait()
        try:
            return claim.claim(deployment.workspace_id, deployment.pk)
        except claim.NotDue as late:
            return late
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(try_it, range(8)))

    assert sum(isinstance(answer, Deployment) for answer in answers) == 1
    with stage.everything():
        assert deployment.transitions.filter(to_state=S.STARTING).count() == 1


def test_fences_of_a_lane_only_grow(stage) -> None:
    fences = [stage.deploy().fence, stage.deploy("1.1.0").fence, stage.deploy("1.2.0").fence]

    assert fences == sorted(set(fences))


def test_a_stale_owner_can_write_no_step(stage) -> None:
    mine = _claimed(stage)
    step = executor_of(mine.lane).plan(order_of(mine))[0]
    _take_over(stage, mine)

    with pytest.raises(StaleFence):
        journal.begin(mine, 1, step, order_of(mine))

    with stage.everything():
        assert Step.objects.get(deployment=mine, seq=1).started_at is None


def test_a_stale_owner_can_make_no_ending(stage) -> None:
    mine = _claimed(stage)
    lease = Lease(mine, executor_of(mine.lane), _log(mine), time.monotonic())
    attempt = Attempt(mine, executor_of(mine.lane), order_of(mine), lease, _log(mine))
    _take_over(stage, mine)

    with pytest.raises(StaleFence):
        endings.succeed(attempt, Slot.BLUE, why="I think so")

    with stage.everything():
        assert Deployment.objects.get(pk=mine.pk).state == S.STARTING
        assert Lane.objects.get(pk=mine.lane_id).live_release is None


def test_a_stale_owner_can_change_no_state(stage) -> None:
    mine = _claimed(stage)
    _take_over(stage, mine)

    with stage.everything(), pytest.raises(transitions.StaleState):
        transitions.advance(mine, S.APPLYING, by=stage.world.cast.devops, now=timezone.now())


def test_a_stale_owner_can_write_no_log(stage) -> None:
    mine = _claimed(stage)
    log = _log(mine)
    _take_over(stage, mine)

    log.write("too late")
    log.flush()

    with stage.everything():
        assert read_lines(mine, 1, 10) == []


def test_an_owner_that_can_not_renew_gives_up_before_its_lease_ends_for_others(stage, settings) -> None:
    settings.ENGINE_GUARD_SILENCE = timedelta(seconds=0.2)
    settings.ENGINE_BEAT = timedelta(seconds=60)
    mine = _claimed(stage)

    with Lease(mine, executor_of(mine.lane), _log(mine), time.monotonic()) as lease:
        lease.require()
        threading.Event().wait(0.3)

        with pytest.raises(StaleFence):
            lease.require()


def test_a_lease_that_was_taken_over_is_noticed_at_the_next_beat(stage, settings) -> None:
    settings.ENGINE_BEAT = timedelta(seconds=0.05)
    mine = _claimed(stage)

    with Lease(mine, executor_of(mine.lane), _log(mine), time.monotonic()) as lease:
        _take_over(stage, mine)

        def lost() -> bool:
            try:
                lease.require()
            except StaleFence:
                return True
            return False

        eventually(lost, within_seconds=3)


def test_a_frozen_worker_that_wakes_up_changes_nothing_more(stage, redis_url, tmp_path: Path) -> None:
    stage.deploy()
    stage.judge.hold(StepKind.CHECK_GREEN)
    with start_worker(tmp_path) as frozen:
        deployment = stage.start(stage.release("1.1.0"))
        eventually(lambda: stage.judge.is_waiting(StepKind.CHECK_GREEN), because=frozen.output)
        frozen.freeze()
        eventually(lambda: any(due.kind == "LAPSE" for due in runner.due_work(unclaimed=runner.AT_ONCE)))
        for due in runner.due_work(unclaimed=runner.AT_ONCE):
            runner.handle(due)
        assert stage.fresh(deployment).state == S.UNKNOWN  # the frozen one still holds the step's lock on the target

        stage.judge.let_go(StepKind.CHECK_GREEN)
        frozen.thaw()
        eventually(stage.ended(deployment), within_seconds=30, because=frozen.output)

    lane = stage.lane()
    assert stage.fresh(deployment).state == S.SUCCEEDED
    assert (lane.live_release.version, stage.judge.serves(lane.target_key)) == ("1.1.0", "1.1.0")
    stage.judge.require_once(lane.target_key)


def test_who_stands_still_in_a_transaction_keeps_no_lock(stage, settings) -> None:
    """A frozen machine's connection stays open: without a limit, everybody else would wait for it."""
    settings.TRANSACTION_SILENCE = timedelta(seconds=0.3)
    lane, has_lock, goes_on = stage.lane(), threading.Event(), threading.Event()

    def stand_still() -> None:
        try:
            with workspace_scope([lane.workspace_id]):
                locks.lane(lane.pk)
                has_lock.set()
                goes_on.wait(20)
                Lane.objects.filter(pk=lane.pk).update(port=1)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as threads:
        frozen = threads.submit(stand_still)
        assert has_lock.wait(20)
        with stage.everything():
            assert locks.lane(lane.pk).port == lane.port
        goes_on.set()
        with pytest.raises(Error, match="idle-in-transaction"):
            frozen.result(20)

    assert stage.lane().port == lane.port


def test_a_worker_that_is_stopped_hands_over_at_once(stage, redis_url, tmp_path: Path) -> None:
    stage.deploy()
    stage.judge.hold(StepKind.CHECK_GREEN)
    with start_worker(tmp_path) as worker:
        deployment = stage.start(stage.release("1.1.0"))
        eventually(lambda: stage.judge.is_waiting(StepKind.CHECK_GREEN), because=worker.output)

    assert stage.fresh(deployment).state == S.UNKNOWN
    stage.judge.let_go(StepKind.CHECK_GREEN)
    runner.run(deployment.pk)

    assert stage.fresh(deployment).state == S.SUCCEEDED
    stage.judge.require_once(deployment.target_key)


def _log(deployment: Deployment) -> LogWriter:
    return LogWriter(deployment, deployment.fence)
