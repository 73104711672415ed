"""R3 and R4: what a broker that fails costs many deployments at once, and that people can work without one.

The figures are printed; their limits are those of the requirement, held against the real clocks.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest
import redis
from celery import current_app
from django.utils import timezone

from apps.approvals.enums import PromotionState
from apps.approvals.models import Promotion
from apps.audit.models import AuditEvent
from apps.core import hints
from apps.deployments import actions
from apps.deployments.executors.contract import StepKind
from apps.deployments.models import Deployment
from deploy.launcher import ports
from tests.approvals.promotions import ask_for_production
from tests.cast import PASSWORD
from tests.deployments.conftest import Stage, signed_in
from tests.deployments.many_lanes import REAL_CLOCKS, ManyLanes
from tests.processes import Child, eventually, start_web, start_worker

LANES = 20
AT_ONCE = 8  # what the launcher's one worker carries out
TIMES = 10
EXTRA_SECONDS = 15


@contextmanager
def workers(folder: Path, url: str, *, count: int, concurrency: int) -> Iterator[Callable[[], str]]:
    """Start so many; what is yielded returns the ends of what they said."""
    with ExitStack() as stack:
        started = [
            stack.enter_context(
                start_worker(folder, environment={"REDIS_URL": url}, concurrency=concurrency, name=f"worker-{number}")
            )
            for number in range(count)
        ]
        yield lambda: "\n".join(worker.output[-3000:] for worker in started)
        assert all(worker.is_running() for worker in started)


@pytest.fixture
def tell(monkeypatch) -> Callable[[str], None]:
    """Send this process's hints to that broker."""

    def to(url: str) -> None:
        monkeypatch.setattr(hints, "_resting_until", 0.0)
        monkeypatch.setitem(current_app.conf, "broker_write_url", url)

    return to


def nowhere() -> str:
    return f"redis://127.0.0.1:{ports.free_ports(1)[0]}/0"


@pytest.mark.reliability
@pytest.mark.parametrize("fault", ["flushed", "restarted", "absent"])
def test_20_running_deployments_and_the_next_20_do_not_miss_the_broker(
    stage, broker, tell, say, tmp_path: Path, fault: str
) -> None:
    """R3: against the same two rounds with the broker there."""
    url, start = broker
    tell(url)
    many = ManyLanes.make(stage, LANES)
    with ExitStack() as servers, workers(tmp_path, url, count=2, concurrency=8) as output:
        server: Child = servers.enter_context(start())

        def befall() -> None:
            redis.Redis.from_url(url).flushall()
            if fault != "flushed":
                server.kill()
            if fault == "restarted":
                servers.enter_context(start())

        def two_rounds(versions: tuple[str, str], befall: Callable[[], None]) -> tuple[float, float, float]:
            running = many.start_held(versions[0], StepKind.INSTALL, because=output)
            befall()
            stage.judge.let_go(StepKind.INSTALL)
            rest = many.until_all_ended(running, because=output)
            following = many.start(versions[1])
            many.until_all_ended(following, because=output)
            many.require_each_done_once(running + following)
            return rest, many.longest_wait(following), many.longest_whole(following)

        usual = two_rounds(("1.1.0", "1.2.0"), lambda: None)
        faulty = two_rounds(("1.3.0", "1.4.0"), befall)

    extra = [late - at_best for late, at_best in zip(faulty, usual, strict=True)]
    say(
        f"R3 {fault}: {LANES} running ended {extra[0]:+.1f} s, the next {LANES} began {extra[1]:+.1f} s and ended"
        f" {extra[2]:+.1f} s (usual {', '.join(f'{seconds:.1f}' for seconds in usual)} s); 0 lost, 0 doubled"
    )
    if REAL_CLOCKS:
        assert max(extra) <= EXTRA_SECONDS


def test_people_approve_reject_read_and_are_audited_without_a_broker(stage, settings, tell, tmp_path: Path) -> None:
    """R3: on a web server of its own, with nobody at the broker's address."""
    away, people = nowhere(), stage.world.cast
    settings.REDIS_URL, settings.ARTIFACT_DIR = away, tmp_path / "artifacts"
    tell(away)
    with stage.everything():
        promotion = ask_for_production(stage.world, now=timezone.now())
    page = f"/approvals/promotions/{promotion.number}/"

    with start_web(tmp_path, environment={"REDIS_URL": away}) as server:
        devops, manager = (signed_in(server, each) for each in (people.devops, people.engineering_manager))
        with devops, manager:
            for path in ("/", "/approvals/", page, "/deployments/", "/releases/", "/environments/", "/audit/"):
                assert devops.get(path).status_code == 200, path
            said = [
                _decide(stage, devops, promotion, "DEVOPS", "APPROVE"),
                _decide(stage, manager, promotion, "ENGINEERING_MANAGER", "REJECT"),
            ]
            assert [answer.status_code for answer in said] == [302, 302]
            assert "Rejected" in manager.get(page).text
            assert "rejected" in devops.get("/audit/").text

    with stage.everything():
        promotion.refresh_from_db()
        assert promotion.state == PromotionState.REJECTED
        kinds = AuditEvent.objects.filter(target_id=str(promotion.pk)).values_list("kind", flat=True)
        assert {"decision.approved", "decision.rejected", "promotion.rejected"} <= set(kinds)


def _decide(stage: Stage, client: httpx2.Client, promotion: Promotion, role: str, choice: str) -> httpx2.Response:
    address = f"/approvals/promotions/{promotion.number}/"
    client.get(address)
    with stage.everything():
        promotion.refresh_from_db()
        requirement = promotion.requirements.get(role_id=role)
    given = {"requirement": str(requirement.pk), "plan_hash": promotion.plan_hash, "choice": choice, "comment": "Read"}
    given["password"] = PASSWORD
    return client.post(f"{address}decisions/", data=given, headers={"X-CSRFToken": client.cookies["csrftoken"]})


@pytest.mark.parametrize(
    ("lanes", "count"), [(2, 1), pytest.param(20, 8, marks=pytest.mark.reliability)], ids=["few", "many"]
)
def test_each_hint_ten_times_has_one_effect(
    stage, redis_url, tell, say, tmp_path: Path, lanes: int, count: int
) -> None:
    """R4: hints to run, to start what is ready, and to cancel."""
    tell(redis_url)
    many = ManyLanes.make(stage, lanes)
    with workers(tmp_path, redis_url, count=count, concurrency=2) as output:
        half = many.environments[: lanes // 2]
        release = stage.release("1.1.0")
        started = [stage.start(release, environment) for environment in half]
        ready = [stage.promotion(release, e, starts_by_itself=True) for e in many.environments[lanes // 2 :]]
        for _ in range(TIMES):
            for deployment in started:
                hints._send("deployments.run", deployment.pk)
            for promotion in ready:
                hints._send("deployments.start_ready", promotion.pk)
        many.until(lambda: len(_begun_by_themselves(stage, ready)) == len(ready), output)
        by_themselves = _begun_by_themselves(stage, ready)
        many.until_all_ended(started + by_themselves, because=output)
        _until_read(redis_url)

        cancelled = many.start_held("1.2.0", StepKind.INSTALL, because=output, at_least=min(count * 2, lanes))
        for deployment in cancelled:
            with stage.everything():
                actions.cancel_deployment(deployment, reason="No", by=stage.world.cast.devops, now=timezone.now())
            for _ in range(TIMES):
                hints._send("deployments.cancel", deployment.pk)
        many.until_all_ended(cancelled, because=output)
        _until_read(redis_url)

    assert len(_begun_by_themselves(stage, ready)) == len(ready)
    many.require_each_done_once(started + by_themselves)
    for deployment in cancelled:
        assert stage.states(deployment)[-1] == "CANCELLED"
        assert stage.states(deployment).count("CANCELLED") == 1
        assert not [e for e in stage.judge.effects(deployment.target_key) if e["deployment"] == str(deployment.pk)]
    say(f"R4: {TIMES} x {2 * lanes} hints to {count} workers, one effect each")


def _begun_by_themselves(stage: Stage, promotions: list[Promotion]) -> list[Deployment]:
    with stage.everything():
        return list(Deployment.objects.filter(promotion__in=promotions))


def _until_read(url: str) -> None:
    """Wait until no hint is left in the broker, and whoever took the last one has had time to look."""
    with redis.Redis.from_url(url) as client:
        eventually(lambda: not client.llen("celery"), within_seconds=60)
    time.sleep(1)


@pytest.mark.reliability
def test_with_every_hint_dropped_they_end_hardly_later(stage, redis_url, tell, say, tmp_path: Path) -> None:
    """R4: as many at once as one worker carries out, with hints and with none."""
    many = ManyLanes.make(stage, AT_ONCE)
    took, waits = [], []
    with workers(tmp_path, redis_url, count=1, concurrency=AT_ONCE) as output:
        for version, url in (("1.1.0", redis_url), ("1.2.0", nowhere())):
            tell(url)
            started = many.start(version)
            took.append(many.until_all_ended(started, because=output))
            waits.append(many.longest_wait(started))
            many.require_each_done_once(started)

    say(
        f"R4 dropped: {AT_ONCE} ended {took[1] - took[0]:+.1f} s; begun after {waits[1]:.1f} s at most,"
        f" {waits[0]:.1f} s with hints"
    )
    if REAL_CLOCKS:
        assert took[1] - took[0] <= EXTRA_SECONDS
        assert waits[1] <= EXTRA_SECONDS
