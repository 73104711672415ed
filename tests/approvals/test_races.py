"""Two people, or a person and the sweeper, at the same moment, on two real connections."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction

from apps.approvals import actions
from apps.approvals.enums import PromotionState
from apps.approvals.models import Decision, Delegation, Notice, Promotion
from apps.audit.models import AuditEvent
from apps.core.verdict import Denied
from tests.approvals.promotions import ask, ask_for_production, lend, move, say
from tests.cast import NOW

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(world, *calls: Callable[[], Any]) -> list[Any]:
    """Run the calls on connections of their own, all begun before the first commits; return results and refusals."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        try:
            with world.everything():
                connection.ensure_connection()
                barrier.wait(timeout=30)
                return call()
        except Exception as refusal:  # noqa: BLE001  the test says which refusals are right
            return refusal
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result(timeout=60) for future in [pool.submit(run, call) for call in calls]]


@pytest.fixture
def promotion(world):
    with world.everything():
        return ask_for_production(world)


def test_two_people_who_decide_at_once_both_count(world, promotion):
    results = at_once(
        world,
        lambda: say(promotion, "DEVOPS", world.cast.devops),
        lambda: say(promotion, "ENGINEERING_MANAGER", world.cast.engineering_manager),
    )

    assert sorted(result.state for result in results) == [PromotionState.PENDING, PromotionState.READY]
    with world.everything():
        assert Promotion.objects.get(pk=promotion.pk).state == PromotionState.READY
        assert AuditEvent.objects.filter(kind="promotion.ready", target_id=str(promotion.pk)).count() == 1


def test_two_colleagues_of_one_role_count_once(world, promotion):
    results = at_once(
        world,
        lambda: say(promotion, "DEVOPS", world.cast.devops),
        lambda: say(promotion, "DEVOPS", world.cast.second_devops),
    )

    assert [type(result) for result in results].count(actions.AlreadyDecided) == 1
    with world.everything():
        assert Decision.objects.count() == 1


def test_a_double_click_counts_once(world, promotion):
    results = at_once(world, *[lambda: say(promotion, "DEVOPS", world.cast.devops)] * 4)

    assert [type(result) for result in results].count(actions.AlreadyDecided) == 3
    with world.everything():
        assert AuditEvent.objects.filter(kind="decision.approved").count() == 1


def test_a_decision_and_a_withdrawal_end_in_one_of_two_ways(world, promotion):
    results = at_once(
        world,
        lambda: say(promotion, "DEVOPS", world.cast.devops),
        lambda: actions.withdraw(promotion, reason="Later", by=world.cast.release_engineer, now=NOW),
    )

    decided, withdrawn = results
    assert withdrawn.state == PromotionState.WITHDRAWN
    assert isinstance(decided, actions.NotWaiting) or decided.state == PromotionState.PENDING
    with world.everything():
        assert Promotion.objects.get(pk=promotion.pk).state == PromotionState.WITHDRAWN
        assert Decision.objects.exists() is not isinstance(decided, actions.NotWaiting)


def test_a_delegation_that_is_ended_while_its_delegate_decides_comes_before_or_after(world, promotion):
    with world.everything():
        delegation = lend(world.cast.devops, "DEVOPS", to=world.cast.security)

    decided, ended = at_once(
        world,
        lambda: say(promotion, "DEVOPS", world.cast.security),
        lambda: actions.end_delegation(delegation, by=world.cast.devops, now=NOW),
    )

    assert ended.ended_at == NOW
    with world.everything():
        kinds = list(
            AuditEvent.objects.filter(kind__in=["decision.approved", "delegation.ended"])
            .order_by("recorded_at")
            .values_list("kind", flat=True)
        )
        if isinstance(decided, Denied):
            assert kinds == ["delegation.ended"]
        else:
            assert kinds == ["decision.approved", "delegation.ended"]
        with pytest.raises((Denied, actions.AlreadyDecided)):
            say(promotion, "DEVOPS", world.cast.security)


def test_two_sweepers_at_once_tell_each_person_once(world, promotion):
    later = NOW + timedelta(hours=30)
    at_once(world, *[lambda: actions.settle_waiting(workspace_id=promotion.workspace_id, now=later)] * 3)

    with world.everything():
        told = list(Notice.objects.values_list("requirement__role", "kind", "recipient"))
        assert len(told) == len({*told}) > 0
        assert AuditEvent.objects.filter(kind="requirement.reminded").count() == 2


def test_the_same_role_is_lent_to_the_same_person_once(world):
    results = at_once(world, *[lambda: lend(world.cast.devops, "DEVOPS", to=world.cast.security)] * 3)

    assert [type(result) for result in results].count(actions.AlreadyDelegated) == 2
    with world.everything():
        assert Delegation.objects.count() == 1


def test_a_change_while_somebody_decides_never_leaves_an_approval_of_the_old_plan(world, promotion):
    shown = promotion.plan_hash

    def change() -> Promotion:
        move(promotion.lane, world.release)
        return actions.settle(promotion, now=NOW)

    at_once(world, lambda: say(promotion, "DEVOPS", world.cast.devops, plan_hash=shown), change)

    with world.everything():
        settled = actions.settle(promotion, now=NOW)
        assert settled.plan_hash != shown
        assert not Decision.objects.standing().exists()


def test_the_sweeper_leaves_to_others_what_they_work_on(world, promotion):
    with world.everything(), transaction.atomic():
        Promotion.objects.locked().get(pk=promotion.pk)
        [settled] = at_once(world, lambda: actions.settle_waiting(workspace_id=promotion.workspace_id, now=NOW))

    assert settled == []


def test_the_same_release_is_asked_for_once(world):
    results = at_once(world, *[lambda: ask(world, world.dev)] * 3)

    assert [type(result) for result in results].count(actions.AlreadyOpen) == 2
    with world.everything():
        assert Promotion.objects.count() == 1


def test_of_two_versions_that_are_asked_for_at_once_the_higher_one_waits(world):
    with world.everything():
        newer = world.next_release("1.1.0")

    at_once(world, lambda: ask(world, world.dev), lambda: ask(world, world.dev, newer))

    with world.everything():
        newest = Promotion.objects.get(release=newer)
        assert newest.state == PromotionState.READY
        older = Promotion.objects.filter(release=world.release).first()
        # Asked for after the newer one, the older waits beside it; before, it was superseded.
        assert older.state == (PromotionState.SUPERSEDED if older.number < newest.number else PromotionState.READY)
