"""What is recorded of backups opens and closes the gate that asks for them, up to the moment of the claim."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from apps.approvals import actions
from apps.policies.gates import lets_pass
from tests.approvals.promotions import ask, outcome_of, put_in_force, sentence_of
from tests.cast import NOW
from tests.drill import get, text_of
from tests.environments.recorded import record_all
from tests.policies.documents import REQUIREMENTS, clause
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


def test_the_gate_box_leads_to_the_records_and_the_requirements_that_it_goes_by(world: World) -> None:
    put_in_force("DEV", "recovery", "environment", requirements=REQUIREMENTS)
    promotion = ask(world, world.dev, starts_by_itself=False)
    address = reverse("approvals:promotion-detail", args=[promotion.number])

    shown = text_of(get(world.cast.devops, address))

    place = [world.cast.platform.slug, world.dev.slug]
    assert f'href="{reverse("environments:recovery-list", args=place)}">Backups of Dev</a>' in shown
    assert f'href="{reverse("environments:requirement-list", args=place)}">Requirements of Dev</a>' in shown


def test_an_environment_that_falls_short_is_red_wherever_it_is_shown(world: World) -> None:
    put_in_force("PRODUCTION", "recovery")
    place = [world.cast.platform.slug, world.production.slug]
    red = {
        reverse("dashboards:dashboard"): "Backups of Production fall short",
        reverse("environments:environment-list"): "Backups fall short",
        reverse("environments:environment-detail", args=place): "Not ready: backups",
        reverse("environments:recovery-list", args=place): "Not ready",
    }
    before = {address: text_of(get(world.cast.devops, address)) for address in red}

    with world.everything():
        record_all(world, at=timezone.now())

    assert [words for address, words in red.items() if words not in before[address]] == []
    assert [words for address, words in red.items() if words in text_of(get(world.cast.devops, address))] == []


def test_a_customers_own_environment_is_not_asked_by_a_clause_of_the_platform(world: World) -> None:
    put_in_force("PRODUCTION", clauses=[*_always(), clause(9, "recovery", owner="PLATFORM")])

    shown = text_of(get(world.cast.customer_operator, _page(world)))

    assert "asks for no backups here" in shown


def _always() -> list[dict[str, object]]:
    names = ("artifact", "version_order", "quarantine", "freeze", "hold")
    return [clause(number, gate) for number, gate in enumerate(names, 1)]


def _page(world: World) -> str:
    place = world.customer_production
    return reverse("environments:recovery-list", args=[world.cast.customer.slug, place.slug])
