"""R8: a worker that stands still for longer than its lease, and then goes on, changes nothing of what others did.

It stands still at named places, or while its children work, which end before anybody takes the attempt over. Another
worker brings it to its end meanwhile; then the first one goes on, alone.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from apps.deployments.enums import DeploymentState as S
from apps.deployments.executors.contract import StepKind
from apps.deployments.models import Deployment
from tests.deployments.child_target import moments
from tests.processes import Child, eventually, start_worker

pytestmark = pytest.mark.reliability  # test_ownership.py has the sample

FROZEN_SECONDS = 40 if os.environ.get("EAIP_TEST_CLOCKS") == "real" else 0  # and until another one has ended it
LIMIT_SECONDS = 150
POINTS = [
    "before_claim_commit",
    "after_claim_commit",
    *(f"before_intent:{step}" for step in (StepKind.VERIFY_ARTIFACT, StepKind.START_GREEN, StepKind.SWITCH)),
    *(f"after_intent:{step}" for step in (StepKind.START_GREEN, StepKind.SWITCH, StepKind.VERIFY)),
    *(f"after_effect:{step}" for step in (StepKind.START_GREEN, StepKind.SWITCH, StepKind.VERIFY)),
    *(f"after_result:{step}" for step in (StepKind.SWITCH, StepKind.KEEP_BLUE)),
    "before_success_commit",
]
ROWS = {
    # A row that is written anew has another xmin, also if it says the same.
    "deployments": "SELECT id, xmin, state, fence, lease_token FROM deployments_deployment",
    "steps": "SELECT id, xmin, verdict FROM deployments_step",
    "transitions": "SELECT id, xmin, to_state FROM deployments_transition",
    "log": "SELECT id, xmin FROM deployments_logchunk",
    "samples": "SELECT id, xmin FROM deployments_verificationsample",
    # Health is written all the time.
    "lanes": "SELECT id, live_release_id, live_slot, live_since, generation FROM environments_lane",
    "promotions": "SELECT id, xmin, state FROM approvals_promotion",
    "releases": "SELECT id, xmin, state FROM releases_release",
    "events": "SELECT event_id, xmin FROM audit_event WHERE kind LIKE 'deployment.%'",
}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    if not FROZEN_SECONDS:
        monkeypatch.setenv("TRANSACTION_SILENCE_SECONDS", "2")


@pytest.mark.parametrize("point", POINTS)
def test_what_it_writes_late_changes_no_row(stage, redis_url, tmp_path: Path, point: str) -> None:
    stage.deploy()
    release = stage.release("1.1.0")
    still = {"EAIP_TEST_STANDSTILL": point}
    with start_worker(tmp_path, name="first", environment=still, modules=("tests.deployments.standstill",)) as first:
        deployment = stage.start(release)
        eventually(lambda: _stands_still(first), because=f"it passed {point}")

        before = _ended_by_another(stage, deployment, tmp_path)
        _go_on(first, deployment)

    assert _rows(stage) == before
    assert (stage.fresh(deployment).state, stage.judge.serves(deployment.target_key)) == (S.SUCCEEDED, "1.1.0")
    stage.judge.require_once(deployment.target_key)


@pytest.fixture
def family(judge, settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A target with real children. Their guard needs up to a second of its own, which quick clocks have to leave it."""
    monkeypatch.setenv("EXECUTORS", "local=tests.deployments.child_target.executor")
    if not FROZEN_SECONDS:
        monkeypatch.setenv("ENGINE_LEASE_SECONDS", "6")
    yield judge.folder
    (judge.folder / "wait-family").unlink(missing_ok=True)


def test_its_children_are_dead_before_anybody_takes_over(stage, family: Path, redis_url, tmp_path: Path) -> None:
    stage.deploy()
    release = stage.release("1.1.0")
    (family / "wait-family").touch()
    with start_worker(tmp_path, name="first") as first:
        deployment = stage.start(release)
        eventually(lambda: _is_at_work(stage, deployment, family), because=first.output)
        fence = stage.fresh(deployment).fence
        time.sleep(1)  # some beats
        first.freeze()
        frozen_at = time.time()

        before = _ended_by_another(stage, deployment, tmp_path, family)
        _go_on(first, deployment)

    lived = moments(family, fence)
    with stage.everything():
        lost = deployment.transitions.filter(to_state=S.UNKNOWN).order_by("n").first().at.timestamp()
    print(
        f"\nR8 children dead {lived[-1] - frozen_at:.1f} s after the freeze, taken over after {lost - frozen_at:.1f} s"
    )
    assert lived[-1] < lost
    assert _rows(stage) == before
    assert (stage.fresh(deployment).state, stage.judge.serves(deployment.target_key)) == (S.SUCCEEDED, "1.1.0")
    stage.judge.require_once(deployment.target_key)


def test_it_begins_no_child_when_it_goes_on(stage, family: Path, redis_url, tmp_path: Path) -> None:
    """It stood still between its last look at its lease and the start of the child, where no lock of the target is."""
    stage.deploy()
    release = stage.release("1.1.0")
    still = {"EAIP_TEST_STANDSTILL": f"after_intent:{StepKind.START_GREEN}"}
    with start_worker(tmp_path, name="first", environment=still, modules=("tests.deployments.standstill",)) as first:
        deployment = stage.start(release)
        eventually(lambda: _stands_still(first), because="it did not stand still")
        fence = stage.fresh(deployment).fence
        before = _ended_by_another(stage, deployment, tmp_path)
        (family / "wait-family").touch()
        _go_on(first, deployment)

    assert not moments(family, fence)
    assert _rows(stage) == before


def _ended_by_another(stage, deployment: Deployment, logs: Path, family: Path | None = None) -> dict[str, list[object]]:
    """Let another worker bring it to its end, at least so long; return all rows as they are then."""
    began = time.monotonic()
    with start_worker(logs, name="second") as second:
        if family:
            eventually(
                lambda: S.UNKNOWN in stage.states(deployment), within_seconds=LIMIT_SECONDS, because=second.output
            )
            (family / "wait-family").unlink()
        eventually(stage.ended(deployment), within_seconds=LIMIT_SECONDS, because=second.output)
        time.sleep(max(0.0, FROZEN_SECONDS - (time.monotonic() - began)))
    return _rows(stage)


def _go_on(worker: Child, deployment: Deployment) -> None:
    """Let a worker go on until it has understood that the attempt is not its own."""
    seen = len(worker.output)
    worker.thaw()
    words = (str(deployment.pk), "idle-in-transaction timeout")  # the latter for what it had open
    eventually(
        lambda: any(word in worker.output[seen:] for word in words),
        because=f"it noticed nothing:\n{worker.output[-4000:]}",
    )
    time.sleep(1)  # for what it may still write


def _stands_still(worker: Child) -> bool:
    return Path(f"/proc/{worker.pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"T"


def _is_at_work(stage, deployment: Deployment, family: Path) -> bool:
    return len(moments(family, stage.fresh(deployment).fence)) > 3


def _rows(stage) -> dict[str, list[object]]:
    with stage.everything(), connection.cursor() as cursor:
        found = {}
        for name, question in ROWS.items():
            cursor.execute(f"{question} ORDER BY 1")
            found[name] = cursor.fetchall()
        return found
