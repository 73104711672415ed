"""Two people, or a person and the sweeper, at the same moment, on two real connections."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction

from apps.approvals import actions
from apps.approvals.enums import PromotionState
from apps.approvals.models import Decision, Delegation, Notice, Promotion, Waiver
from apps.audit.actors import SYSTEM
from apps.audit.models import AuditEvent
from apps.core.verdict import Denied
from apps.policies import actions as policy_actions
from apps.policies import sources
from apps.policies.gates import lets_pass
from apps.workspaces import actions as workspace_actions
from apps.workspaces.models import Membership
from tests.accounts.factors import by_password
from tests.approvals.promotions import ask, ask_for_production, lend, move, put_in_force, say
from tests.cast import NOW
from tests.policies.documents import SETTINGS, clause, make_document
from tests.policies.proposals import in_force

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


def one_behind_another(world, first: Callable[[], Any], second: Callable[[], Any]) -> list[Any]:
    """Run the second on a connection of its own while the first has done its work and not committed yet: whatever both
    lock, the second waits for. Return results and refusals.
    """
    is_done, may_end = threading.Event(), threading.Event()

    def run(call: Callable[[], Any], then: Callable[[], Any]) -> Any:
        result: Any
        try:
            with world.everything():
                try:
                    result = call()
                except Exception as refusal:  # noqa: BLE001  the test says which refusals are right
                    result = refusal
                then()
            return result
        finally:
            is_done.set()
            connections.close_all()

    def stay() -> None:
        is_done.set()
        may_end.wait(30)

    def follow() -> Any:
        is_done.wait(30)
        return second()

    with ThreadPoolExecutor(2) as pool:
        ran = [pool.submit(run, first, stay), pool.submit(run, follow, lambda: None)]
        is_done.wait(30)
        _until(lambda: ran[1].done() or _somebody_waits())
        may_end.set()
        return [future.result(timeout=60) for future in ran]


def _until(happened: Callable[[], bool]) -> None:
    for _ in range(600):
        if happened():
            return
        time.sleep(0.05)
    raise AssertionError("nobody waits, and nobody is done")


def _somebody_waits() -> bool:
    with connection.cursor() as sql:
        sql.execute("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
        return sql.fetchone() is not None


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


def test_an_approval_and_a_rejection_end_in_the_rejection(world, promotion):
    approved, rejected = at_once(
        world,
        lambda: say(promotion, "DEVOPS", world.cast.devops),
        lambda: say(promotion, "ENGINEERING_MANAGER", world.cast.engineering_manager, choice="REJECT", comment="No"),
    )

    assert rejected.state == PromotionState.REJECTED
    assert isinstance(approved, actions.NotWaiting) or approved.state == PromotionState.PENDING
    with world.everything():
        assert Promotion.objects.get(pk=promotion.pk).state == PromotionState.REJECTED
        assert Decision.objects.count() == (1 if isinstance(approved, actions.NotWaiting) else 2)
        assert AuditEvent.objects.filter(kind="promotion.rejected").count() == 1


def test_of_a_rejection_a_withdrawal_and_the_end_of_its_time_one_ends_it(world, promotion):
    results = at_once(
        world,
        lambda: say(promotion, "DEVOPS", world.cast.devops, choice="REJECT", comment="No"),
        lambda: actions.withdraw(promotion, reason="Later", by=world.cast.release_engineer, now=NOW),
        lambda: actions.withdraw(promotion, reason="Later", by=world.cast.devops, now=NOW),
        lambda: actions.settle(promotion, now=promotion.expires_at),
    )

    ended = [result for result in results[:3] if not isinstance(result, Exception)]
    assert all(isinstance(result, actions.NotWaiting) for result in results[:3] if isinstance(result, Exception))
    with world.everything():
        state = Promotion.objects.get(pk=promotion.pk).state
        assert [result.state for result in ended] == ([] if state == PromotionState.EXPIRED else [state])
        kinds = [f"promotion.{word}" for word in ("rejected", "withdrawn", "expired")]
        assert AuditEvent.objects.filter(kind__in=kinds).count() == 1


def test_a_policy_that_comes_into_force_while_somebody_decides_leaves_no_approval_by_the_old_one(world, promotion):
    shown = promotion.plan_hash
    with world.everything():
        document = in_force("PRODUCTION").document
        row = {"id": "PROD-99", "gate": "coverage", "text": "Tests reach it.", "source": "A test"}
        row["settings"] = {"least_percent": 99}
        source = sources.written({**document, "clauses": [*document["clauses"], row]}, schema_url="s")
        proposal = policy_actions.propose(source, tier="PRODUCTION", reason="A test", by=world.cast.devops, now=NOW)

        confirmed = by_password(world.cast.security, NOW)

    _, version = at_once(
        world,
        lambda: say(promotion, "DEVOPS", world.cast.devops, plan_hash=shown),
        lambda: policy_actions.activate(proposal, by=world.cast.security, now=NOW, confirmation=confirmed),
    )

    with world.everything():
        assert in_force("PRODUCTION") == version
        assert not lets_pass(actions.recheck(promotion, now=NOW))
        settled = actions.settle(promotion, now=NOW)
        assert (settled.plan_hash != shown, settled.policy_version) == (True, version.number)
        assert not Decision.objects.standing().exists()


def test_a_role_that_ends_while_its_holder_decides_leaves_no_approval(world, promotion):
    with world.everything():
        held = Membership.objects.current().get(user=world.cast.devops)

    at_once(
        world,
        lambda: say(promotion, "DEVOPS", world.cast.devops),
        lambda: workspace_actions.end_role(held, by=SYSTEM, now=NOW),
    )

    with world.everything():
        actions.settle(promotion, now=NOW)
        assert not Decision.objects.standing().exists()
        assert AuditEvent.objects.filter(kind="membership.ended").count() == 1


def test_a_delegation_is_ended_once(world):
    with world.everything():
        delegation = lend(world.cast.devops, "DEVOPS", to=world.cast.security)

    results = at_once(
        world,
        lambda: actions.end_delegation(delegation, by=world.cast.devops, now=NOW),
        lambda: actions.end_delegation(delegation, by=world.cast.security, now=NOW),
    )

    assert [type(result) for result in results].count(actions.DelegationEnded) == 1
    with world.everything():
        assert AuditEvent.objects.filter(kind="delegation.ended").count() == 1


def test_a_change_while_somebody_waives_never_leaves_a_waiver_of_the_old_plan(world):
    with world.everything():
        rows = make_document()["clauses"]
        tests = clause(9, "tests", settings={**SETTINGS["tests"], "waived_by": "DEVOPS"})
        put_in_force("DEV", clauses=[*rows, tests])
        promotion = ask(world, world.dev, starts_by_itself=False)
        lane = promotion.lane

    def change() -> Promotion:
        move(lane, None, configuration=promotion.configuration)
        return actions.settle(promotion, now=NOW)

    given = {"gate": "tests", "reason": "The runner is down", "hours": 2, "plan_hash": promotion.plan_hash}
    at_once(world, lambda: actions.waive(promotion, by=world.cast.devops, now=NOW, **given), change)

    with world.everything():
        assert actions.settle(promotion, now=NOW).plan_hash != given["plan_hash"]
        assert not Waiver.objects.standing().exists()
