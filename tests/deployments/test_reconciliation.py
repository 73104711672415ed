"""The target is made to match the rows of lanes where nothing is under way."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.audit.actors import SYSTEM
from apps.audit.models import AuditEvent
from apps.deployments import actions, runner
from apps.deployments.engine import reconciliation
from apps.deployments.enums import DeploymentState as S
from apps.deployments.executors.contract import Slot, StepKind
from apps.environments import actions as environment_actions
from apps.environments.enums import Tier
from apps.environments.models import Lane
from apps.health import actions as health_actions
from apps.health.models import EndpointCheck
from tests.deployments.conftest import Stage
from tests.deployments.file_target import FileTarget, Place
from tests.drill import get, text_of
from tests.world import make_environment, make_lane


def test_what_was_live_before_stays_warm_and_is_retired_later(stage, settings) -> None:
    stage.deploy()
    live = stage.deploy("1.1.0")
    place = Place(live.target_key)

    reconciliation.reconcile_all()
    assert {line["version"] for line in place.standings().slots.values()} == {"1.0.0", "1.1.0"}

    settings.ENGINE_WARM = timedelta(0)
    reconciliation.reconcile_all()

    assert {line["version"] for line in place.standings().slots.values()} == {"1.1.0"}
    with stage.everything():
        event = AuditEvent.objects.get(kind="lane.reconciled")
        assert "kept for instant rollback was stopped" in event.summary


def test_many_lanes_are_asked_about_at_once(stage) -> None:
    stage.deploy()
    with CaptureQueriesContext(connection) as one:
        reconciliation.reconcile_all()
    with stage.everything():
        other = make_environment(stage.world.cast.platform, "Dev 2", Tier.DEV)
        lanes = {**stage.world.lanes, other.pk: make_lane(other, stage.world.service)}
    again = Stage(replace(stage.world, lanes=lanes), stage.judge)
    runner.run(again.start(environment=other).pk)

    with CaptureQueriesContext(connection) as two:
        reconciliation.reconcile_all()

    assert [again.lane(place).live_release for place in (None, other)] == [stage.world.release] * 2
    assert len(two) == len(one)


def test_what_the_rows_know_nothing_of_is_stopped(stage) -> None:
    live = stage.deploy()
    place = Place(live.target_key)
    other = Slot(place.standings().live).other.value
    place.append(
        {"effect": "start", "slot": other, "fence": live.fence, "deployment": "?", "version": "9.9.9", "digest": ""}
    )

    reconciliation.reconcile_all()

    assert [line["version"] for line in place.standings().slots.values()] == ["1.0.0"]


def test_a_lane_with_an_attempt_under_way_is_left_alone(stage) -> None:
    stage.deploy()
    stage.judge.behave(v1_1_0={"CHECK_GREEN": "bug"})
    lost = stage.deploy("1.1.0")
    assert lost.state == S.UNKNOWN

    reconciliation.reconcile_all()

    assert len(Place(lost.target_key).standings().slots) == 2


@pytest.mark.parametrize("gap", [1, 2], ids=["before the rows are read", "after the rows were read"])
@pytest.mark.parametrize("until", [StepKind.SWITCH, None], ids=["under way", "ended"])
def test_an_attempt_that_comes_in_between_keeps_what_it_started(stage, settings, gap: int, until) -> None:
    settings.ENGINE_WARM = timedelta(0)  # so that there is something to stop, in the slot that the attempt takes
    stage.deploy()
    live = stage.deploy("1.1.0")
    late = stage.start(stage.release("1.2.0"))
    looks, threads = 0, []

    def come_in_between(execute, sql, params, many, context):
        nonlocal looks
        result = execute(sql, params, many, context)
        looks += "lanes_at_rest" in sql
        if looks == gap and not threads:
            threads.append(stage.run_until(until or StepKind.VERIFY_ARTIFACT, late))
            if until is None:
                stage.judge.let_go(StepKind.VERIFY_ARTIFACT)
                threads[0].join(30)
        return result

    with connection.execute_wrapper(come_in_between):
        reconciliation.reconcile_all()
    if until:
        stage.judge.let_go(until)
    threads[0].join(30)

    assert Slot(stage.lane().live_slot.lower()) == Place(live.target_key).standings().live
    assert stage.fresh(late).state == S.SUCCEEDED
    assert stage.judge.serves(live.target_key) == "1.2.0"
    stage.judge.require_once(live.target_key)


def test_drift_is_flagged_and_left_to_a_person(stage) -> None:
    stage.deploy()
    live = stage.deploy("1.1.0")
    place = Place(live.target_key)
    other = Slot(place.standings().live).other.value

    place.append({"effect": "switch", "slot": other, "fence": live.fence, "deployment": "", "version": ""})  # by hand
    reconciliation.reconcile_all()
    reconciliation.reconcile_all()

    assert stage.judge.serves(live.target_key) == "1.0.0"
    assert stage.lane().drift == f"{other} serves, which nobody here asked for"
    with stage.everything():
        assert AuditEvent.objects.filter(kind="lane.drifted", target_id=str(live.lane_id)).count() == 1
    page = text_of(get(stage.world.cast.devops, "/"))
    assert "nobody here asked for" in page

    stage.deploy("1.2.0")
    reconciliation.reconcile_all()

    assert (stage.lane().drift, stage.lane().drift_since) == ("", None)


@pytest.fixture
def hear(stage):
    """Let the front door be answered by a version, so long after what serves came; people are told by its pages."""
    with stage.everything():
        check = health_actions.create_check(
            stage.lane(), name="Front door", url="https://app.example.com/", by=SYSTEM, now=timezone.now()
        )

    def answered(live, version: str, *, minutes: float = 2) -> str:
        with stage.everything():
            seen_at = stage.fresh(live).ended_at + timedelta(minutes=minutes)
            EndpointCheck.objects.filter(pk=check.pk).update(seen_version=version, seen_at=seen_at)
        reconciliation.reconcile_all()
        return stage.lane().drift

    return answered


def test_a_version_that_answers_users_and_was_not_deployed_is_drift(stage, hear) -> None:
    live = stage.deploy()

    assert hear(live, "1.2.0", minutes=0.5) == "", "what ran before may answer for a while"
    assert hear(live, "v1.0.0") == ""
    assert hear(live, "1.2.0") == "Front door is answered by 1.2.0, not 1.0.0. A person has to deploy again"
    assert hear(live, "1.0.0") == ""
    assert hear(live, "1.2.0") != ""
    assert hear(stage.deploy("1.1.0"), "1.2.0", minutes=-1) == "", "it was heard before that came"


def test_where_the_executor_sees_nothing_a_check_that_names_its_version_does(stage, hear, monkeypatch) -> None:
    monkeypatch.setattr(FileTarget, "can", replace(FileTarget.can, observe=False))
    live, place = stage.deploy(), f"/environments/{stage.world.dev.workspace.slug}/{stage.world.dev.slug}/"
    devops = stage.world.cast.devops

    before = text_of(get(devops, place))
    hear(live, "1.2.0")
    after = text_of(get(devops, place))

    assert ["Drift is not observed" in page for page in (before, after)] == [True, False]
    assert "Front door is answered by 1.2.0, not 1.0.0" in after


def test_drift_that_is_put_right_by_hand_ends(stage) -> None:
    stage.deploy()
    live = stage.deploy("1.1.0")
    place = Place(live.target_key)
    ours = Slot(place.standings().live)
    for slot in (ours.other, ours):
        place.append({"effect": "switch", "slot": slot, "fence": live.fence, "deployment": "", "version": ""})
        reconciliation.reconcile_all()

    assert stage.lane().drift == ""
    with stage.everything():
        kinds = AuditEvent.objects.filter(kind__startswith="lane.drift").order_by("recorded_at")
        assert list(kinds.values_list("kind", flat=True)) == ["lane.drifted", "lane.drift_ended"]


def test_a_target_that_does_not_answer_says_nothing_of_drift(stage) -> None:
    live = stage.deploy()
    with Place(live.target_key).at_work():
        reconciliation.reconcile_all()

    assert stage.lane().drift == ""


def test_what_runs_in_a_removed_lane_is_stopped(stage) -> None:
    live = stage.deploy()
    with stage.everything():
        environment_actions.remove_lane(stage.lane(), by=stage.world.cast.devops, now=timezone.now())

    reconciliation.reconcile_all()

    assert stage.judge.serves(live.target_key) is None
    with stage.everything():
        assert Lane.objects.get(pk=live.lane_id).live_release is None


def test_after_a_failed_rollback_a_person_makes_the_lane_true_again(stage) -> None:
    first = stage.deploy()
    stage.judge.behave(v1_1_0={"health": "bad"}, v1_0_0={"START_GREEN": "fail"})
    stage.deploy("1.1.0")
    assert stage.judge.serves(first.target_key) == "1.1.0"
    reconciliation.reconcile_all()
    assert stage.judge.serves(first.target_key) == "1.1.0"  # automation keeps off

    stage.judge.behave()
    with stage.everything():
        target = actions.rollback_target(stage.lane())
        assert target.release.version == "1.0.0"
        again = actions.roll_back(stage.lane(), reason="Mended", by=stage.world.cast.devops, now=timezone.now())
    runner.run(again.pk)

    assert stage.fresh(again).state == S.SUCCEEDED
    assert stage.judge.serves(first.target_key) == "1.0.0"
    with stage.everything(), pytest.raises(actions.NoRollbackTarget):
        actions.roll_back(stage.lane(), reason="Once more", by=stage.world.cast.devops, now=timezone.now())
