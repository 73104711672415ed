"""One release to many environments, in waves: what each leaves, and what stops it."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from apps.approvals import actions as approval_actions
from apps.approvals.enums import PromotionState
from apps.approvals.models import Promotion
from apps.audit.actors import SYSTEM
from apps.audit.models import AuditEvent
from apps.core.verdict import Denied
from apps.deployments import rollouts, runner
from apps.deployments.enums import RolloutState
from apps.deployments.models import Deployment, Rollout
from apps.deployments.rollout_transitions import RolloutMoved
from apps.environments import actions as environment_actions
from apps.environments.enums import FreezeScope, Health, Tier
from apps.environments.models import Environment, Lane
from apps.health import actions as health_actions
from apps.health.models import Alert, EndpointCheck
from apps.releases.models import Release
from apps.workspaces import actions as workspace_actions
from apps.workspaces.models import Membership
from tests.deployments.conftest import Stage
from tests.drill import get, text_of
from tests.processes import eventually
from tests.world import make_environment, make_lane

NONE = timedelta(0)
HOUR = timedelta(hours=1)


@dataclass
class Fleet:
    """Three environments of one tier, where nobody has to approve."""

    stage: Stage
    lanes: list[Lane]

    def start(self, release: Release, *, pause: timedelta = NONE, waves: tuple[int, ...] = (1, 2, 2)) -> Rollout:
        with self.stage.everything():
            return rollouts.start_rollout(
                release,
                waves_of=dict(zip(self.lanes, waves, strict=True)),
                pause=pause,
                reason="Quarter's release",
                by=self.stage.world.cast.release_engineer,
                now=timezone.now(),
            )

    def work(self) -> None:
        """Do what workers do until nothing is due."""
        for _ in range(20):
            runner.roll_out()
            due = runner.due_work(unclaimed=runner.AT_ONCE)
            if not [one for one in due if one.kind != "SETTLE"]:
                return
            for one in due:
                runner.handle(one)
        raise AssertionError(f"still due: {due}")

    def fresh(self, rollout: Rollout) -> Rollout:
        with self.stage.everything():
            return Rollout.objects.with_subject().get(pk=rollout.pk)

    def run(self) -> list[str]:
        """Return the version that runs in each environment."""
        with self.stage.everything():
            found = {lane.pk: lane for lane in Lane.objects.with_cell().filter(pk__in=[lane.pk for lane in self.lanes])}
        return [str(found[lane.pk].live_release or "") for lane in self.lanes]

    def promotions(self, rollout: Rollout) -> list[Promotion | None]:
        with self.stage.everything():
            return [row.promotion for row in self.fresh(rollout).lanes.in_order()]


@pytest.fixture
def fleet(stage: Stage) -> Fleet:
    with stage.everything():
        places: list[Environment] = [stage.world.dev]
        places += [make_environment(stage.world.cast.platform, name, Tier.DEV) for name in ("Dev East", "Dev West")]
        lanes = [stage.world.lane(places[0]), *(make_lane(place, stage.world.service) for place in places[1:])]
    return Fleet(stage, [stage.lane(places[0]), *(_with_cell(stage, lane) for lane in lanes[1:])])


def _with_cell(stage: Stage, lane: Lane) -> Lane:
    with stage.everything():
        return Lane.objects.with_cell().get(pk=lane.pk)


def test_wave_after_wave_until_all_run_it(fleet: Fleet) -> None:
    rollout = fleet.start(fleet.stage.release("1.1.0"))

    fleet.work()

    done = fleet.fresh(rollout)
    assert (done.state, done.outcome) == (RolloutState.COMPLETED, "All 3 environments run it.")
    assert fleet.run() == ["1.1.0", "1.1.0", "1.1.0"]
    first, *later = fleet.promotions(rollout)
    assert all(first.ended_at <= promotion.requested_at for promotion in later)
    with fleet.stage.everything():
        kinds = AuditEvent.objects.filter(target_type="rollout").order_by("recorded_at").values_list("kind", flat=True)
        assert list(kinds) == ["rollout.started", "rollout.wave_begun", "rollout.wave_begun", "rollout.completed"]


def test_a_wave_is_watched_before_the_next_one_begins(fleet: Fleet) -> None:
    rollout = fleet.start(fleet.stage.release("1.1.0"), pause=HOUR)

    fleet.work()
    assert fleet.run() == ["1.1.0", "", ""]

    with fleet.stage.everything():
        by, now = fleet.stage.world.cast.devops, timezone.now()
        with pytest.raises(rollouts.NothingToRelease):
            rollouts.release_wave(rollout, wave=3, by=by, now=now)
        rollouts.release_wave(rollout, wave=2, by=by, now=now)
    fleet.work()

    assert fleet.run() == ["1.1.0", "1.1.0", "1.1.0"]


def test_a_canary_that_fails_stops_it_and_touches_no_other(fleet: Fleet) -> None:
    fleet.stage.judge.behave(v1_1_0={"CHECK_GREEN": "fail"})
    rollout = fleet.start(fleet.stage.release("1.1.0"))

    fleet.work()

    stopped = fleet.fresh(rollout)
    assert stopped.state == RolloutState.STOPPED
    assert stopped.outcome.startswith("Dev: Failed. 1.1.0 did not start")
    assert fleet.promotions(rollout)[1:] == [None, None]
    assert [fleet.stage.judge.effects(lane.target_key) for lane in fleet.lanes[1:]] == [[], []]


def test_what_refuses_one_environment_keeps_no_other_of_its_wave_from_it(fleet: Fleet) -> None:
    rollout = fleet.start(fleet.stage.release("1.1.0"))
    with fleet.stage.everything():
        environment_actions.remove_lane(fleet.lanes[1], by=fleet.stage.world.cast.devops, now=timezone.now())

    fleet.work()

    assert fleet.fresh(rollout).state == RolloutState.STOPPED
    assert "Dev East: Greeter is no longer in Dev East." in fleet.fresh(rollout).outcome
    assert fleet.run() == ["1.1.0", "", "1.1.0"]


def _faulty_lane(lane: Lane, since: datetime) -> None:
    Lane.objects.filter(pk=lane.pk).update(
        health=Health.FAULTY, health_since=since, health_checked_at=since, health_detail="500 in 3 ms"
    )


def _faulty_address(lane: Lane, since: datetime) -> None:
    """Where the portal probes nothing itself (a cluster, say), people's own checks are all there is."""
    check = health_actions.create_check(lane, name="Front door", url="https://app.example.com/", by=SYSTEM, now=since)
    EndpointCheck.objects.filter(pk=check.pk).update(
        verdict=Health.FAULTY, verdict_since=since, checked_at=since, detail="503 in 3 ms"
    )


def _alert(lane: Lane, since: datetime) -> None:
    Alert.objects.create(
        workspace_id=lane.workspace_id, lane=lane, fingerprint="1", name="ManyErrors", severity="critical",
        summary="One in ten fails.", starts_at=since, told_at=since,
    )  # fmt: skip


WRONG = pytest.mark.parametrize(
    ("trouble", "why"),
    [
        (_faulty_lane, "Its health check says: 500 in 3 ms"),
        (_faulty_address, "Its health check says: Front door: 503 in 3 ms"),
        (_alert, "The alert ManyErrors fires. One in ten fails."),
    ],
    ids=["lane", "address", "alert"],
)


@WRONG
def test_a_canary_where_something_goes_wrong_while_it_is_watched_stops_it(fleet: Fleet, trouble: Any, why: str) -> None:
    rollout = fleet.start(fleet.stage.release("1.1.0"), pause=HOUR)
    fleet.work()
    with fleet.stage.everything():
        trouble(fleet.lanes[0], timezone.now())

    fleet.work()

    assert fleet.fresh(rollout).outcome == f"Dev: {why}"
    assert fleet.run() == ["1.1.0", "", ""]


def test_what_was_wrong_before_the_release_came_keeps_the_next_wave_until_it_ends(fleet: Fleet) -> None:
    with fleet.stage.everything():
        _alert(fleet.lanes[0], timezone.now())
    rollout = fleet.start(fleet.stage.release("1.1.0"))

    fleet.work()

    assert (fleet.fresh(rollout).state, fleet.run()) == (RolloutState.RUNNING, ["1.1.0", "", ""])
    page = text_of(get(fleet.stage.world.cast.devops, f"/deployments/roll-outs/{rollout.number}/"))
    assert "Wave 2 waits until all is well before it. Dev: The alert ManyErrors fires." in page
    assert "Begin the next wave now" in page
    with fleet.stage.everything():
        Alert.objects.update(ends_at=timezone.now())
    fleet.work()
    assert fleet.run() == ["1.1.0", "1.1.0", "1.1.0"]


def test_a_canary_that_was_taken_back_stops_it(fleet: Fleet) -> None:
    fleet.stage.deploy()
    rollout = fleet.start(fleet.stage.release("1.1.0"), pause=HOUR)
    fleet.work()
    with fleet.stage.everything():
        Lane.objects.filter(pk=fleet.lanes[0].pk).update(live_release=fleet.stage.world.release)

    fleet.work()

    assert fleet.fresh(rollout).outcome == "Dev: It was taken back to 1.0.0."


def test_whoever_lost_the_role_brings_it_nowhere(fleet: Fleet) -> None:
    rollout, cast = fleet.start(fleet.stage.release("1.1.0")), fleet.stage.world.cast
    with fleet.stage.everything():
        for membership in Membership.objects.current().filter(user=cast.release_engineer):
            workspace_actions.end_role(membership, by=SYSTEM, now=timezone.now())

    fleet.work()

    assert fleet.fresh(rollout).state == RolloutState.STOPPED
    assert fleet.promotions(rollout) == [None, None, None]


def test_a_paused_roll_out_begins_no_wave_until_it_goes_on(fleet: Fleet) -> None:
    rollout, by = fleet.start(fleet.stage.release("1.1.0")), fleet.stage.world.cast.devops
    with fleet.stage.everything():
        rollouts.pause_rollout(rollout, by=by, now=timezone.now())

    fleet.work()
    assert fleet.run() == ["", "", ""]

    with fleet.stage.everything():
        with pytest.raises(RolloutMoved):
            rollouts.pause_rollout(rollout, by=by, now=timezone.now())
        rollouts.resume_rollout(rollout, by=by, now=timezone.now())
    fleet.work()
    assert fleet.run() == ["1.1.0", "1.1.0", "1.1.0"]


def test_stopping_withdraws_what_waits_and_leaves_what_runs(fleet: Fleet) -> None:
    cast, now = fleet.stage.world.cast, timezone.now()
    with fleet.stage.everything():
        environment_actions.freeze(
            scope=FreezeScope.ENVIRONMENT, environment=fleet.lanes[1].environment, workspace_id=cast.platform.pk,
            reason="Audit week", ends_at=None, by=cast.devops, now=now,
        )  # fmt: skip
    rollout = fleet.start(fleet.stage.release("1.1.0"), waves=(1, 1, 2))
    fleet.work()

    with fleet.stage.everything():
        rollouts.stop_rollout(rollout, reason="Wrong release", by=cast.devops, now=timezone.now())
        with pytest.raises(Denied, match="has ended"):
            rollouts.stop_rollout(rollout, reason="Again", by=cast.devops, now=timezone.now())

    done, waited, never = fleet.promotions(rollout)
    assert (done.state, waited.state, never) == (PromotionState.COMPLETED, PromotionState.WITHDRAWN, None)
    assert "DevOps stopped roll-out" in waited.outcome
    assert fleet.run() == ["1.1.0", "", ""]


def test_a_stop_lets_go_on_what_begins_to_deploy_in_that_moment(fleet: Fleet) -> None:
    """The promotion is found waiting, and has been started by the time that the stop gets its lock."""
    cast = fleet.stage.world.cast
    rollout = fleet.start(fleet.stage.release("1.1.0"), waves=(1, 2, 2))
    runner.roll_out(rollout.pk)
    asked, *_ = fleet.promotions(rollout)
    assert asked is not None

    def stop() -> None:
        with fleet.stage.everything():
            rollouts.stop_rollout(rollout, reason="Wrong release", by=cast.devops, now=timezone.now())
        connection.close()

    with ThreadPoolExecutor(1) as threads:
        with fleet.stage.everything():
            approval_actions.mark(asked, PromotionState.DEPLOYING, by=SYSTEM, now=timezone.now())
            stopping = threads.submit(stop)
            eventually(_somebody_waits_for_a_lock)
        stopping.result()

    assert fleet.fresh(rollout).state == RolloutState.STOPPED
    began = fleet.promotions(rollout)[0]
    assert began is not None
    assert began.state == PromotionState.DEPLOYING


def _somebody_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("""
            SELECT EXISTS (
                SELECT FROM pg_locks waiting JOIN pg_locks held USING (pid)
                WHERE NOT waiting.granted
                    AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            )
        """)
        return bool(cursor.fetchone()[0])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"waves_of": 1}, "two environments at least"),
        ({"pause": timedelta(days=15)}, "at most 14 days"),
        ({"pause": timedelta(days=-1)}, "at most 14 days"),
    ],
)
def test_what_is_no_roll_out_is_refused(fleet: Fleet, change: dict[str, Any], sentence: str) -> None:
    values: dict[str, Any] = {"waves_of": dict.fromkeys(fleet.lanes, 1), "pause": NONE} | change
    if values["waves_of"] == 1:
        values["waves_of"] = {fleet.lanes[0]: 1}

    with fleet.stage.everything(), pytest.raises(rollouts.RolloutInvalid, match=sentence):
        rollouts.start_rollout(
            fleet.stage.world.release, reason="", by=fleet.stage.world.cast.release_engineer, now=timezone.now(),
            **values,
        )  # fmt: skip

    with fleet.stage.everything():
        assert not Rollout.objects.exists()


def test_two_at_once_start_one_and_the_other_names_it(fleet: Fleet) -> None:
    release, barrier = fleet.stage.release("1.1.0"), threading.Barrier(2)

    def start(_: int) -> Rollout | rollouts.RolloutUnderWay:
        barrier.wait()
        try:
            return fleet.start(release)
        except rollouts.RolloutUnderWay as refusal:
            return refusal
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(start, range(2)))

    [begun] = [answer for answer in answers if isinstance(answer, Rollout)]
    [refusal] = [answer for answer in answers if not isinstance(answer, Rollout)]
    assert f"Roll-out {begun} of Greeter 1.1.0 is running, begun by Release engineer." in str(refusal)


def test_two_workers_ask_for_each_environment_once(fleet: Fleet) -> None:
    rollout, barrier = fleet.start(fleet.stage.release("1.1.0"), waves=(1, 1, 1)), threading.Barrier(2)

    def work(_: int) -> None:
        barrier.wait()
        try:
            runner.roll_out(rollout.pk)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(work, range(2)))

    with fleet.stage.everything():
        assert Promotion.objects.count() == 3
        assert AuditEvent.objects.filter(kind="rollout.wave_begun").count() == 1


def test_a_stop_and_a_next_wave_at_once_leave_no_promotion_behind(fleet: Fleet) -> None:
    """Whoever comes first: after a stop nothing of the roll-out waits any more."""
    rollout, barrier = fleet.start(fleet.stage.release("1.1.0"), waves=(1, 1, 1)), threading.Barrier(2)

    def stop() -> None:
        barrier.wait()
        with fleet.stage.everything():
            rollouts.stop_rollout(rollout, reason="Wrong one", by=fleet.stage.world.cast.devops, now=timezone.now())
        connection.close()

    def work() -> None:
        barrier.wait()
        runner.roll_out(rollout.pk)
        connection.close()

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(stop), threads.submit(work)]:
            done.result()

    assert fleet.fresh(rollout).state == RolloutState.STOPPED
    with fleet.stage.everything():
        assert not Promotion.objects.open().exists()
        assert not Deployment.objects.exists()
