"""How it is learnt what users get: a lane's own queries before its service's before the settings'; who may say so."""

from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.audit.models import AuditEvent
from apps.core.verdict import Denied
from apps.environments import actions as environment_actions
from apps.environments.models import Lane
from apps.health import actions, measures
from apps.health.models import TrafficQueries
from deploy.launcher import ports
from tests import monitoring
from tests.approvals.test_races import at_once
from tests.cast import NOW
from tests.drill import get, post, text_of
from tests.world import HOSTILE, World, last_event

OF_LANE, OF_SERVICE = "health:lane-queries", "health:service-queries"


def lane_of(world: World, environment: Any = None) -> Lane:
    return Lane.objects.with_cell().get(pk=world.lane(environment or world.qa).pk)


def say(world: World, *, of_service: bool = False, environment: Any = None, **said: str) -> TrafficQueries:
    values = {"by": world.cast.devops, "now": NOW, **said}
    return actions.set_queries(lane_of(world, environment), of_service=of_service, **values)


def page(world: World, name: str = OF_LANE, environment: Any = None) -> str:
    return reverse(name, args=[world.lane(environment or world.qa).pk])


def test_the_lane_goes_before_the_service_before_the_settings(world: World, settings: Any) -> None:
    say(world, of_service=True, requests="sum(all)", error_ratio="avg(all)", source="PROMETHEUS")
    say(world, requests="sum(mine)", source="PROXY")

    here, there = measures.measure_of(lane_of(world)), measures.measure_of(lane_of(world, world.staging))

    assert (here.source, there.source) == ("PROXY", "PROMETHEUS")
    assert here.queries == {**settings.PROMETHEUS_QUERIES, "requests": "sum(mine)", "error_ratio": "avg(all)"}
    assert here.origins == {"requests": "lane", "error_ratio": "service", "p95_ms": "settings"}
    assert there.queries == {**settings.PROMETHEUS_QUERIES, "requests": "sum(all)", "error_ratio": "avg(all)"}
    say(world)
    assert measures.measure_of(lane_of(world)) == there


def test_each_change_leaves_what_was_and_what_is(world: World) -> None:
    say(world, p95_ms="1")
    assert last_event("queries.changed").change["p95_ms"] == {"before": "", "after": "1"}
    say(world, p95_ms="2")

    event = last_event("queries.changed")
    assert event.change == {"p95_ms": {"before": "1", "after": "2"}}
    assert event.environment_id == world.qa.pk
    say(world, of_service=True, p95_ms="3")
    assert "all environments of" in last_event("queries.changed").summary


def test_who_may_say_so(world: World, settings: Any) -> None:
    for by in (world.cast.release_engineer, world.cast.auditor):
        with pytest.raises(Denied):
            say(world, by=by)
    settings.PROMETHEUS_WORKSPACES = frozenset({"platform"})
    theirs = {"environment": world.customer_production, "by": world.cast.administrator}
    with pytest.raises(Denied, match="may not write queries of its own"):
        say(world, **theirs)
    settings.PROMETHEUS_WORKSPACES = frozenset({"platform", world.cast.customer.slug})
    say(world, of_service=True, requests="theirs", **theirs)
    assert "theirs" not in measures.measure_of(lane_of(world)).queries.values()
    environment_actions.remove_lane(world.lane(world.qa), by=world.cast.devops, now=NOW)
    with pytest.raises(actions.LaneGone):
        say(world)


@pytest.mark.django_db(transaction=True)
def test_two_who_say_so_at_once_leave_one_row_and_an_unbroken_story(world: World) -> None:
    places = (world.qa, world.staging)
    at_once(world, *(lambda at=at: say(world, of_service=True, environment=at, p95_ms=at.slug) for at in places))

    with world.everything():
        stored = TrafficQueries.objects.get().p95_ms
        changes = [event.change["p95_ms"] for event in AuditEvent.objects.filter(kind="queries.changed")]
    first = next(change for change in changes if not change["before"])
    second = next(change for change in changes if change["before"])
    assert (second["before"], second["after"]) == (first["after"], stored)


@pytest.mark.parametrize("name", [OF_LANE, OF_SERVICE])
def test_the_page_works_for_whom_it_is_meant(world: World, name: str) -> None:
    address = page(world, name)
    sent = {"source": "PROMETHEUS", "requests": "sum(requests)", "error_ratio": "", "p95_ms": ""}
    assert get(world.cast.outsider, address).status_code == post(world.cast.outsider, address, sent).status_code == 404
    assert get(world.cast.auditor, address).status_code == 200
    assert post(world.cast.auditor, address, sent).status_code == 403
    assert post(world.cast.devops, address, {**sent, "source": "OTHER"}).status_code == 422
    wrong = post(world.cast.devops, address, {**sent, "p95_ms": "avg($lane)"})
    assert (wrong.status_code, "There is no $lane" in text_of(wrong)) == (422, True)

    assert post(world.cast.devops, address, sent)["Location"] == address

    shown = text_of(get(world.cast.auditor, address))
    assert "sum(requests)" in shown
    assert ("of the service" if name == OF_SERVICE else "of this lane") in shown
    leads_here = reverse("health:check-list", args=[world.lane(world.qa).pk]) if name == OF_LANE else page(world)
    assert address in text_of(get(world.cast.devops, leads_here))


@pytest.mark.parametrize("name", [OF_LANE, OF_SERVICE])
def test_the_second_of_two_who_edit_is_told_and_loses_nothing(world: World, name: str, client: Client) -> None:
    address, mine = page(world, name), {"requests": "sum(mine)"}
    client.force_login(world.cast.devops)
    opened = _seen(client.get(address))
    say(world, of_service=name == OF_SERVICE, requests="sum(theirs)")

    tried = client.post(address, {**mine, "seen": opened, "try": "1"})
    told = client.post(address, {**mine, "seen": _seen(tried)})

    assert (opened, _seen(tried), told.status_code) == ("", "", 409)
    assert "Somebody else has changed these queries" in text_of(told)
    assert "sum(mine)</textarea>" in text_of(told)
    assert "sum(theirs)</code>" in text_of(told)
    assert TrafficQueries.objects.get().requests == "sum(theirs)"
    assert client.post(address, {**mine, "seen": _seen(told)})["Location"] == address
    assert TrafficQueries.objects.get().requests == "sum(mine)"


@pytest.mark.parametrize("name", [OF_LANE, OF_SERVICE])
def test_the_page_costs_the_same_however_many_have_queries(world: World, name: str, client: Client) -> None:
    client.force_login(world.cast.devops)
    address = page(world, name)
    client.get(address)
    with CaptureQueriesContext(connection) as little:
        client.get(address)
    for environment in (world.dev, world.qa, world.staging, world.production):
        say(world, environment=environment, requests="sum(all)")
    say(world, of_service=True, p95_ms="1")

    with CaptureQueriesContext(connection) as much:
        client.get(address)

    assert len(much) == len(little) <= 14


def _seen(response: HttpResponse) -> str:
    return text_of(response).partition('name="seen" value="')[2].partition('"')[0]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_queries_are_shown_as_text(world: World, text: str) -> None:
    say(world, requests=text)

    assert "<script>alert" not in text_of(get(world.cast.devops, page(world)))


def test_trying_asks_the_real_prometheus_and_stores_nothing(world: World, settings: Any, tmp_path: Path) -> None:
    say(world, error_ratio="vector(0.25)")
    labelled = 'label_replace(vector(41), "a", "$service", "", "")'
    sent = {
        "try": "1",
        "source": "",
        "requests": labelled,
        "error_ratio": "",
        "p95_ms": "sum(",
    }
    with monitoring.prometheus(tmp_path, scrape=ports.free_ports(1)[0]) as url:
        settings.PROMETHEUS_URL = url
        told = post(world.cast.devops, page(world), sent)
    assert told.status_code == 200
    assert '<span class="num">41</span>' in text_of(told)
    assert "refuses the query" in text_of(told)
    assert "no series" in text_of(told)  # an emptied query is the settings' own again
    assert TrafficQueries.objects.get().requests == ""

    asked = text_of(post(world.cast.devops, page(world), sent))
    assert asked.count("No answer from") == 3
    settings.PROMETHEUS_URL = ""
    assert "so nobody is asked" in text_of(post(world.cast.devops, page(world), sent))
