"""R8: workers whose clocks are wrong by ten minutes, one fast and one slow, keep and take leases at the right time.

The clock is wrong for the whole process (libfaketime), also for what is not ours in it. The other clocks are right.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.utils import timezone

from apps.core import clock
from apps.deployments.enums import DeploymentState as S
from apps.deployments.executors.contract import StepKind
from apps.deployments.models import Deployment
from tests.processes import Child, eventually, start_worker

pytestmark = [
    pytest.mark.reliability,  # test_clocks.py has the sample
    pytest.mark.skipif(not shutil.which("faketime"), reason="Debian's package faketime is not installed"),
]

REAL = os.environ.get("EAIP_TEST_CLOCKS") == "real"
LIMIT = 3 * django_settings.ENGINE_LEASE + timedelta(seconds=1)  # a wrong clock would end a lease or two before it
LATEST_AFTER = timedelta(seconds=25)
both_ways = pytest.mark.parametrize(("owner", "other"), [("+10m", "-10m"), ("-10m", "+10m")])


@both_ways
def test_a_lease_lives_and_a_limit_ends_as_the_database_says(
    stage, redis_url, tmp_path: Path, monkeypatch, owner: str, other: str
) -> None:
    monkeypatch.setenv("ENGINE_APPLY_LIMIT_SECONDS", str(LIMIT.total_seconds()))
    with _at_work(stage, tmp_path, owner, other) as (deployment, first, second):
        wait = LIMIT.total_seconds() + 60
        ended = eventually(stage.ended(deployment), within_seconds=wait, because=first.output + second.output)
        stage.judge.let_go(StepKind.CHECK_GREEN)
        back = eventually(stage.ended(stage.rollback_of(ended)), within_seconds=60, because=first.output)

    lasted = ended.ended_at - ended.started_at
    print(
        f"\nR8 owner's clock {owner}: ended {(lasted - LIMIT).total_seconds():+.1f} s after its limit, never taken over"
    )
    assert S.UNKNOWN not in stage.states(deployment)
    assert LIMIT <= lasted <= LIMIT + LATEST_AFTER
    assert (ended.state, back.state) == (S.FAILED, S.SUCCEEDED)
    assert abs(back.ended_at - clock.now()) < timedelta(minutes=5)
    _require_orderly(stage, deployment, back)


@both_ways
def test_what_a_dead_worker_had_is_taken_over_when_its_lease_ends(
    stage, redis_url, tmp_path: Path, owner: str, other: str
) -> None:
    with _at_work(stage, tmp_path, owner, other) as (deployment, first, second):
        first.kill()
        lease_until = stage.fresh(deployment).lease_until
        stage.judge.let_go(StepKind.CHECK_GREEN)
        ended = eventually(stage.ended(deployment), within_seconds=120, because=second.output)

    with stage.everything():
        lost_at = deployment.transitions.filter(to_state=S.UNKNOWN).get().at
    print(
        f"\nR8 other's clock {other}: taken over {(lost_at - lease_until).total_seconds():+.1f} s after the lease ended"
    )
    assert timedelta(0) <= lost_at - lease_until <= timedelta(seconds=45) - django_settings.ENGINE_LEASE * REAL
    assert (ended.state, stage.judge.serves(ended.target_key)) == (S.SUCCEEDED, "1.1.0")
    _require_orderly(stage, deployment)


@contextmanager
def _at_work(stage, logs: Path, owner: str, other: str) -> Iterator[tuple[Deployment, Child, Child]]:
    """Yield an attempt that stands in a step, its owner, and another worker."""
    stage.deploy()
    stage.judge.hold(StepKind.CHECK_GREEN)
    with _worker(logs, owner) as first:
        deployment = stage.start(stage.release("1.1.0"))
        eventually(lambda: stage.judge.is_waiting(StepKind.CHECK_GREEN), because=first.output)
        with _worker(logs, other) as second:
            yield deployment, first, second


def _worker(logs: Path, wrong_by: str) -> Child:
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    environment = {"LD_PRELOAD": str(library), "FAKETIME": wrong_by, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    worker = start_worker(logs, name=f"worker{wrong_by}", environment=environment)
    says = datetime.fromisoformat(re.findall(r"^(\S+ \S+),\d+ INFO .* ready\.$", worker.output, re.MULTILINE)[-1])
    wrong = timezone.localtime().replace(tzinfo=None) - says
    assert timedelta(minutes=9) < abs(wrong) < timedelta(minutes=11), "its clock is right"
    return worker


def _require_orderly(stage, *attempts) -> None:
    with stage.everything():
        for attempt in attempts:
            moments = [change.at for change in attempt.transitions.order_by("n")]
            assert moments == sorted(moments)
    stage.judge.require_once(attempts[0].target_key)
