"""Whatever goes into the plan's hash: once it changes, what was approved is void, and the trail says why (S2)."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from types import UnionType
from typing import Any, get_args, get_type_hints, is_typeddict

import pytest
from django.db import transaction

from apps.approvals import actions
from apps.approvals.actions import facts
from apps.approvals.enums import PromotionState
from apps.approvals.models import Decision, Promotion
from apps.approvals.plan import Plan, plan_of
from apps.audit.models import AuditEvent
from apps.configuration.models import ConfigurationVersion
from apps.policies.gates import lets_pass
from apps.releases.models import Release
from tests.approvals.promotions import ask, bring, move, say
from tests.approvals.test_plan import POLICY, make_promotion
from tests.cast import NOW
from tests.policies.documents import make_policy
from tests.world import World


def leaves(kind: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Return the path to each single thing that a plan holds."""
    [kind] = [part for part in get_args(kind) if is_typeddict(part)] if isinstance(kind, UnionType) else [kind]
    if not is_typeddict(kind):
        yield path
        return
    for name, part in get_type_hints(kind).items():
        yield from leaves(part, (*path, name))


LEAVES = sorted(".".join(path) for path in leaves(Plan))


def value(plan: Any, leaf: str) -> Any:
    for name in leaf.split("."):
        plan = plan and plan.get(name, [])  # a plan without traits leaves them out
    return plan


def with_another(plan: Any, leaf: str) -> Any:
    """Return the plan with something else in this one place."""
    name, _, rest = leaf.partition(".")
    if name == "traits":
        return {**plan, name: ["SECURITY"]}
    there = plan[name]
    if rest:
        return {**plan, name: with_another(there, rest)}
    another = {str: "other", int: 4711, list: [{"id": "other"}], dict: {"PROD-99": "0" * 64}}
    return {**plan, name: another[type(there)]}


def release(version: str = "1.1.0", content_hash: str = "b" * 64) -> Release:
    return Release(version=version, content_hash=content_hash)


# What each of them comes from, changed alone. The schema is of the code, migrations and traits come with a release.
MOVED_BY: dict[str, Callable[[], tuple[Promotion, Any]]] = {
    "configuration.number": lambda: (
        make_promotion(configuration=ConfigurationVersion(number=3, values={"A": "2"})), POLICY,
    ),
    "configuration.values": lambda: (
        make_promotion(configuration=ConfigurationVersion(number=2, values={"A": "3"})), POLICY,
    ),
    "live_configuration.number": lambda: (
        make_promotion(lane={"live_configuration": ConfigurationVersion(number=9, values={"A": "1"})}), POLICY,
    ),
    "live_configuration.values": lambda: (
        make_promotion(lane={"live_configuration": ConfigurationVersion(number=1, values={})}), POLICY,
    ),
    "live_release.content_hash": lambda: (make_promotion(lane={"live_release": release("1.0.0", "d" * 64)}), POLICY),
    "live_release.version": lambda: (make_promotion(lane={"live_release": release("1.0.9", "a" * 64)}), POLICY),
    "policy.clauses": lambda: (make_promotion(), make_policy("window", roles=("SECURITY",))),
    "policy.tier": lambda: (make_promotion(), make_policy("window", roles=("DEVOPS",), tier="STAGING")),
    "release.content_hash": lambda: (make_promotion(release=release(content_hash="c" * 64)), POLICY),
    "release.version": lambda: (make_promotion(release=release("1.1.1")), POLICY),
    "strategy": lambda: (make_promotion(), replace(POLICY, strategy="ALL_AT_ONCE")),
    "target": lambda: (make_promotion(lane={"target_key": "elsewhere"}), POLICY),
}  # fmt: skip
WITHOUT_INPUT = {"schema", "migrations", "traits"}


def test_it_is_known_of_every_part_of_a_plan_what_moves_it() -> None:
    assert sorted(MOVED_BY.keys() | WITHOUT_INPUT) == LEAVES


@pytest.mark.parametrize("leaf", MOVED_BY)
def test_an_input_moves_its_own_part_of_the_plan_and_no_other(leaf: str) -> None:
    before, after = plan_of(make_promotion(), POLICY), plan_of(*MOVED_BY[leaf]())

    assert [each for each in LEAVES if value(before, each) != value(after, each)] == [leaf]


@pytest.mark.django_db
def test_whatever_changes_after_an_approval_voids_it(
    world: World, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    newer = world.next_release("1.1.0")
    bring(world, world.staging, newer)
    configuration = world.configuration(world.production)
    move(world.lane(world.production), world.release, configuration=configuration)  # so that nothing in it is missing
    promotion = say(ask(world, world.production, newer), "DEVOPS", world.cast.devops)
    approved, manager = promotion.plan_hash, world.cast.engineering_manager

    for leaf in LEAVES:
        with subtests.test(leaf), transaction.atomic():
            monkeypatch.setattr(facts, "plan_of", lambda *given, leaf=leaf: with_another(plan_of(*given), leaf))
            assert value(promotion.plan, leaf) is not None

            assert not lets_pass(actions.recheck(promotion, now=NOW))
            with pytest.raises(actions.StalePlan):
                say(promotion, "ENGINEERING_MANAGER", manager, plan_hash=approved)
            settled = actions.settle(promotion, now=NOW)

            assert (settled.state, settled.plan_hash != approved) == (PromotionState.PENDING, True)
            assert not Decision.objects.standing().exists()
            kinds = AuditEvent.objects.filter(target_id=str(promotion.pk)).values_list("kind", flat=True)
            assert {"decision.voided", "promotion.replanned"} <= {*kinds}
            transaction.set_rollback(True)
