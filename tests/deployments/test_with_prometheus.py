"""What users get is asked of the real Prometheus where the settings say so, and judged as what the proxy counts."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from apps.audit.actors import SYSTEM
from apps.core import clock
from apps.deployments.engine.meters import asked
from apps.deployments.enums import DeploymentState as S
from apps.deployments.executors.contract import StepKind
from apps.deployments.models import Deployment
from apps.environments.models import Hold
from apps.health import actions as health_actions
from apps.health import measures
from apps.policies import documents
from apps.policies.models import PolicyVersion
from apps.policies.verification import Terms
from deploy.launcher import ports
from tests import monitoring
from tests.deployments.conftest import Stage
from tests.deployments.test_verification import _say
from tests.processes import eventually

WINDOW = timedelta(seconds=4)
# Requests, errors and seconds of each scrape, by the version that serves.
FINE, SLOW, BROKEN, EMPTY = (40, 0, 0.08), (40, 0, 0.7), (40, 8, 0.08), (0, 0, 0.08)
ONE_IN_TEN = (40, 4, 0.08)

Scrape = tuple[int, int, float]
Users = dict[str, Scrape | Callable[[], Scrape]]


@pytest.fixture
def users() -> Users:
    return {"1.0.0": FINE}


@pytest.fixture
def measured(stage: Stage, users: Users, settings: Any, tmp_path: Path) -> Iterator[Stage]:
    """Dev is measured by Prometheus, and 1.0.0 has served there for some windows."""
    settings.ENGINE_VERIFY_LIMIT = timedelta(seconds=20)
    settings.PROMETHEUS_WINDOW = WINDOW
    with _measured(stage, users, settings, tmp_path, samples=1, breaches=1):
        yield stage


@contextmanager
def _measured(stage: Stage, users: Users, settings: Any, folder: Path, **terms: object) -> Iterator[None]:
    settings.PROMETHEUS_LANES = frozenset({"greeter/dev"})
    key, window = stage.lane().target_key, settings.PROMETHEUS_WINDOW

    def behaviour() -> Scrape:
        found = users.get(stage.judge.serves(key) or "", EMPTY)
        return found() if callable(found) else found

    with monitoring.Metered(behaviour).running() as port, monitoring.prometheus(folder, scrape=port) as url:
        stage.deploy()
        _say(stage, **terms)
        settings.PROMETHEUS_URL = url
        queries = settings.PROMETHEUS_QUERIES
        eventually(
            lambda: clock.now() - stage.lane().live_since > window and asked(stage.lane(), window, queries)[0].requests,
            within_seconds=2 * window.total_seconds() + 20,
        )
        yield


@dataclass
class Faltering:
    """A release that fails its users until so many seconds after the first of them."""

    seconds: float
    began: float | None = None

    def __call__(self) -> Scrape:
        self.began = self.began or time.monotonic()
        return BROKEN if time.monotonic() - self.began < self.seconds else FINE


@pytest.mark.slow
def test_a_slow_release_is_taken_back_and_the_one_before_verified(measured: Stage, users: Users) -> None:
    users["1.1.0"] = SLOW

    bad = measured.deploy("1.1.0")

    assert bad.state == S.FAILED
    assert "P95" in bad.outcome
    assert bad.terms["source"] == "prometheus"
    assert 50 < bad.terms["before"]["p95_ms"] <= 100
    with measured.everything():
        told = [row.requests for row in bad.samples.order_by("taken_at")]
    assert told[-1] >= 20
    assert not any(told[:-1])  # nothing is said before a whole window is over
    back = measured.rollback_of(bad)
    assert (back.state, measured.lane().live_release.version) == (S.SUCCEEDED, "1.0.0")
    assert "by Prometheus" in log_of(measured, bad)


@pytest.mark.reliability  # the slow one goes the same way in every run
def test_a_release_that_fails_its_users_is_taken_back(measured: Stage, users: Users) -> None:
    users["1.1.0"] = BROKEN

    bad = measured.deploy("1.1.0")

    assert bad.state == S.FAILED
    assert "requests failed (2" in bad.outcome


def test_a_good_release_is_waited_for_until_prometheus_has_spoken(measured: Stage, users: Users) -> None:
    users["1.1.0"] = FINE

    good = measured.deploy("1.1.0")

    assert good.state == S.SUCCEEDED
    assert good.ended_at - good.started_at > WINDOW
    with measured.everything():
        last = good.samples.latest("taken_at")
    assert (last.requests > 0, last.errors) == (True, 0)


@pytest.mark.reliability
def test_one_failing_request_in_ten_is_caught_within_the_time_of_production(
    stage: Stage, users: Users, settings: Any, tmp_path: Path, say: Callable[[str], None]
) -> None:
    terms = _production(stage)
    users["1.1.0"] = ONE_IN_TEN

    with _measured(stage, users, settings, tmp_path, **asdict(terms)):
        bad = stage.deploy("1.1.0")

    took = _verified_for(stage, bad)
    say(f"10 % of requests fail, windows of {settings.PROMETHEUS_WINDOW}: taken back after {took}: {bad.outcome}")
    assert bad.state == S.FAILED
    assert "requests failed (10" in bad.outcome
    assert bad.outcome.endswith("limit 5 %, in 3 of 3 samples.")
    assert took <= timedelta(seconds=terms.limit_seconds)
    back = stage.rollback_of(bad)
    assert (back.state, stage.lane().live_release.version) == (S.SUCCEEDED, "1.0.0")


@pytest.mark.reliability
def test_two_bad_samples_of_five_are_no_reason_to_take_a_release_back(
    stage: Stage, users: Users, settings: Any, tmp_path: Path, say: Callable[[str], None]
) -> None:
    settings.PROMETHEUS_WINDOW = window = timedelta(seconds=20)  # of the windows that are delivered, four fit
    users["1.1.0"] = Faltering(seconds=1.75 * window.total_seconds())

    with _measured(stage, users, settings, tmp_path, **asdict(_production(stage))):
        after = stage.deploy("1.1.0")

    with stage.everything():
        telling = [row for row in after.samples.order_by("taken_at") if row.requests >= after.terms["least_requests"]]
    bad = [row.errors > row.requests * row.error_limit / 100 for row in telling]
    say(f"two bad samples of five: {after.label.lower()} after {_verified_for(stage, after)}")
    assert bad == [True, True, False, False, False]
    assert after.state == S.SUCCEEDED
    assert stage.lane().live_release.version == "1.1.0"


@pytest.mark.parametrize(("rule", "state", "holds"), [("PASS", S.SUCCEEDED, 0), ("HOLD", S.SUCCEEDED, 1)])
def test_without_prometheus_the_rule_for_no_traffic_applies(
    stage: Stage, settings: Any, rule: str, state: str, holds: int
) -> None:
    stage.deploy()
    _say(stage, samples=1, breaches=1, without_traffic=rule)
    settings.PROMETHEUS_URL = f"http://127.0.0.1:{ports.free_ports(1)[0]}"
    settings.PROMETHEUS_LANES = frozenset({"greeter/dev"})
    settings.PROMETHEUS_WINDOW = timedelta(seconds=0.2)
    settings.ENGINE_VERIFY_LIMIT = timedelta(seconds=1)

    after = stage.deploy("1.1.0")

    assert after.state == state
    with stage.everything():
        assert Hold.objects.open().filter(lane=after.lane, deployment_id=after.pk).count() == holds
    assert "Prometheus gives no data" in log_of(stage, after)


def test_where_the_proxy_counts_prometheus_is_not_asked(stage: Stage, settings: Any) -> None:
    settings.PROMETHEUS_URL = f"http://127.0.0.1:{ports.free_ports(1)[0]}"

    assert stage.deploy().terms["source"] == "proxy"


def test_a_lanes_own_queries_are_asked_and_a_later_change_of_them_is_for_the_next(
    stage: Stage, settings: Any, tmp_path: Path
) -> None:
    settings.PROMETHEUS_WINDOW = timedelta(seconds=0.2)
    settings.ENGINE_VERIFY_LIMIT = timedelta(seconds=10)
    stage.deploy()
    _say(stage, samples=1, breaches=1)

    def measure(ratio: str) -> None:
        with stage.everything():
            said = {"requests": "vector(50)", "error_ratio": f"vector({ratio})", "p95_ms": "vector(5)"}
            health_actions.set_queries(
                stage.lane(), of_service=False, source="PROMETHEUS", by=SYSTEM, now=clock.now(), **said
            )

    with monitoring.prometheus(tmp_path, scrape=ports.free_ports(1)[0]) as url:
        settings.PROMETHEUS_URL = url
        measure("0")
        under_way = stage.start(stage.release("1.1.0"))
        thread = stage.run_until(StepKind.INSTALL, under_way)
        measure("0.5")
        stage.judge.let_go(StepKind.INSTALL)
        thread.join()
        with stage.everything():
            after = asked(stage.lane(), WINDOW, measures.measure_of(stage.lane()).queries)[0]

    ended = stage.fresh(under_way)
    assert (ended.state, ended.terms["source"], ended.terms["before"]["errors"]) == (S.SUCCEEDED, "prometheus", 0)
    assert ended.terms["queries"]["error_ratio"] == "vector(0)"
    assert after.errors == 25


def log_of(stage: Stage, deployment: Any) -> str:
    with stage.everything():
        return "\n".join(text for chunk in deployment.log_chunks.all() for _, text in chunk.lines)


def _production(stage: Stage) -> Terms:
    """Return the terms by which Production verifies, as they are delivered."""
    with stage.everything():
        terms = documents.parse(PolicyVersion.objects.in_force("PRODUCTION").get().document).verification
    assert (terms.limit_seconds, terms.breaches, terms.samples, terms.most_error_percent) == (120, 3, 5, 5)
    return terms


def _verified_for(stage: Stage, deployment: Deployment) -> timedelta:
    with stage.everything():
        step = deployment.steps.get(kind=StepKind.VERIFY)
    return step.ended_at - step.started_at
