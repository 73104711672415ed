"""Deployments a minute of 1, 2 and 4 workers on 10 and on 1,000 lanes, and what sweep and reconciliation cost.

The target is made of files and none of its steps waits, so the figure is the engine's own work. Beside it stand the
same steps without the engine: in a loop, and as bare Celery tasks of the same workers. Then 100,000 finished
deployments are put into the table: nothing may cost more because of them.
"""

import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from uuid import uuid4

DEPLOYMENTS = int(os.environ.get("BENCH_DEPLOYMENTS", "60"))
LANES = int(os.environ.get("BENCH_LANES", "1000"))
FINISHED = int(os.environ.get("BENCH_FINISHED", "100000"))
FEW = 10
SERVICES = 10
WORKERS = (1, 2, 4)
CONCURRENCY = 4
WARM_UP = 3
ROUNDS = 7
LONGEST_SECONDS = 120

os.environ |= {
    "EXECUTORS": "local=tests.deployments.file_target.executor",
    "EAIP_TARGET_DIR": tempfile.mkdtemp(prefix="eaip-bench-target-"),
    "ENGINE_VERIFY_INTERVAL_SECONDS": "0.01",
}

import django

django.setup()

import psutil
import psycopg
import redis
from celery import current_app
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.approvals import actions as approval_actions
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.deployments import actions, runner
from apps.deployments.engine import reconciliation
from apps.deployments.enums import DeploymentState
from apps.deployments.models import Deployment, SweepLease
from apps.deployments.sweeper import Sweeper
from apps.environments.enums import Tier
from apps.environments.models import Lane
from apps.releases.models import Release
from apps.workspaces.scope import workspace_scope
from bench.celery_steps import DONE, carry_out
from bench.table import print_table
from tests.cast import Cast, make_cast
from tests.processes import Child, start_worker
from tests.world import make_environment, make_lane, make_service, sealed_release

PLATFORM = (PLATFORM_WORKSPACE_ID,)

# Copies of what the lanes ran, with their promotions; every tenth has failed. What serves was brought by the last.
FINISH = """
WITH asked AS (
    INSERT INTO approvals_promotion (id, workspace_id, release_id, lane_id, configuration_id, state, plan, plan_hash,
        gates, policy_version, starts_by_itself, reason, requested_at, requested_by_label, expires_at, ended_at,
        outcome)
    SELECT gen_random_uuid(), l.workspace_id, l.live_release_id, l.id, l.live_configuration_id,
        CASE WHEN n / l.lanes %% 10 = 1 THEN 'FAILED' ELSE 'COMPLETED' END, '{}', repeat('0', 64), '[]', 1, false, '',
        now(), 'Bench', now(), now(), ''
    FROM (SELECT *, row_number() OVER (ORDER BY id) - 1 AS place, count(*) OVER () AS lanes FROM environments_lane
        WHERE live_release_id IS NOT NULL) l
    JOIN generate_series(0, %(finished)s - 1) n ON n %% l.lanes = l.place
    RETURNING *
)
INSERT INTO deployments_deployment (id, workspace_id, kind, lane_id, target_key, promotion_id, release_id,
    configuration_id, plan_hash, state, reason, requested_at, requested_by_label, fence, attempt, started_at, probed,
    cancel_reason, abandon_reason, ended_at, outcome, terms, log_bytes, log_lines)
SELECT gen_random_uuid(), a.workspace_id, 'DEPLOY', a.lane_id, l.target_key, a.id, a.release_id, a.configuration_id,
    a.plan_hash, CASE a.state WHEN 'FAILED' THEN 'FAILED' ELSE 'SUCCEEDED' END, '', now(), 'Bench',
    nextval('deployment_fence'), 1, now(), '', '', '', now(), '', '{}', 0, 0
FROM asked a JOIN environments_lane l ON l.id = a.lane_id
"""


@dataclass
class Fleet:
    """Lanes and who deploys to them; a lane never gets the same release twice."""

    cast: Cast
    lanes: list[Lane]
    releases: dict[object, list[Release]] = field(default_factory=dict)
    given: Counter[object] = field(default_factory=Counter)

    @classmethod
    def make(cls, cast: Cast, size: int, name: str) -> "Fleet":
        each = min(SERVICES, size)
        with workspace_scope(PLATFORM):
            services = [make_service(cast.platform, f"{name}-{number}") for number in range(each)]
            places = [
                make_environment(cast.platform, f"Dev {name} {number}", Tier.DEV) for number in range(size // each)
            ]
            return cls(cast, [make_lane(place, service) for place in places for service in services])

    def ask(self, lane: Lane) -> None:
        """Ask that the next release comes to a lane, and start it."""
        with workspace_scope(PLATFORM):
            promotion = approval_actions.request_promotion(
                self._next(lane), lane=lane, by=self.cast.release_engineer, now=timezone.now(), starts_by_itself=False
            )
        with workspace_scope(PLATFORM):
            actions.start_deployment(promotion, by=self.cast.release_engineer, now=timezone.now())

    def _next(self, lane: Lane) -> Release:
        made, number = self.releases.setdefault(lane.service_id, []), self.given[lane.pk]
        self.given[lane.pk] += 1
        if number == len(made):
            version = f"1.0.{number}"
            made.append(sealed_release(lane.service, version, by=self.cast.release_engineer, now=timezone.now()))
        return made[number]


@dataclass(frozen=True)
class Spent:
    """Seconds of the wall clock, and of processors: the workers', the database's, those of who asked."""

    wall: float
    workers: float
    database: float
    asking: float
    commits: int

    @classmethod
    def until_now(cls, crew: list[Child]) -> "Spent":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            postgres = psutil.Process(cursor.fetchone()[0]).parent()
            time.sleep(1.1)  # sessions tell their commits once a second
            cursor.execute("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
            commits = cursor.fetchone()[0]
        assert postgres is not None
        database = _processor(postgres) + sum(_processor(child) for child in postgres.children())
        workers = sum(_processor(psutil.Process(worker.pid)) for worker in crew)
        return cls(time.monotonic(), workers, database, time.process_time(), commits)


def main() -> None:
    with workspace_scope(PLATFORM):
        cast = make_cast()
    few, many = Fleet.make(cast, FEW, "few"), Fleet.make(cast, LANES - FEW, "many")
    costs = [_costs()]
    loop = _rate(_loop)
    rows: list[tuple[object, ...]] = [("the target's steps in a loop", "no lane", "-", f"{loop:,.0f}", *"----")]
    free = iter(many.lanes)
    with tempfile.TemporaryDirectory() as logs, _crew(Path(logs)) as grow:
        for size in WORKERS:
            crew = grow(size)
            bare = _rate(_bare)
            rows.append(("the same as bare Celery tasks", "no lane", size, f"{bare:,.0f}", *"----"))
            rows.append(_row("the engine", f"{FEW} lanes, as they get free", size, _fed(few, crew), bare))
            rows.append(_row("the engine", f"{LANES:,} lanes, all at once", size, _at_once(many, free, crew), bare))
    costs.append(_costs())
    _finish()
    costs.append(_costs())
    with tempfile.TemporaryDirectory() as logs, _crew(Path(logs)) as grow:
        crew = grow(2)
        bare = _rate(_bare)
        where = f"{LANES:,} lanes, {FINISHED:,} finished"
        rows.append(_row("the engine", where, 2, _at_once(many, free, crew), bare))
    print_table(
        f"{DEPLOYMENTS} deployments to the file target, workers of {CONCURRENCY} threads; a look every 10 ms while "
        "it is verified, all other clocks as delivered",
        (
            "what", "where", "workers", "a minute", "to bare tasks", "ms of workers' CPU", "ms of database's CPU",
            "commits each",
        ),
        rows,
    )  # fmt: skip
    print_table(
        f"One sweep and one reconciliation, with nothing due (median of {ROUNDS}; in brackets the statements)",
        ("lanes", "of them live", "finished deployments", "SELECT 1", "due work", "sweep", "lanes alone", "reconcile"),
        costs,
    )


def _row(what: str, where: str, size: int, took: Spent, bare: float) -> tuple[object, ...]:
    rate = DEPLOYMENTS / took.wall * 60
    share = (f"{seconds / DEPLOYMENTS * 1000:.0f}" for seconds in (took.workers, took.database))
    return what, where, size, f"{rate:,.0f}", f"{rate / bare:.2f}", *share, f"{took.commits / DEPLOYMENTS:.0f}"


@contextmanager
def _crew(logs: Path) -> Iterator[Callable[[int], list[Child]]]:
    """Give a function that adds workers until there are so many; all end with the block."""
    crew: list[Child] = []
    with ExitStack() as stack:

        def grow(size: int) -> list[Child]:
            while len(crew) < size:
                worker = start_worker(
                    logs, name=f"worker-{len(crew)}", concurrency=CONCURRENCY, modules=("bench.celery_steps",)
                )
                crew.append(stack.enter_context(worker))
            return crew

        yield grow


def _rate(work: Callable[[int], None]) -> float:
    """Return how often it is done in a minute, once it is warm."""
    work(WARM_UP)
    began = time.monotonic()
    work(DEPLOYMENTS)
    return DEPLOYMENTS / (time.monotonic() - began) * 60


def _loop(times: int) -> None:
    for _ in range(times):
        carry_out(f"bare-{uuid4().hex}")


def _bare(times: int) -> None:
    with redis.Redis.from_url(settings.REDIS_URL) as broker:
        for _ in range(times):
            current_app.send_task("bench.steps", kwargs={"id": f"bare-{uuid4().hex}"})
        for _ in range(times):
            assert broker.blpop([DONE], timeout=LONGEST_SECONDS), "a task was lost"


def _fed(fleet: Fleet, crew: list[Child]) -> Spent:
    """Each lane gets its next release as soon as it has ended with the one before."""
    for lane in fleet.lanes:
        fleet.ask(lane)
    _wait()
    before, left = Spent.until_now(crew), DEPLOYMENTS
    while left:
        busy = _busy()
        for lane in [lane for lane in fleet.lanes if lane.pk not in busy][:left]:
            fleet.ask(lane)
            left -= 1
        time.sleep(0.01)
    return _rest(before, crew)


def _at_once(fleet: Fleet, free: Iterator[Lane], crew: list[Child]) -> Spent:
    """All are asked for while the workers stand still, so that nobody asks while they work."""
    with _standing_still(crew):
        for lane in islice(free, DEPLOYMENTS):
            fleet.ask(lane)
        before = Spent.until_now(crew)
    return _rest(before, crew)


def _rest(before: Spent, crew: list[Child]) -> Spent:
    _wait()
    ended = time.monotonic()
    after = Spent.until_now(crew)
    with workspace_scope(PLATFORM):
        wrong = Deployment.objects.exclude(state__in=[DeploymentState.SUCCEEDED]).exclude(requested_by_label="Bench")
        assert not wrong.exists(), list(wrong.values_list("state", "outcome")[:5])
    return Spent(
        ended - before.wall,
        *(getattr(after, name) - getattr(before, name) for name in ("workers", "database", "asking", "commits")),
    )


@contextmanager
def _standing_still(crew: list[Child]) -> Iterator[None]:
    """Stop the workers, none of them inside of a transaction."""
    while True:
        for worker in crew:
            worker.freeze()
        time.sleep(0.2)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()"
            )
            if not cursor.fetchone()[0]:
                break
        for worker in crew:
            worker.thaw()
        time.sleep(0.2)
    try:
        yield
    finally:
        for worker in crew:
            worker.thaw()


def _busy() -> set[object]:
    with workspace_scope(PLATFORM):
        return set(Deployment.objects.open().values_list("lane_id", flat=True))


def _wait() -> None:
    until = time.monotonic() + LONGEST_SECONDS
    while _busy():
        assert time.monotonic() < until, "not all have ended"
        time.sleep(0.02)


def _processor(process: psutil.Process) -> float:
    """Return the seconds of processor that a process took, with those of its children that have ended."""
    try:
        return sum(process.cpu_times()[:4])
    except psutil.NoSuchProcess:
        return 0.0


def _costs() -> tuple[str, ...]:
    sweeper = Sweeper()
    with workspace_scope(PLATFORM):
        live = Lane.objects.filter(live_release__isnull=False)
        sizes = (Lane.objects.count(), live.count(), Deployment.objects.count())
    cells = [f"{size:,}" for size in sizes]
    for work in (
        _ask_nothing,
        lambda: runner.due_work(unclaimed=settings.ENGINE_UNCLAIMED),
        lambda: _sweep(sweeper),
        _read_lanes,
        reconciliation.reconcile_all,
    ):
        work()
        with CaptureQueriesContext(connection) as asked:
            work()
        took = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            work()
            took.append(time.perf_counter() - began)
        cells.append(f"{statistics.median(took) * 1000:.1f} ms ({len(asked):,})")
    return tuple(cells)


def _ask_nothing() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _sweep(sweeper: Sweeper) -> None:
    SweepLease.objects.filter(name="sweep").delete()  # so that it is our turn again
    sweeper.sweep()


def _read_lanes() -> None:
    with workspace_scope(PLATFORM):
        list(Lane.objects.with_cell().filter(live_release__isnull=False))


def _finish() -> None:
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"]) as owner:
        owner.execute("SELECT set_config('app.workspaces', %s, true)", [str(PLATFORM_WORKSPACE_ID)])
        owner.execute(FINISH, {"finished": FINISHED})
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as owner:
        owner.execute("ANALYZE")


if __name__ == "__main__":
    main()
