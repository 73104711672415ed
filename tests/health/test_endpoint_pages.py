"""The pages of endpoint checks: the drill for every address, what is said at the field, and what the lists cost."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.environments.enums import Health
from apps.environments.models import Environment
from apps.health import actions, endpoints
from apps.health.endpoints import Finding
from apps.health.models import EndpointCheck
from tests.drill import HTMX, get, post, text_of
from tests.world import World, last_event

URL = "https://app.example.com/health"
VALUES = {
    "name": "Front door", "url": URL, "interval_seconds": "30", "timeout_seconds": "3", "expected_status": "200",
    "days_left": "14",
}  # fmt: skip


def _check(world: World, name: str = "Front door", url: str = URL, **more: Any) -> EndpointCheck:
    with world.everything():
        return actions.create_check(
            world.lane(world.qa), name=name, url=url, by=world.cast.devops, now=timezone.now(), **more
        )


def _answer(world: World, verdict: Health = Health.HEALTHY, detail: str = "200 in 12 ms", times: int = 1) -> None:
    """Let every check be answered so often, through claim and write as a worker does it."""
    for _ in range(times):
        with world.everything():
            EndpointCheck.objects.update(next_check_at=timezone.now() - timedelta(seconds=1))
        for leases in endpoints.claim(1000).values():
            findings = [Finding(pk, lease, verdict, 200, 12.0, detail) for pk, lease in leases.items()]
            with world.everything():
                endpoints.write(findings)


def _list(world: World, environment: Environment | None = None) -> str:
    return reverse("health:check-list", args=[world.lane(environment or world.qa).pk])


def _at(name: str, check: EndpointCheck) -> str:
    return reverse(f"health:{name}", args=[check.pk])


def _place(world: World) -> str:
    return reverse("environments:environment-detail", args=[world.qa.workspace.slug, world.qa.slug])


def test_pages_work_for_members_and_are_404_for_strangers(world: World) -> None:
    check = _check(world)

    for address in (_list(world), _at("check-detail", check)):
        page = get(world.cast.auditor, address)
        assert page.status_code == 200
        assert [entry["label"] for entry in page.context["entries"] if entry["current"]] == ["Environments"]
        assert get(world.cast.outsider, address).status_code == 404
        assert post(world.cast.devops, address).status_code == 405


def test_who_may_not_manage_the_environment_reads_why(world: World) -> None:
    check = _check(world)

    for address, label in ((_list(world), "New check"), (_at("check-detail", check), "Change or remove")):
        page = text_of(get(world.cast.auditor, address))
        refused = page.split(f"{label}</button>", 1)[1].split("</span></span>", 1)[0]
        assert "role" in refused
    for address in (f"{_list(world)}new/", _at("check-change", check), _at("check-remove", check)):
        assert get(world.cast.auditor, address).status_code == 403
        assert post(world.cast.auditor, address, VALUES).status_code == 403


def test_a_check_is_set_changed_and_removed_in_the_browser(world: World) -> None:
    devops = world.cast.devops
    assert get(devops, f"{_list(world)}new/").status_code == 200
    made = post(devops, f"{_list(world)}new/", VALUES)
    with world.everything():
        check = EndpointCheck.objects.get()
    assert made.headers["Location"] == _at("check-detail", check)
    assert check.interval_seconds == 30

    assert 'value="30"' in text_of(get(devops, _at("check-change", check)))
    changed = post(devops, _at("check-change", check), VALUES | {"url": "tls://app.example.com", "days_left": "30"})
    assert changed.headers["Location"] == _at("check-detail", check)
    with world.everything():
        assert last_event("check.changed").change["days_left"] == {"before": 14, "after": 30}
    assert "a certificate good for 30 days" in text_of(get(devops, _at("check-detail", check)))

    assert "asked no more" in text_of(get(devops, _at("check-remove", check)))
    assert post(devops, _at("check-remove", check)).headers["Location"] == _list(world)
    with world.everything():
        assert not EndpointCheck.objects.exists()
    assert get(devops, _at("check-detail", check)).status_code == 404


@pytest.mark.parametrize(
    ("values", "field", "told"),
    [
        ({"url": "http://127.0.0.1:5432/"}, "url", "127.0.0.1 is this machine itself"),
        ({"url": "http://169.254.169.254/"}, "url", "is never asked"),
        ({"url": "https://app.example.com:22/"}, "url", "Port 22 is not asked"),
        ({"url": "ftp://app.example.com/"}, "url", "An address begins with"),
        ({"url": "https://app.example.com/" + "a" * 500}, "url", "at most 500 characters"),
        ({"name": "Taken"}, "name", "There is a check named Taken here already"),
        ({"interval_seconds": "5"}, "interval_seconds", "greater than or equal to 10"),
        ({"timeout_seconds": "6"}, "timeout_seconds", "less than or equal to 5"),
        ({"days_left": ""}, "days_left", "required"),
    ],
)
def test_what_may_not_be_asked_is_said_at_its_field(world: World, values: dict, field: str, told: str) -> None:
    _check(world, "Taken")
    check = _check(world, "Another")

    for address in (f"{_list(world)}new/", _at("check-change", check)):
        refused = post(world.cast.devops, address, VALUES | values)
        page = text_of(refused)
        assert refused.status_code == 422
        assert told in page.split(f'id="id_{field}_error"', 1)[1].split("</p>", 1)[0]
    with world.everything():
        assert EndpointCheck.objects.count() == 2


def test_a_check_keeps_its_own_name_when_it_is_changed(world: World) -> None:
    check = _check(world)

    assert post(world.cast.devops, _at("check-change", check), VALUES).status_code == 302


def test_a_networks_own_address_is_taken_where_the_operator_gave_it(world: World, settings: Any) -> None:
    settings.OUTBOUND_INTERNAL = {world.cast.platform.slug: "10.20.0.0/16"}

    assert "10.20.0.0/16, every port may" in text_of(get(world.cast.devops, f"{_list(world)}new/"))
    inside = VALUES | {"url": "tcp://10.20.0.7:5432"}
    assert post(world.cast.devops, f"{_list(world)}new/", inside).status_code == 302


@pytest.mark.parametrize(("url", "is_name"), [(URL, True), ("https://93.184.215.14/", False)])
def test_where_a_name_leads_is_said_to_be_judged_later(client: Client, world: World, url: str, is_name: bool) -> None:
    client.force_login(world.cast.devops)
    page = client.post(f"{_list(world)}new/", VALUES | {"url": url}, follow=True).content.decode()

    assert ("Where its name leads is judged each time" in page) is is_name
    assert ("The address is a name." in page) is is_name


def test_the_page_of_a_check_shows_verdict_reason_and_answers(world: World) -> None:
    check = _check(world)
    detail = _at("check-detail", check)
    unasked = text_of(get(world.cast.auditor, detail))
    assert "No signal" in unasked
    assert 'hx-trigger="every 5s"' in unasked
    _answer(world, times=3)
    _answer(world, Health.FAULTY, "503 in 12 ms, expected 200", times=2)

    page = text_of(get(world.cast.auditor, detail))
    assert "Faulty" in page
    assert "503 in 12 ms, expected 200" in page
    assert "3 of 5 good" in page
    assert "<polyline" in page
    assert "every 5s" not in page
    fragment = text_of(get(world.cast.auditor, detail, **HTMX))
    assert 'id="found"' in fragment
    assert "<html" not in fragment


def test_answers_and_checks_are_paged(world: World) -> None:
    check = _check(world)
    _answer(world, times=26)
    first = get(world.cast.auditor, _at("check-detail", check))
    older = first.context["page"].older

    assert len(first.context["page"].rows) == 25
    assert len(get(world.cast.auditor, f"{_at('check-detail', check)}?before={older}").context["page"].rows) == 1
    for number in range(51):
        _check(world, f"Check {number}")
    page = get(world.cast.auditor, _list(world)).context["page"]
    assert (len(page.rows), bool(page.older)) == (50, True)


def test_the_list_is_filtered_by_verdict(world: World) -> None:
    _check(world, "Well")
    _answer(world)
    _check(world, "New one")

    page = text_of(get(world.cast.auditor, f"{_list(world)}?verdict=HEALTHY"))
    assert ("Well</a>" in page, "New one" in page) == (True, False)
    assert "No check matches" in text_of(get(world.cast.auditor, f"{_list(world)}?verdict=FAULTY"))


def test_environment_and_service_say_how_the_checks_stand_and_lead_to_them(world: World) -> None:
    service = reverse("releases:service-detail", args=[world.service.slug])
    for page in (_place(world), service):
        assert "No endpoint check" in text_of(get(world.cast.auditor, page))
    _check(world, "One")
    _check(world, "Other")

    for verdict, word in (
        (None, "2 of 2 checks without signal"),
        (Health.HEALTHY, "2 checks healthy"),
        (Health.FAULTY, "2 of 2 checks faulty"),
    ):
        if verdict:
            _answer(world, verdict, times=2)
        for address in (_place(world), service):
            page = text_of(get(world.cast.auditor, address))
            assert word in page
            assert _list(world) in page


def test_no_page_costs_more_queries_for_more_checks(world: World, client: Client) -> None:
    client.force_login(world.cast.devops)
    service = reverse("releases:service-detail", args=[world.service.slug])
    check = _check(world)
    addresses = (_list(world), _at("check-detail", check), _place(world), service)
    counts = []
    for more in (0, 20):
        for number in range(more):
            _check(world, f"Check {number}")
        _answer(world, times=1 + more)
        for address in addresses:
            client.get(address)
        counts.append([_queries(client, address) for address in addresses])

    assert counts[0] == counts[1]


def _queries(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(address).status_code == 200
    return len(queries)
