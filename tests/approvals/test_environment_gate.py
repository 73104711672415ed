"""What the environment itself has to be, once a policy holds promotions back by it."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.approvals import actions
from apps.configuration import actions as configuration_actions
from apps.configuration.models import ConfigurationVersion
from apps.environments.models import Environment
from tests.approvals.promotions import ask, lane_of, move, outcome_of, put_in_force, sentence_of
from tests.cast import NOW
from tests.policies.documents import REQUIREMENTS
from tests.world import World

pytestmark = pytest.mark.django_db

REPLICAS = REQUIREMENTS[0]


def say(world: World, environment: Environment, **values: str) -> ConfigurationVersion:
    return configuration_actions.write_version(
        world.lane(environment), values=values, reason="For a test", by=world.cast.devops, now=NOW
    )


def asked(world: World, *rows: dict[str, Any]) -> None:
    put_in_force("DEV", "environment", requirements=list(rows))


def test_a_promotion_is_judged_with_the_configuration_that_it_brings(world: World) -> None:
    asked(world, REPLICAS)
    move(lane_of(world.dev, world), world.release, configuration=say(world, world.dev, REPLICAS="3"))
    say(world, world.dev, REPLICAS="2")
    newer = world.next_release("1.1.0")

    promotion = ask(world, world.dev, newer, starts_by_itself=False)

    assert outcome_of(promotion, "environment") == "FAILED"
    assert sentence_of(promotion, "environment") == "Dev: 0 of 1 met, 1 not met. Not met: least."
    say(world, world.dev, REPLICAS="4")
    promotion = actions.withdraw(promotion, reason="Another", by=world.cast.release_engineer, now=NOW)
    assert outcome_of(ask(world, world.dev, newer, starts_by_itself=False), "environment") == "PASSED"


def test_what_is_asked_beside_production_goes_by_what_runs_there(world: World) -> None:
    asked(world, REQUIREMENTS[6])
    say(world, world.dev, CAPACITY="4")

    promotion = ask(world, world.dev, starts_by_itself=False)
    assert outcome_of(promotion, "environment") == "INCONCLUSIVE"

    move(lane_of(world.production, world), world.release, configuration=say(world, world.production, CAPACITY="9"))
    assert outcome_of(actions.settle(promotion, now=NOW), "environment") == "FAILED"
    move(lane_of(world.production, world), world.release, configuration=say(world, world.production, CAPACITY="8"))
    assert outcome_of(actions.settle(promotion, now=NOW), "environment") == "PASSED"


def test_who_asks_for_nothing_pays_nothing(world: World) -> None:
    promotion = ask(world, world.dev, starts_by_itself=False)

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            actions.recheck(promotion, now=NOW)
        return len(captured)

    before = queries()
    put_in_force("DEV", requirements=[REPLICAS])
    assert queries() == before
    put_in_force("DEV", "environment", requirements=[REPLICAS])
    assert queries() == before + 2
