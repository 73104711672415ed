"""The emergency path: what an open incident lets pass, for which releases, and what stays as it is."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse

from apps.accounts.models import User
from apps.approvals import actions
from apps.approvals.enums import PromotionState
from apps.approvals.models import Promotion
from apps.audit.actors import SYSTEM
from apps.core.verdict import Denied
from apps.environments import actions as environment_actions
from apps.environments.enums import FreezeScope
from apps.environments.models import Environment
from apps.incidents import actions as incident_actions
from apps.incidents.models import Debt, Incident
from apps.policies.models import PolicyVersion
from apps.releases.models import Release
from apps.workspaces import actions as workspace_actions
from tests.accounts.factors import by_password
from tests.approvals.promotions import (
    approve_all,
    ask,
    bring,
    deploy,
    lane_of,
    move,
    outcome_of,
    put_in_force,
    say,
    sentence_of,
)
from tests.cast import NOW, PASSWORD
from tests.drill import get, post, text_of
from tests.incidents.test_incidents import declare
from tests.policies.documents import clause
from tests.world import World, last_event, make_service

pytestmark = pytest.mark.django_db


@pytest.fixture
def hotfix(world: World) -> Release:
    return freeze_with_a_patch(world)


def freeze_with_a_patch(world: World) -> Release:
    """1.0.0 runs in Production, which is frozen; 1.0.1 has come as far as Staging."""
    workspace_actions.grant_role(
        world.cast.second_devops, role="SENIOR_ENGINEER", workspace=world.cast.platform, by=SYSTEM, now=NOW
    )
    bring(world, world.production)
    patch = world.next_release("1.0.1")
    bring(world, world.staging, patch)
    environment_actions.freeze(
        scope=FreezeScope.ENVIRONMENT, environment=world.production, workspace_id=world.cast.platform.pk,
        reason="Audit week", ends_at=None, by=world.cast.devops, now=NOW,
    )  # fmt: skip
    return patch


def hurry(world: World, release: Release, incident: Incident, **fields: Any) -> Promotion:
    return ask(world, world.production, release, incident=incident, **fields)


def test_an_incident_lets_a_patch_pass_a_freeze_and_says_so(world: World, hotfix: Release) -> None:
    incident = declare(world)

    promotion = hurry(world, hotfix, incident)

    assert outcome_of(promotion, "freeze") == "PASSED"
    assert f"Passed because of incident {incident}, although frozen" in sentence_of(promotion, "freeze")
    assert outcome_of(promotion, "approvals") == "WAITING"
    event = last_event("promotion.requested")
    assert event.summary.endswith(f"as an emergency, for incident {incident}")
    assert event.change["incident"]["after"] == incident.number


def test_it_is_no_emergency_any_more_once_the_incident_is_resolved(world: World, hotfix: Release) -> None:
    incident = declare(world)
    promotion = approve_all(hurry(world, hotfix, incident), world)
    assert promotion.state == PromotionState.READY

    incident_actions.resolve(incident, resolution="It went away", by=world.cast.devops, now=NOW)

    assert not all(result.outcome.lets_pass for result in actions.recheck(promotion, now=NOW))
    promotion = actions.settle(promotion, now=NOW)
    assert (promotion.state, outcome_of(promotion, "freeze")) == (PromotionState.PENDING, "WAITING")


def roles_of(promotion: Promotion) -> list[str]:
    return list(promotion.requirements.standing().values_list("role_id", flat=True))


def test_one_senior_engineer_approves_who_had_no_part_in_it(world: World, hotfix: Release) -> None:
    for person in (world.cast.release_engineer, world.cast.engineering_manager):
        workspace_actions.grant_role(person, role="SENIOR_ENGINEER", workspace=world.cast.platform, by=SYSTEM, now=NOW)
    promotion = hurry(world, hotfix, declare(world))

    assert roles_of(promotion) == ["SENIOR_ENGINEER"]
    with pytest.raises(Denied):  # who asked for it, and wrote it
        say(promotion, "SENIOR_ENGINEER", world.cast.release_engineer)
    assert say(promotion, "SENIOR_ENGINEER", world.cast.engineering_manager).state == PromotionState.READY


def test_an_approval_that_has_no_case_stays_in_an_emergency(world: World, hotfix: Release) -> None:
    document = PolicyVersion.objects.in_force("PRODUCTION").get().document
    migrations = clause(99, "approvals", settings={"role": "SECURITY"})
    put_in_force("PRODUCTION", clauses=[*document["clauses"], migrations])

    assert roles_of(hurry(world, hotfix, declare(world))) == ["SENIOR_ENGINEER", "SECURITY"]


def test_staging_takes_a_patch_that_was_in_no_tier_before(world: World) -> None:
    bring(world, world.production)
    patch, incident = world.next_release("1.0.1"), declare(world)
    with pytest.raises(actions.TierSkipped):
        ask(world, world.staging, patch)

    promotion = deploy(ask(world, world.staging, patch, incident=incident))

    assert (promotion.state, promotion.was_emergency) == (PromotionState.COMPLETED, True)
    assert not incident.debts.exists()
    assert not lane_of(world.staging, world).is_watched_closely(NOW)
    assert hurry(world, patch, incident).state == PromotionState.PENDING
    with pytest.raises(actions.TierSkipped, match=r"Missing: Staging\."):
        hurry(world, world.next_release("1.0.2"), incident)


def test_what_came_in_an_emergency_is_watched_closely_for_a_day(world: World, hotfix: Release) -> None:
    assert not lane_of(world.production, world).is_watched_closely(NOW)
    incident = declare(world)

    promotion = deploy(approve_all(hurry(world, hotfix, incident), world))

    lane = lane_of(world.production, world)
    assert (promotion.was_emergency, lane.close_watch_until) == (True, NOW + timedelta(hours=24))
    assert lane.close_watch_reason == f"Emergency for incident {incident}: Greeter 1.0.1"
    incident_actions.resolve(incident, resolution="Patched", by=world.cast.devops, now=NOW)
    page = text_of(get(world.cast.auditor, reverse("approvals:promotion-detail", args=[promotion.number])))
    assert "Emergency:" in page


def look_back(debt: Debt, by: User) -> Debt:
    return actions.approve_afterwards(debt, words="Fine", by=by, now=NOW, confirmation=by_password(by))


def test_who_was_not_asked_is_asked_afterwards_and_people_learn_from_it(world: World, hotfix: Release) -> None:
    cast, incident = world.cast, declare(world)
    deploy(approve_all(hurry(world, hotfix, incident), world))

    debts = {debt.what: debt for debt in incident.debts.all()}

    assert {what: (debt.due_at - NOW).total_seconds() / 3600 for what, debt in debts.items()} == {
        "Approval afterwards as Engineering manager": 24,
        "Approval afterwards as DevOps": 24,
        "Post-mortem": 48,
        "Publication of the post-mortem": 120,
    }
    owed = debts["Approval afterwards as DevOps"]
    for person, why in (
        (cast.second_devops, "one person counts once"),  # approved as senior engineer
        (cast.security, "who is DevOps"),
        (cast.release_engineer, "You asked for this"),
    ):
        with pytest.raises(Denied, match=why):
            look_back(owed, person)
    assert look_back(owed, cast.devops).paid_by == cast.devops
    workspace_actions.grant_role(cast.devops, role="ENGINEERING_MANAGER", workspace=cast.platform, by=SYSTEM, now=NOW)
    other = debts["Approval afterwards as Engineering manager"]
    with pytest.raises(Denied, match="one person counts once"):
        look_back(other, cast.devops)
    with pytest.raises(incident_actions.NotADocument):
        incident_actions.pay(other, words="Fine", by=cast.devops, now=NOW)
    with pytest.raises(incident_actions.NotAnApproval):
        look_back(debts["Post-mortem"], cast.devops)
    late = incident_actions.pay(debts["Post-mortem"], words="wiki/1", by=cast.devops, now=NOW + timedelta(days=3))
    assert late.was_late
    assert last_event("incident.paid").summary.endswith(", late")
    with pytest.raises(IntegrityError), transaction.atomic():
        incident.debts.filter(pk=late.pk).update(paid_at=NOW)


def test_what_is_owed_stands_on_the_incident_and_on_the_front_page(world: World, hotfix: Release) -> None:
    with world.everything():
        incident = declare(world)
        promotion = deploy(approve_all(hurry(world, hotfix, incident), world))
        document = incident.debts.get(kind="POST_MORTEM")
        approval = incident.debts.get(role="DEVOPS")
    page = reverse("incidents:incident-detail", args=[incident.number])
    pay, approve = (reverse("incidents:debt-pay", args=[incident.number, debt.pk]) for debt in (document, approval))

    front = text_of(get(world.cast.devops, "/"))
    assert f"Post-mortem, incident #{incident.number}" in front
    assert "overdue since" in front  # NOW is some days ago
    assert pay in text_of(get(world.cast.devops, page))
    assert f"promotion #{promotion.number}" in text_of(get(world.cast.devops, page))
    assert post(world.cast.devops, approve, {"words": "wiki/1"}).status_code == 403  # nobody confirmed it
    for address in (pay, approve):
        assert post(world.cast.outsider, address, {"words": "wiki/1"}).status_code == 404
        assert post(world.cast.auditor, address, {"words": "wiki/1"}).status_code == 403
        assert get(world.cast.devops, address).status_code == 405
        assert post(world.cast.devops, address, {}).status_code == 422
        assert post(world.cast.devops, address, {"words": "wiki/1", "password": PASSWORD})["Location"] == page
    assert last_event("incident.paid").change["confirmed_with"]["after"] == "PASSWORD"
    assert post(world.cast.devops, pay, {"words": "wiki/2"}).status_code == 409
    assert f"Post-mortem, incident #{incident.number}" not in text_of(get(world.cast.devops, "/"))


def test_only_a_patch_of_what_production_runs_and_only_for_an_incident_there(world: World) -> None:
    incident = declare(world)
    elsewhere = declare(world, workspace=world.cast.customer, environment=world.customer_production,
                        by=world.cast.customer_operator)  # fmt: skip
    in_dev = declare(world, environment=world.dev)
    over = incident_actions.resolve(declare(world), resolution="Over", by=world.cast.devops, now=NOW)
    bring(world, world.production)
    minor, patch = world.next_release("1.1.0"), world.next_release("1.0.1")
    for release in (patch, minor):
        bring(world, world.staging, release)

    with pytest.raises(actions.NoEmergency, match=r"not a patch of what Production runs: 1\.0\.0"):
        hurry(world, minor, incident)
    for wrong in (elsewhere, in_dev, over):
        with pytest.raises(actions.NoEmergency, match="not an open one of"):
            hurry(world, patch, wrong)
    move(world.lane(world.production), None)
    with pytest.raises(actions.NoEmergency, match="nothing"):
        hurry(world, patch, incident)


def test_it_is_asked_for_in_the_form_and_everybody_sees_why(world: World, hotfix: Release) -> None:
    address = reverse("approvals:promotion-create", args=[hotfix.pk, world.lane(world.production).pk])
    person = world.cast.release_engineer
    with world.everything():
        other = declare(world, environment=world.dev)
    assert "As an emergency" not in text_of(get(person, address))
    assert post(person, address, {"incident": other.pk}).status_code == 302
    with world.everything():
        ordinary = Promotion.objects.get(release=hotfix, state=PromotionState.PENDING)
        assert ordinary.incident is None
        actions.withdraw(ordinary, reason="Again", by=person, now=NOW)
        incident = declare(world)
    assert f"{incident} SEV2" in text_of(get(person, address))
    assert post(person, address, {"incident": other.pk}).status_code == 422

    page = get(world.cast.auditor, post(person, address, {"incident": incident.pk})["Location"])

    assert f"because of incident #{incident.number}" in text_of(page)
    assert "Emergency:" in text_of(page)


def test_an_incident_concerns_the_lanes_that_the_database_finds(world: World) -> None:
    other = make_service(world.cast.platform, "other")
    incidents = [
        declare(world, environment=place, service=service)
        for place in (None, world.dev, world.staging, world.production)
        for service in (None, world.service, other)
    ]
    for lane in world.lanes.values():
        found = Incident.objects.concerning(lane)
        assert {each for each in incidents if each.concerns(lane)} == set(found)
        assert bool(found) == (lane.workspace_id == world.cast.platform.pk)


def test_the_page_of_a_patch_offers_what_an_emergency_may_ask_for(world: World) -> None:
    bring(world, world.production)
    patch, person = world.next_release("1.0.1"), world.cast.release_engineer
    page = reverse("releases:release-detail", args=["greeter", "1.0.1"])
    address = {
        place: reverse("approvals:promotion-create", args=[patch.pk, world.lane(place).pk])
        for place in (world.qa, world.staging, world.production)
    }

    def offered() -> list[Environment]:
        shown = text_of(get(person, page))
        return [place for place, url in address.items() if f"{url}?incident=" in shown]

    assert offered() == []
    with world.everything():
        incident = declare(world)
    assert offered() == [world.staging]
    assert "As an emergency:" in text_of(get(person, f"{address[world.staging]}?incident={incident.pk}"))
    with world.everything():
        deploy(ask(world, world.staging, patch, incident=incident))

    assert offered() == [world.production]
    usual, hurried, wrong = (
        text_of(get(person, f"{address[world.production]}?incident={word}")) for word in ("", incident.pk, "x")
    )
    assert "A senior engineer approves an emergency." in hurried
    assert "An engineering manager approves." not in hurried
    for shown in (usual, wrong):
        assert "As an emergency:" not in shown
        assert "An engineering manager approves." in shown
    with world.everything():
        world.next_release("1.1.0")
    assert "as an emergency" not in text_of(get(person, reverse("releases:release-detail", args=["greeter", "1.1.0"])))
