"""Where alerts are shown: the list of an environment, its page, the dashboard's cell, a deployment's page."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from apps.audit.actors import SYSTEM
from apps.environments.enums import Health
from apps.environments.models import Lane
from apps.health import alerts
from apps.health.alerts import Report
from apps.health.models import Alert
from tests.cast import NOW
from tests.drill import HTMX, get, text_of
from tests.world import HOSTILE, World


def fire(world: World, number: int = 0, **fields: object) -> Alert:
    values = {
        "service": "greeter", "environment": "staging", "fingerprint": f"f{number}", "name": f"Alert-{number:03}",
        "severity": "warning", "summary": "One in ten requests fails", "ends_at": None,
        "starts_at": NOW + timedelta(minutes=number), "generator_url": "https://prometheus.example.test/graph",
    }  # fmt: skip
    report = Report(**(values | fields))  # type: ignore[arg-type]
    return alerts.receive(world.lane(world.staging), report, by=SYSTEM, now=timezone.now())


@pytest.fixture
def address(world: World) -> str:
    return reverse("environments:alert-list", args=[world.cast.platform.slug, world.staging.slug])


def test_the_list_is_paged_by_key_in_the_same_number_of_queries(world: World, address: str, client: Client) -> None:
    client.force_login(world.cast.devops)
    with world.everything():
        fire(world)
    with CaptureQueriesContext(connection) as little:
        client.get(address)
    with world.everything():
        for number in range(1, 60):
            fire(world, number)
    with CaptureQueriesContext(connection) as much:
        page = client.get(address)

    assert len(much) == len(little)
    assert "Alert-059" in text_of(page)
    assert "Alert-009" not in text_of(page)
    older = text_of(client.get(address, {"before": page.context["page"].older}, headers=HTMX))
    assert older.count("Alert-0") >= 10
    assert "Alert-009" in older
    assert "Alert-010" not in older
    assert "<html" not in older


def test_it_narrows_to_what_fires_and_to_a_service(world: World, address: str) -> None:
    with world.everything():
        fire(world, 1)
        fire(world, 2, ends_at=timezone.now())

    firing = text_of(get(world.cast.devops, f"{address}?state=FIRING"))

    assert "Alert-001" in firing
    assert "Alert-002" not in firing
    assert "Alert-002" in text_of(get(world.cast.devops, f"{address}?service=greeter"))
    for text in (*HOSTILE, "other"):
        assert "Alert-001" not in text_of(get(world.cast.devops, f"{address}?{urlencode({'service': text})}"))


def test_only_addresses_of_the_web_are_links_and_hostile_text_stays_text(world: World, address: str) -> None:
    with world.everything():
        fire(world, 1, generator_url="javascript:alert(1)", summary="<script>alert(1)</script>")
        fire(world, 2)

    page = text_of(get(world.cast.devops, address))

    assert "javascript:alert" not in page
    assert "<script>alert(1)" not in page
    assert page.count('href="https://prometheus.example.test/graph"') == 1


def test_the_environment_and_the_dashboard_name_what_fires_in_no_more_queries(world: World, client: Client) -> None:
    client.force_login(world.cast.devops)
    pages = ["/", reverse("environments:environment-detail", args=[world.cast.platform.slug, world.staging.slug])]
    with world.everything():
        lane = world.lane(world.staging)
        Lane.objects.filter(pk=lane.pk).update(live_release=world.release, live_since=NOW, health=Health.HEALTHY)
    for page in pages:
        with CaptureQueriesContext(connection) as quiet:
            assert "Alert-00" not in text_of(client.get(page))
        with world.everything():
            alert = fire(world, 1)
            fire(world, 2, ends_at=timezone.now())
        with CaptureQueriesContext(connection) as alerted:
            text = text_of(client.get(page))

        assert "Alert-001" in text
        assert "Alert-002" not in text
        assert len(alerted) == len(quiet)
        with world.everything():
            alert.delete()
