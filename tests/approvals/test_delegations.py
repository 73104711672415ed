"""Roles that are lent for a time: what they let the delegate do, how they end, and what the pages and the trail say."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.approvals import actions, jobs
from apps.approvals.enums import PromotionState
from apps.approvals.inbox import gate_box, inbox
from apps.approvals.models import Decision, Delegation, Promotion
from apps.audit.actors import SYSTEM
from apps.audit.models import AuditEvent
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.core.texts import TextInvalid
from apps.core.verdict import Denied
from apps.workspaces import actions as workspace_actions
from apps.workspaces.models import Membership
from tests.approvals.promotions import ask_for_production, lend, say
from tests.cast import NOW
from tests.drill import get, post, text_of

pytestmark = pytest.mark.django_db

HERE = (PLATFORM_WORKSPACE_ID,)
HOUR = timedelta(hours=1)


def leave(person, *, role=None):
    for held in Membership.objects.current().filter(user=person, **({"role_id": role} if role else {})):
        workspace_actions.end_role(held, by=SYSTEM, now=NOW)


def refused(promotion, role, by, **fields):
    with pytest.raises(Denied) as refusal:
        say(promotion, role, by, **fields)
    return refusal.value.code


def test_a_delegates_decision_counts_for_the_role_and_shows_both_names_everywhere(world):
    cast, promotion = world.cast, ask_for_production(world)
    delegation = lend(cast.devops, "DEVOPS", to=cast.auditor)
    shown = Promotion.objects.with_subject().get(pk=promotion.pk)
    before = gate_box(shown, cast.auditor, now=NOW)

    say(promotion, "ENGINEERING_MANAGER", cast.engineering_manager)
    assert list(inbox(cast.auditor, HERE, now=NOW)) == [promotion]
    promotion = say(promotion, "DEVOPS", cast.auditor, comment="Read it")

    both = "Auditor for DevOps"
    assert before.headline == "Waiting for you, as DevOps for DevOps."
    assert before.requirements[1].who_sentence == "DevOps, Second DevOps, Auditor for DevOps can decide."
    assert promotion.state == PromotionState.READY
    decision = Decision.objects.get(decided_by=cast.auditor)
    assert (decision.on_behalf_of, decision.delegation) == (cast.devops, delegation)
    assert f"DevOps: {both}" in next(gate["evidence"] for gate in promotion.gates if gate["name"] == "approvals")
    event = AuditEvent.objects.get(kind="decision.approved", actor_id=str(cast.auditor.pk))
    assert event.summary.endswith(f"was approved by {both} as DevOps, confirmed with the password")
    assert event.approval["on_behalf_of"] == "DevOps"
    given = AuditEvent.objects.get(kind="delegation.given")
    assert given.summary == f"Lent DevOps of DevOps to Auditor in {cast.platform}"
    assert f"{both} approved" in text_of(get(cast.devops, reverse("approvals:promotion-detail", args=[shown.number])))
    assert not inbox(cast.auditor, HERE, now=NOW)


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({"begins_at": NOW + HOUR, "ends_at": NOW + 3 * HOUR}, NOW),
        ({"ends_at": NOW + HOUR}, NOW + HOUR),
    ],
)
def test_it_is_in_force_from_its_beginning_and_before_its_end(world, fields, at):
    promotion = ask_for_production(world)
    lend(world.cast.devops, "DEVOPS", to=world.cast.security, **fields)

    assert refused(promotion, "DEVOPS", world.cast.security, now=at) == "role_missing"
    assert not inbox(world.cast.security, HERE, now=at)


def test_what_was_ended_early_lets_nobody_decide_and_leaves_what_was_decided(world):
    cast = world.cast
    promotion, delegation = ask_for_production(world), lend(world.cast.devops, "DEVOPS", to=world.cast.security)
    say(promotion, "DEVOPS", cast.security)

    actions.end_delegation(delegation, by=cast.security, now=NOW)
    actions.settle(promotion, now=NOW)

    assert Decision.objects.standing().filter(decided_by=cast.security).exists()
    other = ask_for_production(world, world.next_release("1.1.0"))
    assert refused(other, "DEVOPS", cast.security) == "role_missing"
    assert AuditEvent.objects.filter(kind="delegation.ended", actor_id=str(cast.security.pk)).count() == 1
    with pytest.raises(actions.DelegationEnded):
        actions.end_delegation(delegation, by=cast.devops, now=NOW)


@pytest.mark.parametrize("who", ["devops", "security"])
def test_who_leaves_voids_the_delegation_and_what_is_pending_for_good(world, who):
    cast, leaver = world.cast, getattr(world.cast, who)
    delegation = lend(cast.devops, "DEVOPS", to=cast.security)
    promotion = say(ask_for_production(world), "DEVOPS", cast.security)
    leave(leaver)

    actions.settle(promotion, now=NOW)

    assert refused(promotion, "DEVOPS", cast.security) == "role_missing"
    assert Decision.objects.get(decided_by=cast.security).void_reason == (
        "DevOps no longer holds the role, or Security left the workspace."
    )

    jobs.see_to_approvals()
    jobs.see_to_approvals()
    workspace_actions.grant_role(leaver, role="DEVOPS", workspace=cast.platform, by=SYSTEM, now=NOW)

    delegation.refresh_from_db()
    assert delegation.end_reason == "DevOps left the role, or Security the workspace."
    assert AuditEvent.objects.filter(kind="delegation.voided").count() == 1
    assert not Delegation.objects.in_force(NOW).exists()


def test_it_can_not_be_handed_on(world):
    cast = world.cast
    lend(cast.devops, "DEVOPS", to=cast.security)
    held = Membership.objects.get(user=cast.devops, role_id="DEVOPS")

    with pytest.raises(Denied) as refusal:
        actions.delegate(held, to=cast.auditor, ends_at=NOW + HOUR, reason="Mine too", by=cast.security, now=NOW)

    assert refusal.value.code == "role_missing"


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"ends_at": NOW}, actions.SpanInvalid),
        ({"begins_at": NOW - 3 * HOUR, "ends_at": NOW - HOUR}, actions.SpanInvalid),
        ({"ends_at": NOW + timedelta(days=91)}, actions.SpanInvalid),
        ({"reason": " "}, TextInvalid),
    ],
)
def test_a_span_or_reason_that_makes_no_sense_is_refused(world, fields, refusal):
    with pytest.raises(refusal):
        lend(world.cast.devops, "DEVOPS", to=world.cast.security, **fields)
    assert not Delegation.objects.exists()


def test_a_stranger_to_the_workspace_is_no_delegate(world):
    with pytest.raises(Denied) as refusal:
        lend(world.cast.devops, "DEVOPS", to=world.cast.outsider)
    assert refusal.value.code == "not_a_member"


def test_the_page_lends_lists_and_ends(world):
    cast, address = world.cast, reverse("approvals:delegation-list")
    held = Membership.objects.get(user=cast.devops, role_id="DEVOPS")
    until = (timezone.now() + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M")
    filled = {"membership": held.pk, "to": cast.security.pk, "ends_at": until, "reason": "On holiday"}

    assert post(cast.devops, address, filled).status_code == 302
    assert post(cast.devops, address, {**filled, "ends_at": "2020-01-01T10:00"}).status_code == 422
    assert post(cast.devops, address, filled).status_code == 409
    assert post(cast.engineering_manager, address, filled).status_code == 422
    assert "Security for you, as DevOps" in text_of(get(cast.devops, address))
    assert "You for DevOps, as DevOps" in text_of(get(cast.security, address))
    assert "You hold no role that decides" in text_of(get(cast.auditor, address))
    with world.everything():
        delegation = Delegation.objects.get()
    with CaptureQueriesContext(connection) as of_one:
        get(cast.devops, address)
    with world.everything():
        for person in (cast.auditor, cast.engineering_manager):
            lend(cast.devops, "DEVOPS", to=person, now=timezone.now())
    with CaptureQueriesContext(connection) as of_three:
        get(cast.devops, address)
    assert len(of_three) == len(of_one)

    end = reverse("approvals:delegation-end", args=[delegation.pk])
    assert post(cast.auditor, end).status_code == 404
    assert get(cast.devops, end).status_code == 405
    assert post(cast.security, end).status_code == 302
    assert post(cast.devops, end).status_code == 409
