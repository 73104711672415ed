"""An alert soon after a deployment rolls it back, as a failed verification would; the real Alertmanager sends it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from apps.audit.actors import SYSTEM
from apps.audit.models import AuditEvent
from apps.deployments import actions, reports, runner, watching
from apps.deployments.engine import rollback
from apps.deployments.enums import DeploymentKind, Harm
from apps.deployments.enums import DeploymentState as S
from apps.deployments.executors.contract import Readiness, StepKind
from apps.deployments.models import Deployment
from apps.deployments.sweeper import Sweeper
from apps.environments import actions as environment_actions
from apps.environments.enums import Health
from apps.environments.models import Hold, Lane
from apps.health import actions as health_actions
from apps.health import endpoints
from apps.health import runner as health_runner
from apps.health.endpoints import Finding
from apps.health.models import Alert, EndpointCheck, HealthCheck
from apps.releases import actions as release_actions
from apps.releases.enums import ReleaseState
from apps.workspaces.scope import workspace_scope
from tests import monitoring
from tests.deployments.conftest import Stage
from tests.deployments.file_target import FileTarget
from tests.drill import get, text_of
from tests.health.test_checks import Service as Program
from tests.monitoring import alert, make_token, send
from tests.processes import WebServer, eventually
from tests.world import last_event


@pytest.fixture
def token(stage: Stage) -> str:
    with stage.everything():
        return make_token(stage.world.cast)


def critical(**more: Any) -> dict[str, Any]:
    return alert(labels={"severity": "critical"}, **more)


def test_a_critical_alert_soon_after_a_deployment_rolls_it_back_with_hold_and_quarantine(
    stage: Stage,
    token: str,
) -> None:
    stage.deploy()
    live = stage.deploy("1.1.0")

    answer = send(token, critical())

    back = stage.rollback_of(live)
    assert answer.json()["rolled_back"] == [str(back)]
    runner.run(back.pk)
    lane = stage.lane()
    assert (stage.fresh(back).state, lane.live_release.version) == (S.SUCCEEDED, "1.0.0")
    assert "ManyErrors fires" in back.reason
    with stage.everything():
        assert "ManyErrors" in Hold.objects.open().get(lane=lane).reason
        live.release.refresh_from_db()
        assert live.release.state == ReleaseState.QUARANTINED
        assert last_event("deployment.queued").actor_type == "SYSTEM"
    assert "ManyErrors" in text_of(get(stage.world.cast.devops, f"/deployments/{live.number}/"))
    assert send(token, critical(fingerprint="again")).json()["rolled_back"] == []


@pytest.mark.parametrize("told", [{"labels": {"severity": "warning"}}, {"ended": True}], ids=["warning", "over"])
def test_another_alert_is_only_shown(stage: Stage, token: str, told: dict[str, Any]) -> None:
    stage.deploy()
    live = stage.deploy("1.1.0")

    assert send(token, alert(**({"labels": {"severity": "critical"}} | told))).json()["rolled_back"] == []
    with stage.everything():
        assert not Deployment.objects.filter(rolls_back=live).exists()
        assert Alert.objects.exists()


def test_what_began_before_the_deployment_is_not_its_doing(stage: Stage, token: str) -> None:
    stage.deploy()
    before = timezone.now()
    stage.deploy("1.1.0")

    assert send(token, critical(at=before)).json()["rolled_back"] == []


def test_after_the_watch_it_is_no_breach(stage: Stage, token: str, settings: Any) -> None:
    stage.deploy()
    stage.deploy("1.1.0")
    settings.ENGINE_WATCH = timedelta(0)

    assert send(token, critical()).json()["rolled_back"] == []


def test_under_a_close_watch_it_is_a_breach_until_that_ends(stage: Stage, token: str, settings: Any) -> None:
    stage.deploy()
    live = stage.deploy("1.1.0")
    settings.ENGINE_WATCH = timedelta(0)
    now = timezone.now()
    with stage.everything():
        health_actions.watch_closely(
            stage.lane(), until=now + timedelta(hours=1), reason="An emergency", by=stage.world.cast.devops, now=now
        )
    page = text_of(get(stage.world.cast.devops, f"/deployments/{live.number}/"))
    assert "Watched closely" in page

    assert send(token, critical()).json()["rolled_back"] == [str(stage.rollback_of(live))]
    assert "ManyErrors" in text_of(get(stage.world.cast.devops, f"/deployments/{live.number}/"))


def test_after_a_close_watch_it_is_no_breach(stage: Stage, token: str, settings: Any) -> None:
    stage.deploy()
    stage.deploy("1.1.0")
    settings.ENGINE_WATCH = timedelta(0)
    now = timezone.now()
    with stage.everything():
        Lane.objects.filter(pk=stage.lane().pk).update(
            close_watch_since=now - timedelta(hours=1), close_watch_until=now, close_watch_reason="An emergency",
            close_watch_by="DevOps",
        )  # fmt: skip

    assert send(token, critical()).json()["rolled_back"] == []


def test_where_nothing_can_be_brought_back_a_person_is_called_once(
    stage: Stage,
    token: str,
) -> None:
    first = stage.deploy()

    for _ in range(2):
        assert send(token, critical()).json()["rolled_back"] == []

    with stage.everything():
        assert AuditEvent.objects.filter(kind="deployment.alarmed", target_id=str(first.pk)).count() == 1
        assert Hold.objects.open().filter(lane=stage.lane()).exists()


def test_a_person_who_was_called_before_it_was_adopted_keeps_nothing_from_being_rolled_back(
    stage: Stage, token: str, settings: Any
) -> None:
    settings.ENGINE_UNKNOWN_ALARM = timedelta(0)
    stage.deploy()
    stage.judge.behave(v1_1_0={"DRAIN_BLUE": "bug", "probe": "UNREACHABLE"})
    lost = stage.deploy("1.1.0")
    runner.call_for_lost()
    stage.judge.behave()
    stage.let_probe(lost)
    with stage.everything():
        assert AuditEvent.objects.filter(kind="deployment.alarmed", target_id=str(lost.pk)).exists()
    assert stage.fresh(lost).state == S.SUCCEEDED

    assert send(token, critical()).json()["rolled_back"] == [str(stage.rollback_of(lost))]


def test_the_same_alert_twice_at_once_is_one_row_one_event_one_rollback(
    stage: Stage,
    token: str,
) -> None:
    stage.deploy()
    live = stage.deploy("1.1.0")
    told, barrier = critical(), Barrier(4)

    def tell(_number: int) -> Any:
        barrier.wait()
        try:
            return send(token, told)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(tell, range(4)))

    assert [answer.status_code for answer in answers] == [202] * 4
    with stage.everything():
        assert Alert.objects.count() == 1
        assert AuditEvent.objects.filter(kind="alert.fired").count() == 1
        back = Deployment.objects.get(kind=DeploymentKind.ROLLBACK)
        assert back.rolls_back_id == live.pk
    assert sum(len(answer.json()["rolled_back"]) for answer in answers) == 1


def test_the_real_alertmanager_fires_rolls_back_and_resolves(
    stage: Stage, token: str, portal: WebServer, tmp_path: Path
) -> None:
    stage.deploy()
    live = stage.deploy("1.1.0")
    told = {
        "labels": {"alertname": "ManyErrors", "service": "greeter", "environment": "dev", "severity": "critical"},
        "annotations": {"summary": "One in ten requests fails"},
        "startsAt": timezone.now().isoformat(),
        "generatorURL": "http://prometheus.example.test/graph?g0.expr=up",
    }

    def kept() -> Alert | None:
        with stage.everything():
            return Alert.objects.first()

    with monitoring.alertmanager(tmp_path, portal=portal.url, token=token) as alertmanager:
        monitoring.tell(alertmanager, **told)
        fired = eventually(kept)
        assert (fired.name, fired.is_firing, fired.link) == ("ManyErrors", True, told["generatorURL"])
        monitoring.tell(alertmanager, **told, endsAt=timezone.now().isoformat())
        eventually(lambda: not kept().is_firing)

    back = stage.rollback_of(live)
    runner.run(back.pk)
    assert (stage.fresh(back).state, stage.lane().live_release.version) == (S.SUCCEEDED, "1.0.0")
    with stage.everything():
        assert last_event("alert.fired").source["via"] == "webhook"
        assert AuditEvent.objects.filter(kind="alert.resolved").count() == 1


@pytest.fixture
def answers(stage: Stage) -> Iterator[tuple[Deployment, Program]]:
    """1.1.0 serves after 1.0.0, and its lane's health check asks a program that does as it is told."""
    program = Program()
    with program.running() as port:
        stage.deploy()
        live = stage.deploy("1.1.0")
        program.port = port
        yield live, program


def _ask(stage: Stage, program: Program) -> None:
    with stage.everything():
        url = f"http://127.0.0.1:{program.port}/"  # a deployment that succeeds sets it to the lane's own
        HealthCheck.objects.update(url=url, due_at=timezone.now() - timedelta(seconds=1))
        check = HealthCheck.objects.get()
    health_runner.sample(check.workspace_id, check.pk)
    runner.judge_watched()


def _say(stage: Stage, program: Program, *answers: int) -> None:
    for answer in answers:
        program.status = answer
        _ask(stage, program)


def test_a_lane_that_gets_faulty_soon_after_a_deployment_is_rolled_back(stage: Stage, answers: Any) -> None:
    live, program = answers
    _say(stage, program, 200, 503, 200, 503)
    assert not _rollbacks(stage, live), "one bad answer is no incident"

    _say(stage, program, 503)

    (back,) = _rollbacks(stage, live)
    assert "Its health check says: 503" in back.reason
    runner.run(back.pk)
    assert stage.lane().live_release.version == "1.0.0"
    _say(stage, program, 200, 503, 503)
    assert len(_rollbacks(stage, live)) == 1, "a rollback is never rolled back"


def test_a_worker_whose_clock_is_wrong_takes_it_back_all_the_same(
    stage: Stage, answers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    live, program = answers
    right = timezone.now
    monkeypatch.setattr("django.utils.timezone.now", lambda: right() - timedelta(hours=1))

    _say(stage, program, 200, 503, 503)

    assert len(_rollbacks(stage, live)) == 1


def test_a_lane_that_gets_faulty_after_the_watch_is_left_to_people(stage: Stage, answers: Any, settings: Any) -> None:
    live, program = answers
    settings.ENGINE_WATCH = timedelta(0)

    _say(stage, program, 200, 503, 503)

    assert not _rollbacks(stage, live)
    assert stage.lane().health == "FAULTY"


def test_a_lane_that_never_answered_is_not_rolled_back_for_that(stage: Stage, answers: Any) -> None:
    live, program = answers

    _say(stage, program, 503, 503, 503)

    assert not _rollbacks(stage, live)


def _leave_open(stage: Stage) -> Deployment:
    """Let another attempt hold the lane, as one does that waits or was lost."""
    return stage.start(stage.release("1.2.0"))


def _cancel(stage: Stage, attempt: Deployment) -> None:
    with stage.everything():
        actions.cancel_deployment(attempt, reason="Not now", by=stage.world.cast.devops, now=timezone.now())


def test_what_got_faulty_while_an_attempt_was_open_is_found_when_that_has_ended(stage: Stage, answers: Any) -> None:
    live, program = answers
    other = _leave_open(stage)
    _say(stage, program, 200, 503, 503)
    assert not _rollbacks(stage, live), "two attempts never share a lane"
    _cancel(stage, other)

    for _ in range(2):
        runner.judge_watched()

    (back,) = _rollbacks(stage, live)
    assert "Its health check says: 503" in back.reason
    with stage.everything():
        assert "Its health check says: 503" in Hold.objects.open().get(lane=live.lane).reason


def test_an_alert_that_was_told_while_an_attempt_was_open_needs_no_repetition(stage: Stage, token: str) -> None:
    stage.deploy()
    live = stage.deploy("1.1.0")
    other = _leave_open(stage)
    assert send(token, critical()).json()["rolled_back"] == []
    _cancel(stage, other)

    Sweeper().sweep()

    assert "ManyErrors fires" in stage.rollback_of(live).reason


def test_what_was_faulty_before_a_release_came_is_not_its_doing(stage: Stage, answers: Any, settings: Any) -> None:
    _live, program = answers
    watch, settings.ENGINE_WATCH = settings.ENGINE_WATCH, timedelta(0)
    _say(stage, program, 200, 503, 503)
    settings.ENGINE_WATCH = watch

    newer = stage.deploy("1.2.0")
    _say(stage, program, 503, 503)

    assert not _rollbacks(stage, newer)
    _say(stage, program, 200, 503, 503)
    assert len(_rollbacks(stage, newer)) == 1, "it mended it, and broke it again"


@pytest.mark.parametrize(
    ("step", "is_its_doing"), [(StepKind.INSTALL, False), (StepKind.DRAIN_BLUE, True)], ids=["prepared", "serving"]
)
def test_what_gets_faulty_during_an_attempt_is_its_doing_once_it_can_be_felt_and_lasts(
    stage: Stage, answers: Any, step: StepKind, is_its_doing: bool
) -> None:
    _live, program = answers
    newer = stage.start(stage.release("1.2.0"))
    thread = stage.run_until(step, newer)
    _say(stage, program, 200, 503, 503)
    stage.judge.let_go(step)
    thread.join(30)
    runner.judge_watched()
    assert not _rollbacks(stage, newer), "what was heard before it succeeded may be over"

    _say(stage, program, 503)

    assert len(_rollbacks(stage, newer)) == is_its_doing


def test_a_close_watch_that_begins_because_of_trouble_rolls_nothing_back_for_it(
    stage: Stage, answers: Any, settings: Any
) -> None:
    live, program = answers
    settings.ENGINE_WATCH = timedelta(0)
    _say(stage, program, 200, 503, 503)
    now = timezone.now()
    with stage.everything():
        health_actions.watch_closely(
            stage.lane(), until=now + timedelta(hours=1), reason="It hurts", by=stage.world.cast.devops, now=now
        )

    runner.judge_watched()

    assert not _rollbacks(stage, live)


def test_of_two_that_judge_at_once_one_rolls_back(stage: Stage, answers: Any) -> None:
    live, program = answers
    other = _leave_open(stage)
    _say(stage, program, 200, 503, 503)
    _cancel(stage, other)
    barrier = Barrier(2)

    def judge(_number: int) -> Deployment | None:
        barrier.wait()
        try:
            with stage.everything():
                lane = Lane.objects.with_cell().get(pk=live.lane_id)
                return watching.judge(lane.pk, rollback.ask(lane, rollback.candidates(lane)))
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        backs = list(threads.map(judge, range(2)))

    assert [back for back in backs if back] == _rollbacks(stage, live)


@pytest.mark.parametrize(
    ("url", "rolls_back", "is_taken_back"),
    [
        ("https://app.example.com/", True, True),
        ("https://app.example.com/", False, False),
        ("tls://app.example.com", True, False),
    ],
)
def test_an_address_that_gets_faulty_soon_after_a_deployment_rolls_it_back(
    stage: Stage, url: str, rolls_back: bool, is_taken_back: bool
) -> None:
    stage.deploy()
    live = stage.deploy("1.1.0")
    with stage.everything():
        check = health_actions.create_check(
            stage.lane(), name="Front door", url=url, rolls_back=rolls_back, by=SYSTEM, now=timezone.now()
        )

    def hear(verdict: Health, detail: str) -> None:
        EndpointCheck.objects.update(next_check_at=timezone.now() - timedelta(seconds=1))
        (leases,) = endpoints.claim(100).values()
        found = [Finding(check.pk, leases[check.pk], verdict, None, 12.0, detail)]
        endpoints.write(found)

    with stage.everything():
        hear(Health.HEALTHY, "200 in 12 ms")
        hear(Health.FAULTY, "503 in 12 ms")
    runner.judge_watched()
    assert not _rollbacks(stage, live), "one bad answer is no incident"
    with stage.everything():
        hear(Health.FAULTY, "503 in 12 ms")
    runner.judge_watched()

    back = _rollbacks(stage, live)
    assert ["Its health check says: Front door: 503" in each.reason for each in back] == [True] * is_taken_back


def _others_may_lock(lane: Lane) -> bool:
    """Say whether another connection gets the lane's row at once."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(_lock_at_once, lane).result()


def _lock_at_once(lane: Lane) -> bool:
    try:
        with workspace_scope([lane.workspace_id]):
            return bool(Lane.objects.select_for_update(nowait=True).filter(pk=lane.pk).only("pk"))
    except OperationalError:
        return False
    finally:
        connection.close()


@pytest.fixture
def asked(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each time that the target was asked about a release: could others lock the lane meanwhile?"""
    found: list[bool] = []
    silent = FileTarget.readiness

    def readiness(*arguments: Any) -> Readiness:
        found.append(_others_may_lock(stage.lane()))
        return silent(*arguments)

    monkeypatch.setattr(FileTarget, "readiness", readiness)
    return found


def test_no_lane_is_locked_while_its_target_is_asked_what_could_be_brought_back(
    stage: Stage, answers: Any, asked: list[bool]
) -> None:
    live, program = answers

    _say(stage, program, 200, 503, 503)

    assert len(_rollbacks(stage, live)) == 1
    assert asked == [True]


def test_nor_while_an_alert_is_told_or_a_person_reports_or_rolls_back(
    stage: Stage, token: str, asked: list[bool]
) -> None:
    stage.deploy()
    by, now = stage.world.cast.devops, timezone.now()

    alerted = stage.deploy("1.1.0")
    send(token, critical())
    _finish(stage, alerted)
    reported = stage.deploy("1.2.0")
    with stage.everything():
        reports.report_problem(reported, harm=Harm.CUSTOMERS, reason="Nobody can pay", by=by, now=now)
    _finish(stage, reported)
    slow = stage.deploy("1.3.0")
    with stage.everything():
        actions.roll_back(stage.lane(), reason="Too slow", by=by, now=now)

    assert len(_rollbacks(stage, slow)) == 1
    assert asked == [True] * 3


def _finish(stage: Stage, undone: Deployment) -> None:
    """Let the rollback come to its end, and the next deployment begin."""
    runner.run(stage.rollback_of(undone).pk)
    with stage.everything():
        hold = Hold.objects.open().get(lane=undone.lane_id)
        environment_actions.lift_hold(hold, reason="Seen", by=stage.world.cast.devops, now=timezone.now())


def test_only_what_was_asked_about_before_the_lock_is_brought_back(stage: Stage, answers: Any) -> None:
    _live, program = answers
    live, other = stage.deploy("1.1.1"), _leave_open(stage)
    _say(stage, program, 200, 503, 503)
    _cancel(stage, other)
    with stage.everything():
        lane = Lane.objects.with_cell().get(pk=live.lane_id)
        said = rollback.ask(lane, rollback.candidates(lane))
        before = Deployment.objects.with_subject().get(release__version="1.1.0").release
        release_actions.quarantine_release(before, reason="Leaks", by=stage.world.cast.devops, now=timezone.now())

        assert watching.judge(lane.pk, said) is None
        assert not Hold.objects.open().filter(lane=lane).exists()
    runner.judge_watched()

    (back,) = _rollbacks(stage, live)
    assert str(back.release) == "1.0.0"


def _rollbacks(stage: Stage, live: Deployment) -> list[Deployment]:
    with stage.everything():
        return list(Deployment.objects.with_subject().filter(rolls_back=live))
