"""Versions of an API are listed with their state, and an end is announced six months ahead or refused."""

from datetime import date, timedelta
from typing import Any

import pytest
from django.db import Error, connection, transaction
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from apps.releases.contracts.notice import earliest_end
from apps.releases.contracts.openapi import sunsets, versions
from apps.releases.models import ApiPromise
from tests.cast import NOW
from tests.drill import get, text_of
from tests.releases.test_comparisons import describe
from tests.world import World, last_event


@pytest.mark.parametrize(
    ("announced", "earliest"),
    [
        ("2026-11-18", "2027-05-18"),
        ("2026-08-31", "2027-02-28"),
        ("2027-08-31", "2028-02-29"),
        ("2026-01-31", "2026-07-31"),
    ],
)
def test_six_months_end_on_the_same_day_or_the_last_of_the_month(announced: str, earliest: str) -> None:
    assert earliest_end(date.fromisoformat(announced)) == date.fromisoformat(earliest)


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)))
def test_six_months_are_never_shorter_than_that(announced: date) -> None:
    assert timedelta(days=180) < earliest_end(announced) - announced < timedelta(days=185)


def api(*, servers: tuple[str, ...] = (), paths: Any = None, **more: Any) -> dict[str, Any]:
    return {"openapi": "3.1.0", "servers": [{"url": url} for url in servers], "paths": paths or {"/a": {}}, **more}


@pytest.mark.parametrize(
    ("document", "known", "ends"),
    [
        (api(), {}, {}),
        (api(servers=("https://a.example/v1", "/v2")), {"v1": "", "v2": ""}, {}),
        (api(servers=("/v1",), **{"x-sunset": "2027-09-01"}), {"v1": "2027-09-01"}, {}),
        (
            api(paths={"/v1/a": {"get": {"x-sunset": "2027-09-01"}, "put": {}}, "/v2/a": {"get": {}}}),
            {"v1": "", "v2": ""}, {"GET /v1/a": "2027-09-01"},
        ),
        (
            api(paths={"/v1/a": {"get": {"x-sunset": "2027-09-01"}}, "/v1/b": {"x-sunset": "2027-10-01", "get": {}}}),
            {"v1": "2027-10-01"}, {"GET /v1/a": "2027-09-01", "GET /v1/b": "2027-10-01"},
        ),
    ],
)  # fmt: skip
def test_a_description_tells_its_versions_and_their_ends(document: Any, known: Any, ends: Any) -> None:
    assert (versions(document), sunsets(document)) == (known, ends)


@pytest.mark.django_db
def test_an_end_is_announced_six_months_ahead_or_refused_with_the_earliest_day(world: World) -> None:
    def ending(day: str, *, after: int = 0) -> None:
        document = api(servers=("/v1", "/v2"), info={"x-sunset": day, "title": f"{day} {after}"})
        with transaction.atomic():
            describe(world, world.release, document, now=NOW + timedelta(days=after))

    with pytest.raises(
        Exception, match=r"v1 is to end on 2027-05-17. Announced today, it ends on 2027-05-18 at the ear"
    ):
        ending("2027-05-17")
    assert not ApiPromise.objects.exists()

    ending("2027-05-18")
    assert (
        last_event("api_sunset.announced").summary == "Announced the end of v1 (2027-05-18), v2 (2027-05-18) of Greeter"
    )
    ending("2027-05-18", after=100)
    ending("2027-06-01", after=170)
    with pytest.raises(Exception, match="or on 2027-06-01, as it was announced"):
        ending("2027-05-20", after=171)
    promise = ApiPromise.objects.get(name="v1")
    assert (promise.announced_at, promise.sunset_date) == (NOW, date(2027, 6, 1))
    states = [promise.support_on(date(2027, month, 1)).label for month in (5, 6)]
    assert states == ["Deprecated", "Retired"]
    with pytest.raises(Error, match="api_promise_notice"), transaction.atomic():
        connection.cursor().execute("UPDATE releases_apipromise SET sunset_date = '2027-01-01'")


@pytest.mark.django_db
def test_the_versions_of_a_service_are_listed_with_their_state(world: World) -> None:
    page = reverse("releases:api-promise-list", args=["greeter"])
    assert "No version is known" in text_of(get(world.cast.auditor, page))
    with world.everything():
        describe(world, world.release, api(servers=("/v1",), info={"x-sunset": "2099-01-01"}))
        describe(world, world.release, api(servers=("/v2",)))

    shown = text_of(get(world.cast.auditor, page))

    for told in ("v1", "Deprecated", "2099-01-01", "v2", "Supported", "no end announced"):
        assert told in shown
    assert page in text_of(get(world.cast.auditor, reverse("releases:service-detail", args=["greeter"])))
