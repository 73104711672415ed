"""R9: what hangs ends at its limit and no later than its grace allows; what goes wrong is undone in time.

Times are the database's and the target's own, which is this machine's clock.
"""

import os
import statistics
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings

from apps.deployments import runner
from apps.deployments.enums import DeploymentState as S
from apps.deployments.enums import StepVerdict
from apps.deployments.executors.contract import StepKind
from apps.deployments.models import Deployment
from apps.environments.enums import Tier
from tests.deployments.child_target import moments
from tests.processes import eventually, start_worker
from tests.world import make_environment, make_lane

pytestmark = pytest.mark.reliability  # test_deaf_steps.py and test_guard.py have the sample

REAL = os.environ.get("EAIP_TEST_CLOCKS") == "real"
# One hang is waited for as long as in the product, the others take the same way sooner.
WHOLE_LIMIT = django_settings.ENGINE_APPLY_LIMIT if REAL else timedelta(seconds=5)
SHORT_LIMIT = timedelta(seconds=30 if REAL else 5)
LATEST_AFTER = timedelta(seconds=25)
ROLLBACKS = 20
P95_SECONDS, WORST_SECONDS = 300, 900


Until = Callable[[Callable[[], Any]], Any]
Begin = Callable[[timedelta, Callable[[], None]], AbstractContextManager[tuple[Deployment, Until]]]


@pytest.fixture
def begin(stage, redis_url, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Begin:
    """Begin an attempt that hangs, under a worker with that limit; yield it, and how to wait for what becomes of it."""

    @contextmanager
    def begin(limit: timedelta, hang: Callable[[], None]) -> Iterator[tuple[Deployment, Until]]:
        monkeypatch.setenv("ENGINE_APPLY_LIMIT_SECONDS", str(limit.total_seconds()))
        stage.deploy()
        hang()
        with start_worker(tmp_path) as worker:
            wait = limit.total_seconds() + 60
            deployment = stage.start(stage.release("1.1.0"))
            yield deployment, lambda it: eventually(it, within_seconds=wait, because=worker.output)

    return begin


def _lasted(stage, deployment: Deployment, state: S) -> timedelta:
    """From the claim until it came into a state."""
    with stage.everything():
        there = deployment.transitions.filter(to_state=state).order_by("n").first()
        return there.at - stage.fresh(deployment).started_at


def _require_in_time(what: str, lasted: timedelta, limit: timedelta) -> None:
    over = (lasted - limit).total_seconds()
    print(f"\nR9 {what}: limit {limit.total_seconds():.0f} s, ended {over:+.1f} s after it")
    assert limit <= lasted <= limit + LATEST_AFTER


def test_a_step_that_hears_ends_at_the_limit_and_is_undone(stage, begin: Begin) -> None:
    with begin(SHORT_LIMIT, lambda: stage.judge.hold(StepKind.CHECK_GREEN)) as (deployment, until):
        ended = until(stage.ended(deployment))
        stage.judge.let_go(StepKind.CHECK_GREEN)
        back = until(stage.ended(stage.rollback_of(ended)))

    _require_in_time("a step that hears", _lasted(stage, deployment, S.FAILED), SHORT_LIMIT)
    _require_undone(stage, ended, back)


def test_children_that_hear_nothing_are_killed_at_the_limit(stage, begin: Begin, monkeypatch) -> None:
    monkeypatch.setenv("EXECUTORS", "local=tests.deployments.child_target.executor")
    family = stage.judge.folder / "wait-family"
    with begin(WHOLE_LIMIT, family.touch) as (deployment, until):
        ended = until(stage.ended(deployment))
        family.unlink()
        back = until(stage.ended(stage.rollback_of(ended)))

    _require_in_time("deaf children", _lasted(stage, deployment, S.FAILED), WHOLE_LIMIT)
    assert moments(stage.judge.folder, ended.fence)[-1] < ended.ended_at.timestamp()
    _require_undone(stage, ended, back)


def test_a_step_that_hears_nothing_is_given_up_and_looked_after(stage, begin: Begin) -> None:
    with begin(SHORT_LIMIT, lambda: stage.judge.deafen(StepKind.CHECK_GREEN)) as (deployment, until):
        until(stage.is_in(deployment, S.UNKNOWN))
        with stage.everything():
            step = deployment.steps.get(kind=StepKind.CHECK_GREEN)
        looked = stage.fresh(deployment).fence
        until(lambda: stage.fresh(deployment).fence > looked)
        assert stage.fresh(deployment).state == S.UNKNOWN  # its thread is still there

        stage.judge.let_go_on(StepKind.CHECK_GREEN)
        ended = until(stage.ended(deployment))

    _require_in_time("a step that hears nothing", _lasted(stage, deployment, S.UNKNOWN), SHORT_LIMIT)
    assert (step.verdict, "was given up" in step.detail) == (StepVerdict.UNKNOWN, True)
    assert (ended.state, stage.judge.serves(ended.target_key)) == (S.SUCCEEDED, "1.1.0")
    stage.judge.require_once(ended.target_key)


@pytest.mark.parametrize("owner", ["alive", "killed"])
def test_twenty_bad_releases_are_taken_back_in_time(stage, redis_url, tmp_path: Path, owner: str) -> None:
    lanes = _lanes(stage)
    with start_worker(tmp_path, name="first") as first:
        broken = [stage.start(release, environment) for environment, release in lanes]
        if owner == "killed":
            eventually(lambda: any(_switched(stage, one) for one in broken), within_seconds=60, because=first.output)
            first.kill()
            first = start_worker(tmp_path, name="second")
        with first:
            for deployment in broken:
                eventually(stage.ended(deployment), within_seconds=WORST_SECONDS, because=first.output)
            backs = [stage.rollback_of(deployment) for deployment in broken]
            ended = [
                eventually(stage.ended(back), within_seconds=WORST_SECONDS, because=first.output) for back in backs
            ]

    seconds = [
        back.ended_at.timestamp() - _switched(stage, one) for one, back in zip(broken, ended, strict=True)
    ]  # from the first bad answer that a user can have got until what serves is proved to be good
    p50, p95 = (statistics.quantiles(seconds, n=100, method="inclusive")[percent - 1] for percent in (50, 95))
    print(f"\nR9 {len(seconds)} rollbacks, owner {owner}: p50 {p50:.1f} s, p95 {p95:.1f} s, worst {max(seconds):.1f} s")
    assert (p95 <= P95_SECONDS, max(seconds) <= WORST_SECONDS) == (True, True)
    assert [back.state for back in ended] == [S.SUCCEEDED] * ROLLBACKS
    for deployment in broken:
        assert stage.judge.serves(deployment.target_key) == "1.0.0"
        stage.judge.require_once(deployment.target_key)


def _require_undone(stage, ended: Deployment, back: Deployment) -> None:
    assert (ended.state, back.state, stage.judge.serves(ended.target_key)) == (S.FAILED, S.SUCCEEDED, "1.0.0")
    stage.judge.require_once(ended.target_key)


def _lanes(stage) -> list[tuple]:
    """As many environments that serve 1.0.0, each with a release of its own that starts well and serves errors."""
    platform = stage.world.cast.platform
    with stage.everything():
        places = [make_environment(platform, f"Region {n}", Tier.DEV) for n in range(ROLLBACKS)]
        for place in places:
            stage.world.lanes[place.pk] = make_lane(place, stage.world.service)
    for place in places:
        runner.run(stage.start(environment=place).pk)
    stage.judge.behave(**{f"v1_{n + 1}_0": {"health": "bad"} for n in range(ROLLBACKS)})
    return [(place, stage.release(f"1.{n + 1}.0")) for n, place in enumerate(places)]


def _switched(stage, deployment: Deployment) -> float:
    """When the target gave it the traffic, or 0."""
    switches = stage.judge.effects(deployment.target_key, "switch")
    return next((line["at"] for line in switches if line["deployment"] == str(deployment.pk)), 0.0)
