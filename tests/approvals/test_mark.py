"""What the engine says of a promotion."""

import pytest

from apps.approvals import actions
from apps.approvals.enums import PromotionState
from apps.approvals.transitions import IllegalTransition
from apps.audit.actors import SYSTEM
from tests.approvals.promotions import ask, ask_for_production, deploy, move
from tests.cast import NOW
from tests.world import last_event

pytestmark = pytest.mark.django_db


def start(promotion):
    return actions.mark(promotion, PromotionState.DEPLOYING, by=SYSTEM, now=NOW)


def test_a_deployment_that_succeeds_completes_it(world):
    ended = deploy(ask(world, world.dev))

    assert ended.state == PromotionState.COMPLETED
    assert ended.outcome == "Deployed."
    assert last_event("promotion.completed").target_id == str(ended.pk)
    assert last_event("promotion.deploying").change["state"] == {"before": "READY", "after": "DEPLOYING"}


def test_a_deployment_that_fails_fails_it(world):
    ended = actions.mark(start(ask(world, world.dev)), PromotionState.FAILED, by=SYSTEM, now=NOW, outcome="No answer")

    assert (ended.state, ended.outcome) == (PromotionState.FAILED, "No answer")
    assert last_event("promotion.failed").outcome == "FAILED"


def test_what_was_cancelled_does_not_start_again_by_itself(world, woken):
    promotion = start(ask(world, world.dev))
    woken.clear()

    again = actions.mark(promotion, PromotionState.PENDING, by=world.cast.devops, now=NOW, outcome="Cancelled")

    assert again.state == PromotionState.READY
    assert not again.starts_by_itself
    assert woken == []


def test_what_a_gate_stopped_starts_again_by_itself(world, woken):
    promotion = start(ask(world, world.dev))
    woken.clear()

    again = actions.mark(promotion, PromotionState.PENDING, by=SYSTEM, now=NOW, starts_by_itself=True)

    assert again.state == PromotionState.READY
    assert woken == [("deployments.start_ready", promotion.pk)]


def test_who_said_wait_for_me_is_still_waited_for(world):
    promotion = start(ask(world, world.dev, starts_by_itself=False))

    again = actions.mark(promotion, PromotionState.PENDING, by=SYSTEM, now=NOW, starts_by_itself=True)

    assert not again.starts_by_itself


def test_nothing_is_deployed_that_is_not_ready(world):
    with pytest.raises(IllegalTransition, match="is waiting and can't become deploying"):
        start(ask_for_production(world))


@pytest.mark.parametrize("said", [PromotionState.PENDING, PromotionState.COMPLETED, PromotionState.FAILED])
def test_what_is_over_stays_as_it_is_whatever_its_deployment_comes_to(world, said):
    promotion = ask(world, world.dev)
    over = actions.withdraw(promotion, reason="Not now", by=world.cast.release_engineer, now=NOW)

    ended = actions.mark(promotion, said, by=SYSTEM, now=NOW, outcome="Something else")

    assert (ended.state, ended.outcome) == (PromotionState.WITHDRAWN, over.outcome)


def test_what_waits_already_waits_on_for_a_person(world):
    promotion = ask_for_production(world)

    again = actions.mark(promotion, PromotionState.PENDING, by=world.cast.devops, now=NOW, outcome="Cancelled")

    assert (again.state, again.outcome, again.starts_by_itself) == (PromotionState.PENDING, "Cancelled", False)


def test_what_runs_now_overtakes_lower_versions_that_wait(world):
    newer = start(ask(world, world.dev, world.next_release("1.1.0")))
    older = ask(world, world.dev)
    move(newer.lane, newer.release, configuration=newer.configuration)

    actions.mark(newer, PromotionState.COMPLETED, by=SYSTEM, now=NOW)

    older.refresh_from_db()
    assert older.state == PromotionState.SUPERSEDED
    assert older.outcome == f"Promotion #{newer.number} brought the higher version 1.1.0 there."


def test_what_waits_for_the_lane_is_planned_anew(world):
    first = start(ask(world, world.dev))
    waiting = ask(world, world.dev, world.next_release("1.1.0"))
    move(first.lane, first.release, configuration=first.configuration)

    actions.mark(first, PromotionState.COMPLETED, by=SYSTEM, now=NOW)

    waiting.refresh_from_db()
    assert waiting.plan["live_release"]["version"] == "1.0.0"
    assert waiting.state == PromotionState.READY
    assert last_event("promotion.replanned").target_id == str(waiting.pk)
