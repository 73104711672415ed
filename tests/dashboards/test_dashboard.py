"""The dashboard: what it shows to whom, by which filters, in how many queries and bytes."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.dashboards.cells import cell_id
from apps.dashboards.places import rule_of
from apps.environments import actions
from apps.environments.enums import Health
from apps.environments.models import Lane
from apps.incidents import actions as incident_actions
from tests.cast import NOW
from tests.dashboards.matrix import fill
from tests.incidents.test_incidents import declare
from tests.world import World

HTMX = {"HX-Request": "true"}


@pytest.fixture
def reading(client: Client, world: World) -> Client:
    client.force_login(world.cast.devops)
    return client


def test_it_shows_every_service_in_every_environment(reading: Client, world: World) -> None:
    page = reading.get("/").content.decode()

    assert world.service.name in page
    assert all(f'id="{cell_id(world.lane(place).pk)}"' in page for place in (world.dev, world.qa, world.production))
    assert "North Bank" not in page


def test_the_number_of_queries_does_not_grow_with_the_matrix(reading: Client, world: World) -> None:
    small = _queries(reading)
    with world.everything():
        fill(12, 6, now=timezone.now())

    assert _queries(reading) == small
    assert small <= 12


def test_a_hundred_services_fit_in_300_kilobytes(client: Client, world: World) -> None:
    with world.everything():
        fill(100, 6, now=timezone.now(), workspace_id=world.cast.elsewhere.pk)
    client.force_login(world.cast.outsider)

    assert len(client.get("/").content) < 300_000


def test_open_incidents_stand_first_the_worst_before_the_others(reading: Client, world: World) -> None:
    with world.everything():
        others = {"workspace": world.cast.customer, "environment": world.customer_production, "title": "Not yours"}
        declare(world, **others, by=world.cast.customer_operator)
        small = _queries(reading)
        mild = declare(world, severity="SEV3", title="Slow <b>pages</b>")
        bad = declare(world, severity="SEV1", environment=None, service=None, by=world.cast.security)
        over = declare(world, title="Long over")
        incident_actions.resolve(over, resolution="Over", by=world.cast.devops, now=NOW)

    page = reading.get("/").content.decode()

    assert f"Incident #{bad.number}, SEV1: {bad.title}" in page
    assert page.index(f"#{bad.number}, SEV1") < page.index(f"#{mild.number}, SEV3: Slow &lt;b&gt;pages&lt;/b&gt;")
    assert "declared by Security." in page
    assert not [title for title in ("Not yours", "Long over") if title in page.split('id="activity"')[0]]
    assert _queries(reading) == small + 1


def test_filters_narrow_it_and_a_fragment_is_only_the_board(reading: Client, world: World) -> None:
    with world.everything():
        Lane.objects.filter(pk=world.lane(world.qa).pk).update(
            live_release=world.release, live_since=NOW, health=Health.FAULTY, health_detail="503"
        )
        fill(2, 2, now=timezone.now())

    assert "service-000" not in reading.get("/?only=exceptions").content.decode()
    assert world.service.name in reading.get("/?only=exceptions").content.decode()
    assert "Nothing matches" in reading.get("/?q=nothing-like-this").content.decode()
    assert "Staging" not in _board(reading, "/?tier=QA")
    fragment = reading.get("/?q=service", headers=HTMX).content.decode()
    assert fragment.startswith('<section class="card-p" id="board"')
    assert "<html" not in fragment


def test_hostile_filters_change_nothing(reading: Client) -> None:
    for text in ("%", "_", "\\", "'; DROP TABLE x; --", "<script>alert(1)</script>", "\u202e"):
        response = reading.get("/", {"q": text, "plane": text, "tier": text, "only": text})
        assert response.status_code == 200
        assert "<script>alert" not in response.content.decode()


def test_another_workspace_is_404_and_strangers_see_nothing(client: Client, world: World) -> None:
    client.force_login(world.cast.outsider)

    assert client.get("/", {"ws": str(world.cast.platform.pk)}).status_code == 404
    page = client.get("/").content.decode()
    assert cell_id(world.lane(world.qa).pk) not in page
    assert "Sealed" not in page


def test_nobody_sees_it_without_signing_in(client: Client, world: World) -> None:
    assert client.get("/").headers["Location"].startswith("/sign-in/")


def test_a_freeze_stands_above_every_page_and_in_the_heading(reading: Client, world: World) -> None:
    with world.everything():
        actions.freeze(
            scope="ENVIRONMENT", environment=world.qa, workspace_id=world.cast.platform.pk, reason="Stock taking",
            ends_at=None, by=world.cast.devops, now=NOW,
        )  # fmt: skip

    page = reading.get("/").content.decode()

    assert "QA is frozen: Stock taking" in page
    assert "· frozen" in page


def test_an_empty_installation_says_how_to_begin(client: Client, world: World) -> None:
    client.force_login(world.cast.outsider)

    assert "No environment yet" in client.get("/").content.decode()


def _queries(client: Client) -> int:
    client.get("/")
    with CaptureQueriesContext(connection) as captured:
        client.get("/")
    # The frame's and the matrix' own prepared queries pass Django's cursor by.
    return 2 + sum(not query["sql"].startswith(("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT")) for query in captured)


def _board(client: Client, address: str) -> str:
    page = client.get(address).content.decode()
    return page[page.index("<table") : page.index("</table>")]


def test_a_tier_counts_who_approves_every_release() -> None:
    """Not who is asked in an emergency alone, nor who reviews what few releases are."""
    asked = {"gate": "approvals", "settings": {"role": "DEVOPS"}}
    rare = {"gate": "approvals", "settings": {"role": "CAB", "traits": ["INFRASTRUCTURE"]}}
    hurried = {"gate": "approvals", "settings": {"role": "SENIOR_ENGINEER"}, "when": "EMERGENCY"}

    assert rule_of({"clauses": [asked, rare, hurried]}) == "1 approval"
