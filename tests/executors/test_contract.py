"""What every executor promises (`apps/deployments/executors/contract.py`), held against each of them.

A new executor is one rig more, and all of this runs against it.
"""

import dataclasses
import os
import time
from pathlib import Path

import psutil
import pytest

from apps.deployments.executors.contract import (
    ArtifactRejected,
    Cancelled,
    LaneRow,
    NotIdle,
    OutcomeUnknown,
    ReleaseFailed,
    StaleFence,
    Standing,
    StepKind,
)
from tests.executors.rigs import ArgocdRig, FileRig, FluxRig, HelmRig, LocalRig, Rig, TektonRig, WorkflowRig
from tests.fakes.kubernetes import FakeKubernetes
from tests.helm_binaries import helm
from tests.processes import eventually

ORDER_OF_STATES = ["STARTING", "APPLYING", "VERIFYING"]


# What two machines may drive, with no lock between them.
REMOTE = [
    pytest.param("helm3", marks=pytest.mark.reliability),
    "helm4",
    "argocd",
    "github",
    "gitlab",
    "flux-HelmRelease",
    "flux-Kustomization",
    "tekton",
]
EXECUTORS = ["local", "files", *REMOTE]
# What they know is the run that they have started, and not what it has done.
NOT_OBSERVED = ("github", "gitlab", "tekton")
OBSERVED = [each for each in EXECUTORS if each not in NOT_OBSERVED]


@pytest.fixture(params=EXECUTORS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Rig:
    match request.param:
        case "local":
            return LocalRig(request.getfixturevalue("site"), request.getfixturevalue("greeter"))
        case "files":
            return FileRig(request.getfixturevalue("judge"))
        case "argocd":
            return ArgocdRig(request.getfixturevalue("argocd"), tmp_path)
        case "github" | "gitlab":
            return WorkflowRig(request.getfixturevalue(request.param), tmp_path)
    cluster: FakeKubernetes = request.getfixturevalue("cluster")
    match request.param.split("-"):
        case ["flux", kind]:
            return FluxRig(cluster, tmp_path, kind)
        case ["tekton"]:
            return TektonRig(cluster, tmp_path)
    return HelmRig(cluster, helm(int(request.param[-1])), tmp_path)


def test_a_plan_is_pure_goes_forward_and_verifies_once(rig: Rig) -> None:
    order = rig.order(rig.old)

    plan = rig.executor.plan(order)

    assert plan == rig.executor.plan(order)
    states = [ORDER_OF_STATES.index(step.state) for step in plan]
    assert states == sorted(states)
    assert [step.kind for step in plan].count(StepKind.VERIFY) == 1
    assert len({step.kind for step in plan}) == len(plan)
    assert rig.executor.probe(order).state is Standing.NOT_APPLIED


def test_an_order_is_applied_and_the_target_says_so(rig: Rig) -> None:
    order, other = rig.order(rig.old), rig.order(rig.new)
    assert rig.executor.probe(order).state is Standing.NOT_APPLIED

    results = rig.deploy(order)

    seen = rig.executor.probe(order)
    assert (seen.state, seen.healthy, seen.deployment_id) == (Standing.APPLIED, True, order.deployment_id)
    assert rig.executor.probe(other).state is Standing.NOT_APPLIED
    assert rig.executor.sample(rig.target).ok
    assert (seen.live_slot is not None) == rig.executor.can.keep_warm
    assert any(result.slot is not None for result in results) == rig.executor.can.keep_warm


def test_applied_twice_under_the_same_key_it_happens_once(rig: Rig) -> None:
    order = rig.order(rig.old)
    rig.deploy(order)
    before = rig.effects()

    again = rig.deploy(order)

    assert not any(result.changed for result in again)
    assert rig.effects() == before


def test_a_lower_fence_is_refused_at_every_step(rig: Rig) -> None:
    late, order = rig.order(rig.new), rig.order(rig.old)
    rig.deploy(order)
    before = rig.effects()

    for step in rig.executor.plan(late):
        if step.kind != StepKind.VERIFY:
            with pytest.raises(StaleFence):
                rig.executor.apply(step.kind, late, log=rig.lines.append)

    assert rig.effects() == before
    assert rig.executor.probe(order).state is Standing.APPLIED


def test_a_look_closes_the_door_behind_whoever_was_there_before(rig: Rig) -> None:
    """Who was frozen before an effect finds the attempt ended by somebody who looked, and changes nothing."""
    frozen = rig.order(rig.old)
    finding_out = rig.order(rig.old, deployment_id=frozen.deployment_id)
    assert rig.executor.probe(finding_out).state is Standing.NOT_APPLIED
    before = rig.effects()

    for step in rig.executor.plan(frozen):
        if step.kind != StepKind.VERIFY:
            with pytest.raises(StaleFence):
                rig.executor.apply(step.kind, frozen, log=rig.lines.append)
    with pytest.raises(StaleFence):
        rig.executor.probe(frozen)

    assert rig.effects() == before


@pytest.mark.parametrize("rig", REMOTE, indirect=True)
def test_who_stood_still_for_longer_than_its_lease_begins_nothing(rig: Rig) -> None:
    """Nobody has looked since, so no fence stands in its way: the age of its own lease does."""
    rig.deploy(rig.order(rig.old))
    order = rig.order(rig.new)
    before = rig.effects()
    rig.executor.renew(order.deployment_id, time.monotonic() - 60)

    with pytest.raises((StaleFence, OutcomeUnknown)):
        rig.deploy(order)

    assert rig.effects() == before


def test_a_target_that_does_not_answer_is_unreachable(rig: Rig) -> None:
    order = rig.order(rig.old)
    rig.deploy(order)

    with rig.away():
        assert rig.executor.probe(order).state is Standing.UNREACHABLE

    assert rig.executor.probe(order).state is Standing.APPLIED


def test_cancel_ends_a_step_in_time_and_leaves_no_child(rig: Rig) -> None:
    """Also where nobody may ask for it (Flux): a worker that is stopped ends its steps so."""
    order = rig.endless()

    with rig.hanging() as is_hanging:
        thread, errors = rig.start(order)
        eventually(is_hanging, within_seconds=20)
        rig.executor.cancel(order.deployment_id)
        thread.join(10)

    assert [type(error) for error in errors] == [Cancelled]
    assert _guards() == []
    assert rig.executor.probe(order).state in (Standing.NOT_APPLIED, Standing.BEGUN)


def test_a_release_that_does_not_work_failed_and_going_back_brings_the_old_one(rig: Rig) -> None:
    good, bad = rig.order(rig.old), rig.order(rig.broken)
    rig.deploy(good)

    with pytest.raises(ReleaseFailed):
        rig.deploy(bad)
    assert rig.executor.probe(bad).state is not Standing.APPLIED
    back = rig.order(rig.old, rolls_back=bad.deployment_id)
    rig.deploy(back)

    assert rig.executor.probe(back).state is Standing.APPLIED
    assert rig.executor.sample(rig.target).ok


def test_a_release_that_worked_is_rolled_back_to_the_one_before(rig: Rig) -> None:
    rig.deploy(rig.order(rig.old))
    newer = rig.order(rig.new)
    rig.deploy(newer)
    assert rig.executor.readiness(rig.target, rig.old, newer.configuration).ready

    back = rig.order(rig.old, rolls_back=newer.deployment_id)
    rig.deploy(back)

    assert rig.look(back).state is Standing.APPLIED
    assert rig.look(newer).state is Standing.NOT_APPLIED


def test_only_what_is_there_is_ready_to_be_brought_back(rig: Rig) -> None:
    rig.deploy(rig.order(rig.old))

    gone = rig.executor.readiness(rig.target, rig.gone, rig.order(rig.gone).configuration)

    assert (gone.ready, gone.warm) == (False, False)
    assert gone.detail


def test_what_serves_is_never_discarded(rig: Rig) -> None:
    order = rig.order(rig.old)
    rig.deploy(order)

    with pytest.raises(NotIdle):
        rig.executor.discard(order, log=rig.lines.append)
    rig.executor.discard(rig.order(rig.new), log=rig.lines.append)  # began nothing: nothing to take away

    assert rig.look(order).state is Standing.APPLIED


def test_a_lane_without_a_live_release_is_emptied(rig: Rig) -> None:
    order = rig.order(rig.old)
    rig.deploy(order)

    corrections = rig.executor.reconcile((LaneRow(rig.target, order.fence, live=None),))

    assert corrections
    assert all(correction.mended for correction in corrections)
    assert rig.executor.probe(order).state is Standing.NOT_APPLIED
    assert rig.executor.reconcile((LaneRow(rig.target, order.fence, live=None),)) == ()


@pytest.mark.parametrize("rig", OBSERVED, indirect=True)
def test_what_was_changed_by_hand_is_flagged_and_left_until_a_person_deploys_again(rig: Rig) -> None:
    row = rig.live(rig.order(rig.old))
    assert rig.executor.reconcile((row,)) == ()

    rig.change_by_hand()
    before = rig.effects()
    looks = [rig.executor.reconcile((row,)) for _look in range(2)]

    assert [[(told.drifted, told.mended) for told in look] for look in looks] == [[(True, False)]] * 2
    assert rig.effects() == before
    assert not any(told.drifted for told in rig.executor.reconcile((rig.live(rig.order(rig.old)),)))


def test_another_deployment_than_the_rows_is_flagged_and_left(rig: Rig) -> None:
    row, other = rig.live(rig.order(rig.old)), rig.order(rig.new)
    rig.deploy(other)
    before = rig.effects()

    (told,) = rig.executor.reconcile((dataclasses.replace(row, fence=other.fence),))

    assert (told.drifted, told.mended) == (True, False)
    assert rig.effects() == before
    assert rig.executor.probe(other).state is Standing.APPLIED


@pytest.mark.parametrize("rig", NOT_OBSERVED, indirect=True)
def test_who_sees_only_its_own_runs_says_so(rig: Rig) -> None:
    assert not rig.executor.can.observe


def test_verify_and_unknown_steps_are_refused(rig: Rig) -> None:
    if isinstance(rig, FileRig):
        pytest.skip("the target made of files is steered by tests and takes every step")
    for kind in (StepKind.VERIFY, "DANCE"):
        with pytest.raises(ValueError, match="not a step"):
            rig.executor.apply(kind, rig.order(rig.old), log=rig.lines.append)


def test_what_can_not_be_had_is_rejected_before_the_target_is_touched(rig: Rig) -> None:
    if isinstance(rig, FileRig):
        pytest.skip("the target made of files has no artifacts")
    order = rig.order(rig.gone)

    with pytest.raises(ArtifactRejected):
        rig.deploy(order)

    assert rig.executor.probe(order).state is Standing.NOT_APPLIED


def _guards() -> list[int]:
    mine = psutil.Process(os.getpid()).children(recursive=True)
    return [each.pid for each in mine if any("guard_process" in part for part in each.cmdline())]
