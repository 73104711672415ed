"""What goes wrong, and where it ends."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from apps.approvals import actions as approval_actions
from apps.approvals.enums import PromotionState
from apps.approvals.models import Promotion
from apps.audit.models import AuditEvent
from apps.core.verdict import Refusal
from apps.deployments import actions, runner
from apps.deployments.enums import DeploymentKind, StepVerdict
from apps.deployments.enums import DeploymentState as S
from apps.deployments.executors.contract import StepKind
from apps.deployments.models import Deployment
from apps.environments.models import Hold
from apps.releases.actions import quarantine_release
from apps.releases.enums import ReleaseState
from apps.releases.models import Release
from tests.drill import get, post, text_of

BAD = "1.1.0"


def _promotion_state(stage, deployment: Deployment) -> str:
    with stage.everything():
        return Promotion.objects.get(pk=deployment.promotion_id).state


@pytest.mark.parametrize(
    "behaviour", [{"START_GREEN": "fail"}, {"CHECK_GREEN": "fail"}, {"health": "bad"}, {"DRAIN_BLUE": "fail"}]
)
def test_a_bad_release_is_taken_back_without_a_person(stage, behaviour: dict[str, str]) -> None:
    stage.deploy()
    stage.judge.behave(v1_1_0=behaviour)

    bad = stage.deploy(BAD)

    back, lane = stage.rollback_of(bad), stage.lane()
    assert (bad.state, back.state, back.kind) == (S.FAILED, S.SUCCEEDED, DeploymentKind.ROLLBACK)
    assert stage.states(back) == ["STARTING", "APPLYING", "VERIFYING", "SUCCEEDED"]
    assert (lane.live_release.version, stage.judge.serves(lane.target_key)) == ("1.0.0", "1.0.0")
    assert lane.rolled_back_from.version == BAD
    assert _promotion_state(stage, bad) == PromotionState.FAILED
    stage.judge.require_once(lane.target_key)


def test_the_lane_is_held_and_the_release_quarantined_with_the_failure(stage) -> None:
    stage.deploy()
    stage.judge.behave(v1_1_0={"health": "bad"})

    bad = stage.deploy(BAD)

    with stage.everything():
        hold = Hold.objects.open().get(lane=bad.lane)
        release = Release.objects.get(pk=bad.release_id)
        assert hold.deployment_id == bad.pk
        assert release.state == ReleaseState.QUARANTINED
        assert "500 broken" in release.quarantine_reason


def test_a_release_that_was_quarantined_meanwhile_fails_all_the_same(stage) -> None:
    """By a person, or because it failed in another lane a moment ago."""
    stage.deploy()
    stage.judge.behave(v1_1_0={"health": "bad"})
    bad = stage.start(stage.release(BAD))
    thread = stage.run_until(StepKind.SWITCH, bad)
    with stage.everything():
        quarantine_release(bad.release, reason="It failed in Staging", by=stage.world.cast.devops, now=timezone.now())

    stage.judge.let_go(StepKind.SWITCH)
    thread.join(30)

    assert (stage.fresh(bad).state, stage.rollback_of(bad).state) == (S.FAILED, S.SUCCEEDED)
    with stage.everything():
        assert Release.objects.get(pk=bad.release_id).quarantine_reason == "It failed in Staging"
    stage.judge.require_once(bad.target_key)


def test_automation_does_not_bring_a_quarantined_release_back(stage) -> None:
    stage.deploy()
    stage.judge.behave(v1_1_0={"health": "bad"})
    bad = stage.deploy(BAD)
    stage.judge.behave()

    with stage.everything(), pytest.raises(Refusal):
        approval_actions.request_promotion(
            bad.release, lane=bad.lane, by=stage.world.cast.release_engineer, now=timezone.now()
        )
    for due in runner.due_work(unclaimed=runner.AT_ONCE):
        runner.handle(due)

    assert stage.judge.serves(bad.lane.target_key) == "1.0.0"
    assert len(stage.judge.effects(bad.lane.target_key, "switch")) == 3  # up, up, back


def test_a_failed_rollback_has_no_rollback_and_calls_for_a_person(stage) -> None:
    stage.deploy()
    stage.judge.behave(v1_1_0={"health": "bad"}, v1_0_0={"START_GREEN": "fail"})

    bad = stage.deploy(BAD)

    back = stage.rollback_of(bad)
    with stage.everything():
        assert back.state == S.FAILED
        assert Deployment.objects.count() == 3
        assert Hold.objects.open().filter(lane=bad.lane).exists()
        assert AuditEvent.objects.filter(kind="deployment.alarmed", target_id=str(back.pk)).exists()
        assert Release.objects.get(version="1.0.0").state == ReleaseState.SEALED


@pytest.mark.parametrize("behaviour", [{"START_GREEN": "fail"}, {"health": "bad"}])
def test_a_first_deployment_that_fails_leaves_nothing_running(stage, behaviour: dict[str, str]) -> None:
    stage.judge.behave(v1_0_0=behaviour)

    first = stage.deploy()

    lane = stage.lane()
    assert first.state == S.FAILED
    assert "nothing can be brought back: it is stopped" in first.outcome
    assert (lane.live_release, stage.judge.serves(lane.target_key)) == (None, None)
    with stage.everything():
        assert not Deployment.objects.filter(rolls_back=first).exists()


@pytest.mark.parametrize("behaviour", [{"VERIFY_ARTIFACT": "reject"}, {"INSTALL": "fail"}])
def test_a_release_that_can_not_be_prepared_touches_nothing(stage, behaviour: dict[str, str]) -> None:
    stage.deploy()
    stage.judge.behave(v1_1_0=behaviour)

    bad = stage.deploy(BAD)

    with stage.everything():
        assert stage.states(bad) == ["QUEUED", "STARTING", "FAILED"]
        assert not Deployment.objects.filter(rolls_back=bad).exists()
        assert not Hold.objects.open().exists()
    assert [line["version"] for line in stage.judge.effects(bad.lane.target_key)] == ["1.0.0", "1.0.0"]


def test_a_fault_of_ours_gives_the_promotion_back_and_waits_for_a_person(stage) -> None:
    stage.deploy()
    stage.judge.behave(v1_1_0={"INSTALL": "untouched"})

    bad = stage.deploy(BAD)

    with stage.everything():
        promotion = Promotion.objects.get(pk=bad.promotion_id)
        assert bad.state == S.ERRORED
        assert promotion.state == PromotionState.READY
        assert not promotion.starts_by_itself


def test_the_page_says_what_stayed_safe_and_what_to_do_next(stage) -> None:
    stage.deploy()
    stage.judge.behave(v1_1_0={"INSTALL": "untouched"})

    bad = stage.deploy(BAD)

    page = text_of(get(stage.world.cast.devops, reverse("deployments:deployment-detail", args=[bad.number])))
    assert "1 of 8 steps done" in page
    assert "1.0.0 serves as before." in page
    assert f"Promotion #{bad.promotion.number}</a> is ready: it can be started again there." in page


def test_it_is_started_again_from_its_own_page_by_one_person_at_a_time(stage) -> None:
    people = stage.world.cast
    stage.judge.behave(v1_0_0={"INSTALL": "untouched"})
    bad = stage.deploy()
    stage.judge.behave()
    page, start = (
        reverse("deployments:deployment-detail", args=[bad.number]),
        reverse("deployments:deployment-create", args=[bad.promotion_id]),
    )

    assert f'<form method="post" action="{start}">' in text_of(get(people.release_engineer, page))
    assert "do not let you" in text_of(get(people.auditor, page))
    first, second = post(people.release_engineer, start), post(people.release_engineer, start)

    assert (first.status_code, second.status_code) == (302, 409)
    assert start not in text_of(get(people.release_engineer, page)), "somebody has started it already"
    with stage.everything():
        again = Deployment.objects.open().get()
    runner.run(again.pk)
    assert stage.fresh(again).state == S.SUCCEEDED
    assert start not in text_of(get(people.release_engineer, page))


def test_what_was_taken_back_is_not_said_to_be_untouched(stage) -> None:
    stage.deploy()
    stage.judge.behave(v1_1_0={"health": "bad"})

    bad = stage.deploy(BAD)

    page = text_of(get(stage.world.cast.devops, reverse("deployments:deployment-detail", args=[bad.number])))
    assert "Rolled back by" in page
    assert "serves as before" not in page


def test_what_nobody_can_tell_is_probed_and_tried_once_more(stage) -> None:
    stage.deploy()
    stage.judge.behave(v1_1_0={"START_GREEN": "bug"})
    bad = stage.deploy(BAD)
    assert bad.state == S.UNKNOWN

    stage.judge.behave()
    stage.let_probe(bad)

    ended = stage.fresh(bad)
    assert (ended.state, ended.attempt) == (S.SUCCEEDED, 2)
    stage.judge.require_once(bad.lane.target_key)


def test_it_is_not_tried_a_third_time(stage) -> None:
    stage.deploy()
    stage.judge.behave(v1_1_0={"START_GREEN": "bug"})
    bad = stage.deploy(BAD)

    stage.let_probe(bad)
    assert stage.fresh(bad).state == S.UNKNOWN
    stage.let_probe(bad)

    assert stage.fresh(bad).state == S.ERRORED


def test_an_unreachable_target_keeps_the_lane_and_calls_for_a_person_once(stage, settings) -> None:
    settings.ENGINE_UNKNOWN_ALARM = timedelta(0)
    stage.deploy()
    stage.judge.behave(v1_1_0={"START_GREEN": "bug", "probe": "UNREACHABLE"})
    bad = stage.deploy(BAD)

    for _ in range(2):
        stage.let_probe(bad)
        runner.call_for_lost()

    with stage.everything():
        assert stage.fresh(bad).state == S.UNKNOWN
        assert AuditEvent.objects.filter(kind="deployment.alarmed", target_id=str(bad.pk)).count() == 1
        with pytest.raises(actions.LaneBusy):
            actions.roll_back(bad.lane, reason="Because", by=stage.world.cast.devops, now=timezone.now())


def test_a_person_is_called_once_however_sight_was_lost_and_whoever_finds_that(stage, settings) -> None:
    settings.ENGINE_UNKNOWN_ALARM = timedelta(0)
    stage.deploy()
    stage.judge.behave(v1_1_0={"START_GREEN": "bug", "probe": "a fault of ours"})
    lost, barrier = stage.deploy(BAD), Barrier(2)
    stage.let_probe(lost)

    def sweep(_number: int) -> None:
        barrier.wait()
        try:
            runner.call_for_lost()
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(sweep, range(2)))

    with stage.everything():
        called = AuditEvent.objects.get(kind="deployment.alarmed", target_id=str(lost.pk))
        assert "a fault of ours" in called.summary
    assert stage.fresh(lost).called_at is not None


def test_a_person_is_called_anew_when_sight_is_lost_anew(stage, settings) -> None:
    settings.ENGINE_UNKNOWN_ALARM = timedelta(0)
    stage.deploy()
    stage.judge.behave(v1_1_0={"START_GREEN": "bug"})
    lost = stage.deploy(BAD)
    runner.call_for_lost()

    stage.let_probe(lost)
    assert (stage.fresh(lost).attempt, stage.fresh(lost).called_at) == (2, None)
    runner.call_for_lost()

    with stage.everything():
        assert AuditEvent.objects.filter(kind="deployment.alarmed", target_id=str(lost.pk)).count() == 2


def test_what_was_applied_and_is_healthy_is_adopted(stage) -> None:
    stage.deploy()
    stage.judge.behave(v1_1_0={"DRAIN_BLUE": "bug"})
    bad = stage.deploy(BAD)

    stage.judge.behave()
    stage.let_probe(bad)

    ended = stage.fresh(bad)
    assert ended.state == S.SUCCEEDED
    assert ended.outcome.startswith("Adopted")
    assert stage.lane().live_release.version == BAD


def test_it_is_adopted_though_the_terms_of_its_verification_were_lost(stage) -> None:
    """So a standby finds it that took over before it was told of them."""
    stage.deploy()
    stage.judge.behave(v1_1_0={"DRAIN_BLUE": "bug"})
    lost = stage.deploy(BAD)
    with stage.everything():
        Deployment.objects.filter(pk=lost.pk).update(terms={})

    stage.judge.behave()
    stage.let_probe(lost)

    ended = stage.fresh(lost)
    assert (ended.state, ended.outcome[:7]) == (S.SUCCEEDED, "Adopted")
    assert (ended.terms["before"]["requests"], ended.terms["limits"]["p95_ms"]) == (0, None), "nothing to compare with"


def test_what_was_applied_and_is_unhealthy_is_taken_back(stage) -> None:
    stage.deploy()
    stage.judge.behave(v1_1_0={"DRAIN_BLUE": "bug"})
    bad = stage.deploy(BAD)

    stage.judge.behave(v1_1_0={"health": "bad"})
    stage.let_probe(bad)

    assert stage.fresh(bad).state == S.FAILED
    assert stage.judge.serves(bad.lane.target_key) == "1.0.0"


def test_the_steps_say_how_far_it_came(stage) -> None:
    stage.deploy()
    stage.judge.behave(v1_1_0={"CHECK_GREEN": "fail"})

    bad = stage.deploy(BAD)

    with stage.everything():
        verdicts = dict(bad.steps.values_list("kind", "verdict"))
        failed = bad.steps.get(kind="CHECK_GREEN")
    assert verdicts["START_GREEN"] == StepVerdict.DONE
    assert verdicts["CHECK_GREEN"] == StepVerdict.FAILED
    assert verdicts["SWITCH"] == StepVerdict.SKIPPED
    assert failed.detail == "1.1.0 did not start: no such module in line 3"
