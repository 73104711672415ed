"""Event schemas are published with a release once and for all, and stay while somebody consumes them."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import Error, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.core.verdict import Conflict, Denied
from apps.releases import actions, events, runner
from apps.releases.contracts.apart import Found
from apps.releases.models import EventConsumer, EventSchema, EventVersion, Release
from tests.approvals.promotions import move
from tests.approvals.test_races import at_once
from tests.cast import NOW
from tests.drill import HTMX, get, post, text_of
from tests.monitoring import make_token
from tests.releases.events import (
    ORDER,
    STRICTER,
    SUBJECT,
    WITH_CURRENCY,
    consumer,
    event,
    event_version,
    listed,
    publish,
)
from tests.world import World, last_event, make_service, sealed_release


@pytest.fixture(autouse=True)
def _store(settings: Any, tmp_path: Path) -> None:
    settings.ARTIFACT_DIR = tmp_path / "artifacts"


def refused(world: World, release: Release, *published: dict[str, Any]) -> str:
    with pytest.raises(Conflict) as refusal, transaction.atomic():
        publish(world, release, *published)
    return f"{refusal.value.code}: {refusal.value}"


@pytest.mark.django_db
def test_a_schema_is_published_once_and_never_altered(world: World) -> None:
    publish(world, world.release, event())
    newer = world.next_release("1.1.0")
    again = publish(world, newer, event())

    assert EventSchema.objects.count() == 1
    assert last_event("event_schema.published").summary == f"Published {SUBJECT} 1.0 with Greeter 1.0.0"
    assert last_event("evidence.received").summary.endswith("1 versions of 1 events")
    assert again.publications.get().schema.release == world.release
    for change in (
        "UPDATE releases_eventschema SET source = '{}'",
        "UPDATE releases_eventschema SET breaking = 1",
        "DELETE FROM releases_eventschema",
        "UPDATE releases_eventversion SET mode = 'FULL'",
        "UPDATE releases_eventsubject SET name = 'x'",
        "DELETE FROM releases_eventpublication",
    ):
        with pytest.raises(Error, match="can not be changed"), transaction.atomic():
            connection.cursor().execute(change)
    assert refused(world, newer, event(schema=STRICTER)).startswith("event_schema_published: orders.placed 1.0 was")
    assert refused(world, newer, event("1.1", mode="FULL")).startswith("event_version_closed: orders.placed 1 is BACK")
    assert refused(world, newer, event("1.1", closed=False)).startswith("event_version_closed: orders.placed 1 is BAC")
    publish(world, newer, event("1.2"), now=NOW + timedelta(hours=1))
    assert "is lower than orders.placed 1.2" in refused(world, world.next_release("1.2.0"), event("1.1"))
    assert events.beside(newer.pk, events.NOTHING).events[0].new_minor == 2, "the newest list counts"


@pytest.mark.django_db
def test_an_event_belongs_to_the_service_that_published_it_first(world: World) -> None:
    event_version(world)
    ledger = make_service(world.cast.platform, "ledger", program="ledger")
    release = sealed_release(ledger, "1.0.0", by=world.cast.release_engineer)

    assert "orders.placed is an event of Greeter" in refused(world, release, event())


@pytest.mark.django_db
def test_each_schema_is_checked_beside_the_lower_ones_that_broke_nothing(world: World) -> None:
    publish(world, world.release, event())
    for version, number, schema in (("1.1.0", "1.1", STRICTER), ("1.2.0", "1.2", WITH_CURRENCY)):
        publish(world, world.next_release(version), event(number, schema))
    assert [len(events.due()), runner.see_to_event_checks(), runner.see_to_event_checks()] == [1, 1, 1]

    with world.everything():
        broken, fine = EventSchema.objects.filter(minor__gt=0).order_by("minor")
        assert (broken.breaking, broken.label, broken.found[0][:3]) == (
            1, "Breaking", ["reads events of 1.0", "$.total", "property-required"],
        )  # fmt: skip
        assert (fine.breaking, fine.label, [row[0] for row in fine.found]) == (0, "Compatible", ["reads events of 1.0"])
        assert events.due() == []
        summary = last_event("event_schema.checked").summary
        assert summary == "The schema orders.placed 1.2 beside lower ones: 0 breaking, 1 compatible, 0 undecided."
        with pytest.raises(Error, match="can not be changed"), transaction.atomic():
            EventSchema.objects.update(found=[])


@pytest.mark.django_db
def test_a_version_is_dropped_for_good_and_only_while_nobody_consumes_it(world: World) -> None:
    consumed, by = consumer(world), world.cast.release_engineer
    version = consumed.version
    assert last_event("event_consumer.opted_in").summary == "Greeter consumes orders.placed 1"
    with pytest.raises(actions.VersionConsumed, match="consumed by Greeter"):
        actions.drop_version(version, by=by, now=NOW)

    actions.opt_out(consumed, by=by, now=NOW)
    with pytest.raises(actions.ConsumerEnded):
        actions.opt_out(consumed, by=by, now=NOW)
    with pytest.raises(Denied):
        actions.drop_version(version, by=world.cast.auditor, now=NOW)
    actions.drop_version(version, by=by, now=NOW)

    with pytest.raises(actions.VersionDropped):
        actions.drop_version(version, by=by, now=NOW)
    with pytest.raises(actions.VersionDropped):
        actions.opt_in(version, world.service, by=by, now=NOW)
    assert "was dropped: it gets no more" in refused(world, world.next_release("1.1.0"), event("1.1"))
    with pytest.raises(Error, match="can not be changed"), transaction.atomic():
        EventVersion.objects.update(dropped_at=None, dropped_by=None)


@pytest.mark.django_db(transaction=True)
def test_of_two_that_publish_one_version_at_once_the_second_is_refused(world: World) -> None:
    with world.everything():
        releases = [world.next_release("1.1.0"), world.next_release("1.2.0")]

    results = at_once(
        world,
        lambda: publish(world, releases[0], event(schema=ORDER)),
        lambda: publish(world, releases[1], event(schema=STRICTER)),
    )

    assert sorted(type(result).__name__ for result in results) == ["Evidence", "SchemaPublished"]
    with world.everything():
        assert EventSchema.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_who_opts_in_while_a_version_is_dropped_is_served_or_told(world: World) -> None:
    with world.everything():
        version, by = event_version(world), world.cast.release_engineer
        publish(world, world.next_release("1.1.0"), event("1.1", WITH_CURRENCY))
        (due,) = events.due()

    results = at_once(
        world,
        lambda: actions.opt_in(version, world.service, by=by, now=NOW),
        lambda: actions.drop_version(version, by=by, now=NOW),
    )
    claims = at_once(world, lambda: events.claim(due), lambda: events.claim(due))
    (claimed,) = filter(None, claims)
    finished = at_once(world, *[lambda: events.finish(claimed, Found((), {}), now=NOW)] * 2)

    refusals = {type(result) for result in results if isinstance(result, Conflict)}
    assert refusals in ({actions.VersionConsumed}, {actions.VersionDropped})
    assert sorted(finished) == [False, True]
    with world.everything():
        version.refresh_from_db()
        assert EventConsumer.objects.standing().exists() == (version.dropped_at is None)


def address(name: str, *more: object) -> str:
    return reverse(f"releases:{name}", args=["greeter", SUBJECT, 1, *more])


@pytest.mark.django_db
def test_pages_show_versions_schemas_and_who_consumes_them(world: World) -> None:
    with world.everything():
        consumer(world)
        move(world.lane(world.production), world.release)
        publish(world, world.next_release("1.1.0"), event("1.1", STRICTER), event("2.0", subject="orders.paid"))
        asked = reverse(
            "approvals:promotion-create",
            args=[Release.objects.get(version="1.1.0").pk, world.lane(world.production).pk],
        )
    runner.see_to_event_checks()
    auditor = world.cast.auditor

    overview, version, schema, release, preview = (
        text_of(get(auditor if name != asked else world.cast.release_engineer, name))
        for name in (
            reverse("releases:event-list"), address("event-version"), address("event-schema", 1),
            reverse("releases:release-detail", args=["greeter", "1.1.0"]), asked,
        )
    )  # fmt: skip

    assert ("orders.placed 1" in overview, "orders.paid 2" in overview) == (True, True)
    for told in ("Breaking", "Release engineer", "New readers read old events", "Closed: only those"):
        assert told in version
    assert "Opt out" not in version, "an auditor may not"
    for told in ("property-required", "$.total", "reads events of 1.0", "&quot;required&quot;"):
        assert told in schema
    assert "goes from 1.0 to 1.1: 1 breaking" in release
    assert "is new, as 2.0" in preview
    assert "No event matches" in text_of(get(auditor, reverse("releases:event-list") + "?q=nothing"))
    assert "orders.paid" in text_of(get(auditor, reverse("releases:event-list") + "?q=paid", **HTMX))


@pytest.mark.django_db
def test_many_events_come_by_pages_and_cost_as_many_queries_as_few(world: World) -> None:
    def cost(url: str) -> int:
        with CaptureQueriesContext(connection) as asked:
            assert get(world.cast.auditor, url).status_code == 200
        return len(asked)

    urls = (reverse("releases:event-list"), address("event-version"))
    with world.everything():
        consumer(world)
    few = [cost(url) for url in urls]
    with world.everything():
        publish(world, world.next_release("1.1.0"), *[event(subject=f"orders.n{number}") for number in range(55)])
        version = EventVersion.objects.get(subject__name=SUBJECT)
        for number in range(3):
            other = make_service(world.cast.platform, f"reader-{number}", program="reader")
            actions.opt_in(version, other, by=world.cast.release_engineer, now=NOW)

    assert [cost(url) for url in urls] == few
    first = get(world.cast.auditor, urls[0]).context["page"]
    second = get(world.cast.auditor, f"{urls[0]}?before={first.older}").context["page"]
    assert (len(first.rows), len(second.rows)) == (50, 6)


@pytest.mark.django_db
def test_a_program_opts_in_and_out_by_the_api(world: World) -> None:
    with world.everything():
        event_version(world)
        token = make_token(world.cast, scope="release:create", by=world.cast.release_engineer)
    url = f"/api/v1/services/greeter/consumes/{SUBJECT}/1"

    def send(method: str, to: str = url, key: str = token) -> tuple[int, dict[str, Any]]:
        answer = Client().generic(method, to, headers={"Authorization": f"Bearer {key}"})
        return answer.status_code, answer.json()

    assert [send("POST")[0], send("POST")[0]] == [201, 200]
    assert send("POST")[1]["ended_at"] is None
    status, body = send("DELETE")
    assert (status, body["service"], body["number"], bool(body["ended_at"])) == (200, "greeter", 1, True)
    assert [send("DELETE")[1]["code"], send("POST", url + "7")[1]["code"]] == ["unknown_event", "unknown_event"]
    assert send("POST", url.replace("greeter", "other"))[1]["code"] == "unknown_service"
    assert (send("GET")[0], send("POST", key="eaip_wrong")[0]) == (405, 401)
    with world.everything():
        assert last_event("event_consumer.ended").actor_type == "TOKEN"


@pytest.mark.django_db
def test_a_list_comes_by_the_form_and_a_refusal_stands_beside_it(world: World) -> None:
    url = reverse("releases:evidence-create", args=["greeter", "1.0.0"])

    def send(report: bytes) -> Any:
        return post(world.cast.release_engineer, url, {"kind": "EVENTS", "report": SimpleUploadedFile("a", report)})

    assert send(listed(event())).status_code == 302
    other = send(listed(event(schema=STRICTER)))
    assert (other.status_code, "was published by 1.0.0" in text_of(other)) == (409, True)
    assert "nothing is fetched" in text_of(send(json.dumps({"events": [event(schema={"$ref": "http://a"})]}).encode()))
