"""How long a release is supported: by its line, and by the end that a person announced six months ahead."""

from datetime import date, timedelta
from typing import Any

import pytest
from django.db import Error, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from apps.audit.actors import SYSTEM
from apps.core.verdict import Denied
from apps.releases import actions, support
from apps.releases.enums import SupportLevel
from apps.releases.models import EndOfLife
from apps.releases.support import level_of
from apps.workspaces import actions as workspace_actions
from apps.workspaces.scope import workspace_scope
from tests.approvals.promotions import lane_of, move
from tests.approvals.test_races import at_once
from tests.cast import NOW
from tests.drill import get, post, text_of
from tests.releases.ends import EARLIEST, announced_end
from tests.world import World, last_event, make_service, sealed_release

FULL, SECURITY, BEST_EFFORT, ENDED = list(SupportLevel)[:4]
TODAY = NOW.date()
DAY = timedelta(days=1)
lines = st.tuples(st.integers(0, 3), st.integers(0, 3))


def levels(world: World, today: date = TODAY) -> dict[str, str]:
    releases = world.service.releases.newest_first()
    return {release.version: supported.words for release, supported in support.of_releases(releases, today=today)}


@given(lines, st.lists(lines), st.none() | st.dates(), st.dates())
def test_each_line_has_one_level_which_a_newer_line_never_raises(
    line: Any, others: Any, ends: date | None, today: date
) -> None:
    known = [*others, line]
    supported = level_of(line, known, ends=ends, today=today)
    order = [FULL, SECURITY, BEST_EFFORT, ENDED]

    assert supported == level_of(line, known[::-1], ends=ends, today=today)
    assert (supported.level == ENDED) == (ends is not None and ends <= today)
    if supported.level != ENDED:
        newer = len({other for other in known if other > line})
        assert supported.level == order[min(newer, 2)]
    later = level_of(line, [*known, (9, 9)], ends=ends, today=today)
    assert order.index(later.level) >= order.index(supported.level)


@pytest.mark.django_db
def test_the_latest_line_is_supported_and_the_one_before_gets_security_updates(world: World) -> None:
    for version in ("1.0.1", "1.1.0", "1.1.1", "2.0.0", "2.1.0-rc.1"):
        world.next_release(version)
    actions.retire_release(world.service.releases.get(version="1.1.0"), by=world.cast.release_engineer, now=NOW)
    actions.quarantine_release(
        world.service.releases.get(version="2.0.0"), reason="Slow", by=world.cast.devops, now=NOW
    )
    announced_end(world)

    assert levels(world) == {
        "2.1.0-rc.1": "Not supported", "2.0.0": "Full support", "1.1.1": "Security updates only",
        "1.1.0": "End of life", "1.0.1": "Best effort, until 2027-05-18", "1.0.0": "Best effort, until 2027-05-18",
    }  # fmt: skip
    assert levels(world, EARLIEST)["1.0.1"] == "End of life, since 2027-05-18"
    assert levels(world, EARLIEST - DAY)["1.0.1"] == "Best effort, until 2027-05-18"


@pytest.mark.django_db
def test_an_end_is_announced_six_months_ahead_by_who_releases_and_once(world: World) -> None:
    with pytest.raises(actions.EndTooSoon, match=r"2027-05-17: announced today, it ends on 2027-05-18 at the earliest"):
        announced_end(world, ends_date=EARLIEST - DAY)
    with pytest.raises(actions.LineUnknown, match=r"no release 1\.7"):
        announced_end(world, line=(1, 7))
    with pytest.raises(Denied):
        announced_end(world, by=world.cast.auditor)
    with pytest.raises(Denied, match="Only a person"):
        announced_end(world, by=SYSTEM)

    end = announced_end(world)

    event = last_event("end_of_life.announced")
    assert (event.summary, event.reason) == ("Announced that Greeter 1.0 ends on 2027-05-18", "A secret reason")
    with pytest.raises(actions.AlreadyAnnounced, match="already"):
        announced_end(world, ends_date=EARLIEST + DAY)
    actions.withdraw_end(end, by=world.cast.release_engineer, now=NOW)
    assert last_event("end_of_life.withdrawn").change["ends_date"] == {"before": "2027-05-18", "after": None}
    with pytest.raises(actions.EndWithdrawn):
        actions.withdraw_end(end, by=world.cast.release_engineer, now=NOW)
    with pytest.raises(Denied):
        actions.withdraw_end(announced_end(world), by=world.cast.auditor, now=NOW)


@pytest.mark.django_db
def test_the_database_keeps_the_notice_and_what_was_announced(world: World) -> None:
    end = announced_end(world)

    for change in (
        {"ends_date": EARLIEST + DAY},
        {"reason": "Another"},
        {"withdrawn_at": NOW},
    ):
        with pytest.raises(Error), transaction.atomic():
            EndOfLife.objects.filter(pk=end.pk).update(**change)
    with pytest.raises(Error, match="can not be changed"), transaction.atomic():
        EndOfLife.objects.filter(pk=end.pk).delete()
    actions.withdraw_end(end, by=world.cast.release_engineer, now=NOW)
    with pytest.raises(Error, match="can not be changed"), transaction.atomic():
        EndOfLife.objects.filter(pk=end.pk).update(withdrawn_at=None, withdrawn_by=None)
    early = {**_columns(end), "ends_date": EARLIEST - DAY}
    with pytest.raises(Error, match="end_of_life_notice"), transaction.atomic():
        EndOfLife.objects.create(**early)


def _columns(end: EndOfLife) -> dict[str, Any]:
    names = ("workspace_id", "service_id", "major", "minor", "reason", "announced_at", "announced_by_id")
    return {name: getattr(end, name) for name in names}


@pytest.mark.django_db(transaction=True)
def test_two_who_announce_or_withdraw_at_once_leave_one(world: World) -> None:
    results = at_once(world, *[lambda: announced_end(world)] * 2)

    assert sorted(type(result).__name__ for result in results) == ["AlreadyAnnounced", "EndOfLife"]
    with world.everything():
        end = EndOfLife.objects.get()
    by = world.cast.release_engineer
    results = at_once(world, *[lambda: actions.withdraw_end(end, by=by, now=NOW)] * 2)
    assert sorted(type(result).__name__ for result in results) == ["EndOfLife", "EndWithdrawn"]


@pytest.mark.django_db
def test_the_form_says_which_day_is_the_first(world: World) -> None:
    page = reverse("releases:end-announce", args=["greeter"])
    values = {"line": "1.0", "reason": "Nobody uses it"}

    early = post(world.cast.release_engineer, page, {**values, "ends_date": timezone.now().date()})
    assert early.status_code == 422
    assert "An end is announced 6 months ahead" in text_of(early)
    assert post(world.cast.auditor, page, {**values, "ends_date": "2099-01-01"}).status_code == 403
    assert post(world.cast.release_engineer, page, {**values, "ends_date": "2099-01-01"}).status_code == 302

    shown = text_of(get(world.cast.customer_operator, reverse("releases:support-list", args=["greeter"])))
    assert "2099-01-01" in shown, "published services tell their customers"
    assert "Withdraw the end" not in shown


@pytest.mark.django_db
def test_a_release_says_its_support_on_its_page_in_lists_and_by_api(world: World, client: Client) -> None:
    announced_end(world, ends_date=date(2099, 1, 1), now=timezone.now())
    addresses = [
        reverse("releases:release-detail", args=["greeter", "1.0.0"]),
        reverse("releases:release-list"),
        reverse("releases:service-detail", args=["greeter"]),
    ]
    for address in addresses:
        assert "Full support, until 2099-01-01" in text_of(get(world.cast.auditor, address)), address

    with workspace_scope([world.cast.platform.pk]):
        _, token = workspace_actions.create_token(
            world.cast.platform, name="CI", scopes=["release:create"], days=30, by=world.cast.release_engineer,
            now=timezone.now(),
        )  # fmt: skip
    headers = {"Authorization": f"Bearer {token}"}
    told = client.get("/api/v1/releases/greeter/1.0.0", headers=headers)
    assert told.json()["support"] == {"level": "FULL", "label": "Full support", "ends_date": "2099-01-01"}
    assert client.get("/api/v1/releases/greeter/9.9.9", headers=headers).status_code == 404
    assert client.post("/api/v1/releases/greeter/1.0.0", headers=headers).status_code == 405
    assert client.get("/api/v1/releases/greeter/1.0.0").status_code == 401


@pytest.mark.django_db
def test_what_runs_out_is_flagged_where_it_runs(world: World) -> None:
    lane = lane_of(world.qa, world)
    move(lane, world.release)
    world.next_release("1.1.0")
    environment = reverse("environments:environment-detail", args=[world.cast.platform.slug, world.qa.slug])
    dashboard = reverse("dashboards:dashboard")

    announced_end(world, ends_date=date(2099, 1, 1), now=timezone.now())
    assert "Support ends" in text_of(get(world.cast.devops, environment))
    assert "is supported until" not in text_of(get(world.cast.devops, dashboard)), "not before its last month"

    with world.everything():
        actions.withdraw_end(EndOfLife.objects.get(), by=world.cast.release_engineer, now=NOW)
        announced_end(world, ends_date=date(2026, 1, 1), now=timezone.now() - timedelta(days=700))
    assert "End of life" in text_of(get(world.cast.devops, environment))
    assert "is not supported since" in text_of(get(world.cast.devops, dashboard))


@pytest.mark.django_db
def test_lists_ask_the_same_for_any_number_of_releases(world: World) -> None:
    def queries(address: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert get(world.cast.devops, address).status_code == 200
        return len(captured)

    listed, lines_of = reverse("releases:release-list"), reverse("releases:support-list", args=["greeter"])
    announced_end(world)
    few = [queries(listed), queries(lines_of)]
    with world.everything():
        for version in ("1.1.0", "1.2.0", "2.0.0"):
            world.next_release(version)
        announced_end(world, line=(1, 1))
        another = make_service(world.cast.platform, "index", program="index")
        sealed_release(another, "1.0.0", by=world.cast.release_engineer)

    assert [queries(listed), queries(lines_of)] == few
