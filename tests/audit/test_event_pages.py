"""The trail's pages: who may read, and what a filter finds."""

from uuid import uuid4

import pytest
from django.test import Client

from apps.audit import actions as audit
from apps.audit.actors import SYSTEM
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.workspaces.scope import workspace_scope

LIST = "/audit/"


def _record(summary: str = "Something happened", **fields: object) -> str:
    with workspace_scope([fields.get("workspace_id", PLATFORM_WORKSPACE_ID)]):
        usual = {"kind": "release.sealed", "by": SYSTEM, "target": None, "summary": summary}
        return str(audit.record(**(usual | fields)))


def _summaries(response: object) -> list[str]:
    return [event.summary for event in response.context["page"].rows]


@pytest.fixture
def reading(client: Client, auditor: object) -> Client:
    client.force_login(auditor)
    return client


def test_auditor_reads_newest_first(reading: Client) -> None:
    _record("first")
    _record("second")

    response = reading.get(LIST)

    assert response.status_code == 200
    assert _summaries(response)[:2] == ["second", "first"]


def test_person_of_another_workspace_sees_nothing_of_this_one(client: Client, outsider: object) -> None:
    _record("of the platform")
    client.force_login(outsider)

    response = client.get(LIST)

    assert "of the platform" not in response.content.decode()


def test_fragment_is_the_part_of_the_page(reading: Client) -> None:
    _record("first")

    response = reading.get(LIST, headers={"HX-Request": "true"})

    assert response.content.strip().startswith(b'<section class="card-p" id="events"')


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"q": "needle"}, True),
        ({"q": "NEEDLE"}, True),
        ({"q": "straw"}, False),
        ({"actor": "EAIP"}, True),
        ({"actor": "somebody else"}, False),
        ({"kind": "release"}, True),
        ({"kind": "release.sealed"}, True),
        ({"kind": "promotion"}, False),
        ({"outcome": "SUCCESS"}, True),
        ({"outcome": "REFUSED"}, False),
        ({"since": "2000-01-01"}, True),
        ({"until": "2000-01-01"}, False),
        ({"object": "release:1"}, False),
        ({"before": "bm9uc2Vuc2U"}, True),
        ({"before": "MjAyNi0wMS0wMVQwMDowMDowMCswMDowMCBub3QtYS11dWlk"}, True),
    ],
)
def test_filter(reading: Client, query: dict[str, str], found: bool) -> None:
    _record("a needle in the hay")

    response = reading.get(LIST, query)

    assert response.status_code == 200
    assert ("a needle in the hay" in _summaries(response)) is found


@pytest.mark.parametrize("query", [{"q": "---"}, {"since": "yesterday"}, {"kind": "release.slaed"}])
def test_filter_that_can_not_be_read_is_said(reading: Client, query: dict[str, str]) -> None:
    _record("a needle in the hay")

    response = reading.get(LIST, query)

    assert response.status_code == 422
    assert _summaries(response) == []


def test_one_objects_whole_history(reading: Client) -> None:
    _record("of the object", target=None, target_details={"type": "release", "id": "42", "label": "1.2.3"})
    _record("of another")

    response = reading.get(LIST, {"object": "release:42"})

    assert _summaries(response) == ["of the object"]
    assert "History of 1.2.3" in response.content.decode()


def test_paging_by_key_shows_every_event_once(reading: Client) -> None:
    for number in range(120):
        _record(f"event {number}")

    seen, query = [], {"q": "event"}
    while True:
        page = reading.get(LIST, query).context["page"]
        seen += [event.summary for event in page.rows]
        if not page.older:
            break
        query = {"q": "event", "before": page.older}

    assert seen == [f"event {number}" for number in reversed(range(120))]


def test_queries_do_not_grow_with_events(reading: Client, django_assert_max_num_queries: object) -> None:
    for number in range(60):
        _record(f"event {number}")
    reading.get(LIST)

    with django_assert_max_num_queries(17):
        reading.get(LIST)


def test_event_shows_before_and_after(reading: Client) -> None:
    key = _record(before={"state": "DRAFT"}, after={"state": "SEALED"}, reason="<script>alert(1)</script>")

    page = reading.get(f"/audit/{key}/").content.decode()

    assert "DRAFT" in page
    assert "SEALED" in page
    assert "<script>alert" not in page


def test_event_of_another_workspace_is_not_found(client: Client, outsider: object) -> None:
    key = _record()
    client.force_login(outsider)

    assert client.get(f"/audit/{key}/").status_code in {403, 404}


def test_unknown_event_is_not_found(reading: Client) -> None:
    assert reading.get(f"/audit/{uuid4()}/").status_code == 404
