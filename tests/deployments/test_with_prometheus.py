"""What users get is asked of the real Prometheus where the settings say so, and judged as what the proxy counts."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from apps.audit.actors import SYSTEM
from apps.deployments import clock
from apps.deployments.engine.meters import asked
from apps.deployments.enums import DeploymentState as S
from apps.deployments.executors.contract import StepKind
from apps.environments.models import Hold
from apps.health import actions as health_actions
from apps.health import measures
from deploy.launcher import ports
from tests import monitoring
from tests.deployments.conftest import Stage
from tests.deployments.test_verification import _say
from tests.processes import eventually

WINDOW = timedelta(seconds=4)
# Requests, errors and seconds of each scrape, by the version that serves.
FINE, SLOW, BROKEN, EMPTY = (40, 0, 0.08), (40, 0, 0.7), (40, 8, 0.08), (0, 0, 0.08)


@pytest.fixture
def users() -> dict[str, tuple[int, int, float]]:
    return {"1.0.0": FINE}


@pytest.fixture
def measured(stage: Stage, users: dict[str, Any], settings: Any, tmp_path: Path) -> Iterator[Stage]:
    """Dev is measured by Prometheus, and 1.0.0 has served there for some windows."""
    settings.PROMETHEUS_WINDOW = WINDOW
    settings.PROMETHEUS_LANES = frozenset({"greeter/dev"})
    settings.ENGINE_VERIFY_LIMIT = timedelta(seconds=20)
    key = stage.lane().target_key

    def behaviour() -> tuple[int, int, float]:
        return users.get(stage.judge.serves(key) or "", EMPTY)

    with monitoring.Metered(behaviour).running() as port, monitoring.prometheus(tmp_path, scrape=port) as url:
        stage.deploy()
        _say(stage, samples=1, breaches=1)
        settings.PROMETHEUS_URL = url
        queries = settings.PROMETHEUS_QUERIES
        eventually(
            lambda: clock.now() - stage.lane().live_since > WINDOW and asked(stage.lane(), WINDOW, queries)[0].requests
        )
        yield stage


@pytest.mark.slow
def test_a_slow_release_is_taken_back_and_the_one_before_verified(measured: Stage, users: dict[str, Any]) -> None:
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
def test_a_release_that_fails_its_users_is_taken_back(measured: Stage, users: dict[str, Any]) -> None:
    users["1.1.0"] = BROKEN

    bad = measured.deploy("1.1.0")

    assert bad.state == S.FAILED
    assert "requests failed (2" in bad.outcome


def test_a_good_release_is_waited_for_until_prometheus_has_spoken(measured: Stage, users: dict[str, Any]) -> None:
    users["1.1.0"] = FINE

    good = measured.deploy("1.1.0")

    assert good.state == S.SUCCEEDED
    assert good.ended_at - good.started_at > WINDOW
    with measured.everything():
        last = good.samples.latest("taken_at")
    assert (last.requests > 0, last.errors) == (True, 0)


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
