"""A proposed policy is tried on what was promoted before."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.approvals import actions as approval_actions
from apps.approvals.simulation import simulate
from apps.policies import actions, sources
from apps.policies.models import PolicyProposal
from tests.approvals.promotions import ask, ask_for_production, bring, put_in_force
from tests.approvals.test_evidence_gates import junit, report
from tests.cast import NOW
from tests.drill import get, text_of
from tests.policies.documents import make_document
from tests.policies.proposals import in_force
from tests.world import World

pytestmark = pytest.mark.django_db

UNIT = {"id": "DEV-8", "gate": "tests", "text": "Tests pass.", "source": "A test", "settings": {"suites": ["UNIT"]}}
SECURITY = {
    "id": "PROD-8", "gate": "approvals", "text": "Security approves.", "source": "A test",
    "settings": {"role": "SECURITY"},
}  # fmt: skip


def propose(world: World, *clauses: dict[str, Any], tier: str = "DEV", without: str = "") -> PolicyProposal:
    document = in_force(tier).document
    numbered = [
        {**clause, "id": f"{clause['id'].partition('-')[0]}-{number}"}
        for number, clause in enumerate([row for row in document["clauses"] if row["gate"] != without], 1)
    ]
    added = [{**clause, "id": f"{clause['id'].partition('-')[0]}-{90 + n}"} for n, clause in enumerate(clauses)]
    text = sources.written({**document, "clauses": [*numbered, *added]}, schema_url="s")
    return actions.propose(text, tier=tier, reason="More is asked", by=world.cast.devops, now=NOW)


def held_back(proposal: PolicyProposal, world: World) -> dict[int, list[str]]:
    simulation = simulate(proposal, (world.cast.platform.pk,))
    return {row.promotion.number: [title for title, _ in row.why] for row in simulation.held_back}


def test_a_promotion_is_judged_by_the_reports_that_had_come_by_then(world: World) -> None:
    without = bring(world, world.dev)
    other = world.next_release("1.1.0")
    promotion = ask(world, world.dev, other, starts_by_itself=False, now=NOW + timedelta(hours=1))
    report(world, "JUNIT", junit(), "UNIT", now=NOW + timedelta(hours=2))  # of 1.0.0, after it was deployed

    assert held_back(propose(world, UNIT), world) == {without.number: ["Tests"], promotion.number: ["Tests"]}


def test_a_report_in_time_lets_it_pass_and_a_bad_one_does_not(world: World) -> None:
    promotion = ask(world, world.dev, starts_by_itself=False)
    proposal = propose(world, UNIT)
    report(world, "JUNIT", junit(), "UNIT")
    assert held_back(proposal, world) == {}

    report(world, "JUNIT", junit(failed=1), "UNIT", now=NOW + timedelta(hours=1))

    assert held_back(proposal, world) == {promotion.number: ["Tests"]}


def test_approvals_that_nobody_gave_are_named(world: World) -> None:
    promotion = ask_for_production(world)

    simulation = simulate(propose(world, SECURITY, tier="PRODUCTION"), (world.cast.platform.pk,))

    [row] = simulation.held_back
    assert (row.promotion, row.why) == (
        promotion, (("Approvals", "Nobody approved as DEVOPS, ENGINEERING_MANAGER, SECURITY."),)
    )  # fmt: skip


def test_what_is_no_longer_asked_holds_nothing_back_and_what_is_not_kept_is_said(world: World) -> None:
    ask_for_production(world)
    shorter = propose(world, tier="PRODUCTION", without="approvals")
    assert held_back(shorter, world) == {}
    longer = propose(
        world,
        {"id": "PROD-8", "gate": "window", "text": "Inside.", "source": "A test", "settings": {"lasting_minutes": 99}},
        tier="PRODUCTION", without="window",
    )  # fmt: skip

    simulation = simulate(longer, (world.cast.platform.pk,))

    assert (simulation.changed, simulation.untold) == (("Deployment window",), ("Deployment window",))
    assert (simulation.looked_at, simulation.held_back) == (1, ())


def test_the_page_costs_the_same_for_few_and_many_and_is_reached_from_the_proposal(world: World) -> None:
    proposal = propose(world, UNIT)
    address = reverse("policies:proposal-simulation", args=[proposal.pk])

    def cost() -> int:
        get(world.cast.security, address)
        with CaptureQueriesContext(connection) as asked:
            get(world.cast.security, address)
        return len(asked)

    ask(world, world.dev, starts_by_itself=False)
    few = cost()
    with world.everything():
        for patch in range(1, 5):
            ask(world, world.dev, world.next_release(f"1.0.{patch}"), starts_by_itself=False)

    assert cost() == few
    page = text_of(get(world.cast.security, address))
    assert "5 of the last 5 promotions to Dev" in page
    assert "There is no report of unit tests yet." in page
    detail = get(world.cast.security, reverse("policies:proposal-detail", args=[proposal.pk])).content.decode()
    assert address in detail


def test_what_somebody_waived_then_is_not_held_back_by_what_the_same_role_may_waive(world: World) -> None:
    waivable = {**UNIT, "settings": {**UNIT["settings"], "waived_by": "DEVOPS"}}
    put_in_force("DEV", clauses=[*make_document()["clauses"], {**waivable, "id": "DEV-8"}])
    promotion = ask(world, world.dev, starts_by_itself=False)
    approval_actions.waive(
        promotion, gate="tests", reason="The runner is down", hours=2, plan_hash=promotion.plan_hash,
        by=world.cast.devops, now=NOW,
    )  # fmt: skip
    stricter = {**waivable, "settings": {**waivable["settings"], "suites": ["UNIT", "INTEGRATION"]}}

    assert held_back(propose(world, stricter, without="tests"), world) == {}
    by_others = {**stricter, "settings": {**stricter["settings"], "waived_by": "SECURITY"}}
    assert held_back(propose(world, by_others, without="tests"), world) == {promotion.number: ["Tests"]}
