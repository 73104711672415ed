"""Whoever is on call is told of incidents: durably, once, in order, and whatever is dead, slow, killed or refused."""

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections
from django.urls import reverse

from apps.audit.models import AuditEvent
from apps.core import live
from apps.core.clock import clock_in
from apps.incidents import actions, jobs
from apps.incidents.jobs import see_to_calls, take, tell
from apps.incidents.models import Call, Incident
from apps.integrations import pagerduty
from tests.approvals.test_races import at_once
from tests.cast import NOW
from tests.compliance.test_streams import certified
from tests.deployments.conftest import Stage, judge, stage
from tests.drill import get, post, text_of
from tests.fakes.pagerduty import KEY, PagerDuty
from tests.incidents.test_incidents import TITLE, declare
from tests.processes import eventually, start_worker
from tests.world import World

__all__ = ["certified", "judge", "stage"]
pytestmark = pytest.mark.django_db(transaction=True)
NEW = "/incidents/new/"


@pytest.fixture
def service(certified: tuple[Path, str], tmp_path: Path, settings: Any) -> Iterator[PagerDuty]:
    """PagerDuty, which the platform's incidents are told to and nobody else's."""
    service = PagerDuty(*certified, tmp_path)
    settings.PAGERDUTY = {"platform": service.connection}
    settings.OUTBOUND_INTERNAL = {"platform": "127.0.0.0/8"}
    settings.PORTAL_URL = "https://portal.example"
    yield service
    service.stop()


@pytest.fixture
def incident(world: World, service: PagerDuty) -> Incident:
    return declared(world)


def declared(world: World, **values: Any) -> Incident:
    with world.everything():
        return declare(world, **values)


def call_of(world: World, incident: Incident) -> Call:
    with world.everything():
        return Call.objects.with_lines().get(incident=incident)


def make_due(world: World) -> None:
    """Let the time pass after which a call may be tried again."""
    with world.everything():
        Call.objects.exclude(next_try_at=None).update(next_try_at=clock_in(timedelta(seconds=-1)))


def kinds(world: World) -> list[str]:
    with world.everything():
        found = AuditEvent.objects.filter(kind__startswith="incident.call").order_by("recorded_at", "event_id")
        return list(found.values_list("kind", flat=True))


def page(world: World, incident: Incident, person: Any = None) -> str:
    address = reverse("incidents:incident-detail", args=[incident.number])
    return text_of(get(person or world.cast.devops, address))


def resolve(world: World, incident: Incident) -> None:
    with world.everything():
        actions.resolve(incident, resolution="Rolled back", by=world.cast.devops, now=NOW)


def worsen(world: World, incident: Incident) -> None:
    with world.everything():
        actions.change_severity(incident, severity="SEV1", by=world.cast.devops, now=NOW)


def test_an_incident_is_told_as_it_goes_and_once_each(world: World, service: PagerDuty) -> None:
    incident = declared(world, what="The password is hunter2")
    assert "Not told yet" in page(world, incident)
    with world.everything():
        actions.add_note(incident, text="Another secret", by=world.cast.devops, now=NOW)

    assert (see_to_calls(), see_to_calls()) == (1, 0)

    [event] = service.events
    address = f"https://portal.example/incidents/{incident.number}/"
    assert event["dedup_key"] == str(incident.pk)
    assert (event["event_action"], event["client_url"]) == ("trigger", address)
    assert event["links"] == [{"href": address, "text": f"Incident #{incident.number}"}]
    assert event["payload"]["summary"] == f"SEV2 · {TITLE} (incident #{incident.number})"
    assert (event["payload"]["severity"], event["payload"]["source"]) == ("error", "platform/production")
    assert event["payload"]["component"] == world.service.slug
    assert not [word for word in ("hunter2", "secret", world.cast.devops.display_name) if word in json.dumps(event)]
    assert [text in page(world, incident) for text in ("Paged", "Not told yet")] == [True, False]

    worsen(world, incident)
    see_to_calls()
    resolve(world, incident)
    see_to_calls()

    assert [event["event_action"] for event in service.events] == ["trigger", "trigger", "resolve"]
    [alert] = service.of(incident.pk)
    assert (alert.severity, alert.is_open) == ("critical", False)
    assert "Told of end" in page(world, incident)
    assert kinds(world) == ["incident.called"] * 3
    with world.everything():  # what is added to the timeline of one that is over opens no new alert
        actions.add_note(incident, text="The cause was a cache", by=world.cast.devops, now=NOW)
    assert see_to_calls() == 0


def test_the_deployments_of_an_incident_are_linked(stage: Stage, service: PagerDuty) -> None:
    stage.deploy()
    last = stage.deploy("1.1.0")
    sent = {"title": TITLE, "severity": "SEV4", "environment": "", "service": "", "deployment": str(last.number)}

    assert post(stage.world.cast.devops, NEW, sent).status_code == 302
    see_to_calls()

    [event] = service.events
    assert event["links"][1]["href"] == f"https://portal.example/deployments/{last.number}/"
    assert "1.1.0" in event["links"][1]["text"]
    assert event["payload"]["custom_details"]["Deployments"] == [event["links"][1]["text"]]
    assert event["payload"]["severity"] == "info"


def test_nothing_is_told_of_a_workspace_without_a_service_and_the_page_says_so(
    world: World, service: PagerDuty, settings: Any
) -> None:
    cast = world.cast
    theirs = declared(
        world, workspace=cast.customer, environment=world.customer_production, service=None, by=cast.customer_operator
    )
    with world.everything():
        assert not Call.objects.exists()
    assert "Nobody is paged: no on-call service is set up" in page(world, theirs, cast.customer_operator)

    settings.PAGERDUTY = {}
    before = declared(world)
    settings.PAGERDUTY = {"platform": service.connection}
    assert "before PagerDuty was set up here" in page(world, before)
    after = declared(world)
    settings.PAGERDUTY = {}
    assert see_to_calls() == 0
    assert "any more" in page(world, after)
    assert service.requests == 0


@pytest.mark.parametrize("way", ["refuses", "hangs", "errs", "other certificate", "no file", "inside"])
def test_a_dead_service_delays_nothing_and_loses_nothing(
    world: World, service: PagerDuty, settings: Any, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(pagerduty.send, "__kwdefaults__", {"inside": (), "seconds": 0.5})
    silent = socket.create_server(("127.0.0.1", 0))
    wrong: dict[str, dict[str, str]] = {
        "refuses": {"url": "https://localhost:9"}, "hangs": {"url": f"https://localhost:{silent.getsockname()[1]}"},
        "other certificate": {"ca_file": ""},
    }  # fmt: skip
    service.write_connection(**wrong.get(way, {}))
    if way == "no file":
        service.connection.unlink()
    elif way == "inside":
        settings.OUTBOUND_INTERNAL = {}
    service.answers = lambda event: (503, {}, {}) if way == "errs" else None

    made = post(world.cast.devops, NEW, {"title": TITLE, "severity": "SEV1", "environment": "", "service": ""})

    assert made.status_code == 302
    silent.settimeout(0.05)
    with pytest.raises(TimeoutError):  # nothing was even tried within the request
        silent.accept()
    silent.settimeout(None)
    with world.everything():
        incident = Incident.objects.get()
    worsened = declared(world, title="Another")  # waits for nothing, too
    for _ in range(jobs.TELL_AFTER):
        assert see_to_calls() == 2
        assert see_to_calls() == 0  # not before its time
        make_due(world)
    said = {
        "refuses": "No connection", "hangs": "No answer within 0.5 s", "errs": "It answered 503",
        "other certificate": "The certificate is not good", "no file": "Whoever runs the portal finds why",
        "inside": "this machine itself",
    }[way]  # fmt: skip
    shown = page(world, incident)
    assert said in shown
    assert "Fails since" in shown
    assert "Next try" in shown
    assert str(service.connection) not in shown
    assert kinds(world) == ["incident.call_failing"] * 2
    worsen(world, worsened)

    service.write_connection()
    settings.OUTBOUND_INTERNAL = {"platform": "127.0.0.0/8"}
    service.answers = lambda event: None
    see_to_calls()

    assert [alert.events for alert in service.of(incident.pk) + service.of(worsened.pk)] == [1, 1]
    assert service.of(worsened.pk)[0].severity == "critical"
    assert "Fails since" not in page(world, incident)
    silent.close()


@pytest.mark.parametrize(
    ("after", "least", "most"),
    [
        ("120", 119, 121), ("Wed, 31 Dec 2098 23:59:59 GMT", 3599, 3601),
        ("999999999", 3599, 3601), ("soon", 1, 3), ("", 1, 3), ("-5", 1, 3),
    ],
)  # fmt: skip
def test_a_service_that_has_had_too_much_is_left_alone_for_as_long_as_it_says(
    world: World, service: PagerDuty, incident: Incident, after: str, least: int, most: int
) -> None:
    service.answers = lambda event: (429, {"Retry-After": after}, None)

    assert (see_to_calls(), see_to_calls()) == (1, 0)

    waits = (call_of(world, incident).next_try_at - datetime.now(UTC)).total_seconds()
    assert least <= waits <= most
    assert "It answered 429" in page(world, incident)


def test_pauses_grow_and_have_an_end(world: World, service: PagerDuty, incident: Incident) -> None:
    service.answers = lambda event: (500, {}, {})
    waits = []
    for _ in range(10):
        see_to_calls()
        waits.append(round((call_of(world, incident).next_try_at - datetime.now(UTC)).total_seconds()))
        make_due(world)

    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert kinds(world) == ["incident.call_failing"]


def test_a_refused_key_is_told_of_and_tried_again_only_when_somebody_says_so(
    world: World, service: PagerDuty, incident: Incident
) -> None:
    service.key = "f" * 32
    see_to_calls()
    make_due(world)
    assert see_to_calls() == 0

    shown = page(world, incident)
    assert "It answered 400: Event object is invalid; Invalid routing key: …" in shown
    assert KEY not in shown
    assert "Tell it again" in shown
    assert kinds(world) == ["incident.call_refused"]
    worsen(world, incident)  # what is new is tried
    assert (see_to_calls(), see_to_calls(), service.requests) == (1, 0, 2)

    again = reverse("incidents:call-repeat", args=[incident.number])
    assert post(world.cast.outsider, again).status_code == 404
    assert post(world.cast.auditor, again).status_code == 403
    assert get(world.cast.devops, again).status_code == 405
    service.key = KEY
    assert post(world.cast.devops, again).status_code == 302
    assert post(world.cast.devops, again).status_code == 409
    see_to_calls()
    assert [alert.severity for alert in service.of(incident.pk)] == ["critical"]
    assert "Refused" not in page(world, incident)
    with world.everything():
        assert not [event for event in AuditEvent.objects.all() if KEY.encode() in bytes(event.canonical)]


def test_one_that_is_over_before_it_was_told_of_wakes_nobody_and_is_not_lost(
    world: World, service: PagerDuty, incident: Incident
) -> None:
    worsen(world, incident)
    resolve(world, incident)

    assert see_to_calls() == 2

    assert [event["event_action"] for event in service.events] == ["trigger", "resolve"]
    [alert] = service.of(incident.pk)
    assert (alert.severity, alert.is_open) == ("info", False)


def test_of_two_workers_one_tells_it(world: World, service: PagerDuty) -> None:
    for number in range(5):
        declared(world, title=f"Incident {number}")
    barrier = threading.Barrier(3)

    def work() -> int:
        try:
            barrier.wait(10)
            return see_to_calls()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(3) as pool:
        tried = [future.result(60) for future in [pool.submit(work) for _ in range(3)]]

    assert sum(tried) == 5
    assert len(service.events) == len({event["dedup_key"] for event in service.events}) == 5


def test_who_was_overtaken_lets_it_be_told_anew(world: World, service: PagerDuty, incident: Incident) -> None:
    """A worker that stood still after it took the call says the older words last: an alert would stay open."""
    late = take()
    assert late is not None
    make_due(world)
    service.answers = lambda event: _meanwhile(world, service, incident)

    tell(late)

    assert [event["event_action"] for event in service.events] == ["trigger", "resolve", "trigger"]
    assert service.of(incident.pk)[-1].is_open
    see_to_calls()
    assert not [alert for alert in service.of(incident.pk) if alert.is_open]
    assert call_of(world, incident).over_at
    assert see_to_calls() == 0


def _meanwhile(world: World, service: PagerDuty, incident: Incident) -> None:
    """Before the late event arrives, another worker tells all, from its beginning to its end."""
    service.answers = lambda event: None
    try:
        see_to_calls()
        resolve(world, incident)
        see_to_calls()
    finally:
        connection.close()


def test_the_page_of_who_may_see_it_follows_and_holds_nothing_of_one_viewer(
    world: World, service: PagerDuty, incident: Incident
) -> None:
    watched = live.pages["incident"]
    [region] = watched.regions

    def ask(*workspaces: Any) -> live.Ask:
        return live.Ask(tuple(workspace.pk for workspace in workspaces), str(incident.pk), {}, NOW)

    def drawn() -> str:
        with world.everything():
            return str(region.render(ask(world.cast.platform)))

    assert region.concerns(frozenset({f"incident:{incident.pk}"}), str(incident.pk))
    with world.everything():
        assert watched.may_watch(ask(world.cast.platform))
        assert not watched.may_watch(ask(world.cast.elsewhere, world.cast.customer))
    assert "Not told yet" in drawn()
    service.key = "f" * 32
    see_to_calls()
    assert "Refused" in drawn()
    assert not [word for word in ("<form", "csrf", "<button") if word in drawn()]


def test_of_two_who_have_it_told_again_at_once_one_does(world: World, service: PagerDuty, incident: Incident) -> None:
    service.key = "f" * 32
    see_to_calls()

    results = at_once(world, *[lambda: actions.call_again(incident, by=world.cast.devops)] * 2)

    assert sorted(type(result).__name__ for result in results) == ["Incident", "NothingRefused"]
    assert kinds(world).count("incident.call_repeated") == 1


def test_one_that_can_not_be_told_holds_up_no_other(
    world: World, service: PagerDuty, incident: Incident, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = declared(world, title="Another")
    real = jobs.event_of

    def broken(told: Incident, *, is_known: bool) -> dict[str, Any]:
        if told.pk == incident.pk:
            raise ZeroDivisionError
        return real(told, is_known=is_known)

    monkeypatch.setattr(jobs, "event_of", broken)

    assert see_to_calls() == 2
    assert (len(service.of(incident.pk)), len(service.of(other.pk))) == (0, 1)


def test_a_worker_killed_after_it_told_leaves_it_to_another_that_tells_the_same(
    world: World, service: PagerDuty, incident: Incident, redis_url: str, tmp_path: Path
) -> None:
    environment = {
        "EAIP_PAGERDUTY": f"platform={service.connection}", "OUTBOUND_INTERNAL": "platform=127.0.0.0/8",
        "PORTAL_URL": "https://portal.example", "ENGINE_SWEEP_SECONDS": "0.3",
    }  # fmt: skip
    with start_worker(tmp_path, name="first", environment=environment | {"EAIP_CRASHPOINT": "call_sent"}) as first:
        eventually(lambda: not first.is_running())
    assert len(service.events) == 1
    assert call_of(world, incident).told == 0
    make_due(world)

    with start_worker(tmp_path, name="second", environment=environment):
        eventually(lambda: call_of(world, incident).told == 1)

    assert service.events[0] == service.events[1]
    assert [(alert.events, alert.is_open) for alert in service.of(incident.pk)] == [(2, True)]
    assert kinds(world) == ["incident.called"]
