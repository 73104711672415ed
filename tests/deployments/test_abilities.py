"""The engine and the pages follow what an executor declares that it can do."""

import dataclasses
import html
from datetime import timedelta

import pytest
from django.utils import timezone

from apps.audit.models import AuditEvent
from apps.core.verdict import Denied
from apps.deployments import actions, runner
from apps.deployments.enums import DeploymentState
from apps.deployments.executors.contract import StepKind
from apps.deployments.models import Deployment
from apps.environments.models import Lane
from tests.deployments.file_target import FileTarget

S = DeploymentState


@pytest.fixture(autouse=True)
def looked_at_at_once(settings) -> None:
    """A lost attempt is due for a look at once."""
    settings.ENGINE_PROBE_EVERY = timedelta(0)


@pytest.fixture
def unable(monkeypatch: pytest.MonkeyPatch):
    """Take abilities away from the target."""

    def take_away(*names: str) -> None:
        less = dataclasses.replace(FileTarget.can, **dict.fromkeys(names, False))
        monkeypatch.setattr(FileTarget, "can", less)

    return take_away


def test_without_a_probe_a_lost_attempt_waits_for_a_person(stage, unable) -> None:
    unable("probe")
    stage.judge.behave(v1_0_0={StepKind.START_GREEN: "bug"})
    lost = stage.deploy()
    assert lost.state == S.UNKNOWN

    runner.run(lost.pk)

    seen = stage.fresh(lost)
    assert seen.state == S.UNKNOWN
    assert "a person has to look" in seen.probed


def test_what_can_not_repeat_is_not_tried_again(stage, unable) -> None:
    unable("repeat")
    stage.judge.behave(v1_0_0={StepKind.INSTALL: "bug"})
    lost = stage.deploy()
    stage.judge.behave()

    runner.run(lost.pk)

    seen = stage.fresh(lost)
    assert (seen.state, seen.attempt) == (S.ERRORED, 1)
    assert stage.judge.effects(seen.target_key) == []


def test_what_can_not_be_stopped_refuses_to_be_cancelled_once_it_runs(stage, unable, client) -> None:
    unable("cancel")
    devops = stage.world.cast.devops
    deployment = stage.start()
    with stage.everything():
        assert actions.may_cancel(devops, deployment)  # it waits for its turn
    thread = stage.run_until(StepKind.CHECK_GREEN, deployment)

    client.force_login(devops)
    page = client.get(f"/deployments/{deployment.number}/")
    with stage.everything(), pytest.raises(Denied) as refusal:
        actions.cancel_deployment(stage.fresh(deployment), reason="Too slow", by=devops, now=timezone.now())

    stage.judge.let_go(StepKind.CHECK_GREEN)
    thread.join(20)
    assert refusal.value.code == "not_stoppable"
    assert refusal.value.sentence in html.unescape(page.content.decode())
    assert stage.fresh(deployment).state == S.SUCCEEDED


def test_what_can_not_go_back_calls_a_person_instead(stage, unable) -> None:
    unable("roll_back")
    stage.deploy()
    stage.judge.behave(v1_1_0={StepKind.START_GREEN: "fail"})

    failed = stage.deploy("1.1.0")

    assert failed.state == S.FAILED
    with stage.everything():
        assert not Deployment.objects.filter(rolls_back=failed).exists()
        assert AuditEvent.objects.filter(kind="deployment.alarmed", target_id=str(failed.pk)).exists()
        lane = Lane.objects.get(pk=failed.lane_id)
        assert lane.live_release.version == "1.0.0"
        refusal = actions.rollback_target(lane)
    assert not refusal


def test_a_person_is_told_why_nothing_can_be_rolled_back(stage, unable) -> None:
    stage.deploy()
    stage.deploy("1.1.0")
    unable("roll_back")

    with stage.everything():
        refusal = actions.rollback_target(stage.lane())

    assert not refusal
    assert "can't be rolled back" in refusal.sentence
    assert refusal.sentence.count("can't be rolled back") == 1


def test_what_is_half_there_is_finished_by_the_next_try(stage) -> None:
    stage.judge.behave(v1_0_0={StepKind.SWITCH: "bug"})
    lost = stage.deploy()
    stage.judge.behave(v1_0_0={"probe": "BEGUN"})

    runner.run(lost.pk)

    seen = stage.fresh(lost)
    assert (seen.state, seen.attempt) == (S.SUCCEEDED, 2)
    stage.judge.require_once(seen.target_key)


def test_what_stays_half_there_fails_and_is_rolled_back_without_blame(stage) -> None:
    stage.deploy()
    stage.judge.behave(v1_1_0={StepKind.SWITCH: "bug", "probe": "BEGUN"})
    lost = stage.deploy("1.1.0")

    for _look in range(2):
        runner.run(lost.pk)

    seen = stage.fresh(lost)
    assert (seen.state, seen.attempt) == (S.FAILED, 2)
    assert stage.rollback_of(lost).state == S.SUCCEEDED
    assert stage.judge.serves(seen.target_key) == "1.0.0"
    with stage.everything():
        assert stage.fresh(lost).release.state == "SEALED"
