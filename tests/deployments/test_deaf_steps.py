"""A step that does not end when asked is given up; what it does later is refused, and the lane stays held."""

import threading
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from apps.deployments import actions, runner
from apps.deployments.enums import DeploymentState as S
from apps.deployments.enums import StepVerdict
from apps.deployments.executors.contract import StepKind
from apps.deployments.models import Deployment
from tests.processes import eventually

STEP = StepKind.START_GREEN


@pytest.fixture
def quick(settings) -> None:
    settings.ENGINE_BEAT = timedelta(seconds=0.05)
    settings.ENGINE_STEP_GRACE = timedelta(seconds=0.3)
    settings.ENGINE_PROBE_EVERY = timedelta(0)


def _stuck(stage, settings=None) -> tuple[Deployment, threading.Thread]:
    """An attempt whose step hears nothing, in a thread that stands for its worker; `settings`: late soon."""
    stage.deploy()
    if settings is not None:
        settings.ENGINE_APPLY_LIMIT = timedelta(seconds=0.2)
    stage.judge.deafen(STEP)
    deployment = stage.start(stage.release("1.1.0"))
    return deployment, stage.run_until(STEP, deployment)


def _cancel(stage, deployment: Deployment) -> None:
    with stage.everything():
        actions.cancel_deployment(deployment, reason="It hangs", by=stage.world.cast.devops, now=timezone.now())
    runner.cancel(deployment.pk)


def _take_over(stage, deployment: Deployment) -> None:
    with stage.everything():
        Deployment.objects.filter(pk=deployment.pk).update(fence=deployment.fence + 1, lease_token=uuid4())


def test_after_the_limit_and_its_grace_the_worker_waits_no_more_and_the_lane_stays_held(stage, settings, quick) -> None:
    deployment, worker = _stuck(stage, settings)

    worker.join(10)

    lost = stage.fresh(deployment)
    assert not worker.is_alive()
    assert (lost.state, lost.lease_token) == (S.UNKNOWN, None)
    with stage.everything():
        step = lost.steps.get(kind=STEP)
        assert (step.verdict, "was given up" in step.detail) == (StepVerdict.UNKNOWN, True)
    runner.run(deployment.pk)
    assert stage.fresh(deployment).probed == "a step is at work"
    with stage.everything(), pytest.raises(actions.LaneBusy):
        actions.roll_back(stage.lane(), reason="Because", by=stage.world.cast.devops, now=timezone.now())
    _let_go_late(stage, deployment)


def test_the_late_effect_of_a_step_that_was_given_up_is_refused(stage, quick) -> None:
    deployment, worker = _stuck(stage)
    _cancel(stage, deployment)
    worker.join(10)
    assert stage.fresh(deployment).state == S.UNKNOWN
    runner.run(deployment.pk)  # this look leaves its fence at the target
    before = stage.judge.effects(deployment.target_key)

    _let_go_late(stage, deployment)

    assert stage.judge.effects(deployment.target_key) == before
    eventually(_ended_by_looking(stage, deployment))
    assert stage.fresh(deployment).state == S.CANCELLED
    assert stage.judge.serves(deployment.target_key) == "1.0.0"


def test_a_worker_that_lost_its_lease_waits_no_more_either(stage, quick) -> None:
    deployment, worker = _stuck(stage)
    with stage.everything():
        _take_over(stage, Deployment.objects.get(pk=deployment.pk))

    worker.join(10)

    assert not worker.is_alive()
    assert stage.fresh(deployment).state == S.APPLYING  # it is the other one's, and nothing was written to it
    _let_go_late(stage, deployment)


def test_a_step_that_ends_within_its_grace_is_believed(stage, settings, quick) -> None:
    settings.ENGINE_STEP_GRACE = timedelta(seconds=20)
    deployment, worker = _stuck(stage)
    _cancel(stage, deployment)
    eventually(lambda: stage.fresh(deployment).cancel_requested_at)

    stage.judge.let_go_on(STEP)
    worker.join(20)

    assert stage.fresh(deployment).state == S.CANCELLED
    assert [line["effect"] for line in stage.judge.effects(deployment.target_key)][-2:] == ["start", "stop"]


def _let_go_late(stage, deployment: Deployment) -> None:
    """Let the abandoned step go on, and wait until it is over."""
    late = [thread for thread in threading.enumerate() if thread.name == "effect"]
    assert late, "nothing was left at work"
    stage.judge.let_go_on(STEP)
    for thread in late:
        thread.join(10)
        assert not thread.is_alive()


def _ended_by_looking(stage, deployment: Deployment) -> Callable[[], bool]:
    def look() -> bool:
        runner.run(deployment.pk)
        connection.close()
        return not stage.fresh(deployment).is_open

    return look
