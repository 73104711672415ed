"""Celery carries hints only: whatever becomes of the broker, what is due is found in the database."""

import time
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import redis
from celery import current_app
from django.db import connection

from apps.core import hints
from apps.deployments import sweeper
from apps.deployments.enums import DeploymentState as S
from apps.deployments.executors.contract import StepKind
from deploy.launcher import ports
from tests.processes import eventually, start_worker


def test_with_the_broker_absent_from_the_start_a_deployment_runs(stage, settings, tmp_path: Path) -> None:
    nowhere = f"redis://127.0.0.1:{ports.free_ports(1)[0]}/0"
    settings.REDIS_URL = nowhere

    with start_worker(tmp_path, environment={"REDIS_URL": nowhere}) as worker:
        deployment = stage.start()

        ended = eventually(stage.ended(deployment), within_seconds=30, because=worker.output)

    assert ended.state == S.SUCCEEDED


def test_what_nobody_was_told_of_begins_in_time_also_when_a_worker_dies(stage, settings, tmp_path: Path) -> None:
    """Whichever of the two had the turn: the other one takes it when it ends, not a round later."""
    nowhere = {"REDIS_URL": f"redis://127.0.0.1:{ports.free_ports(1)[0]}/0"}
    settings.REDIS_URL = nowhere["REDIS_URL"]
    with (
        start_worker(tmp_path, environment=nowhere, name="first") as first,
        start_worker(tmp_path, environment=nowhere, name="second") as second,
    ):
        deployment = stage.start()
        first.kill()

        ended = eventually(stage.ended(deployment), within_seconds=30, because=second.output)

    assert ended.state == S.SUCCEEDED
    assert ended.started_at - ended.requested_at <= sweeper.longest_delay() + timedelta(seconds=1)


def test_with_the_broker_stopped_and_flushed_in_the_middle_it_goes_on(stage, broker, settings, tmp_path: Path) -> None:
    url, start = broker
    settings.REDIS_URL = url
    with start() as server, start_worker(tmp_path, environment={"REDIS_URL": url}) as worker:
        stage.judge.hold(StepKind.INSTALL)
        running = stage.start()
        eventually(lambda: stage.judge.is_waiting(StepKind.INSTALL), within_seconds=30, because=worker.output)

        redis.Redis.from_url(url).flushall()
        server.kill()
        stage.judge.let_go(StepKind.INSTALL)

        assert eventually(stage.ended(running), within_seconds=30, because=worker.output).state == S.SUCCEEDED
        following = stage.start(stage.release("1.1.0"))
        assert eventually(stage.ended(following), within_seconds=30, because=worker.output).state == S.SUCCEEDED
        assert worker.is_running()

        with start():
            last = stage.start(stage.release("1.2.0"))
            assert eventually(stage.ended(last), within_seconds=30, because=worker.output).state == S.SUCCEEDED
    stage.judge.require_once(stage.lane().target_key)


def test_a_worker_with_a_hint_in_hand_outlives_its_broker(stage, broker, monkeypatch, tmp_path: Path) -> None:
    url, start = broker
    monkeypatch.setitem(current_app.conf, "broker_write_url", url)
    with start() as server, start_worker(tmp_path, environment={"REDIS_URL": url}, concurrency=1) as worker:
        stage.judge.hold(StepKind.INSTALL)
        running = stage.start()
        eventually(lambda: stage.judge.is_waiting(StepKind.INSTALL), within_seconds=30, because=worker.output)
        hints._send("deployments.run", uuid4())  # its only thread is at work, so it keeps this one
        eventually(lambda: worker.output.count("] received") == 2, because=worker.output)

        server.kill()
        eventually(lambda: "Connection to broker lost" in worker.output, because=worker.output)
        stage.judge.let_go(StepKind.INSTALL)

        assert eventually(stage.ended(running), within_seconds=30, because=worker.output).state == S.SUCCEEDED
        with start():
            eventually(lambda: worker.output.count("Connected to redis") == 2, within_seconds=60, because=worker.output)
        assert worker.is_running()
    # Where kombu tries to give it back to the broker that is gone, the worker dies of that now and then.
    assert "Restoring" not in worker.output


def test_a_hint_to_nowhere_costs_a_page_little_and_then_nothing(stage, settings, monkeypatch) -> None:
    monkeypatch.setattr(hints, "_resting_until", 0.0)
    monkeypatch.setitem(current_app.conf, "broker_write_url", f"redis://127.0.0.1:{ports.free_ports(1)[0]}/0")

    began = time.monotonic()
    deployment = stage.start()
    first = time.monotonic() - began

    assert first < 2
    assert hints._resting_until > time.monotonic()
    assert stage.fresh(deployment).state == S.QUEUED


def test_a_thread_keeps_its_connection_from_hint_to_hint(stage, broker, monkeypatch, tmp_path: Path) -> None:
    url, start = broker
    monkeypatch.setitem(current_app.conf, "broker_write_url", url)

    def tell(times: int) -> int:
        done = worker.output.count("succeeded in")
        for _ in range(times):
            hints._send("deployments.run", uuid4())
        eventually(lambda: worker.output.count("succeeded in") >= done + times, because=worker.output)
        return _connections_made()

    with start(), start_worker(tmp_path, environment={"REDIS_URL": url}, concurrency=1) as worker:
        before = tell(2)
        assert tell(20) - before < 10  # the sweeper's threads have theirs, and may have come only now


def _connections_made() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT sessions FROM pg_stat_database WHERE datname = current_database()")
        return int(cursor.fetchone()[0])
