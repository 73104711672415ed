"""Going back by one click."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from apps.audit.models import AuditEvent
from apps.core.verdict import Denied
from apps.deployments import actions, runner
from apps.deployments.enums import DeploymentState as S
from apps.deployments.executors.contract import Readiness, ReleaseRef, StepKind
from apps.deployments.models import Deployment
from apps.environments import actions as environment_actions
from apps.environments.enums import FreezeScope
from apps.environments.models import Hold
from tests.deployments.file_target import FileTarget
from tests.drill import get, post, text_of


def _roll_back(stage, **more: object) -> Deployment:
    with stage.everything():
        deployment = actions.roll_back(
            stage.world.lane(stage.world.dev),
            reason="Users complain",
            by=stage.world.cast.devops,
            now=timezone.now(),
            **more,
        )
    runner.run(deployment.pk)
    return stage.fresh(deployment)


def test_one_click_brings_the_release_before_back_and_holds_the_lane(stage) -> None:
    stage.deploy()
    live = stage.deploy("1.1.0")

    back = _roll_back(stage)

    lane = stage.lane()
    assert (back.state, back.rolls_back_id) == (S.SUCCEEDED, live.pk)
    assert (lane.live_release.version, lane.rolled_back_from.version) == ("1.0.0", "1.1.0")
    assert stage.judge.serves(lane.target_key) == "1.0.0"
    assert len(stage.judge.effects(lane.target_key, "start")) == 2  # what was warm was not started again
    with stage.everything():
        assert Hold.objects.open().filter(lane=lane).exists()


def test_the_target_is_named_before_the_click(stage) -> None:
    stage.deploy()
    stage.deploy("1.1.0")

    with stage.everything():
        target = actions.rollback_target(stage.lane())

    assert (target.release.version, target.is_warm) == ("1.0.0", True)


def test_without_an_earlier_release_it_says_so(stage) -> None:
    stage.deploy()

    with stage.everything():
        target = actions.rollback_target(stage.lane())

        assert not target
        assert "No other release has run here before" in target.sentence
        with pytest.raises(actions.NoRollbackTarget):
            actions.roll_back(stage.lane(), reason="Why", by=stage.world.cast.devops, now=timezone.now())


def test_a_release_whose_artifact_is_gone_is_no_target(stage) -> None:
    stage.deploy()
    stage.deploy("1.1.0")
    stage.deploy("1.2.0")
    stage.judge.behave(v1_1_0={"artifact": "gone"})

    with stage.everything():
        assert actions.rollback_target(stage.lane()).release.version == "1.0.0"


def test_a_release_may_be_named(stage) -> None:
    first = stage.deploy()
    stage.deploy("1.1.0")
    stage.deploy("1.2.0")

    assert _roll_back(stage, to=first.release).state == S.SUCCEEDED
    assert stage.lane().live_release.version == "1.0.0"


def test_a_release_that_never_ran_there_is_no_target(stage) -> None:
    first, people = stage.deploy(), stage.world.cast
    address = reverse("deployments:rollback", args=[first.number])

    answer = post(people.devops, address, {"to": stage.release("1.1.0").pk, "reason": "Users complain"})

    assert answer.status_code == 409
    assert "1.1.0 has never run well here." in text_of(answer)
    with stage.everything():
        assert Deployment.objects.get() == first
        refused = AuditEvent.objects.get(kind="access.refused")
        assert (refused.actor_id, refused.change["code"]["after"]) == (str(people.devops.pk), "no_rollback_target")


def test_it_passes_freeze_and_hold_and_says_so(stage) -> None:
    stage.deploy()
    stage.deploy("1.1.0")
    now, people = timezone.now(), stage.world.cast
    with stage.everything():
        environment_actions.freeze(
            scope=FreezeScope.ENVIRONMENT, environment=stage.world.dev, workspace_id=people.platform.pk,
            reason="Year end", ends_at=now + timedelta(days=1), by=people.devops, now=now - timedelta(seconds=1),
        )  # fmt: skip

    back = _roll_back(stage)

    assert back.state == S.SUCCEEDED
    with stage.everything():
        event = AuditEvent.objects.get(kind="deployment.queued", target_id=str(back.pk))
        assert "Passes the freeze “Year end”" in event.summary


def test_who_may_not_roll_back_is_refused(stage) -> None:
    stage.deploy()
    stage.deploy("1.1.0")

    with stage.everything(), pytest.raises(Denied):
        actions.roll_back(stage.lane(), reason="Why", by=stage.world.cast.auditor, now=timezone.now())


def test_a_rollback_that_did_not_run_can_be_asked_for_again(stage) -> None:
    stage.deploy()
    stage.deploy("1.1.0")
    with stage.everything():
        people, now = stage.world.cast, timezone.now()
        queued = actions.roll_back(stage.lane(), reason="Users complain", by=people.devops, now=now)
        actions.cancel_deployment(queued, reason="Wrong lane", by=people.devops, now=now)

    assert _roll_back(stage).state == S.SUCCEEDED


def test_a_service_that_does_not_answer_is_not_asked_about_one_release_after_the_other(stage, monkeypatch) -> None:
    for version in (None, "1.1.0", "1.2.0", "1.3.0"):
        stage.deploy(version)
    asked = []

    def readiness(_target: object, _executor: object, release: ReleaseRef, _configuration: object) -> Readiness:
        asked.append(release.version)
        return Readiness(False, False, "No answer from https://elsewhere.example", answered=False)

    monkeypatch.setattr(FileTarget, "readiness", readiness)
    with stage.everything():
        target = actions.rollback_target(stage.lane())

    assert (bool(target), target.sentence) == (False, "No answer from https://elsewhere.example")
    assert asked == ["1.2.0"]


def _lose(stage, step: str) -> Deployment:
    """Begin a rollback that loses its worker in the step."""
    stage.deploy()
    stage.deploy("1.1.0")
    stage.judge.behave(v1_0_0={step: "bug"})
    back = _roll_back(stage)
    assert back.state == S.UNKNOWN
    assert timedelta(minutes=14) < back.deadline_at - back.requested_at <= timedelta(minutes=15, seconds=5)
    stage.judge.behave()
    return back


def _leave(stage, back: Deployment, **left: float) -> None:
    with stage.everything():
        Deployment.objects.filter(pk=back.pk).update(deadline_at=timezone.now() + timedelta(**left))


@pytest.mark.parametrize("seconds", [0, 0.5], ids=["over", "nearly over"])
def test_who_takes_a_rollback_over_has_what_is_left_of_its_time(stage, settings, seconds: float) -> None:
    settings.ENGINE_BEAT = timedelta(seconds=0.05)
    back = _lose(stage, "START_GREEN")
    _leave(stage, back, seconds=seconds)
    stage.judge.hold(StepKind.CHECK_GREEN)

    stage.let_probe(back)

    ended = stage.fresh(back)
    assert (ended.state, ended.outcome) == (S.FAILED, "It was not done within 15 m.")
    with stage.everything():
        assert Hold.objects.open().filter(lane=back.lane).exists()
        assert AuditEvent.objects.filter(kind="deployment.alarmed", target_id=str(back.pk)).exists()


def test_a_rollback_that_was_done_is_adopted_late_and_its_page_says_that_it_is(stage) -> None:
    back = _lose(stage, "RETIRE_BLUE")
    _leave(stage, back, minutes=-1)
    with stage.everything():
        Deployment.objects.filter(pk=back.pk).update(requested_at=timezone.now() - timedelta(minutes=16))

    stage.let_probe(back)

    assert stage.fresh(back).state == S.SUCCEEDED
    assert "over the limit of" in text_of(get(stage.world.cast.devops, f"/deployments/{back.number}/"))


def test_the_page_of_a_rollback_shows_its_time_against_the_limit(stage) -> None:
    stage.deploy()
    live = stage.deploy("1.1.0")

    back = _roll_back(stage)

    assert "of at most" in text_of(get(stage.world.cast.devops, f"/deployments/{back.number}/"))
    assert "of at most" not in text_of(get(stage.world.cast.devops, f"/deployments/{live.number}/"))
