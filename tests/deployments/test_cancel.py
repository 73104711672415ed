"""A wish to cancel is a row; the owner obeys it at each beat, whoever comes after it when the owner is dead."""

from pathlib import Path

import pytest
from django.utils import timezone

from apps.approvals import actions as approval_actions
from apps.approvals.enums import PromotionState
from apps.approvals.models import Promotion
from apps.audit.models import AuditEvent
from apps.core.texts import TextInvalid
from apps.core.verdict import Denied
from apps.deployments import actions, runner
from apps.deployments.engine import run as engine
from apps.deployments.enums import DeploymentState as S
from apps.deployments.executors.contract import StepKind
from apps.deployments.models import Deployment
from apps.environments import actions as environment_actions
from apps.environments.models import Hold
from apps.releases.enums import ReleaseState
from apps.releases.models import Release
from tests.processes import eventually, start_worker


def _cancel(stage, deployment: Deployment) -> None:
    with stage.everything():
        actions.cancel_deployment(deployment, reason="Wrong release", by=stage.world.cast.devops, now=timezone.now())
    runner.cancel(deployment.pk)


def test_what_waits_is_cancelled_at_once(stage) -> None:
    deployment = stage.start()

    _cancel(stage, deployment)
    runner.run(deployment.pk)

    with stage.everything():
        ended = stage.fresh(deployment)
        assert ended.state == S.CANCELLED
        assert ended.outcome == "Cancelled by DevOps: Wrong release"
        assert not ended.promotion.starts_by_itself
    assert not stage.judge.effects(ended.target_key)


def _supersede(stage, _promotion: Promotion) -> None:
    stage.promotion(stage.release("1.1.0"))


def _withdraw(stage, promotion: Promotion) -> None:
    people = stage.world.cast
    with stage.everything():
        approval_actions.withdraw(promotion, reason="Not now", by=people.release_engineer, now=timezone.now())


def _expire(stage, promotion: Promotion) -> None:
    with stage.everything():
        approval_actions.settle(promotion, now=promotion.expires_at)


def _freeze(stage, promotion: Promotion) -> None:
    people, now = stage.world.cast, timezone.now()
    with stage.everything():
        environment_actions.freeze(
            scope="ENVIRONMENT", environment=stage.world.dev, workspace_id=people.platform.pk, reason="Incident",
            ends_at=None, by=people.devops, now=now,
        )  # fmt: skip
        approval_actions.settle(promotion, now=now)


@pytest.mark.parametrize(
    ("happens", "state"),
    [
        (_supersede, PromotionState.SUPERSEDED),
        (_withdraw, PromotionState.WITHDRAWN),
        (_expire, PromotionState.EXPIRED),
        (_freeze, PromotionState.PENDING),
    ],
)
def test_what_waits_is_cancelled_whatever_became_of_its_promotion(stage, happens, state) -> None:
    deployment = stage.start()
    happens(stage, stage.fresh(deployment).promotion)
    before = stage.fresh(deployment).promotion

    _cancel(stage, deployment)

    ended = stage.fresh(deployment)
    assert (before.state, ended.state, ended.promotion.state) == (state, S.CANCELLED, state)
    assert not (ended.promotion.is_open and ended.promotion.starts_by_itself)
    if not ended.promotion.is_open:
        assert (ended.promotion.outcome, ended.promotion.ended_at) == (before.outcome, before.ended_at)


@pytest.mark.parametrize("step", [StepKind.INSTALL, StepKind.START_GREEN, StepKind.CHECK_GREEN, StepKind.SWITCH])
def test_before_the_switch_it_is_cancelled_and_leaves_nothing(stage, step: StepKind) -> None:
    stage.deploy()
    deployment = stage.start(stage.release("1.1.0"))
    thread = stage.run_until(step, deployment)

    _cancel(stage, deployment)
    thread.join(20)

    ended = stage.fresh(deployment)
    assert ended.state == S.CANCELLED
    assert stage.states(deployment)[-2:] == ["CANCELLING", "CANCELLED"]
    assert stage.judge.serves(ended.target_key) == "1.0.0"
    started = len(stage.judge.effects(ended.target_key, "start"))
    assert len(stage.judge.effects(ended.target_key, "stop")) == started - 1
    with stage.everything():
        assert Release.objects.get(version="1.1.0").state == ReleaseState.SEALED
        assert not Hold.objects.open().exists()
        assert AuditEvent.objects.filter(kind="deployment.cancel_requested", target_id=str(ended.pk)).exists()


def test_after_the_switch_it_is_taken_back_without_blaming_the_release(stage) -> None:
    stage.deploy()
    deployment = stage.start(stage.release("1.1.0"))
    thread = stage.run_until(StepKind.DRAIN_BLUE, deployment)

    _cancel(stage, deployment)
    eventually(lambda: stage.fresh(deployment).state != S.VERIFYING)
    stage.judge.let_go(StepKind.DRAIN_BLUE)
    thread.join(20)

    ended = stage.fresh(deployment)
    assert (ended.state, stage.rollback_of(ended).state) == (S.FAILED, S.SUCCEEDED)
    assert stage.judge.serves(ended.target_key) == "1.0.0"
    with stage.everything():
        assert Release.objects.get(version="1.1.0").state == ReleaseState.SEALED
        assert Hold.objects.open().exists()


def test_a_wish_during_the_last_step_is_obeyed_too(stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.deploy()
    deployment = stage.start(stage.release("1.1.0"))

    def after(name: str) -> None:
        if name == f"after_result:{StepKind.KEEP_BLUE}":
            with stage.everything():
                by, now = stage.world.cast.devops, timezone.now()
                actions.cancel_deployment(deployment, reason="Wrong release", by=by, now=now)

    monkeypatch.setattr(engine, "crashpoint", after)
    runner.run(deployment.pk)

    ended = stage.fresh(deployment)
    assert (ended.state, stage.rollback_of(ended).state) == (S.FAILED, S.SUCCEEDED)
    assert ended.outcome.startswith("Cancelled by DevOps: Wrong release It served already.")
    assert stage.lane().live_release.version == stage.judge.serves(ended.target_key) == "1.0.0"


def test_the_wish_is_obeyed_when_the_owner_is_dead(stage, redis_url, tmp_path: Path) -> None:
    stage.deploy()
    stage.judge.hold(StepKind.CHECK_GREEN)
    with start_worker(tmp_path) as worker:
        deployment = stage.start(stage.release("1.1.0"))
        eventually(lambda: stage.judge.is_waiting(StepKind.CHECK_GREEN), because=worker.output)
        worker.kill()

    _cancel(stage, deployment)
    stage.judge.let_go(StepKind.CHECK_GREEN)
    eventually(
        lambda: [runner.handle(due) for due in runner.due_work(unclaimed=runner.AT_ONCE) if due.kind != "SETTLE"]
    )

    assert stage.fresh(deployment).state == S.CANCELLED
    assert stage.judge.serves(deployment.target_key) == "1.0.0"


def test_what_nobody_can_tell_is_cancelled_when_the_target_says_untouched(stage) -> None:
    stage.deploy()
    stage.judge.behave(v1_1_0={"START_GREEN": "bug"})
    deployment = stage.deploy("1.1.0")
    assert deployment.state == S.UNKNOWN

    _cancel(stage, deployment)
    eventually(lambda: runner.due_work(unclaimed=runner.AT_ONCE, one=deployment.pk))
    runner.run(deployment.pk)

    assert stage.fresh(deployment).state == S.CANCELLED


def test_what_has_ended_is_not_cancelled(stage) -> None:
    deployment = stage.deploy()

    with pytest.raises(Denied, match="has ended"):
        _cancel(stage, deployment)


def test_a_rollback_that_runs_is_not_cancelled(stage) -> None:
    stage.deploy()
    stage.deploy("1.1.0")
    with stage.everything():
        back = actions.roll_back(stage.lane(), reason="Why", by=stage.world.cast.devops, now=timezone.now())
    thread = stage.run_until(StepKind.SWITCH, back)

    with pytest.raises(Denied, match="brings back what worked"):
        _cancel(stage, back)
    stage.judge.let_go(StepKind.SWITCH)
    thread.join(20)

    assert stage.fresh(back).state == S.SUCCEEDED


def test_a_reason_must_be_given(stage) -> None:
    deployment = stage.start()

    with stage.everything(), pytest.raises(TextInvalid):
        actions.cancel_deployment(deployment, reason=" ", by=stage.world.cast.devops, now=timezone.now())


def test_a_person_abandons_what_nobody_can_tell_and_the_lane_is_held(stage) -> None:
    stage.deploy()
    stage.judge.behave(v1_1_0={"START_GREEN": "bug", "probe": "UNREACHABLE"})
    deployment = stage.deploy("1.1.0")

    with stage.everything():
        actions.abandon_deployment(
            deployment, reason="The machine is gone", by=stage.world.cast.devops, now=timezone.now()
        )

        assert stage.fresh(deployment).state == S.ABANDONED
        assert Hold.objects.open().filter(lane=deployment.lane).exists()


def test_what_the_engine_still_has_is_not_abandoned(stage) -> None:
    deployment = stage.start()

    with stage.everything(), pytest.raises(Denied, match="the engine still has it"):
        actions.abandon_deployment(deployment, reason="Impatience", by=stage.world.cast.devops, now=timezone.now())
