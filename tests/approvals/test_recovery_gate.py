"""What is recorded of backups opens and closes the gate that asks for them, up to the moment of the claim."""

from datetime import timedelta

import pytest

from apps.approvals import actions
from apps.policies.gates import lets_pass
from tests.approvals.promotions import ask, outcome_of, put_in_force, sentence_of
from tests.cast import NOW
from tests.environments.recorded import record_all
from tests.world import World

pytestmark = pytest.mark.django_db

LATER = NOW + timedelta(hours=27)


def test_a_deployment_waits_for_backups_and_is_held_once_they_are_stale(world: World) -> None:
    put_in_force("DEV", "recovery")
    promotion = ask(world, world.dev, starts_by_itself=False)
    assert (promotion.state, outcome_of(promotion, "recovery")) == ("PENDING", "FAILED")
    assert "Backup: none recorded; asked: 26 h old at most. Record a backup that succeeded." in sentence_of(
        promotion, "recovery"
    )

    record_all(world, place=world.dev)

    promotion = actions.settle(promotion, now=NOW)
    assert (promotion.state, outcome_of(promotion, "recovery")) == ("READY", "PASSED")
    assert lets_pass(actions.recheck(promotion, now=NOW))
    stale = [result for result in actions.recheck(promotion, now=LATER) if not result.outcome.lets_pass]
    assert [result.name for result in stale] == ["recovery"]
    assert "the newest is of 2026-11-18 19:00 UTC, which is too old" in stale[0].sentence
    assert actions.settle(promotion, now=LATER).state == "PENDING"
