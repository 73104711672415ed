"""What an approval binds to, and what becomes of it when that changes."""

from datetime import timedelta

import pytest

from apps.approvals import actions
from apps.approvals.enums import PromotionState
from apps.approvals.models import Decision
from apps.audit.actors import SYSTEM
from apps.audit.models import AuditEvent
from apps.policies.gates import lets_pass
from apps.policies.models import PolicyVersion
from apps.workspaces import actions as workspace_actions
from apps.workspaces.models import Membership
from tests.approvals.promotions import ask, ask_for_production, move, outcome_of, put_in_force, say
from tests.cast import NOW
from tests.world import last_event

pytestmark = pytest.mark.django_db


@pytest.fixture
def approved_once(world):
    return say(ask_for_production(world), "DEVOPS", world.cast.devops)


def test_another_live_release_voids_what_was_approved(world, approved_once):
    before = approved_once.plan_hash
    move(approved_once.lane, world.release)

    promotion = actions.settle(approved_once, now=NOW)

    assert promotion.state == PromotionState.PENDING
    assert promotion.plan_hash != before
    assert promotion.outcome == "Planned anew. What runs there changed from nothing to 1.0.0."
    assert not Decision.objects.standing().exists()
    [voided] = Decision.objects.all()
    assert voided.void_reason == "The plan changed. What runs there changed from nothing to 1.0.0."
    assert last_event("decision.voided").approval["requirement"] == "DevOps"
    assert last_event("promotion.replanned").change["plan_hash"] == {"before": before, "after": promotion.plan_hash}


def test_who_approved_the_old_plan_may_approve_the_new_one(world, approved_once):
    move(approved_once.lane, world.release)
    actions.settle(approved_once, now=NOW)

    say(approved_once, "DEVOPS", world.cast.devops)

    assert Decision.objects.standing().count() == 1
    assert Decision.objects.count() == 2


def test_a_new_policy_asks_its_own_roles(world, approved_once):
    version = put_in_force("PRODUCTION", roles=("SECURITY", "ENGINEERING_MANAGER"))

    promotion = actions.settle(approved_once, now=NOW)

    standing = promotion.requirements.standing().order_by("position")
    assert [row.role_id for row in standing] == ["SECURITY", "ENGINEERING_MANAGER"]
    assert promotion.requirements.get(role_id="DEVOPS").ended_at == NOW
    assert promotion.policy_version == version.number
    assert "The policy's clause PROD-1 was changed." in promotion.outcome


def test_a_policy_that_asks_somebody_for_the_first_time_stops_what_was_ready(world):
    promotion = ask(world, world.dev, starts_by_itself=False)
    assert promotion.state == PromotionState.READY
    put_in_force("DEV", roles=("DEVOPS",))

    results = actions.recheck(promotion, now=NOW)  # the claim comes before the next look at what waits

    assert not lets_pass(results)
    assert results[-1].sentence == "0 of 1 approvals given. Waiting for DEVOPS."


def test_a_role_that_is_asked_for_again_stands_again(world, approved_once):
    put_in_force("PRODUCTION", roles=("SECURITY",))
    actions.settle(approved_once, now=NOW)
    put_in_force("PRODUCTION", roles=("DEVOPS",))

    promotion = actions.settle(approved_once, now=NOW)

    assert [row.role_id for row in promotion.requirements.standing()] == ["DEVOPS"]
    assert outcome_of(promotion, "approvals") == "WAITING"


def test_a_policy_that_only_says_it_otherwise_voids_nothing(world, approved_once):
    clauses = PolicyVersion.objects.in_force("PRODUCTION").get().document["clauses"]
    version = put_in_force("PRODUCTION", clauses=[{**clause, "text": "In other words."} for clause in clauses])

    promotion = actions.settle(approved_once, now=NOW)

    assert promotion.policy_version == version.number
    assert Decision.objects.standing().count() == 1


def test_a_decision_lapses_after_seven_days(world, approved_once):
    promotion = actions.settle(approved_once, now=NOW + timedelta(days=7))

    assert Decision.objects.get().void_reason == "Its time passed before the deployment started."
    assert outcome_of(promotion, "approvals") == "WAITING"


def test_a_decision_stands_until_then(world, approved_once):
    actions.settle(approved_once, now=NOW + timedelta(days=7) - timedelta(seconds=1))

    assert Decision.objects.standing().exists()


def test_decisions_lapse_24_hours_after_production_was_ready(world, approved_once):
    promotion = say(approved_once, "ENGINEERING_MANAGER", world.cast.engineering_manager)
    assert promotion.state == PromotionState.READY

    later = actions.settle(promotion, now=NOW + timedelta(hours=24))

    assert later.state == PromotionState.PENDING
    assert later.ready_at is None
    assert not Decision.objects.standing().exists()
    assert AuditEvent.objects.filter(kind="decision.voided").count() == 2
    assert last_event("promotion.pending").change["state"] == {"before": "READY", "after": "PENDING"}


def test_a_decision_lapses_with_the_role(world, approved_once):
    membership = Membership.objects.current().get(user=world.cast.devops)
    workspace_actions.end_role(membership, by=SYSTEM, now=NOW)

    promotion = actions.settle(approved_once, now=NOW)

    assert Decision.objects.get().void_reason == "DevOps no longer holds the role."
    assert outcome_of(promotion, "approvals") == "WAITING"


def test_a_closed_account_loses_its_decision(world, approved_once):
    world.cast.devops.is_active = False
    world.cast.devops.save()

    actions.settle(approved_once, now=NOW)

    assert not Decision.objects.standing().exists()
