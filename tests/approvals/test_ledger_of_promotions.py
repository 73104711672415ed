"""No action without its event: where the ledger refuses, nothing happened."""

import pytest
from django.db import DatabaseError, connection

from apps.approvals import actions
from apps.approvals.enums import PromotionState
from apps.approvals.models import Decision, Promotion, Requirement
from apps.audit import actions as audit
from apps.audit.actors import SYSTEM
from tests.approvals.promotions import ask, ask_for_production, move, say
from tests.cast import NOW

pytestmark = pytest.mark.django_db


def asking(world):
    return lambda: ask(world, world.dev)


def approving(world):
    promotion = ask_for_production(world)
    return lambda: say(promotion, "DEVOPS", world.cast.devops)


def rejecting(world):
    promotion = ask_for_production(world)
    return lambda: say(promotion, "DEVOPS", world.cast.devops, choice="REJECT", comment="No")


def withdrawing(world):
    promotion = ask_for_production(world)
    return lambda: actions.withdraw(promotion, reason="Later", by=world.cast.release_engineer, now=NOW)


def expiring(world):
    promotion = ask_for_production(world)
    return lambda: actions.settle(promotion, now=promotion.expires_at)


def planning_anew(world):
    promotion = say(ask_for_production(world), "DEVOPS", world.cast.devops)
    move(promotion.lane, world.release)
    return lambda: actions.settle(promotion, now=NOW)


def starting(world):
    promotion = ask(world, world.dev)
    return lambda: actions.mark(promotion, PromotionState.DEPLOYING, by=SYSTEM, now=NOW)


@pytest.mark.parametrize(
    "prepare",
    [asking, approving, rejecting, withdrawing, expiring, planning_anew, starting],
    ids=lambda call: call.__name__,
)
def test_a_broken_ledger_undoes_the_action(world, monkeypatch, prepare):
    act = prepare(world)
    before = everything()
    monkeypatch.setattr(audit, "record", break_the_ledger)

    with pytest.raises(DatabaseError):
        act()

    assert everything() == before


def break_the_ledger(*args, **kwargs):
    with connection.cursor() as cursor:
        cursor.execute("SELECT record_event('{}'::jsonb)")
    pytest.fail("the ledger took an event without a kind")


def everything():
    return [list(model.objects.order_by("pk").values()) for model in (Promotion, Requirement, Decision)]
