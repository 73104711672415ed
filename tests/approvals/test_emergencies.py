"""The emergency path: what an open incident lets pass, for which releases, and what stays as it is."""

from typing import Any

import pytest
from django.urls import reverse

from apps.approvals import actions
from apps.approvals.enums import PromotionState
from apps.approvals.models import Promotion
from apps.environments import actions as environment_actions
from apps.environments.enums import FreezeScope
from apps.incidents import actions as incident_actions
from apps.incidents.models import Incident
from apps.releases.models import Release
from tests.approvals.promotions import approve_all, ask, bring, move, outcome_of, sentence_of
from tests.cast import NOW
from tests.drill import get, post, text_of
from tests.incidents.test_incidents import declare
from tests.world import World, last_event

pytestmark = pytest.mark.django_db


@pytest.fixture
def hotfix(world: World) -> Release:
    """1.0.0 runs in Production, which is frozen; 1.0.1 has come as far as Staging."""
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
