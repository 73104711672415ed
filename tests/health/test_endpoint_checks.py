"""Checks that people define: who may, what may be asked, how they are shared out, and what their answers mean."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.audit.actors import SYSTEM
from apps.core.verdict import Denied
from apps.environments.enums import Health
from apps.environments.models import Lane
from apps.health import actions, checks, endpoints
from apps.health.endpoints import Finding
from apps.health.enums import CheckKind
from apps.health.models import CheckQuota, EndpointCheck, EndpointSample
from apps.health.watcher import Watcher
from apps.workspaces.scope import workspace_scope
from tests.cast import NOW
from tests.health.test_checks import Service
from tests.processes import eventually
from tests.world import World, last_event

URL = "https://app.example.com/health"


@pytest.fixture
def committed(transactional_db: None, world: World) -> World:
    return world


@pytest.fixture
def service() -> Iterator[tuple[Service, int]]:
    made = Service()
    with made.running() as port:
        yield made, port


def _lane(world: World, environment: Any = None) -> Lane:
    return Lane.objects.with_cell().get(pk=world.lane(environment or world.dev).pk)


def _check(world: World, name: str = "Front door", url: str = URL, **more: Any) -> EndpointCheck:
    values = {"by": world.cast.devops, "now": timezone.now(), **more}
    with world.everything():
        return actions.create_check(values.pop("lane", None) or _lane(world), name=name, url=url, **values)


def _again(world: World, check: EndpointCheck) -> EndpointCheck:
    with world.everything():
        return EndpointCheck.objects.get(pk=check.pk)


def _claimed(claimed: dict) -> set:
    return {check for leases in claimed.values() for check in leases}


@contextmanager
def _watching() -> Iterator[None]:
    watcher = Watcher()
    watcher.start()
    try:
        yield
    finally:
        watcher.stop()


def test_a_check_is_set_and_due_at_once(world: World) -> None:
    check = _check(world, interval_seconds=30)

    assert (check.kind, check.verdict, check.interval_seconds) == (CheckKind.HTTP, Health.UNKNOWN, 30)
    with world.everything():
        event = last_event("check.created")
        assert event.change["url"] == {"before": None, "after": URL}
        assert event.service_id == world.service.pk


def test_who_may_not_manage_the_environment_sets_no_check(world: World) -> None:
    with pytest.raises(Denied):
        _check(world, by=world.cast.auditor)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"url": "http://127.0.0.1:5432/"}, "this machine itself"),
        ({"url": "http://2130706433/"}, "Four numbers"),
        ({"url": "http://localhost/"}, "this machine itself"),
        ({"url": "https://a:b@app.example.com/"}, "no user and no password"),
        ({"url": "tcp://app.example.com"}, "Say a port"),
        ({"url": "https://app.example.com:22/"}, "Port 22"),
        ({"url": "ftp://app.example.com/"}, "begins with http"),
        ({"interval_seconds": 5}, "Interval seconds is 5; it may be 10 to 86400"),
        ({"timeout_seconds": 6}, "may be 1 to 5"),
    ],
)
def test_what_may_not_be_asked_is_said_when_it_is_set(world: World, values: dict, told: str) -> None:
    with pytest.raises(actions.CheckInvalid, match=told):
        _check(world, **values)


def test_a_name_is_given_once(world: World) -> None:
    _check(world)

    with pytest.raises(actions.CheckExists, match="named Front door already"):
        _check(world)


def test_a_check_is_changed_and_removed_with_its_samples(world: World) -> None:
    check = _check(world)

    with world.everything():
        actions.change_check(check, name="Back door", url="tcp://app.example.com:443", by=world.cast.devops, now=NOW)
        assert last_event("check.changed").change["name"] == {"before": "Front door", "after": "Back door"}
        with pytest.raises(Denied):
            actions.remove_check(check, by=world.cast.auditor, now=NOW)
        actions.remove_check(check, by=world.cast.devops, now=NOW)
        assert last_event("check.removed").change["name"] == {"before": "Back door", "after": None}
        assert not EndpointCheck.objects.exists()


def test_another_workspace_sees_no_check(world: World) -> None:
    _check(world)

    with workspace_scope([world.cast.customer.pk]):
        assert not EndpointCheck.objects.exists()
        assert not CheckQuota.objects.exists()


def test_a_worker_asks_and_two_bad_answers_are_an_event(committed: World, service: Any, settings: Any) -> None:
    program, port = service
    settings.OUTBOUND_INTERNAL = {committed.cast.platform.slug: "127.0.0.0/8"}
    http = _check(committed, url=f"http://127.0.0.1:{port}/health")
    tcp = _check(committed, "Port", url=f"tcp://127.0.0.1:{port}")
    program.release = "1.1.0"
    with _watching():
        for check in (http, tcp):
            eventually(lambda check=check: _again(committed, check).verdict == Health.HEALTHY)
        assert [_again(committed, check).seen_version for check in (http, tcp)] == ["1.1.0", ""]
        program.status, program.release = 503, "1.2.0"
        for samples in (2, 3):
            with committed.everything():
                EndpointCheck.objects.filter(pk=http.pk).update(next_check_at=timezone.now())
            eventually(lambda samples=samples: _samples(committed, http) == samples)
            assert _again(committed, http).verdict == (Health.FAULTY if samples == 3 else Health.HEALTHY)

    with committed.everything():
        event = last_event("check.health_changed")
        assert event.change["health"] == {"before": "HEALTHY", "after": "FAULTY"}
        assert "expected 200" in _again(committed, http).detail
        assert _again(committed, http).seen_version == "1.1.0", "what fails may be anybody's answer"
        assert EndpointSample.objects.filter(endpoint=tcp).get().status is None


def _samples(world: World, check: EndpointCheck) -> int:
    with world.everything():
        return EndpointSample.objects.filter(endpoint=check).count()


def test_what_was_allowed_once_is_judged_again_when_it_is_asked(committed: World, service: Any, settings: Any) -> None:
    settings.OUTBOUND_INTERNAL = {committed.cast.platform.slug: "127.0.0.0/8"}
    check = _check(committed, url=f"http://127.0.0.1:{service[1]}/")
    settings.OUTBOUND_INTERNAL = {}

    with _watching():
        eventually(lambda: _samples(committed, check) == 1)

    assert _again(committed, check).detail.startswith("Not asked: 127.0.0.1 is this machine itself")


def test_many_workers_claim_a_check_once(committed: World) -> None:
    made = {_check(committed, f"Check {number}").pk for number in range(20)}
    barrier = threading.Barrier(4)

    def claim(_number: int) -> set:
        barrier.wait()
        try:
            return _claimed(endpoints.claim(20))
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        claims = [checks for checks in threads.map(claim, range(4)) if checks]

    assert sum(map(len, claims)) == 20
    assert set().union(*claims) == made


def test_no_workspace_has_more_than_its_share_or_its_quota(world: World, settings: Any) -> None:
    theirs = {_check(world, f"Theirs {n}", lane=_theirs(world), by=SYSTEM).pk for n in range(3)}
    for number in range(12):
        _check(world, f"Ours {number}")

    first = _claimed(endpoints.claim(8))
    assert len(first) == 7
    assert theirs < first
    settings.CHECKS_AT_ONCE = 6
    assert len(_claimed(endpoints.claim(100))) == 2
    settings.CHECKS_AT_ONCE, settings.CHECKS_PER_MINUTE = 100, 9
    assert len(_claimed(endpoints.claim(100))) == 3
    with world.everything():
        CheckQuota.objects.update(minute_began_at=timezone.now() - timedelta(minutes=2))
    assert len(_claimed(endpoints.claim(100))) == 3


def _theirs(world: World) -> Lane:
    with world.everything():
        return _lane(world, world.customer_production)


def test_a_finding_of_a_changed_check_is_dropped(world: World) -> None:
    check = _check(world)
    leases = endpoints.claim(10)[check.workspace_id]
    finding = Finding(check.pk, leases[check.pk], Health.FAULTY, None, None, "No answer")
    with world.everything():
        actions.change_check(check, name="Other", url=URL, by=world.cast.devops, now=NOW)

        assert endpoints.write([finding]) == 0
        assert not EndpointSample.objects.exists()


def test_another_address_has_named_no_version_yet(world: World) -> None:
    check = _check(world)
    leases = endpoints.claim(10)[check.workspace_id]
    finding = Finding(check.pk, leases[check.pk], Health.HEALTHY, 200, 1.0, "200", "1.1.0")
    with world.everything():
        endpoints.write([finding])
        assert _again(world, check).seen_at is not None

        actions.change_check(check, name="Front door", url=URL, by=world.cast.devops, now=NOW)

    assert (_again(world, check).seen_version, _again(world, check).seen_at) == ("", None)


def test_a_batch_is_written_with_the_same_statements_whatever_its_size(world: World) -> None:
    counts = []
    for size in (1, 15):
        made = [_check(world, f"Check {size} {number}") for number in range(size)]
        leases = endpoints.claim(100)[made[0].workspace_id]
        findings = [Finding(pk, lease, Health.FAULTY, 500, 1.5, "500") for pk, lease in leases.items()]
        with (
            world.everything(),
            CaptureQueriesContext(
                connection,
            ) as queries,
        ):
            assert endpoints.write(findings) == size
        counts.append(len(queries))

    assert counts[0] == counts[1]


def test_a_verdict_without_its_event_is_not_written(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    check = _check(world)
    leases = endpoints.claim(10)[check.workspace_id]

    def broken(*_arguments: object, **_more: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("apps.audit.actions.record", broken)
    with world.everything(), pytest.raises(RuntimeError):
        endpoints.write([Finding(check.pk, leases[check.pk], Health.HEALTHY, 200, 1.0, "200")])

    assert _again(world, check).verdict == Health.UNKNOWN
    assert _samples(world, check) == 0


def test_old_samples_go_and_new_ones_stay(world: World, settings: Any) -> None:
    check = _check(world)
    with world.everything():
        for age in (timedelta(0), settings.HEALTH_KEEP * 2):
            EndpointSample.objects.create(
                endpoint=check, workspace_id=check.workspace_id, checked_at=timezone.now() - age, verdict="HEALTHY"
            )

    assert checks.prune() == 1
    assert _samples(world, check) == 1


def test_under_a_close_watch_addresses_are_asked_at_once_and_more_often_but_never_without_pause(world: World) -> None:
    slow = _check(world, "Slow", interval_seconds=600)
    quick = _check(world, "Quick", interval_seconds=15)
    other = _check(world, "Other", lane=_lane(world, world.qa), interval_seconds=600)
    endpoints.claim(10)
    now = timezone.now()
    EndpointCheck.objects.update(leased_until=None)
    assert not endpoints.claim(10)

    actions.watch_closely(_lane(world), until=now + timedelta(hours=1), reason="An emergency", by=SYSTEM, now=now)

    assert _claimed(endpoints.claim(10)) == {slow.pk, quick.pk}
    pauses = {check.name: (_again(world, check).next_check_at - now).total_seconds() for check in (slow, quick, other)}
    assert 600 / 5 * 0.9 <= pauses["Slow"] < 600 / 5 * 1.1 + 5
    assert 10 * 0.9 <= pauses["Quick"] < 10 * 1.1 + 5
    assert pauses["Other"] > 500
