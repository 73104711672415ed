"""One gate of one promotion is waived: by the role that the clause names, on this plan, for a while, shown for ever."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import Error, connection, transaction
from django.urls import reverse

from apps.accounts.permissions import NotConfirmed
from apps.approvals import actions
from apps.approvals.enums import PromotionState
from apps.approvals.models import Promotion, Waiver
from apps.audit.actors import SYSTEM
from apps.audit.models import AuditEvent
from apps.core.texts import TextInvalid
from apps.core.verdict import Denied
from apps.policies.models import PolicyVersion
from apps.workspaces import actions as workspace_actions
from tests.accounts.factors import by_password
from tests.approvals.promotions import ask, move, outcome_of, put_in_force, sentence_of
from tests.approvals.test_races import at_once
from tests.cast import NOW
from tests.drill import get, post, text_of
from tests.policies.documents import SETTINGS, clause, make_document
from tests.world import World, last_event

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


def let_waive(gate: str = "tests", role: str = "DEVOPS", tier: str = "DEV") -> PolicyVersion:
    """Put a policy in force that asks for two gates, of which one can be waived."""
    rows = make_document("coverage")["clauses"]
    return put_in_force(tier, clauses=[*rows, clause(9, gate, settings={**SETTINGS[gate], "waived_by": role})])


@pytest.fixture
def promotion(world: World) -> Promotion:
    let_waive()
    return ask(world, world.dev, starts_by_itself=False)


def waive(promotion: Promotion, by: Any, *, gate: str = "tests", now: Any = NOW, **more: Any) -> Promotion:
    plan_hash = Promotion.objects.get(pk=promotion.pk).plan_hash
    values = {"reason": "The runner is down", "hours": 2, "plan_hash": plan_hash, **more}
    return actions.waive(promotion, gate=gate, by=by, now=now, **values)


def test_a_waived_gate_lets_pass_with_who_why_and_until_when_and_no_other_does(
    world: World, promotion: Promotion
) -> None:
    waived = waive(promotion, world.cast.devops)

    assert (outcome_of(waived, "tests"), outcome_of(waived, "coverage")) == ("WAIVED", "WAITING")
    assert sentence_of(waived, "tests").startswith(
        "Waived by DevOps until 2026-11-18 21:00 UTC: “The runner is down”. There is no report of unit tests"
    )
    event = last_event("waiver.granted")
    assert (event.actor_label, event.reason) == ("DevOps", "The runner is down")


def test_it_ends_by_time_and_at_the_claim(world: World, promotion: Promotion) -> None:
    waive(promotion, world.cast.devops)

    def outcome(now: Any) -> str:
        return next(result.outcome for result in actions.recheck(promotion, now=now) if result.name == "tests")

    assert (outcome(NOW + 2 * HOUR - timedelta(seconds=1)), outcome(NOW + 2 * HOUR)) == ("WAIVED", "WAITING")
    waive(promotion, world.cast.devops, now=NOW + 2 * HOUR)
    assert Waiver.objects.standing().count() == 1
    assert last_event("waiver.voided").reason.startswith("It counted no longer")


def test_it_is_void_once_the_plan_changes(world: World, promotion: Promotion) -> None:
    waive(promotion, world.cast.devops)
    move(promotion.lane, world.release)

    settled = actions.settle(promotion, now=NOW)

    assert outcome_of(settled, "tests") == "WAITING"
    assert Waiver.objects.get().void_reason.startswith("The plan changed.")
    assert last_event("waiver.voided").target_id == str(promotion.pk)


def test_it_counts_only_while_who_gave_it_holds_the_role(world: World, promotion: Promotion) -> None:
    waive(promotion, world.cast.devops)
    membership = world.cast.devops.memberships.get()
    workspace_actions.end_role(membership, by=SYSTEM, now=NOW)

    assert outcome_of(actions.settle(promotion, now=NOW), "tests") == "WAITING"


def test_only_the_role_of_the_clause_may_and_nobody_who_had_a_part(world: World, promotion: Promotion) -> None:
    for name in ("security", "engineering_manager", "auditor", "administrator", "release_engineer"):
        with pytest.raises(Denied):
            waive(promotion, getattr(world.cast, name))
    with pytest.raises(Denied, match="Only a person"):
        waive(promotion, SYSTEM)
    workspace_actions.grant_role(
        world.cast.release_engineer, role="DEVOPS", workspace=world.cast.platform, by=SYSTEM, now=NOW
    )
    with pytest.raises(Denied, match="You asked for this promotion"):
        waive(promotion, world.cast.release_engineer)
    mine = ask(world, world.dev, world.next_release("1.1.0", author=world.cast.devops), starts_by_itself=False)
    with pytest.raises(Denied, match=r"You wrote 1\.1\.0"):
        waive(mine, world.cast.devops)
    assert not Waiver.objects.exists()


@pytest.mark.parametrize("gate", ["coverage", "approvals", "artifact", "freeze", "hold", "previous_tier", "nonsense"])
def test_a_gate_that_no_clause_opens_is_never_waived(world: World, promotion: Promotion, gate: str) -> None:
    with pytest.raises(actions.NotWaivable):
        waive(promotion, world.cast.devops, gate=gate)


def test_what_was_not_shown_or_does_not_hold_back_is_not_waived(world: World, promotion: Promotion) -> None:
    for hours in (0, 169):
        with pytest.raises(actions.WaiverInvalid):
            waive(promotion, world.cast.devops, hours=hours)
    with pytest.raises(TextInvalid):
        waive(promotion, world.cast.devops, reason="")
    with pytest.raises(actions.StalePlan):
        waive(promotion, world.cast.devops, plan_hash="0" * 64)
    waive(promotion, world.cast.devops)
    with pytest.raises(actions.NothingToWaive):
        waive(promotion, world.cast.devops)
    actions.withdraw(promotion, reason="Later", by=world.cast.release_engineer, now=NOW)
    with pytest.raises(actions.NotWaiting):
        waive(promotion, world.cast.devops)


def test_what_was_granted_never_changes(world: World, promotion: Promotion) -> None:
    waive(promotion, world.cast.devops)

    with pytest.raises(Error, match="can not be changed"), transaction.atomic():
        connection.cursor().execute("UPDATE approvals_waiver SET reason = 'x'")


def test_the_pages_offer_it_to_the_role_and_show_it_to_all(world: World, promotion: Promotion) -> None:
    page = reverse("approvals:promotion-detail", args=[promotion.number])
    form = reverse("approvals:waiver-create", args=[promotion.number, "tests"])
    assert form in text_of(get(world.cast.devops, page))
    assert form not in text_of(get(world.cast.security, page))
    assert get(world.cast.security, form).status_code == 403
    assert get(world.cast.devops, form.replace("tests", "approvals")).status_code == 404
    assert "There is no report of unit tests" in text_of(get(world.cast.devops, form))
    with world.everything():
        data = {"plan_hash": Promotion.objects.get(pk=promotion.pk).plan_hash, "hours": "2", "reason": "Runner is down"}
    assert post(world.cast.devops, form, {**data, "hours": "999"}).status_code == 422

    assert post(world.cast.devops, form, data).status_code == 302

    assert post(world.cast.devops, form, data).status_code == 409
    shown = text_of(get(world.cast.auditor, page))
    assert "Runner is down" in shown.split('id="wv-h"')[1]
    assert form not in text_of(get(world.cast.devops, page))


def test_production_asks_who_waives_to_confirm_that_it_is_them(world: World) -> None:
    approval = {"role": "SECURITY", "step_up": "second_factor_or_password"}
    waivable = {**SETTINGS["tests"], "waived_by": "DEVOPS"}
    clauses = [clause(8, "tests", settings=waivable), clause(9, "approvals", settings=approval)]
    put_in_force("DEV", clauses=[*make_document()["clauses"], *clauses])
    promotion = ask(world, world.dev)

    with pytest.raises(NotConfirmed):
        waive(promotion, world.cast.devops)
    waive(promotion, world.cast.devops, confirmation=by_password(world.cast.devops))

    assert last_event("waiver.granted").approval["confirmed_with"] == "PASSWORD"


def test_it_is_withdrawn_by_who_gave_it_or_could_and_never_once_it_was_used(world: World, promotion: Promotion) -> None:
    waive(promotion, world.cast.devops)
    page = reverse("approvals:promotion-detail", args=[promotion.number])
    form = reverse("approvals:waiver-withdrawal", args=[Waiver.objects.get().pk])
    assert post(world.cast.outsider, form, {"reason": "It runs again"}).status_code == 404
    assert post(world.cast.security, form, {"reason": "It runs again"}).status_code == 403
    assert form in get(world.cast.second_devops, page).content.decode()
    assert form not in get(world.cast.security, page).content.decode()
    assert post(world.cast.second_devops, form, {"reason": ""}).status_code == 422

    assert post(world.cast.second_devops, form, {"reason": "It runs again"})["Location"] == page

    event = last_event("waiver.withdrawn")
    assert (event.actor_label, event.reason) == (str(world.cast.second_devops), "It runs again")
    assert outcome_of(Promotion.objects.get(pk=promotion.pk), "tests") == "WAITING"
    assert "It runs again" in text_of(get(world.cast.auditor, page))
    assert post(world.cast.devops, form, {"reason": "Again"}).status_code == 409
    Promotion.objects.filter(pk=promotion.pk).update(state=PromotionState.DEPLOYING)
    assert post(world.cast.devops, form, {"reason": "Too late"}).status_code == 409


@pytest.mark.django_db(transaction=True)
def test_of_two_who_waive_at_once_one_does(world: World) -> None:
    with world.everything():
        let_waive()
        promotion = ask(world, world.dev, starts_by_itself=False)

    results = at_once(
        world, lambda: waive(promotion, world.cast.devops), lambda: waive(promotion, world.cast.second_devops)
    )

    assert [type(result) for result in results].count(actions.NothingToWaive) == 1
    with world.everything():
        assert Waiver.objects.count() == 1
        assert Promotion.objects.get(pk=promotion.pk).state == PromotionState.PENDING


@pytest.mark.django_db(transaction=True)
def test_of_two_who_withdraw_it_at_once_one_does(world: World) -> None:
    with world.everything():
        let_waive()
        promotion = ask(world, world.dev, starts_by_itself=False)
        waive(promotion, world.cast.devops)
        waiver = Waiver.objects.get()

    def withdraw() -> Promotion:
        return actions.withdraw_waiver(waiver, reason="It runs again", by=world.cast.devops, now=NOW)

    results = at_once(world, withdraw, withdraw)

    assert sorted(type(result).__name__ for result in results) == ["Promotion", "WaiverOver"]
    with world.everything():
        assert AuditEvent.objects.filter(kind="waiver.withdrawn").count() == 1
