"""What a release does to those who call it opens and closes its gate, in each tier and in a customer's Production."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.approvals import actions
from apps.releases import comparisons, runner
from apps.workspaces.scope import workspace_scope
from tests.approvals.promotions import ask, move, outcome_of, put_in_force, sentence_of
from tests.cast import NOW
from tests.drill import get
from tests.releases.test_api_changes import SHOP
from tests.releases.test_comparisons import WORSE, describe
from tests.world import World

pytestmark = pytest.mark.django_db
GATE = "api_compatibility"


def test_a_minor_release_that_breaks_callers_of_production_is_stopped_in_dev(world: World) -> None:
    put_in_force("DEV", GATE)
    move(world.lane(world.production), world.release)
    promotion = ask(world, world.dev, world.next_release("1.1.0"), starts_by_itself=False)

    def settled() -> tuple[str, str]:
        kept = actions.settle(promotion, now=NOW)
        return kept.state, outcome_of(kept, GATE)

    def cost() -> int:
        with CaptureQueriesContext(connection) as asked:
            actions.recheck(promotion, now=NOW)
        return len(asked)

    before = cost()
    assert settled() == ("PENDING", "WAITING")
    describe(world, promotion.release, WORSE)
    describe(world, world.release, SHOP)
    assert settled() == ("PENDING", "RUNNING")
    runner.see_to_comparisons()
    assert settled() == ("PENDING", "FAILED")
    assert cost() == before
    page = get(world.cast.auditor, reverse("approvals:promotion-detail", args=[promotion.number])).content.decode()
    assert "1 change breaks callers of 1.0.0, which runs in Production: DELETE /orders/{id}. Only a major" in page
    assert f'href="{reverse("releases:api-comparison", args=["greeter", "1.1.0"])}">Changes' in page


def test_a_major_release_may_and_a_first_one_breaks_nobody(world: World) -> None:
    put_in_force("DEV", GATE)
    first = ask(world, world.dev, starts_by_itself=False)
    assert outcome_of(first, GATE) == "NOT_REQUIRED"

    move(world.lane(world.production), world.release)
    major = ask(world, world.dev, world.next_release("2.0.0"), starts_by_itself=False)

    assert sentence_of(major, GATE) == "2.0.0 is a major release after 1.0.0, so it may break callers."


def test_a_customers_production_goes_by_what_runs_there(world: World) -> None:
    put_in_force("PRODUCTION", GATE)
    newer = world.next_release("1.1.0")
    move(world.lane(world.production), newer)
    describe(world, world.release, SHOP)
    describe(world, newer, WORSE)
    promotion = ask(world, world.customer_production, newer, starts_by_itself=False)
    assert outcome_of(promotion, GATE) == "NOT_REQUIRED", "nothing runs there yet"

    move(world.lane(world.customer_production), world.release)
    runner.see_to_comparisons()
    with workspace_scope([world.cast.customer.pk]):
        promotion = actions.settle(promotion, now=NOW)
    assert outcome_of(promotion, GATE) == "FAILED"
    assert (
        "Changes</a>"
        not in get(
            world.cast.customer_operator, reverse("approvals:promotion-detail", args=[promotion.number])
        ).content.decode()
    ), "the page is for those who own the release"


def test_a_stranger_learns_nothing_of_a_release_that_is_not_published(world: World) -> None:
    move(world.lane(world.production), world.release)
    newer = world.next_release("1.1.0")
    with workspace_scope([world.cast.customer.pk]):
        assert comparisons.beside(newer.pk).version == "1.0.0"
    type(newer).objects.filter(pk=newer.pk).update(is_published=False)

    with workspace_scope([world.cast.customer.pk]):
        assert comparisons.beside(newer.pk) is None
