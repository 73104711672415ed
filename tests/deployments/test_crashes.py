"""The worker's process is killed at named places; whoever comes after brings the attempt to its right end, once."""

import signal
import time
from pathlib import Path

import pytest
from django.conf import settings

from apps.deployments import runner
from apps.deployments.enums import DeploymentState as S
from apps.deployments.models import Deployment
from tests.processes import Child, eventually, start_worker

STEPS = (
    "VERIFY_ARTIFACT", "INSTALL", "START_GREEN", "CHECK_GREEN", "SWITCH", "VERIFY", "DRAIN_BLUE", "KEEP_BLUE",
)  # fmt: skip
ON_THE_WAY = [
    "before_claim_commit",
    "after_claim_commit",
    *(f"{moment}:{step}" for step in STEPS for moment in ("after_intent", "after_effect", "after_result")),
    "before_success_commit",
    "after_success_commit",
]
ON_THE_WAY_BACK = [
    "before_failure_commit",
    "after_failure_commit",
    "after_intent:SWITCH",
    "after_effect:SWITCH",
    "after_intent:RETIRE_BLUE",
    "after_effect:RETIRE_BLUE",
    "before_success_commit",
    "after_success_commit",
]
# The places where most is at stake are tried with every run of the suite.
QUICK = {"after_effect:SWITCH", "after_failure_commit"}


def _points(points: list[str]) -> list[object]:
    return [pytest.param(p, marks=[] if p in QUICK else [pytest.mark.reliability]) for p in points]


@pytest.mark.parametrize("point", _points(ON_THE_WAY))
def test_a_killed_worker_leaves_a_deployment_that_ends_well(stage, redis_url, tmp_path: Path, point: str) -> None:
    stage.deploy()
    release = stage.release("1.1.0")
    with start_worker(tmp_path, environment={"EAIP_CRASHPOINT": point}) as worker:
        deployment = stage.start(release)
        _require_killed(worker)

    _recover(stage)

    lane = stage.lane()
    assert stage.fresh(deployment).state == S.SUCCEEDED
    assert (lane.live_release.version, stage.judge.serves(lane.target_key)) == ("1.1.0", "1.1.0")
    stage.judge.require_once(lane.target_key)


@pytest.mark.parametrize("point", _points(ON_THE_WAY_BACK))
def test_a_killed_worker_leaves_a_rollback_that_ends_well(stage, redis_url, tmp_path: Path, point: str) -> None:
    stage.deploy()
    stage.judge.behave(v1_1_0={"CHECK_GREEN": "fail"})
    release = stage.release("1.1.0")
    with start_worker(tmp_path, environment={"EAIP_CRASHPOINT": point}) as worker:
        deployment = stage.start(release)
        _require_killed(worker)

    _recover(stage)

    lane, back = stage.lane(), stage.rollback_of(deployment)
    assert (stage.fresh(deployment).state, back.state) == (S.FAILED, S.SUCCEEDED)
    assert (lane.live_release.version, stage.judge.serves(lane.target_key)) == ("1.0.0", "1.0.0")
    stage.judge.require_once(lane.target_key)


def _require_killed(worker: Child) -> None:
    eventually(lambda: not worker.is_running(), because="the worker passed the place without dying")
    assert worker.process.returncode == -signal.SIGKILL


def _recover(stage) -> None:
    """Do what the sweeper of another worker does, until nothing is open any more."""
    until = time.monotonic() + 30 + 3 * settings.ENGINE_LEASE.total_seconds()
    while _open(stage):
        assert time.monotonic() < until, f"still open: {_open(stage)}"
        for due in runner.due_work(unclaimed=runner.AT_ONCE):
            runner.handle(due)
        time.sleep(0.1)


def _open(stage) -> list[tuple[int, str]]:
    with stage.everything():
        return list(Deployment.objects.open().values_list("number", "state"))
