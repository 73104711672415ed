"""R1: workers are killed at random moments under traffic on many lanes; the ledger and the rows are held together.

Each seed is a run of its own of 20 kills, so that all of them can be taken in parts: `-k "seed-3"`.
"""

import os
import random
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.conf import settings

from apps.deployments.enums import DeploymentKind
from apps.deployments.enums import DeploymentState as S
from apps.deployments.executors.contract import Log, Order, StepKind, StepResult
from apps.deployments.models import Deployment, Transition
from tests.deployments.conftest import Stage
from tests.deployments.file_target import FileTarget
from tests.deployments.many_lanes import PATIENCE_SECONDS, REAL_CLOCKS, ManyLanes
from tests.deployments.reference import BEHAVIOUR, Asked, Nature
from tests.plugin import engines
from tests.processes import Child, eventually, start_worker
from tests.soak.judgement import Judgement
from tests.soak.traffic import Traffic

pytestmark = pytest.mark.reliability

SEEDS, KILLS, WORKERS = 10, 20, 3
LANES = 150 if REAL_CLOCKS else 40
UNKNOWN_SECONDS, RESOLVED_SECONDS = 45, 60
OWNERS = "owners.txt"


class SignedTarget(FileTarget):
    """Writes down which process works on which claim."""

    def apply(self, kind: StepKind, order: Order, *, log: Log) -> StepResult:
        with (settings.TARGET_DIR / OWNERS).open("a") as file:
            file.write(f"{os.getpid()} {order.deployment_id} {order.fence}\n")
        return super().apply(kind, order, log=log)


def executor() -> SignedTarget:
    return SignedTarget()


@dataclass
class Killing:
    stage: Stage
    folder: Path
    workers: list[Child] = field(default_factory=list)
    died: dict[int, datetime] = field(default_factory=dict)
    """When each process died, by its number."""

    def add_worker(self) -> None:
        self.workers.append(start_worker(self.folder, name=f"worker-{len(self.died) + len(self.workers)}"))

    def kill_one(self) -> None:
        victim = self.workers.pop(random.randrange(len(self.workers)))
        victim.kill()
        self.died[victim.pid] = datetime.now(UTC)

    def stop(self) -> None:
        for worker in self.workers:
            worker.stop()

    def lost(self) -> dict[tuple[str, int], datetime]:
        """Return the claims that somebody worked on who was killed, and when that was."""
        lines = [line.split() for line in (self.folder / "target" / OWNERS).read_text().splitlines()]
        return {(id, int(fence)): self.died[int(pid)] for pid, id, fence in lines if int(pid) in self.died}


@pytest.mark.parametrize("seed", range(1, SEEDS + 1), ids=lambda seed: f"seed-{seed}")
def test_workers_killed_at_random_leave_every_deployment_with_its_right_end(
    stage: Stage, database: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, say, seed: int
) -> None:
    random.seed(seed)
    monkeypatch.setenv("EXECUTORS", f"local={__name__}.executor")
    (tmp_path / "target").mkdir(exist_ok=True)
    lanes = ManyLanes.make(stage, LANES)
    with stage.everything():
        traffic = Traffic(stage.world.cast, [stage.world.lane(each) for each in lanes.environments])
    judgement, killing = (
        Judgement(engines().postgres.url(database=database), tmp_path / "target"),
        Killing(stage, tmp_path),
    )
    people = [threading.Thread(target=traffic.go_on) for _ in range(2)]
    with ExitStack() as stack:
        stack.callback(killing.stop)
        stack.callback(traffic.over.set)
        for _ in range(WORKERS):
            killing.add_worker()
        for each in people:
            each.start()
        for _ in range(KILLS):
            time.sleep(random.uniform(0.2, 2))
            killing.kill_one()
            killing.add_worker()
        traffic.over.set()
        for each in people:
            each.join(30)
        eventually(lambda: not _open(stage), within_seconds=PATIENCE_SECONDS, because=f"seed {seed}: still open")
    judgement.finish()

    unknown, ended = _delays(stage, killing.lost())
    say(
        f"seed {seed}: {KILLS} kills, {traffic.counts['started']} deployments, {len(unknown)} lost their worker; "
        f"unknown after {_p99(unknown):.1f} s (p99), ended after {_p99(ended):.1f} s (p99), {max(ended):.1f} s at most"
    )
    assert not judgement.violations, f"seed {seed}"
    wrong = _wrong(stage, traffic)
    assert not wrong, f"seed {seed}: " + "; ".join(wrong)
    assert unknown, f"seed {seed}: no kill hit an attempt"
    assert _p99(unknown) <= UNKNOWN_SECONDS
    assert max(ended) <= UNKNOWN_SECONDS + RESOLVED_SECONDS


def _delays(stage: Stage, lost: dict[tuple[str, int], datetime]) -> tuple[list[float], list[float]]:
    """Return the seconds from a worker's death until its attempts were unknown, and until they had ended.

    One that lost a second worker counts its end from that one's death.
    """
    unknown, ended = [], {}
    with stage.everything():
        for seen in Transition.objects.filter(to_state=S.UNKNOWN).select_related("deployment").order_by("at"):
            if (died := lost.get((str(seen.deployment_id), seen.fence))) is not None and seen.at > died:
                unknown.append((seen.at - died).total_seconds())
                ended[seen.deployment_id] = (seen.deployment.ended_at - died).total_seconds()
    return unknown, list(ended.values())


def _wrong(stage: Stage, traffic: Traffic) -> list[str]:
    """Return what ended otherwise than its release, its losses and its people say."""
    natures = {version: _nature(rule) for version, rule in traffic.behaviour.items()}
    found = []
    with stage.everything():
        # One that never began lost its turn to a gate, such as the quarantine of a release that failed elsewhere.
        for each in Deployment.objects.with_subject().exclude(started_at=None):
            asked = Asked(
                each.pk,
                each.release.version,
                natures.get(each.release.version, "good"),
                is_rollback=each.kind == DeploymentKind.ROLLBACK,
                losses=each.transitions.filter(to_state=S.UNKNOWN).count(),
                is_cancelled=each.cancel_requested_at is not None,
            )
            if each.state not in asked.verdicts():
                found.append(f"{asked} {each.state}: {each.outcome}")
    return found


def _nature(rule: dict[str, str]) -> Nature:
    return next(nature for nature, known in BEHAVIOUR.items() if known == rule)


def _open(stage: Stage) -> bool:
    with stage.everything():
        return Deployment.objects.open().exists()


def _p99(seconds: list[float]) -> float:
    return sorted(seconds)[int(0.99 * (len(seconds) - 1))] if seconds else 0.0
