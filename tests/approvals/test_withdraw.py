import pytest

from apps.approvals import actions
from apps.approvals.enums import PromotionState
from apps.audit.actors import SYSTEM
from apps.core.texts import TextInvalid
from apps.core.verdict import Denied
from tests.approvals.promotions import ask, ask_for_production
from tests.cast import NOW
from tests.world import last_event

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("person", ["release_engineer", "devops"])
def test_who_asked_and_who_operates_may_withdraw(world, person):
    promotion = ask_for_production(world)

    ended = actions.withdraw(promotion, reason="Not today", by=getattr(world.cast, person), now=NOW)

    assert ended.state == PromotionState.WITHDRAWN
    assert ended.outcome.endswith("withdrew it: Not today")
    assert last_event("promotion.withdrawn").reason == "Not today"


@pytest.mark.parametrize("person", ["engineering_manager", "auditor", "outsider", "customer_operator"])
def test_others_may_not(world, person):
    with pytest.raises(Denied):
        actions.withdraw(ask(world, world.dev), reason="Not today", by=getattr(world.cast, person), now=NOW)


def test_who_asked_and_left_may_not(world):
    promotion = ask(world, world.dev)
    world.cast.release_engineer.is_active = False

    with pytest.raises(Denied):
        actions.withdraw(promotion, reason="Not today", by=world.cast.release_engineer, now=NOW)


def test_a_reason_must_be_given(world):
    with pytest.raises(TextInvalid):
        actions.withdraw(ask(world, world.dev), reason="", by=world.cast.release_engineer, now=NOW)


def test_what_is_being_deployed_is_cancelled_instead(world):
    promotion = actions.mark(ask(world, world.dev), PromotionState.DEPLOYING, by=SYSTEM, now=NOW)

    with pytest.raises(actions.NotWaiting, match="is deploying") as refusal:
        actions.withdraw(promotion, reason="Stop", by=world.cast.release_engineer, now=NOW)

    assert refusal.value.next_step == "Cancel its deployment instead."


def test_it_is_withdrawn_once(world):
    promotion = actions.withdraw(ask(world, world.dev), reason="Stop", by=world.cast.release_engineer, now=NOW)

    with pytest.raises(actions.NotWaiting) as refusal:
        actions.withdraw(promotion, reason="Stop", by=world.cast.release_engineer, now=NOW)

    assert refusal.value.status == 409
