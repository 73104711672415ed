"""Search of the trail: the index finds what the plain conditions find, whatever is asked, and only in the scope."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client

from apps.audit import actions as audit
from apps.audit.actors import SYSTEM, Actor
from apps.audit.filters import TrailFilter, about
from apps.audit.models import AuditEvent
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.workspaces.scope import workspace_scope
from tests.audit.months import spread_over_months
from tests.cast import Cast

LIST = "/audit/"
PLATFORM = (PLATFORM_WORKSPACE_ID,)
PLACE, SERVICE = uuid4(), uuid4()
OWNER = Actor("PERSON", "person-1", "Owner O'Lead")


@pytest.fixture
def ledger(db: None) -> Iterator[dict[str, UUID]]:
    """A few events that differ in what filters ask for, by a name of each."""
    with workspace_scope(PLATFORM):
        release = {"type": "release", "id": "42", "label": "1.4.2-rc.1"}
        facts: dict[str, dict[str, Any]] = {
            "release": {"target_details": release, "summary": "Sealed greeter 1.4.2-rc.1", "by": OWNER},
            "promotion": {
                "target_details": {"type": "promotion", "id": "7", "label": "#7"}, "kind": "promotion.ready",
                "summary": "Promotion #7 (The Greeter 1.4.2-rc.1 to QA) is ready.", "environment_id": PLACE,
            },
            "deployment": {
                "target_details": {"type": "deployment", "id": "8", "label": "#8", "release": "1.4.2-rc.1"},
                "kind": "deployment.failed", "outcome": "FAILED", "environment_id": PLACE, "service_id": SERVICE,
                "summary": "The payments-api: failed", "reason": "Ticket OPS-123 \\ it's 50% \"broken\"",
            },
            "refusal": {"kind": "access.refused", "outcome": "REFUSED", "summary": "Was refused Ünïcode", "by": OWNER},
            "long": {"summary": "Long", "reason": "x" * 30_000 + " needle"},
        }  # fmt: skip
        usual = {"kind": "release.sealed", "by": SYSTEM, "target": None}
        yield {name: audit.record(**(usual | more)) for name, more in facts.items()}


def _found(criteria: dict[str, Any], workspaces: tuple[UUID, ...] = PLATFORM, look: int = 5000) -> list[UUID]:
    page = AuditEvent.objects.all().found_page(criteria, workspaces, {}, look=look)
    return [event.pk for event in page.rows]


@pytest.mark.parametrize(
    ("criteria", "names"),
    [
        ({}, "release promotion deployment refusal long"),
        ({"q": "greeter"}, "release promotion"),
        ({"q": "GREETER ready"}, "promotion"),
        ({"q": "greet"}, ""),
        ({"q": "greet*"}, "release promotion"),
        ({"q": "gr*"}, ""),
        ({"q": "payments-api"}, "deployment"),
        ({"q": "1.4.2-rc.1"}, "release promotion"),
        ({"q": "1.4.2."}, "release promotion"),
        ({"q": "ops-123"}, "deployment"),
        ({"q": "it's 50%"}, "deployment"),
        ({"q": "\\ broken"}, "deployment"),
        ({"q": "ünïcode"}, "refusal"),
        ({"q": "k=release.sealed"}, ""),
        ({"q": "x:* | y & !z"}, ""),
        ({"q": "absent"}, ""),
        ({"actor": "owner"}, "release refusal"),
        ({"actor": "o'lead"}, "release refusal"),
        ({"actor": "person-1"}, "release refusal"),
        ({"actor": "system"}, "promotion deployment long"),
        ({"actor": "eaip oper*"}, "promotion deployment long"),
        ({"kind": "deployment"}, "deployment"),
        ({"kind": "promotion.ready"}, "promotion"),
        ({"kind": "promotion.ready", "outcome": "FAILED"}, ""),
        ({"outcome": "SUCCESS"}, "release promotion long"),
        ({"outcome": "REFUSED"}, "refusal"),
        ({"environment": str(PLACE)}, "promotion deployment"),
        ({"environment": str(PLACE), "service": str(SERVICE)}, "deployment"),
        ({"release": "1.4.2-rc.1"}, "release promotion deployment"),
        ({"release": "1.4.2"}, ""),
        ({"release": "1.4.2-rc.1", "kind": "release"}, "release"),
        ({"object": ("release", "42")}, "release"),
        ({"object": ("deployment", "42")}, ""),
        ({"object": ("it's", "'\\")}, ""),
        ({"workspace": str(PLATFORM_WORKSPACE_ID), "q": "ready"}, "promotion"),
        ({"since": datetime(2100, 1, 1, tzinfo=UTC)}, ""),
        ({"until": datetime(2100, 1, 1, tzinfo=UTC), "q": "ready"}, "promotion"),
    ],
)
@pytest.mark.parametrize("look", [5000, 0], ids=["by looking", "by the index"])
def test_index_and_plain_conditions_find_the_same(
    ledger: dict[str, UUID], criteria: dict[str, Any], names: str, look: int
) -> None:
    expected = [ledger[name] for name in reversed(names.split())]

    assert _found(criteria, look=look) == expected
    plain = AuditEvent.objects.visible_in(PLATFORM).matching(**criteria).newest_first()
    assert [event.pk for event in plain] == expected


def test_id_is_found_as_request_object_and_person(ledger: dict[str, UUID]) -> None:
    event = AuditEvent.objects.get(pk=ledger["refusal"])

    assert ledger["refusal"] in _found({"q": event.request_id.upper()})


def test_long_reason_is_searched_and_nothing_of_it_stops_the_event(ledger: dict[str, UUID]) -> None:
    assert _found({"q": "x" * 100}) == [ledger["long"]]


def test_function_tells_nothing_out_of_the_scope(ledger: dict[str, UUID]) -> None:
    with workspace_scope([uuid4()]):
        assert _found({}) == []
        assert AuditEvent.objects.all().estimated({}, PLATFORM) == 0
    assert _found({}, (uuid4(),)) == []


def test_estimate_is_a_number(ledger: dict[str, UUID]) -> None:
    assert AuditEvent.objects.all().estimated({"q": "greeter", "kind": "release"}, PLATFORM) >= 0


@pytest.mark.parametrize(
    ("number", "words"),
    [(7, "about 7"), (123, "about 120"), (1_234, "about 1.2 k"), (98_765, "about 99 k"), (1_240_000, "about 1.2 M")],
)
def test_estimate_has_two_digits(number: int, words: str) -> None:
    assert about(number) == words


@pytest.mark.parametrize(
    ("query", "since", "until"),
    [
        ({"since": "2026-03-01", "until": "2026-03-01"}, "2026-03-01T00:00", "2026-03-02T00:00"),
        ({"since": "2026-03-01", "since_time": "10:30"}, "2026-03-01T10:30", None),
        ({"until": "2026-03-01", "until_time": "10:30"}, None, "2026-03-01T10:31"),
        ({"until": "2026-03-01", "until_time": "10:30:15"}, None, "2026-03-01T10:30:16"),
    ],
)
def test_time_range_names_its_last_minute(
    db: None, query: dict[str, str], since: str | None, until: str | None
) -> None:
    trail = TrailFilter(query, workspaces=())

    assert trail.is_valid(), trail.errors
    criteria = trail.criteria()
    assert {name: f"{moment:%Y-%m-%dT%H:%M:%S}".removesuffix(":00") for name, moment in criteria.items()} == {
        name: value for name, value in (("since", since), ("until", until)) if value
    }


@pytest.mark.parametrize("query", [{"since_time": "10:30"}, {"until": "9999-12-31"}, {"q": "!?*"}, {"actor": "…"}])
def test_what_can_not_be_asked_is_said(client: Client, cast: Cast, query: dict[str, str]) -> None:
    client.force_login(cast.auditor)

    assert client.get(LIST, query).status_code == 422


def test_jump_to_a_day_shows_what_was_before_its_end_and_leads_back(client: Client, cast: Cast) -> None:
    with workspace_scope(PLATFORM):
        audit.record("release.sealed", by=SYSTEM, target=None, summary="Today")
    client.force_login(cast.auditor)
    today, yesterday = datetime.now(UTC), datetime.now(UTC) - timedelta(days=2)

    on_the_day = client.get(LIST, {"to": f"{today + timedelta(days=1):%Y-%m-%d}"}).context["page"]
    before = client.get(LIST, {"to": f"{yesterday:%Y-%m-%d}"}).context["page"]

    assert on_the_day.rows[0].summary == "Today"
    assert on_the_day.newer
    assert before.rows == []


def test_a_day_that_no_entry_can_have_is_no_day_to_jump_to(client: Client, cast: Cast) -> None:
    client.force_login(cast.auditor)

    for day in ("9999-12-31", "0001-01-01", "2026-02-30"):
        assert client.get(LIST, {"to": day}).status_code == 200


def test_chip_takes_its_filter_away_and_leaves_the_others(client: Client, cast: Cast) -> None:
    client.force_login(cast.auditor)

    query = {"q": "greeter", "since": "2026-01-01", "since_time": "10:00", "outcome": "FAILED"}
    chips = client.get(LIST, query).context["chips"]

    assert [(chip.label, chip.words) for chip in chips] == [
        ("Words, or an id", "greeter"), ("Outcome", "Failed"), ("From", "2026-01-01 10:00"),
    ]  # fmt: skip
    assert chips[2].without == "q=greeter&outcome=FAILED"


def test_small_number_is_exact_and_a_large_one_on_demand(client: Client, cast: Cast) -> None:
    with workspace_scope(PLATFORM):
        for number in range(60):
            audit.record("release.sealed", by=SYSTEM, target=None, summary=f"Counted {number}")
    client.force_login(cast.auditor)

    assert client.get(LIST, {"q": "counted", "kind": "release"}).context["total"].startswith(("about ", "more than "))
    assert client.get(LIST, {"q": "counted", "count": "exactly"}).context["total"] == "60 events"
    assert client.get(LIST, {"q": "counted 7"}).context["total"] == "1 event"


def test_paging_goes_back_and_forth_over_the_same_events(ledger: dict[str, UUID]) -> None:
    events = AuditEvent.objects.all()
    first = events.found_page({}, PLATFORM, {}, size=2)
    second = events.found_page({}, PLATFORM, {"before": first.older or ""}, size=2)
    back = events.found_page({}, PLATFORM, {"after": second.newer or ""}, size=2)

    assert [event.pk for event in back.rows] == [event.pk for event in first.rows]
    assert [event.pk for event in second.rows] == [ledger["deployment"], ledger["promotion"]]


@pytest.fixture
def months(transactional_db: None, cast: Cast, engines: Any, database: str) -> None:
    spread_over_months(engines, database)


def test_whatever_the_patience_each_event_is_found_once_and_nothing_is_skipped(months: None) -> None:
    events, none, little = AuditEvent.objects.all(), timedelta(0), timedelta(milliseconds=20)
    a_month_ago = datetime.now(UTC) - timedelta(days=30)
    cases: list[tuple[dict[str, Any], timedelta | None, int]] = [
        ({}, none, 5), ({"q": "form* sealed"}, none, 0), ({"q": "sealed", "kind": "release.created"}, none, 0),
        ({"q": "formerly"}, little, 40), ({"until": a_month_ago, "outcome": "SUCCESS"}, none, 0),
        ({"since": a_month_ago, "q": "lately"}, none, 0), ({"q": "rarely"}, None, 0), ({}, None, 0),
    ]  # fmt: skip
    with workspace_scope(PLATFORM):
        for criteria, patience, look in cases:
            how: dict[str, Any] = {"size": 30, "look": look, "patience": patience}
            expected = [event.pk for event in events.visible_in(PLATFORM).matching(**criteria).newest_first()]
            page = events.found_page(criteria, PLATFORM, {}, **how)
            down, pages = [event.pk for event in page.rows], 1
            while page.older:
                page = events.found_page(criteria, PLATFORM, {"before": page.older}, **how)
                down, pages = down + [event.pk for event in page.rows], pages + 1
            up = [event.pk for event in page.rows]
            while page.newer:
                page = events.found_page(criteria, PLATFORM, {"after": page.newer}, **how)
                up = [event.pk for event in page.rows] + up

            assert (down, up) == (expected, expected), (criteria, patience, look)
            assert pages > 1 or expected or patience is not none


def test_search_that_ends_early_says_how_far_it_looked_and_goes_on(
    client: Client, cast: Cast, months: None, settings: Any
) -> None:
    settings.AUDIT_SEARCH_PATIENCE = timedelta(0)
    client.force_login(cast.auditor)
    address, texts = f"{LIST}?q=created&kind=release.sealed", []

    while address:
        page = client.get(address)
        texts.append(page.content.decode())
        found = page.context["page"]
        address = found.older and f"{LIST}?q=created&kind=release.sealed&before={found.older}"

    assert len(texts) > 1
    assert all("Nothing was found since" in text and 'hx-trigger="load"' in text for text in texts[:-1])
    assert "0 events so far" in texts[0]
    assert "count all" in texts[0]
    assert "No further event matches" in texts[-1]
    assert "look further" not in texts[-1]
    assert client.get(f"{LIST}?q=created&kind=release.sealed&count=exactly").context["total"] == "0 events"
