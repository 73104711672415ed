"""One lane, one attempt: whoever comes second is told who was first."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from apps.core.verdict import Denied
from apps.deployments import actions, runner
from apps.deployments.enums import DeploymentState as S
from apps.deployments.models import Deployment
from apps.environments import actions as environment_actions

STARTERS = 200
AT_ONCE = 20


def test_of_200_simultaneous_starts_one_wins_and_199_name_it(stage) -> None:
    promotion, people, barrier = stage.promotion(), stage.world.cast, threading.Barrier(AT_ONCE)

    def start(number: int) -> Deployment | actions.LaneBusy:
        if number < AT_ONCE:
            barrier.wait()
        try:
            with stage.everything():
                return actions.start_deployment(promotion, by=people.release_engineer, now=timezone.now())
        except actions.LaneBusy as busy:
            return busy
        finally:
            connection.close()

    with ThreadPoolExecutor(AT_ONCE) as threads:
        answers = list(threads.map(start, range(STARTERS)))

    started = [answer for answer in answers if isinstance(answer, Deployment)]
    refused = [answer for answer in answers if isinstance(answer, actions.LaneBusy)]
    assert (len(started), len(refused)) == (1, STARTERS - 1)
    assert {answer.holder.pk for answer in refused} == {started[0].pk}
    assert all(
        str(started[0]) in answer.sentence and "started by Release engineer" in answer.sentence for answer in refused
    )


def test_the_database_refuses_a_second_attempt_without_the_lanes_lock(stage) -> None:
    first = stage.start()
    second = Deployment(
        workspace_id=first.workspace_id, lane=first.lane, target_key=first.target_key, release=first.release,
        configuration=first.configuration, requested_at=timezone.now(), requested_by_label="Somebody",
    )  # fmt: skip

    with stage.everything(), pytest.raises(Exception, match="deployment_lane_once"), transaction.atomic():
        second.save(force_insert=True)


def test_a_promotion_that_is_ready_and_starts_by_itself_is_started_by_the_engine(stage) -> None:
    promotion = stage.promotion(starts_by_itself=True)

    runner.start_ready(promotion.pk)

    with stage.everything():
        deployment = Deployment.objects.get(promotion=promotion)
        assert deployment.state == S.SUCCEEDED
        assert deployment.requested_by == stage.world.cast.release_engineer, "it is still theirs"
        assert deployment.transitions.earliest("n").actor_label == "EAIP Operations"


def test_one_that_waits_for_a_person_is_not(stage) -> None:
    promotion = stage.promotion()

    runner.start_ready(promotion.pk)

    with stage.everything():
        assert not Deployment.objects.exists()


def test_who_has_no_role_is_refused(stage) -> None:
    promotion = stage.promotion()

    with stage.everything(), pytest.raises(Denied):
        actions.start_deployment(promotion, by=stage.world.cast.auditor, now=timezone.now())


def test_a_gate_that_turns_before_the_claim_stops_it(stage) -> None:
    deployment = stage.start()
    people, now = stage.world.cast, timezone.now()
    with stage.everything():
        environment_actions.freeze(
            scope="ENVIRONMENT", environment=stage.world.dev, workspace_id=people.platform.pk, reason="Incident",
            ends_at=None, by=people.devops, now=now,
        )  # fmt: skip

    runner.run(deployment.pk)

    ended = stage.fresh(deployment)
    assert ended.state == S.EXPIRED
    assert "Incident" in ended.outcome
    assert not stage.judge.effects(ended.target_key)
    with stage.everything():
        assert ended.promotion.state == "PENDING"


def test_what_nobody_starts_in_time_expires(stage, settings) -> None:
    settings.ENGINE_START_BY = -timedelta(seconds=1)
    deployment = stage.start()

    runner.run(deployment.pk)

    assert stage.fresh(deployment).state == S.EXPIRED
