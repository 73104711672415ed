import itertools

import pytest
from django.db import transaction

from apps.approvals.enums import OPEN_PROMOTION, PromotionState
from apps.approvals.models import Promotion
from apps.approvals.transitions import KINDS, TABLE, WHEN, IllegalTransition, StaleState, advance
from apps.audit.actors import SYSTEM
from apps.audit.kinds import KINDS as KNOWN_KINDS
from apps.audit.models import AuditEvent
from tests.approvals.promotions import ask
from tests.cast import NOW
from tests.world import last_event


def test_every_state_is_in_the_table_with_its_event_and_its_words():
    assert set(TABLE) == set(KINDS) == set(WHEN) == set(PromotionState)
    assert set(KINDS.values()) <= set(KNOWN_KINDS)


def test_what_is_over_stays_over():
    assert {state for state, following in TABLE.items() if not following} == set(PromotionState) - set(OPEN_PROMOTION)


def test_every_state_can_be_reached():
    reached = {PromotionState.PENDING}.union(*TABLE.values())

    assert reached == set(PromotionState)


def in_state(promotion, state):
    """The promotion with the columns that the database asks for in that state."""
    Promotion.objects.filter(pk=promotion.pk).update(
        state=state,
        ready_at=NOW if state in {"READY", "DEPLOYING"} else None,
        ended_at=None if state in OPEN_PROMOTION else NOW,
    )
    return Promotion.objects.with_subject().get(pk=promotion.pk)


@pytest.mark.django_db
def test_the_table_decides_on_every_pair(world):
    promotion = ask(world, world.dev, starts_by_itself=False)
    promotion = advance(promotion, PromotionState.PENDING, by=SYSTEM, now=NOW, sentence="moved")

    for before, after in itertools.product(PromotionState, PromotionState):
        undo = transaction.savepoint()
        check_pair(in_state(promotion, before), before, after)
        transaction.savepoint_rollback(undo)


def check_pair(promotion, before, after):
    events = AuditEvent.objects.count()
    if after in TABLE[before]:
        advance(promotion, after, by=SYSTEM, now=NOW, sentence="moved")
        assert last_event(KINDS[after]).change["state"] == {"before": before, "after": after}
    else:
        with pytest.raises(IllegalTransition):
            advance(promotion, after, by=SYSTEM, now=NOW, sentence="moved")
    assert AuditEvent.objects.count() == events + (after in TABLE[before]), (before, after)

    stored = Promotion.objects.get(pk=promotion.pk)
    assert stored.state == (after if after in TABLE[before] else before)
    assert (stored.ended_at is None) == (stored.state in OPEN_PROMOTION)


@pytest.mark.django_db
def test_who_read_an_older_state_is_refused(world):
    promotion = in_state(ask(world, world.dev), PromotionState.PENDING)
    Promotion.objects.filter(pk=promotion.pk).update(state=PromotionState.READY)

    with pytest.raises(StaleState, match="is no longer waiting"):
        advance(promotion, PromotionState.WITHDRAWN, by=SYSTEM, now=NOW, sentence="moved")


@pytest.mark.django_db
def test_the_time_of_readiness_comes_and_goes(world):
    promotion = in_state(ask(world, world.dev), PromotionState.PENDING)

    assert advance(promotion, PromotionState.READY, by=SYSTEM, now=NOW, sentence="moved").ready_at == NOW
    assert advance(promotion, PromotionState.PENDING, by=SYSTEM, now=NOW, sentence="moved").ready_at is None
