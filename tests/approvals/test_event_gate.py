"""What consumers were promised opens and closes the gate, up to the moment in which a deployment starts."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.approvals import actions
from apps.releases import actions as release_actions
from apps.releases import events, runner
from apps.releases.models import EventVersion
from apps.workspaces.scope import workspace_scope
from tests.approvals.promotions import ask, move, outcome_of, put_in_force, sentence_of
from tests.cast import NOW
from tests.releases.events import STRICTER, consumer, event, publish
from tests.world import World

pytestmark = pytest.mark.django_db
GATE = "event_compatibility"


@pytest.fixture(autouse=True)
def _store(settings: Any, tmp_path: Path) -> None:
    settings.ARTIFACT_DIR = tmp_path / "artifacts"


def test_a_release_that_leaves_out_what_is_consumed_waits_until_it_was_dropped(world: World) -> None:
    put_in_force("DEV", GATE)
    consumed, by = consumer(world), world.cast.release_engineer
    move(world.lane(world.production), world.release)
    promotion = ask(world, world.dev, world.next_release("2.0.0"), starts_by_itself=False)

    def settled() -> tuple[str, str]:
        kept = actions.settle(promotion, now=NOW)
        return outcome_of(kept, GATE), sentence_of(kept, GATE)

    def cost() -> int:
        with CaptureQueriesContext(connection) as asked:
            actions.recheck(promotion, now=NOW)
        return len(asked)

    before = cost()
    assert settled()[0] == "WAITING"
    publish(world, promotion.release, event("2.0", STRICTER))
    assert settled() == ("FAILED", "2.0.0 no longer publishes orders.placed 1, which is consumed by Greeter.")
    publish(world, world.release, event(subject="orders.other"), now=NOW + timedelta(hours=1))
    assert "orders.placed 1, which is consumed by Greeter." in settled()[1], "a later list takes nothing back"
    release_actions.opt_out(consumed, by=by, now=NOW)
    assert "drop that version first" in settled()[1]
    for version in EventVersion.objects.filter(number=1).select_related("subject"):
        release_actions.drop_version(version, by=by, now=NOW)
    assert settled() == ("PASSED", "The one event that 2.0.0 publishes fits the lower schemas.")
    assert cost() == before


def test_a_schema_that_breaks_readers_of_its_version_is_stopped_where_nothing_runs_yet(world: World) -> None:
    put_in_force("PRODUCTION", GATE)
    consumer(world)
    newer = world.next_release("1.1.0")
    publish(world, newer, event("1.1", STRICTER))
    promotion = ask(world, world.customer_production, newer, starts_by_itself=False)
    assert outcome_of(promotion, GATE) == "RUNNING"

    runner.see_to_event_checks()

    with workspace_scope([world.cast.customer.pk]):
        promotion = actions.settle(promotion, now=NOW)
    assert outcome_of(promotion, GATE) == "FAILED"
    assert "In orders.placed 1.1 1 change does not fit the lower schemas: $.total property-required" in sentence_of(
        promotion, GATE
    )


def test_a_stranger_learns_nothing_of_who_consumes_what(world: World) -> None:
    consumer(world)
    move(world.lane(world.production), world.release)
    newer = world.next_release("1.1.0")
    type(world.service).objects.filter(pk=world.service.pk).update(is_published=False)

    with workspace_scope([world.cast.customer.pk]):
        (seen,) = events.beside(newer.pk).events
    assert seen.consumers == ("another service",)
    type(newer).objects.filter(pk=newer.pk).update(is_published=False)
    with workspace_scope([world.cast.customer.pk]):
        assert events.beside(newer.pk) is None
