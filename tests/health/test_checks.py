"""What is asked of a lane, and what two bad answers in a row mean."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone

from apps.audit.models import AuditEvent
from apps.deployments.sweeper import Sweeper
from apps.environments.enums import Health
from apps.environments.models import Lane
from apps.health import actions, checks, runner
from apps.health.models import HealthCheck, HealthSample
from tests.processes import eventually
from tests.world import World, make_lane, make_service


class Service:
    """A program that answers with `status`, after `delay` seconds, and says which release it is of."""

    status, delay, release = 200, 0.0, ""

    @contextmanager
    def running(self) -> Iterator[int]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                time.sleep(service.delay)
                self.send_response(service.status)
                self.send_header("Content-Length", "0")
                self.send_header("X-Release", service.release)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            server.server_close()


@pytest.fixture
def watched(transactional_db: None, world: World) -> Iterator[tuple[World, HealthCheck, Service]]:
    """A lane with something live, whose program is this test's own."""
    service = Service()
    with service.running() as port:
        with world.everything():
            lane = world.lane(world.dev)
            Lane.objects.filter(pk=lane.pk).update(
                port=port, live_release=world.release, live_since=timezone.now(), live_slot="BLUE"
            )
            check = checks.watch(Lane.objects.with_cell().get(pk=lane.pk), now=timezone.now())
        yield world, check, service


def _ask(world: World, check: HealthCheck) -> HealthSample:
    with world.everything():
        HealthCheck.objects.filter(pk=check.pk).update(due_at=timezone.now() - timedelta(seconds=1))
    runner.sample(check.workspace_id, check.pk)
    with world.everything():
        return HealthSample.objects.filter(lane_id=check.lane_id).latest("checked_at")


def _health(world: World, check: HealthCheck) -> str:
    with world.everything():
        return Lane.objects.get(pk=check.lane_id).health


def test_a_good_answer_makes_a_lane_healthy(watched) -> None:
    world, check, _service = watched

    sample = _ask(world, check)

    assert (sample.verdict, sample.status) == (Health.HEALTHY, 200)
    assert 0 < sample.latency_ms < 3000
    assert _health(world, check) == Health.HEALTHY


def test_one_bad_answer_is_no_incident_and_two_in_a_row_are(watched) -> None:
    world, check, service = watched
    _ask(world, check)
    service.status = 503

    _ask(world, check)
    assert _health(world, check) == Health.HEALTHY
    _ask(world, check)

    assert _health(world, check) == Health.FAULTY
    with world.everything():
        event = AuditEvent.objects.filter(kind="lane.health_changed").latest("recorded_at", "event_id")
        assert event.change["health"] == {"before": "HEALTHY", "after": "FAULTY"}
        assert "503" in Lane.objects.get(pk=check.lane_id).health_detail


def test_a_faulty_lane_is_healthy_again_with_the_next_good_answer(watched) -> None:
    world, check, service = watched
    service.status = 500
    _ask(world, check)
    _ask(world, check)

    service.status = 200
    _ask(world, check)

    assert _health(world, check) == Health.HEALTHY


def test_nothing_that_answers_is_bad_and_said_so(watched) -> None:
    world, check, _service = watched
    with world.everything():
        HealthCheck.objects.filter(pk=check.pk).update(url="http://127.0.0.1:9/")

    sample = _ask(world, check)

    assert (sample.verdict, sample.status, sample.latency_ms) == (Health.FAULTY, None, None)
    assert sample.detail.startswith("No answer")


def test_a_slow_answer_is_not_waited_for(watched) -> None:
    world, check, service = watched
    service.delay = 5
    with world.everything():
        HealthCheck.objects.filter(pk=check.pk).update(timeout_seconds=1)

    began = time.monotonic()
    sample = _ask(world, check)

    assert sample.verdict == Health.FAULTY
    assert time.monotonic() - began < 4


def test_a_check_is_taken_once_by_many_workers(watched) -> None:
    _world, check, _service = watched
    barrier = threading.Barrier(6)

    def take(_number: int) -> None:
        barrier.wait()
        try:
            runner.sample(check.workspace_id, check.pk)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(take, range(6)))

    with _world.everything():
        assert HealthSample.objects.filter(lane_id=check.lane_id).count() == 1
        assert HealthCheck.objects.get(pk=check.pk).due_at > timezone.now()


def test_more_lanes_than_are_asked_at_the_same_time_are_asked_in_one_go(
    watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sample(*ids: UUID, **more: Any) -> None:
        try:
            asked(*ids, **more)
        finally:
            connection.close()  # the pool's threads outlive the test

    asked = runner.sample
    monkeypatch.setattr(runner, "sample", sample)
    world, check, service = watched
    service.delay = 0.05
    with world.everything():
        services = [
            make_service(world.cast.platform, f"echo-{number}", program=f"echo-{number}") for number in range(12)
        ]
        lanes = [make_lane(world.dev, service) for service in services]
        Lane.objects.filter(pk__in=[lane.pk for lane in lanes]).update(
            live_release=world.release, live_since=timezone.now(), live_slot="BLUE"
        )
        for lane in Lane.objects.with_cell().filter(pk__in=[lane.pk for lane in lanes]):
            checks.watch(lane, now=timezone.now())
        HealthCheck.objects.update(url=check.url)

    Sweeper().check_health()

    def answered() -> bool:
        with world.everything():
            return HealthSample.objects.filter(verdict=Health.HEALTHY).values("lane_id").distinct().count() == 13

    eventually(answered, because="not all were asked")


def test_due_checks_are_found_over_all_workspaces_and_only_where_something_runs(watched) -> None:
    world, check, _service = watched
    with world.everything():
        theirs = Lane.objects.with_cell().get(pk=world.lane(world.customer_production).pk)
        checks.watch(theirs, now=timezone.now())

        assert runner.due(10) == [(check.workspace_id, check.pk)]

        Lane.objects.filter(pk=theirs.pk).update(
            live_release=world.release, live_since=timezone.now(), live_slot="BLUE"
        )
    assert {workspace for workspace, _check in runner.due(10)} == {check.workspace_id, theirs.workspace_id}


def test_under_a_close_watch_a_lane_is_asked_several_times_as_often(watched, settings) -> None:
    world, check, _service = watched
    settings.CLOSE_WATCH_TIMES = 5
    now = timezone.now()
    with world.everything():
        HealthCheck.objects.filter(pk=check.pk).update(due_at=now + timedelta(hours=1), interval_seconds=100)
        lane = actions.watch_closely(
            check.lane, until=now + timedelta(hours=1), reason="An emergency", by=world.cast.devops, now=now
        )
        assert runner.due(10) == [(check.workspace_id, check.pk)]

    def pause() -> float:
        with world.everything():
            HealthCheck.objects.filter(pk=check.pk).update(due_at=timezone.now())
            asked = timezone.now()
            assert checks.take(check.pk)
            return (HealthCheck.objects.get(pk=check.pk).due_at - asked).total_seconds()

    assert 15 < pause() < 25
    with world.everything():
        Lane.objects.filter(pk=lane.pk).update(
            close_watch_since=now - timedelta(hours=2), close_watch_until=now - timedelta(hours=1)
        )
    assert 75 < pause() < 125


def test_old_samples_go(watched, settings) -> None:
    world, check, _service = watched
    _ask(world, check)
    with world.everything():
        HealthSample.objects.filter(lane_id=check.lane_id).update(checked_at=timezone.now() - settings.HEALTH_KEEP * 2)
    _ask(world, check)

    assert checks.prune() == 1

    with world.everything():
        assert HealthSample.objects.filter(lane_id=check.lane_id).count() == 1
