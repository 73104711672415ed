"""Links out: what is filled in is encoded, the time is that of what is looked at, and a bad template is refused."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.checks import run_checks
from django.urls import reverse
from django.utils import timezone

from apps.audit.actors import SYSTEM
from apps.deployments.models import Deployment
from apps.health import alerts
from apps.health.alerts import Report
from apps.health.links import links
from tests.deployments.test_page_deployments import address, running
from tests.drill import get, text_of
from tests.world import HOSTILE, World

AT = datetime(2026, 11, 18, 19, 0, tzinfo=UTC)
WHOLE = (
    "https://grafana.example/d/x?s=$service&e=$environment&w=$workspace&v=$version"
    "&from=$from&to=$until&fi=$from_iso&ui=$until_iso&cost=$$"
)


@pytest.fixture
def grafana(settings: Any) -> str:
    settings.LINKS = {"Grafana": WHOLE, "Loki": "", "Traces": ""}
    return WHOLE


def made(**values: Any) -> Any:
    names = {"service": "greeter", "environment": "dev", "workspace": "platform", "version": "1.0.0"}
    return links(**{**names, "since": AT, "until": AT + timedelta(hours=1), **values})


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query, strict_parsing=True).items()}


@pytest.mark.parametrize("name", [*HOSTILE, 'a"b&c=d#e?f/%2e$service', "1.0.0+build.1"])
def test_whatever_a_name_is_it_stays_within_its_place(grafana: str, name: str) -> None:
    [link] = made(service=name, version=name)

    assert query_of(link.url) == {
        "s": name, "e": "dev", "w": "platform", "v": name, "cost": "$",
        "from": "1795028400000", "to": "1795032000000", "fi": "2026-11-18T19:00:00Z", "ui": "2026-11-18T20:00:00Z",
    }  # fmt: skip
    assert urlsplit(link.url).netloc == "grafana.example"
    assert not urlsplit(link.url).fragment


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("javascript:alert(1)", "must begin with http:// or https://"),
        ("ftp://files.example/$service", "must begin with http:// or https://"),
        ("//grafana.example/$service", "must begin with http:// or https://"),
        ("https:///d", "the name of a host"),
        ("https://[::1/d", "no address"),
        ("https://ops:secret@grafana.example/", "name or a password"),
        ("https://$service.example/", "only behind the host"),
        ("https://grafana.example/a b", "space or a control character"),
        ("https://grafana.example/a\nb", "space or a control character"),
        ("https://grafana.example/?$", "A $ must begin a placeholder"),
        ("https://grafana.example/?$lane", "no placeholder $lane"),
    ],
)
def test_a_bad_template_is_refused_at_start_and_shown_nowhere(settings: Any, template: str, why: str) -> None:
    settings.LINKS = {"Grafana": template}

    [found] = [problem for problem in run_checks() if problem.id == "health.E001"]
    assert found.msg.startswith("LINK_GRAFANA can't be used: ")
    assert why in found.msg
    assert made() == []


def test_good_templates_pass_the_check(grafana: str) -> None:
    assert not [problem for problem in run_checks() if problem.id == "health.E001"]


def _span(page: str) -> tuple[datetime, datetime]:
    start = page.index("https://grafana.example/")
    found = query_of(page[start : page.index('"', start)].replace("&amp;", "&"))
    return tuple(datetime.fromtimestamp(int(found[name]) / 1000, UTC) for name in ("from", "to"))  # type: ignore[return-value]


def _near(one: datetime, other: datetime) -> bool:
    return abs(one - other) < timedelta(seconds=30)


@pytest.mark.django_db
def test_a_deployment_is_looked_at_from_before_its_start(world: World, grafana: str, settings: Any) -> None:
    deployment = running(world)
    began, ended = deployment.started_at, timezone.now() - timedelta(hours=2)

    since, until = _span(text_of(get(world.cast.auditor, address(deployment))))
    assert _near(since, began - timedelta(minutes=5))
    assert _near(until, timezone.now())
    with world.everything():
        Deployment.objects.filter(pk=deployment.pk).update(ended_at=ended, state="CANCELLED")
    since, until = _span(text_of(get(world.cast.auditor, address(deployment))))
    assert _near(until, ended + settings.ENGINE_WATCH)


@pytest.mark.django_db
def test_a_lane_is_looked_at_lately_and_an_alert_around_its_start(world: World, grafana: str) -> None:
    place = [world.dev.workspace.slug, world.dev.slug]
    began = timezone.now() - timedelta(days=2)
    report = Report("greeter", "dev", "f", "ManyErrors", "critical", "Help", began, None, "")
    with world.everything():
        alerts.receive(world.lane(world.dev), report, by=SYSTEM, now=timezone.now())

    environment = text_of(get(world.cast.auditor, reverse("environments:environment-detail", args=place)))
    since, until = _span(environment)
    assert _near(since, timezone.now() - timedelta(hours=1))
    assert _near(until, timezone.now())
    page = text_of(get(world.cast.auditor, reverse("environments:alert-list", args=place)))
    since, until = _span(page)
    assert _near(since, began - timedelta(minutes=15))
    assert _near(until, began + timedelta(minutes=15))
    assert page.count('rel="noopener noreferrer external"') == 1


@pytest.mark.django_db
def test_without_a_template_nothing_is_shown(world: World, settings: Any) -> None:
    settings.LINKS = {"Grafana": "", "Loki": "", "Traces": ""}
    place = [world.dev.workspace.slug, world.dev.slug]

    for page in (address(running(world)), reverse("environments:environment-detail", args=place)):
        told = text_of(get(world.cast.auditor, page))
        assert "Look on" not in told
        assert "Grafana" not in told
