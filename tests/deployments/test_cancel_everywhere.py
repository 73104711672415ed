"""R10: cancelled in every state, with its owner alive or killed, an attempt ends in time, and nothing happens twice.

MIGRATING is missing: no executor plans it. Owners are real workers; one more is there before its owner is killed.
"""

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.utils import timezone

from apps.deployments import actions
from apps.deployments.enums import DeploymentState as S
from apps.deployments.executors.contract import StepKind
from apps.deployments.models import Deployment
from tests.processes import Child, eventually, start_worker

pytestmark = pytest.mark.reliability  # test_cancel.py has the sample

LIMIT_SECONDS = 60  # as R10 has it, with real clocks; with the quick ones that is generous
REST_SECONDS = 180  # for the rollback behind it, which is not R10's
SLOW_SAMPLES = {"ENGINE_VERIFY_INTERVAL_SECONDS": "20"}


@dataclass(frozen=True)
class Place:
    """Where the attempt stands when somebody asks for its end, and what comes of it."""

    state: S
    step: StepKind | None
    ends: S

    def __str__(self) -> str:
        return f"{self.state}-{self.step}" if self.step else self.state

    @property
    def is_lost(self) -> bool:
        return self.state == S.UNKNOWN

    def bring(self, stage, owner: Child) -> Deployment:
        release = stage.release("1.1.0")
        if self.state == S.QUEUED:
            owner.freeze()  # so that nobody takes it yet
            return stage.start(release)
        if self.is_lost:
            stage.judge.behave(v1_1_0={self.step: "bug", "probe": "UNREACHABLE"})
        elif self.step != StepKind.VERIFY:
            stage.judge.hold(self.step)
        deployment = stage.start(release)
        eventually(lambda: self._is_reached(stage, deployment), within_seconds=LIMIT_SECONDS, because=owner.output)
        return deployment

    def _is_reached(self, stage, deployment: Deployment) -> bool:
        if stage.fresh(deployment).state != self.state:
            return False
        if self.is_lost:
            return True
        if self.step == StepKind.VERIFY:
            with stage.everything():
                return deployment.samples.exists()
        return stage.judge.is_waiting(self.step)


PLACES = [
    Place(S.QUEUED, None, S.CANCELLED),
    Place(S.STARTING, StepKind.VERIFY_ARTIFACT, S.CANCELLED),
    Place(S.STARTING, StepKind.INSTALL, S.CANCELLED),
    Place(S.APPLYING, StepKind.START_GREEN, S.CANCELLED),
    Place(S.APPLYING, StepKind.CHECK_GREEN, S.CANCELLED),
    Place(S.APPLYING, StepKind.SWITCH, S.CANCELLED),
    Place(S.VERIFYING, StepKind.VERIFY, S.FAILED),  # it serves already, so it is taken back
    Place(S.VERIFYING, StepKind.DRAIN_BLUE, S.FAILED),
    Place(S.UNKNOWN, StepKind.START_GREEN, S.CANCELLED),
    Place(S.UNKNOWN, StepKind.DRAIN_BLUE, S.FAILED),
]
OWNERS = ["alive", "killed before the wish", "killed after the wish"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    if os.environ.get("EAIP_TEST_CLOCKS") != "real":
        monkeypatch.setenv("TRANSACTION_SILENCE_SECONDS", "2")  # the frozen one may hold the lane's lock


@pytest.mark.parametrize("place", PLACES, ids=str)
@pytest.mark.parametrize("owner", OWNERS)
def test_it_ends_in_time_wherever_it_stands(stage, redis_url, tmp_path: Path, place: Place, owner: str) -> None:
    stage.deploy()
    slow = SLOW_SAMPLES if place.step == StepKind.VERIFY else {}
    with ExitStack() as workers:
        first = workers.enter_context(start_worker(tmp_path, name="first", environment=slow))
        deployment = place.bring(stage, first)
        seen_by = [first]
        if owner != "alive":
            seen_by.append(workers.enter_context(start_worker(tmp_path, name="second")))
        because = _outputs(seen_by)

        asked = _ask(stage, deployment, first, owner)

        if place.is_lost:
            asked = _answer_later(stage, deployment, because)
        ended = eventually(stage.ended(deployment), within_seconds=LIMIT_SECONDS, because=because())
        took = time.monotonic() - asked
        if place.step:
            stage.judge.let_go(place.step)
        eventually(lambda: not _open(stage), within_seconds=REST_SECONDS, because=because())
        rested = time.monotonic() - asked
    print(f"\nR10 {place}, owner {owner}: {ended.state} after {took:.1f} s, lane at rest after {rested:.1f} s")

    assert ended.state == place.ends, ended.outcome
    assert ended.outcome.startswith("Cancelled by DevOps: Wrong release")
    if place.ends == S.FAILED:
        assert stage.rollback_of(ended).state == S.SUCCEEDED
    lane = stage.lane()
    assert (lane.live_release.version, stage.judge.serves(lane.target_key)) == ("1.0.0", "1.0.0")
    stage.judge.require_once(lane.target_key)


def test_an_owner_killed_while_it_obeys_leaves_nothing_stuck(stage, redis_url, tmp_path: Path) -> None:
    stage.deploy()
    place = Place(S.APPLYING, StepKind.CHECK_GREEN, S.CANCELLED)
    dies = {"EAIP_CRASHPOINT": "after_cancelling_commit"}
    with start_worker(tmp_path, name="first", environment=dies) as first:
        deployment = place.bring(stage, first)
        with start_worker(tmp_path, name="second") as second:
            asked = _ask(stage, deployment, first, "alive")
            eventually(lambda: not first.is_running(), because="it obeyed without dying")
            assert stage.fresh(deployment).state in (S.CANCELLING, S.UNKNOWN, S.CANCELLED)

            ended = eventually(stage.ended(deployment), within_seconds=LIMIT_SECONDS, because=second.output)
            took = time.monotonic() - asked
    print(f"\nR10 CANCELLING, owner killed: {ended.state} after {took:.1f} s")

    assert (ended.state, stage.judge.serves(ended.target_key)) == (S.CANCELLED, "1.0.0")
    assert not _open(stage)
    stage.judge.require_once(ended.target_key)


def _ask(stage, deployment: Deployment, owner: Child, fate: str) -> float:
    """Ask for the end as a person does, by a row and a hint; return when."""
    if fate == "killed before the wish":
        owner.kill()
    with stage.everything():
        by, now = stage.world.cast.devops, timezone.now()
        asked = time.monotonic()
        actions.cancel_deployment(deployment, reason="Wrong release", by=by, now=now)
    if fate == "killed after the wish":
        owner.kill()
    if fate == "alive":
        owner.thaw()
    return asked


def _answer_later(stage, deployment: Deployment, because: Callable[[], str]) -> float:
    """Nothing is guessed of a target that can't be asked; return when it answers again."""
    looked = stage.fresh(deployment).fence
    eventually(lambda: stage.fresh(deployment).fence > looked + 1, within_seconds=LIMIT_SECONDS, because=because())
    assert stage.fresh(deployment).state == S.UNKNOWN
    stage.judge.behave()
    return time.monotonic()


def _outputs(workers: list[Child]) -> Callable[[], str]:
    return lambda: "\n".join(worker.output[-4000:] for worker in workers)


def _open(stage) -> list[tuple[int, str]]:
    with stage.everything():
        return list(Deployment.objects.open().values_list("number", "state"))
