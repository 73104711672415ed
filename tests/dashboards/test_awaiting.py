"""What awaits one's decision on the dashboard: the first of it and how much it is, however much waits."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models.signals import post_init
from django.test.utils import CaptureQueriesContext

from apps.approvals.models import Promotion
from apps.core import live
from apps.dashboards import awaiting
from tests.approvals.promotions import ask_for_production, beside, say
from tests.cast import NOW
from tests.drill import signed_in, text_of
from tests.world import World

pytestmark = pytest.mark.django_db

MANY = 12


@pytest.fixture
def oldest(world: World) -> Promotion:
    """The promotion that waits longest."""
    promotion = ask_for_production(world)
    Promotion.objects.filter(pk=promotion.pk).update(requested_at=NOW - timedelta(days=1))
    return promotion


def wait_beside(world: World, promotion: Promotion) -> None:
    for patch in range(1, MANY):
        beside(promotion, world.next_release(f"1.1.{patch}"))


@contextmanager
def read() -> Iterator[list[Promotion]]:
    """Collect the promotions that are loaded meanwhile."""
    found: list[Promotion] = []

    def note(instance: Promotion, **_: Any) -> None:
        found.append(instance)

    post_init.connect(note, sender=Promotion)
    try:
        yield found
    finally:
        post_init.disconnect(note, sender=Promotion)


def told(world: World, page: str, region: str) -> Callable[[live.Viewer], live.Answer]:
    [found] = [of for of in (*live.pages[page].regions, *live.frame) if of.name == region]
    answer = found.render(live.Ask((world.cast.platform.pk,), "", {}, NOW))
    assert callable(answer)
    return answer


def html(answer: Callable[[live.Viewer], live.Answer], world: World, person: Any) -> dict[str, str]:
    return {part.target: part.html for part in answer(live.Viewer(person.pk, (world.cast.platform.pk,)))}  # type: ignore[union-attr]


def test_the_page_reads_what_it_lists_and_counts_to_a_hundred(
    world: World, oldest: Promotion, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = signed_in(world.cast.devops)
    client.get("/")
    with CaptureQueriesContext(connection) as one:
        assert "promotions need your decision" not in text_of(client.get("/"))
    wait_beside(world, oldest)
    with CaptureQueriesContext(connection) as many, read() as loaded:
        page = text_of(client.get("/"))

    assert len(many) == len(one)
    assert len(loaded) == page.count("needs your decision.") == awaiting.MOST_LISTED
    assert f"{MANY} promotions need your decision." in page
    assert oldest in loaded

    monkeypatch.setattr(awaiting, "MOST_COUNTED", MANY - 1)
    assert f"{MANY - 1}+ promotions need your decision." in text_of(client.get("/"))


def test_a_narrowed_page_counts_what_waits_there(world: World, oldest: Promotion) -> None:
    client = signed_in(world.cast.devops)
    address = "/?ws=" + str(world.cast.platform.pk)

    assert text_of(client.get(address)).count("needs your decision.") == 1


def test_open_pages_are_told_the_same_and_no_more_is_read(world: World, oldest: Promotion) -> None:
    with CaptureQueriesContext(connection) as one:
        told(world, "dashboard", "needs")
    wait_beside(world, oldest)
    say(oldest, "DEVOPS", world.cast.devops)
    with CaptureQueriesContext(connection) as many, read() as loaded:
        needs = told(world, "dashboard", "needs")
    with CaptureQueriesContext(connection) as counting, read() as counted:
        counts = told(world, "dashboard", "navigation")

    assert len(many) == len(one)
    assert len(loaded) <= awaiting.MOST_LISTED + 1  # of those whom different ones wait for
    assert (len(counting), counted) == (2, [])
    for person, mine in ((world.cast.devops, MANY - 1), (world.cast.engineering_manager, MANY)):
        shown = html(needs, world, person)
        assert f"{mine} promotions need your decision." in shown["#needs"]
        assert shown["#needs"].count("needs your decision.") == awaiting.MOST_LISTED
        assert f">{mine}<" in shown["#needs-count"]
        assert str(mine) in html(counts, world, person)["#nav-count-approvals"]
    assert "your decision." not in html(needs, world, world.cast.auditor)["#needs"]
