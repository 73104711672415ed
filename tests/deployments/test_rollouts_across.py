"""One release over several workspaces: what each reads, decides and loses, and what none does to another."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import time
from typing import Any

import pytest
from django.db import IntegrityError, connection
from django.utils import timezone

from apps.approvals import actions as approval_actions
from apps.approvals.enums import PromotionState
from apps.approvals.models import Promotion
from apps.audit.actors import SYSTEM
from apps.audit.models import AuditEvent
from apps.core.verdict import Denied
from apps.deployments import rollout_parts, rollouts, runner
from apps.deployments.enums import GuestState, RolloutLaneState, RolloutState
from apps.deployments.models import GuestPart, Rollout, RolloutLane
from apps.environments import actions as environment_actions
from apps.environments.enums import Tier, WindowKind
from apps.environments.models import Lane
from apps.releases.enums import ReleaseState
from apps.workspaces import actions as workspace_actions
from apps.workspaces.models import Membership, Workspace
from apps.workspaces.scope import workspace_scope
from tests.approvals.promotions import put_in_force
from tests.deployments.conftest import Stage
from tests.deployments.test_rollouts import NONE, Fleet
from tests.drill import get, text_of
from tests.world import make_environment, make_lane

LEFT, HELD, IN = RolloutLaneState.LEFT, RolloutLaneState.HELD, RolloutLaneState.IN


@pytest.fixture
def fleet(stage: Stage) -> Fleet:
    """The platform's Dev, the customer's Dev, and Dev and Vault of another: the release engineer may ask in all."""
    cast, service = stage.world.cast, stage.world.service
    with stage.everything():
        for guest in (cast.customer, cast.elsewhere):
            workspace_actions.grant_role(
                cast.release_engineer, role="RELEASE_ENGINEER", workspace=guest, by=SYSTEM, now=timezone.now()
            )
        places = [
            make_environment(guest, name, Tier.DEV)
            for guest, name in ((cast.customer, "Dev"), (cast.elsewhere, "Dev"), (cast.elsewhere, "Vault"))
        ]
        lanes = [make_lane(place, service) for place in places]
        found = {lane.pk: lane for lane in Lane.objects.with_cell()}
    return Fleet(stage, [stage.lane(), *(found[lane.pk] for lane in lanes)])


def decide(fleet: Fleet, rollout: Rollout, guest: Workspace, to: RolloutLaneState) -> list[RolloutLane]:
    """Decide about a part as its own people do: they see their workspace alone."""
    cast = fleet.stage.world.cast
    by = {cast.customer.pk: cast.customer_operator, cast.elsewhere.pk: cast.outsider}[guest.pk]
    with workspace_scope([guest.pk]):
        return rollout_parts.decide_part(
            rollout, workspace_id=guest.pk, to=to, reason="Month's end", by=by, now=timezone.now()
        )


def told(fleet: Fleet, workspace: Workspace) -> list[tuple[str, str]]:
    with workspace_scope([workspace.pk]):
        events = AuditEvent.objects.filter(target_type="rollout", workspace_id=workspace.pk).order_by("recorded_at")
        return list(events.values_list("kind", "summary"))


def states(fleet: Fleet, rollout: Rollout) -> list[str]:
    with fleet.stage.everything():
        asked = {row.lane_id: row.promotion for row in fleet.fresh(rollout).lanes.in_order()}
    return [promotion.state if (promotion := asked[lane.pk]) else "" for lane in fleet.lanes]


def test_each_workspace_gets_its_own_part_and_is_told_of_no_other(fleet: Fleet) -> None:
    cast = fleet.stage.world.cast
    rollout = fleet.start(fleet.stage.release("1.1.0"), waves=(1, 2, 3, 3))

    fleet.work()

    done = fleet.fresh(rollout)
    assert (done.state, done.outcome) == (RolloutState.COMPLETED, "Every environment that stayed in it runs it.")
    assert (done.workspace_id, set(done.guests)) == (cast.platform.pk, {cast.customer.pk, cast.elsewhere.pk})
    assert fleet.run() == ["1.1.0"] * 4
    for workspace, wave, scale in (
        (cast.customer, 2, "1 environment in 1 wave"), (cast.elsewhere, 3, "2 environments in 1 wave"),
    ):  # fmt: skip
        assert [(kind, words.split(" 1.1.0 ")[1]) for kind, words in told(fleet, workspace)] == [
            ("rollout.started", f"was started: {scale}."),
            ("rollout.wave_begun", f"begins wave {wave}."),
            ("rollout.completed", f"is completed. {done.outcome}"),
        ]
    assert [kind for kind, _ in told(fleet, cast.platform)].count("rollout.wave_begun") == 3


def test_what_fails_in_one_workspace_stops_later_waves_and_nothing_else(fleet: Fleet) -> None:
    cast, release = fleet.stage.world.cast, fleet.stage.release("1.1.0")
    fleet.stage.judge.behave(v1_1_0={"CHECK_GREEN": "fail", "lane": fleet.lanes[1].target_key})
    rollout = fleet.start(release, waves=(2, 1, 1, 2))

    fleet.work()

    stopped = fleet.fresh(rollout)
    assert stopped.state == RolloutState.STOPPED
    assert stopped.outcome == "Not every environment took it, so no later wave begins."
    assert fleet.run() == ["", "", "1.1.0", ""]
    assert states(fleet, rollout) == ["", PromotionState.FAILED, PromotionState.COMPLETED, ""]
    assert "Dev: Failed. 1.1.0 did not start" in told(fleet, cast.customer)[-1][1]
    for workspace in (cast.platform, cast.elsewhere):
        # In one transaction with how far the guests were: at one moment.
        (stop,) = (words for kind, words in told(fleet, workspace) if kind == "rollout.stopped")
        assert stop.endswith(stopped.outcome)
    with fleet.stage.everything():
        release.refresh_from_db()
        held = [bool(lane.holds.filter(lifted_at=None)) for lane in fleet.lanes]
    assert release.state == ReleaseState.SEALED
    assert held == [False, True, False, False]


def test_who_steers_is_told_how_far_guests_are_and_nothing_else_of_them(fleet: Fleet) -> None:
    cast, stage = fleet.stage.world.cast, fleet.stage
    stage.judge.behave(v1_1_0={"CHECK_GREEN": "fail", "lane": fleet.lanes[1].target_key})
    rollout = fleet.start(stage.release("1.1.0"), waves=(2, 1, 1, 2))

    fleet.work()

    with workspace_scope([cast.platform.pk]):
        parts = {part.guest: part for part in GuestPart.objects.all()}
        assert set(RolloutLane.objects.values_list("workspace_id", flat=True)) == {cast.platform.pk}
        assert not Promotion.objects.filter(lane=fleet.lanes[1]).exists()
    assert (parts[cast.customer.pk].state, parts[cast.elsewhere.pk].state) == (GuestState.FAILED, GuestState.WAITING)
    assert parts[cast.elsewhere.pk].sentence == "Its wave has not begun. Some of it runs the release."
    with workspace_scope([cast.customer.pk, cast.elsewhere.pk]):
        assert not GuestPart.objects.exists()
    heard = [words for kind, words in told(fleet, cast.platform) if kind == "rollout.guest_moved"]
    assert any("has a guest that is now: failed. It did not take the release" in words for words in heard)
    page = get(cast.devops, f"/deployments/roll-outs/{rollout.number}/")
    shown = text_of(page)
    assert "Guest" in shown
    assert "its own people see why" in shown
    assert not [name for name in (cast.customer.name, cast.elsewhere.name, "Vault", "did not start") if name in shown]
    assert "Other workspaces" not in text_of(get(cast.customer_operator, f"/deployments/roll-outs/{rollout.number}/"))


def test_the_database_shows_a_guest_the_roll_out_and_its_own_lanes_alone(fleet: Fleet) -> None:
    cast = fleet.stage.world.cast
    with fleet.stage.everything():
        rollout = rollouts.start_rollout(
            fleet.stage.world.release, waves_of={fleet.lanes[0]: 1, fleet.lanes[1]: 2}, pause=NONE, reason="",
            by=cast.release_engineer, now=timezone.now(),
        )  # fmt: skip

    with workspace_scope([cast.customer.pk]):
        assert [row.lane_id for row in Rollout.objects.get().lanes.all()] == [fleet.lanes[1].pk]
        assert not Rollout.objects.locked().exists()
        assert Rollout.objects.update(state=RolloutState.STOPPED) == 0
    with workspace_scope([cast.elsewhere.pk]):
        assert not Rollout.objects.exists()
        assert not RolloutLane.objects.exists()
    with pytest.raises(IntegrityError, match="does not come to this workspace"), fleet.stage.everything():
        RolloutLane.objects.create(workspace_id=cast.elsewhere.pk, rollout_id=rollout.pk, lane=fleet.lanes[2], wave=1)


def test_a_guest_decides_its_window_and_the_roll_out_waits_or_goes_on_without_it(fleet: Fleet) -> None:
    cast, now = fleet.stage.world.cast, timezone.now()
    with fleet.stage.everything():
        put_in_force("DEV", "window")
        environment_actions.set_window(
            fleet.lanes[1].environment, kind=WindowKind.DENY, weekdays=range(1, 8), starts_at=time(0),
            ends_at=time(0), zone="UTC", label="Month's end", by=SYSTEM, now=now,
        )  # fmt: skip
    rollout = fleet.start(fleet.stage.release("1.1.0"), waves=(1, 2, 2, 3))

    fleet.work()
    assert fleet.run() == ["1.1.0", "", "1.1.0", ""]
    assert fleet.fresh(rollout).state == RolloutState.RUNNING

    with workspace_scope([cast.platform.pk]):  # who steers sees no guest
        rollouts.release_wave(rollout, wave=3, by=cast.devops, now=timezone.now())
    fleet.work()

    assert fleet.run() == ["1.1.0", "", "1.1.0", "1.1.0"]
    assert states(fleet, rollout)[1] == PromotionState.PENDING
    assert fleet.fresh(rollout).state == RolloutState.RUNNING


def test_a_guest_holds_its_part_and_nobody_waits_for_it(fleet: Fleet) -> None:
    cast = fleet.stage.world.cast
    rollout = fleet.start(fleet.stage.release("1.1.0"), waves=(1, 2, 3, 3))
    decide(fleet, rollout, cast.customer, HELD)

    fleet.work()
    assert fleet.run() == ["1.1.0", "", "1.1.0", "1.1.0"]
    assert fleet.fresh(rollout).state == RolloutState.RUNNING
    with pytest.raises(rollout_parts.NothingWaits):
        decide(fleet, rollout, cast.elsewhere, LEFT)

    decide(fleet, rollout, cast.customer, IN)
    fleet.work()
    assert fleet.run()[1] == "1.1.0"
    assert fleet.fresh(rollout).state == RolloutState.COMPLETED
    assert [kind for kind, _ in told(fleet, cast.customer)][1:3] == ["rollout.part_held", "rollout.part_resumed"]
    assert "is held in Dev: nothing" in told(fleet, cast.customer)[1][1]


def test_a_guest_leaves_and_the_others_complete_it(fleet: Fleet) -> None:
    cast = fleet.stage.world.cast
    rollout = fleet.start(fleet.stage.release("1.1.0"), waves=(1, 2, 3, 3))
    with workspace_scope([cast.customer.pk]), pytest.raises(Denied):
        rollouts.stop_rollout(rollout, reason="Not ours", by=cast.customer_operator, now=timezone.now())
    with fleet.stage.everything(), pytest.raises(Denied, match="steers the roll-out"):
        rollout_parts.decide_part(
            rollout, workspace_id=cast.platform.pk, to=LEFT, reason="No", by=cast.devops, now=timezone.now()
        )
    decide(fleet, rollout, cast.customer, LEFT)

    fleet.work()

    assert fleet.run() == ["1.1.0", "", "1.1.0", "1.1.0"]
    assert fleet.fresh(rollout).state == RolloutState.COMPLETED
    assert [kind for kind, _ in told(fleet, cast.customer)][1] == "rollout.part_left"
    assert "part_left" not in str(told(fleet, cast.platform) + told(fleet, cast.elsewhere))


def test_whoever_lost_the_role_in_one_workspace_is_refused_there_alone(fleet: Fleet) -> None:
    cast = fleet.stage.world.cast
    rollout = fleet.start(fleet.stage.release("1.1.0"), waves=(2, 1, 1, 2))
    with fleet.stage.everything():
        member = Membership.objects.current().get(user=cast.release_engineer, workspace_id=cast.customer.pk)
        workspace_actions.end_role(member, by=SYSTEM, now=timezone.now())

    fleet.work()

    assert fleet.run() == ["", "", "1.1.0", ""]
    assert fleet.fresh(rollout).state == RolloutState.STOPPED


def test_a_fault_of_ours_in_one_workspace_keeps_no_other_from_its_turn(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = approval_actions.request_promotion

    def request(*args: Any, lane: Lane, **more: Any) -> Promotion:
        assert lane.pk != fleet.lanes[1].pk
        return usual(*args, lane=lane, **more)

    rollout = fleet.start(fleet.stage.release("1.1.0"), waves=(2, 1, 1, 2))
    with monkeypatch.context() as patched:
        patched.setattr(approval_actions, "request_promotion", request)
        fleet.work()
    assert fleet.run() == ["", "", "1.1.0", ""]
    assert fleet.fresh(rollout).state == RolloutState.RUNNING

    fleet.work()

    assert fleet.run() == ["1.1.0"] * 4


def test_only_who_may_ask_everywhere_starts_one(fleet: Fleet) -> None:
    cast, lanes = fleet.stage.world.cast, fleet.lanes
    begun = {"pause": NONE, "reason": "", "now": timezone.now()}
    with fleet.stage.everything():
        workspace_actions.grant_role(
            cast.outsider, role="RELEASE_ENGINEER", workspace=cast.customer, by=SYSTEM, now=timezone.now()
        )
        for by, chosen in ((cast.outsider, (lanes[1], lanes[2])), (cast.devops, (lanes[0], lanes[1]))):
            with pytest.raises(Denied):
                rollouts.start_rollout(fleet.stage.world.release, waves_of=dict.fromkeys(chosen, 1), by=by, **begun)
        fleet.stage.world.release.is_published = False
        with pytest.raises(rollouts.RolloutInvalid, match="not published"):
            fleet.start(fleet.stage.world.release, waves=(1, 1, 1, 1))
        assert not Rollout.objects.exists()


@pytest.mark.parametrize("side", ["stop", "leave"])
def test_a_wave_and_what_takes_it_back_at_once_leave_no_promotion_behind(fleet: Fleet, side: str) -> None:
    """Race on two connections: whoever comes first, nothing waits where the roll-out does not come any more."""
    cast = fleet.stage.world.cast
    rollout, barrier = fleet.start(fleet.stage.release("1.1.0"), waves=(1, 1, 1, 1)), threading.Barrier(2)

    def take_back() -> None:
        barrier.wait()
        if side == "leave":
            decide(fleet, rollout, cast.customer, LEFT)
        else:
            with workspace_scope([cast.platform.pk]):
                rollouts.stop_rollout(rollout, reason="Wrong one", by=cast.devops, now=timezone.now())
        connection.close()

    def work() -> None:
        barrier.wait()
        runner.roll_out(rollout.pk)
        connection.close()

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(take_back), threads.submit(work)]:
            done.result()

    with fleet.stage.everything():
        where = set(Promotion.objects.open().values_list("workspace_id", flat=True))
    assert where == ({cast.platform.pk, cast.elsewhere.pk} if side == "leave" else set())


def test_two_workers_ask_in_each_workspace_once(fleet: Fleet) -> None:
    rollout, barrier = fleet.start(fleet.stage.release("1.1.0"), waves=(1, 1, 1, 1)), threading.Barrier(2)

    def work(_: int) -> None:
        barrier.wait()
        try:
            runner.roll_out(rollout.pk)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(work, range(2)))

    with fleet.stage.everything():
        assert Promotion.objects.count() == 4
        assert AuditEvent.objects.filter(kind="rollout.wave_begun").count() == 3
        assert GuestPart.objects.count() == 2
        assert not AuditEvent.objects.filter(kind="rollout.guest_moved").exists()
