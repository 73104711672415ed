"""The calendar: windows and freezes as people see them, who waits, and the address for a calendar of one's own."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from icalendar import Calendar as Feed

from apps.audit.models import AuditEvent
from apps.dashboards.calendar import load, span_in
from apps.environments import actions
from apps.environments.enums import FreezeScope, Tier
from apps.environments.models import CalendarFeed
from apps.environments.occurrences import Occurrence
from tests.approvals.promotions import approve_all, ask_for_production
from tests.cast import NOW
from tests.drill import get, post, signed_in, text_of
from tests.environments.test_occurrences import rule
from tests.world import World, last_event, make_environment

PAGE = reverse("calendar:calendar")
LOS_ANGELES = ZoneInfo("America/Los_Angeles")


@pytest.fixture
def fridays(world: World) -> World:
    """Production opens on Fridays alone; the world's moment is a Wednesday."""
    with world.everything():
        actions.remove_window(world.production.windows.get(), by=world.cast.devops, now=NOW)
        actions.set_window(
            world.production, kind="ALLOW", weekdays=[5], starts_at=time(10), ends_at=time(15),
            zone="America/Los_Angeles", label="Preferred", by=world.cast.devops, now=NOW,
        )  # fmt: skip
    return world


def freeze(world: World, *, hours: float | None, environment: Any = None) -> Any:
    return actions.freeze(
        scope=FreezeScope.ENVIRONMENT, environment=environment or world.production,
        workspace_id=world.cast.platform.pk, reason="Black Friday",
        ends_at=NOW + timedelta(hours=hours) if hours else None, by=world.cast.devops, now=NOW,
    )  # fmt: skip


def calendar(world: World) -> Any:
    return load((world.cast.platform.pk,), now=NOW, zone=UTC)


@pytest.mark.parametrize(
    ("begins", "ends", "zone", "said"),
    [
        ("2026-11-17T18:00", "2026-11-17T23:00", "America/Los_Angeles", "Tue 17 Nov 10:00\u201315:00 PST"),
        ("2026-11-17T18:00", "2026-11-17T23:00", "Pacific/Kiritimati", "Wed 18 Nov 08:00\u201313:00 +14"),
        ("2026-11-17T18:00", "2026-11-18T02:00", "UTC", "Tue 17 Nov 18:00\u2013Wed 18 Nov 02:00 UTC"),
        ("2026-10-25T00:00", "2026-10-25T02:00", "Europe/Berlin", "Sun 25 Oct 02:00 CEST\u201303:00 CET"),
        ("2026-11-17T18:00", "", "UTC", "at all hours"),
    ],
)
def test_an_occurrence_is_said_by_the_clock_of_a_zone(begins: str, ends: str, zone: str, said: str) -> None:
    starts_at, ends_at = (datetime.fromisoformat(f"{each}+00:00") if each else None for each in (begins, ends))
    assert starts_at

    assert span_in(Occurrence(rule(), starts_at, ends_at), ZoneInfo(zone)) == said


@pytest.mark.django_db
def test_windows_freezes_and_who_waits_are_laid_over_each_other(fridays: World) -> None:
    world = fridays
    promotion = approve_all(ask_for_production(world), world)
    free = calendar(world)
    frozen = freeze(world, hours=24 * 7)
    cut = calendar(world)
    actions.lift_freeze(frozen, by=world.cast.devops, now=NOW)
    freeze(world, hours=None)
    shut = calendar(world)

    assert {entry.place.environment for entry in free.entries} == {world.production}
    assert [each.promotion for each in free.waiting] == [promotion]
    assert free.waiting[0].starts_at == min(entry.occurrence.starts_at for entry in free.entries)
    assert not free.held_up
    assert cut.waiting[0].starts_at == next(entry.occurrence.starts_at for entry in cut.entries if not entry.is_frozen)
    assert {entry.word for entry in cut.frozen} == {"Frozen"}
    assert [each.conflict for each in shut.held_up] == [
        "No window of the next four weeks is long enough and not frozen."
    ]
    assert shut.frozen == shut.entries


@pytest.mark.django_db
def test_the_page_shows_both_zones_and_only_what_the_person_may_see(fridays: World) -> None:
    world = fridays
    client = signed_in(world.cast.auditor)
    client.cookies["browser_zone"] = "Pacific/Kiritimati"
    page = client.get(PAGE).content.decode()
    theirs = text_of(get(world.cast.customer_operator, PAGE))

    assert "(America/Los_Angeles)" in page
    assert "+14" in page
    assert "Staging" in page
    assert world.production.name in page
    assert "Staging" not in theirs


@pytest.mark.django_db
def test_the_page_costs_the_same_for_few_and_many(world: World) -> None:
    client = signed_in(world.cast.auditor)

    def cost() -> int:
        with CaptureQueriesContext(connection) as asked:
            client.get(PAGE)
        return len(asked)

    with world.everything():
        freeze(world, hours=None)
    cost()
    few = cost()
    with world.everything():
        for number in range(3):
            freeze(world, hours=None, environment=make_environment(world.cast.platform, f"More {number}", Tier.DEV))

    assert cost() == few


@pytest.mark.django_db
def test_an_address_shows_what_its_person_may_see_until_it_ends(fridays: World) -> None:
    world = fridays
    with world.everything():
        freeze(world, hours=None)
    answer = text_of(post(world.cast.auditor, reverse("calendar:feed-create")))
    address = answer.split('aria-label="Address">')[1].split("<")[0].removeprefix("http://testserver")
    event = last_event("calendar_feed.opened")
    assert event.actor_label == str(world.cast.auditor)

    answered = Client().get(address)
    events = Feed.from_ical(answered.content).walk("VEVENT")

    assert answered["Content-Type"] == "text/calendar; charset=utf-8"
    titles = {str(each["summary"]) for each in events}
    assert titles == {f"{world.production.name}: deployment window (frozen)", f"Freeze: {world.production.name}"}
    starts = [each.start for each in events if "window" in str(each["summary"])]
    assert {at.astimezone(LOS_ANGELES).strftime("%H:%M") for at in starts} == {"10:00"}
    assert len({str(each["uid"]) for each in events}) == len(events)
    assert address.rsplit("/", 1)[1].removesuffix(".ics") not in str(CalendarFeed.objects.values().get())
    assert f">{address}<" not in text_of(get(world.cast.auditor, PAGE))

    another = post(world.cast.auditor, reverse("calendar:feed-create"))
    assert Client().get(address).status_code == 404
    assert "Make a new address" in text_of(another)
    assert post(world.cast.auditor, reverse("calendar:feed-end")).status_code == 302
    assert last_event("calendar_feed.ended").actor_label == str(world.cast.auditor)
    assert post(world.cast.auditor, reverse("calendar:feed-end")).status_code == 409
    assert not CalendarFeed.objects.filter(ended_at=None).exists()


@pytest.mark.django_db
def test_an_address_of_somebody_else_shows_their_windows_and_of_a_closed_account_none(world: World) -> None:
    _, secret = actions.open_feed(by=world.cast.outsider, now=NOW)
    address = reverse("calendar:feed", args=[secret])

    assert Feed.from_ical(Client().get(address).content).walk("VEVENT") == []
    type(world.cast.outsider).objects.filter(pk=world.cast.outsider.pk).update(is_active=False)
    assert Client().get(address).status_code == 404
    assert Client().post(address).status_code == 405


@pytest.mark.django_db(transaction=True)
def test_of_addresses_that_are_made_at_once_one_stands(world: World) -> None:
    barrier = threading.Barrier(2)

    def make(_: int) -> None:
        barrier.wait()
        try:
            with world.everything():
                actions.open_feed(by=world.cast.auditor, now=NOW)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(make, range(2)))

    assert CalendarFeed.objects.filter(ended_at=None).count() == 1
    assert CalendarFeed.objects.count() == 2
    with world.everything():
        assert AuditEvent.objects.filter(kind="calendar_feed.opened").count() == 2
