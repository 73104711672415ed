"""R7: a database that is restarted at once, and one whose standby takes over without the last commits.

On servers of these tests' own, since they end them. The figures are printed; their limits are those of the
requirement, held against the real clocks.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from django.db import connections

from apps.audit.models import AuditEvent
from apps.deployments.engine import epoch
from apps.deployments.enums import ACTIVE
from apps.deployments.enums import DeploymentState as S
from apps.deployments.executors.contract import StepKind
from apps.deployments.models import Deployment, Step, Transition
from tests import plugin
from tests.deployments.many_lanes import REAL_CLOCKS, ManyLanes
from tests.deployments.own_database import NAME, OwnDatabase
from tests.processes import Child, eventually, start_worker

RESUME_SECONDS = 30
RAISED = 1_000_000


@pytest.fixture
def own() -> Iterator[OwnDatabase]:
    with OwnDatabase.start(plugin.engines().directory / f"own-{os.getpid()}") as own:
        yield own


@pytest.fixture
def database(own: OwnDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Let this process, and those that it starts, use that one."""
    place = connections.settings["default"]
    usual = place["NAME"], place["PORT"]
    connections.close_all()
    for variable in ("DATABASE_URL", "DATABASE_OWNER_URL"):
        url = urlsplit(os.environ[variable])
        there = url._replace(netloc=f"{url.netloc.rpartition(':')[0]}:{own.port}", path=f"/{NAME}")
        monkeypatch.setenv(variable, urlunsplit(there))
    place["NAME"], place["PORT"] = NAME, own.port
    yield NAME
    connections.close_all()
    place["NAME"], place["PORT"] = usual


@contextmanager
def workers(folder: Path, *, concurrency: int) -> Iterator[list[Child]]:
    with ExitStack() as stack:
        yield [stack.enter_context(start_worker(folder, name=f"worker-{n}", concurrency=concurrency)) for n in range(2)]


def _said(started: list[Child]) -> Callable[[], str]:
    return lambda: "\n".join(worker.output[-3000:] for worker in started)


def test_a_result_that_met_an_outage_is_found_out_long_before_the_lease_ends(
    own, stage, redis_url, tmp_path: Path
) -> None:
    patient = {"ENGINE_LEASE_SECONDS": "600", "ENGINE_GUARD_SILENCE_SECONDS": "60"}
    with start_worker(tmp_path, environment=patient) as worker:
        stage.judge.hold(StepKind.SWITCH)
        running = stage.start()
        eventually(lambda: stage.judge.is_waiting(StepKind.SWITCH), within_seconds=30, because=worker.output)

        own.primary.end_at_once()
        connections.close_all()
        stage.judge.let_go(StepKind.SWITCH)
        eventually(lambda: stage.judge.serves(running.target_key) == "1.0.0", because=worker.output)
        own.primary.start()
        eventually(_answers, within_seconds=60)

        ended = eventually(stage.ended(running), within_seconds=90, because=worker.output)

    assert ended.state == S.SUCCEEDED
    stage.judge.require_once(running.target_key)


@pytest.mark.reliability
def test_50_running_deployments_outlive_a_restart_at_once(own, stage, redis_url, say, tmp_path: Path) -> None:
    many = ManyLanes.make(stage, 50)
    with workers(tmp_path, concurrency=25) as at_work:
        running = many.start_held("1.1.0", StepKind.SWITCH, because=_said(at_work))

        own.primary.end_at_once()
        connections.close_all()
        stage.judge.let_go(StepKind.SWITCH)
        time.sleep(1)
        own.primary.start()
        back = time.monotonic()
        eventually(_answers, within_seconds=60)
        many.until(lambda: not many.standing_in(StepKind.SWITCH, running), _said(at_work))
        resumed = time.monotonic() - back
        many.until_all_ended(running, because=_said(at_work))
        ended = time.monotonic() - back

        assert all(worker.is_running() for worker in at_work)
    many.require_each_done_once(running)
    say(f"R7 restart: 50 resumed within {resumed:.1f} s and ended within {ended:.1f} s; 0 lost, 0 doubled")
    if REAL_CLOCKS:
        assert resumed <= RESUME_SECONDS


def _answers() -> bool:
    try:
        with psycopg.connect(os.environ["DATABASE_URL"], connect_timeout=2):
            return True
    except psycopg.OperationalError:
        connections.close_all()
        return False


@pytest.mark.reliability
def test_after_a_promotion_with_a_lost_tail_the_target_is_asked_before_anything(
    own, stage, redis_url, say, tmp_path: Path
) -> None:
    """Twelve attempts in four stages go on after the last commit that the standby has, to the switch or the end."""
    many = ManyLanes.make(stage, 12)
    groups = [ManyLanes(stage, many.environments[n : n + 3]) for n in (0, 3, 6, 9)]
    own.add_standby()
    with workers(tmp_path, concurrency=8) as at_work:
        said = _said(at_work)
        kept = groups[0].start_held("1.1.0", StepKind.KEEP_BLUE, because=said)
        switching = groups[1].start_held("1.2.0", StepKind.SWITCH, because=said)
        installing = groups[2].start_held("1.3.0", StepKind.INSTALL, because=said)
        for worker in at_work:
            worker.freeze()
        queued = groups[3].start("1.4.0")
        eventually(own.standby_has_all)
        own.cut_replication()
        eventually(own.is_cut)
        for worker in at_work:
            worker.thaw()

        stage.judge.hold(StepKind.DRAIN_BLUE)
        for step in (StepKind.INSTALL, StepKind.SWITCH, StepKind.KEEP_BLUE):
            stage.judge.let_go(step)
        under_way = switching + installing + queued
        many.until_all_ended(kept, because=said)
        many.until(lambda: many.standing_in(StepKind.DRAIN_BLUE, under_way) == len(under_way), said)
        many.require_each_done_once(kept)
        changes = _count(Transition, stage)

        own.primary.end_at_once()
        connections.close_all()
        stage.judge.let_go(StepKind.DRAIN_BLUE)
        began = time.monotonic()
        own.promote()
        eventually(_answers, within_seconds=60)
        ((survived,),) = own.standby.ask(
            f"SELECT count(*) FROM deployments_transition WHERE fence < {RAISED}",  # noqa: S608
            database=NAME,
        )
        lost = changes - survived
        everything = kept + under_way
        many.until_all_ended(everything, because=said)
        took = time.monotonic() - began

    assert lost > 0, "nothing was lost, so this shows nothing"
    many.require_each_done_once(everything)
    for deployment in kept + switching + installing:
        _require_asked_first(stage, deployment)
    for deployment in queued:
        assert stage.fresh(deployment).fence > RAISED
    say(
        f"R7 promotion: {lost} changes of state lost; 9 active attempts probed, 3 queued ones claimed anew, 0 effects"
        f" twice; all ended {took:.1f} s after the primary's end"
    )


def _count(model: type[Transition], stage) -> int:
    with stage.everything():
        return model.objects.count()


def _require_asked_first(stage, deployment: Deployment) -> None:
    """It was UNKNOWN because of the other database, the target was asked, and no step that has an effect ran again."""
    with stage.everything():
        changes = list(deployment.transitions.order_by("n"))
        found = next(n for n, change in enumerate(changes) if change.why == epoch.WHY)
        assert changes[found].to_state == S.UNKNOWN
        assert changes[found].from_state in ACTIVE
        assert changes[found + 1].to_state == S.SUCCEEDED, "adopted, not run again"
        again = Step.objects.filter(deployment=deployment, fence__gt=RAISED).exclude(kind=StepKind.VERIFY)
        assert not again.filter(started_at__isnull=False).exists()
        assert AuditEvent.objects.filter(kind="deployment.unknown", target_id=str(deployment.pk)).exists()
    assert stage.fresh(deployment).probed.startswith("APPLIED")
    assert not [
        line
        for line in stage.judge.effects(deployment.target_key)
        if line["fence"] > RAISED and line["effect"] in ("start", "switch")
    ]
