"""R13: people, workers, deaths and time in any order, on real PostgreSQL; a model in plain Python says what may come.

A worker dies inside of the process: its crash point raises what no handler catches, so the transaction in hand is
rolled back and nothing after it happens. `make reliability` tries FULL of them;
EAIP_SEQUENCES=2000 EAIP_SEQUENCE_STEPS=50 is the number of a whole night.
"""

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager

import hypothesis
import pytest
from django.utils import timezone
from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from apps.approvals import actions as approval_actions
from apps.audit.models import AuditEvent
from apps.core import crashpoints
from apps.core.verdict import Refusal
from apps.deployments import actions, runner, transitions
from apps.deployments.clock import CLOCK
from apps.deployments.engine import journal
from apps.deployments.engine.orders import executor_of, order_of
from apps.deployments.enums import ACTIVE, TERMINAL, DeploymentKind
from apps.deployments.enums import DeploymentState as S
from apps.deployments.executors.contract import StaleFence, StepKind
from apps.deployments.models import Deployment
from apps.environments import actions as environment_actions
from apps.environments.enums import Tier
from apps.environments.models import Hold, Lane
from tests.deployments.file_target import Place
from tests.deployments.reference import BEHAVIOUR, Asked, LaneModel, Nature
from tests.deployments.test_crashes import ON_THE_WAY, ON_THE_WAY_BACK
from tests.world import make_environment, make_lane

NATURES: tuple[Nature, ...] = ("good", "good", "good", "unready", "sick", "buggy", "untouched")
PLACES = [
    *ON_THE_WAY, *ON_THE_WAY_BACK, "after_probe:APPLIED", "after_probe:NOT_APPLIED", "after_retry_commit",
    "after_cancelling_commit", "before_unknown_commit", "before_untouched_commit", "after_untouched_commit",
]  # fmt: skip
KINDS = [f"deployment.{state.lower()}" for state in S]
ROUNDS_TO_REST = 12
FULL = (60, 30)


class Killed(BaseException):
    """The worker is dead: nothing catches this."""


class Deployments(RuleBasedStateMachine):
    stage = None
    numbers = iter(range(10**6))
    behaviour: dict[str, dict[str, str]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.model = LaneModel()
        self.dead: list[Deployment] = []
        cast = self.stage.world.cast
        with self.stage.everything():
            place = make_environment(cast.platform, f"Dev {next(self.numbers)}", Tier.DEV)
            self.lane_id = make_lane(place, self.stage.world.service).pk
        self.start("good")
        self.work(None)

    # ---- people

    @rule(nature=st.sampled_from(NATURES))
    def start(self, nature: Nature) -> None:
        version = f"2.0.{next(self.numbers)}"
        self.behaviour[version] = BEHAVIOUR[nature]
        self._behave()
        with self.stage.everything():
            for hold in Hold.objects.open().filter(lane_id=self.lane_id):
                environment_actions.lift_hold(hold, reason="Looked at", by=self._devops, now=timezone.now())
            if self._open() is not None:
                return self._require_busy()
            release, lane = self.stage.world.next_release(version), self._lane()
            promotion = self._request(release, lane)
            started = actions.start_deployment(promotion, by=self._engineer, now=timezone.now())
        return self.model.add(Asked(started.pk, version, nature))

    @rule()
    def roll_back(self) -> None:
        with self.stage.everything():
            if self._open() is not None:
                return self._require_busy()
            try:
                back = actions.roll_back(self._lane(), reason="Worse", by=self._devops, now=timezone.now())
            except actions.NoRollbackTarget:
                return None
        return self.model.add(Asked(back.pk, back.release.version, "good", is_rollback=True))

    @rule()
    def cancel(self) -> None:
        with self.stage.everything():
            if (found := self._open()) and actions.may_cancel(self._devops, found):
                self.model.deployments[found.pk].is_cancelled = True
                actions.cancel_deployment(found, reason="No", by=self._devops, now=timezone.now())

    @rule()
    def abandon(self) -> None:
        with self.stage.everything():
            if (found := self._open()) and found.state == S.UNKNOWN:
                self.model.deployments[found.pk].is_abandoned = True
                actions.abandon_deployment(found, reason="Gone", by=self._devops, now=timezone.now())

    # ---- workers and time

    @rule(dies_at=st.none() | st.sampled_from(PLACES))
    def work(self, dies_at: str | None) -> None:
        """A hint comes, to a worker that may die of it."""
        if (found := self._open()) is None:
            return
        with self._dying(dies_at):
            runner.run(found.pk)
        self._learn_of_rollback()

    @rule(dies_at=st.none() | st.sampled_from(PLACES))
    def time_passes(self, dies_at: str | None) -> None:
        """Leases lapse, the next look is due, and a sweeper comes by."""
        if (found := self._open()) is None:
            return
        with self.stage.everything():
            rows = Deployment.objects.filter(pk=found.pk)
            rows.filter(lease_token__isnull=False).update(lease_until=CLOCK)
            rows.filter(probe_after__isnull=False).update(probe_after=CLOCK)
        self.work(dies_at)

    @rule()
    def hint_comes_again(self) -> None:
        """For what has ended, and for what is under way."""
        for known in [*self.model.deployments][-3:]:
            if self.model.deployments[known].ended:
                runner.run(known)

    @rule(answer=st.sampled_from(["UNREACHABLE", "IN_FLIGHT", ""]))
    def target_answers(self, answer: str) -> None:
        for asked in self.model.deployments.values():
            self.behaviour[asked.version] = BEHAVIOUR[asked.nature] | ({"probe": answer} if answer else {})
        self._behave()

    @precondition(lambda self: self.dead)
    @rule()
    def dead_worker_wakes_up(self) -> None:
        """It was only frozen, and goes on with the row that it has in hand."""
        stale = self.dead[-1]
        now = self.stage.fresh(stale)
        if now.fence == stale.fence and now.is_open and now.lease_token == stale.lease_token:
            return
        with self.stage.everything():
            with pytest.raises((StaleFence, transitions.StaleState)):
                journal.require_owner(stale)
            with pytest.raises((transitions.StaleState, transitions.NotAnEdge)):
                transitions.advance(stale, S.UNKNOWN, by=self._devops, now=timezone.now())
            target, order = executor_of(stale.lane), order_of(stale)
        closed = Place(stale.target_key).fence > stale.fence
        if not now.is_open and now.state != S.ABANDONED and now.fence > stale.fence:
            assert closed, "an attempt ended, and the target still takes the one before"
        if closed:
            before = self.stage.judge.effects(stale.target_key)
            for step in (StepKind.START_GREEN, StepKind.SWITCH):
                with pytest.raises(StaleFence):
                    target.apply(step, order, log=lambda _line: None)
            assert self.stage.judge.effects(stale.target_key) == before

    # ---- what is true all the time

    @invariant()
    def holds(self) -> None:
        with self.stage.everything():
            lane, rows = self._lane(), list(Deployment.objects.filter(lane_id=self.lane_id))
            open_rows = [row for row in rows if row.is_open]
            assert len(open_rows) <= 1
            for row in rows:
                self._require_told(row)
                if asked := self.model.deployments.get(row.pk):
                    assert not asked.ended or asked.ended == row.state, f"{row} had ended as {asked.ended}"
                    if row.state in TERMINAL and not asked.ended:
                        self.model.end(asked, row.state)
            for row in open_rows:
                someone = row.lease_until is not None or row.state in (S.QUEUED, S.STARTING)
                assert someone or (row.state == S.UNKNOWN and row.probe_after), "nobody will ever look at it"
            serves = lane.live_release.version if lane.live_release else ""
            assert serves == self.model.serves
        self.stage.judge.require_once(lane.target_key)
        if not open_rows and not self.model.is_adrift:
            assert self.stage.judge.serves(lane.target_key) == (serves or None)

    def teardown(self) -> None:
        """With the target back and time enough, everything comes to an end by itself."""
        self.target_answers("")
        for _round in range(ROUNDS_TO_REST):
            self.time_passes(None)
        self.holds()
        with self.stage.everything():
            assert self._open() is None, f"still {self._open().state} after {ROUNDS_TO_REST} looks"

    # ---- how

    @property
    def _devops(self):
        return self.stage.world.cast.devops

    @property
    def _engineer(self):
        return self.stage.world.cast.release_engineer

    def _lane(self) -> Lane:
        return Lane.objects.with_cell().select_related("live_release").get(pk=self.lane_id)

    def _open(self) -> Deployment | None:
        with self.stage.everything():
            return Deployment.objects.open().with_subject().filter(lane_id=self.lane_id).first()

    def _request(self, release, lane):
        return approval_actions.request_promotion(
            release, lane=lane, by=self._engineer, now=timezone.now(), starts_by_itself=False
        )

    def _require_busy(self) -> None:
        with pytest.raises((actions.LaneBusy, Refusal)) as refused:
            actions.roll_back(self._lane(), reason="Me too", by=self._devops, now=timezone.now())
        assert refused.value.code == "lane_busy"

    def _require_told(self, row: Deployment) -> None:
        """I5: each change has one event, and follows from the one before it."""
        changes = list(row.transitions.order_by("n").values_list("n", "from_state", "to_state"))
        assert [n for n, _before, _after in changes] == list(range(1, len(changes) + 1))
        for (_n, _from, before), (_m, after_from, after) in itertools.pairwise(changes):
            assert after_from == before
            assert after in transitions.TABLE[S(before)]
        assert changes[-1][2] == row.state
        told = AuditEvent.objects.filter(target_id=str(row.pk), kind__in=KINDS).values_list("kind", flat=True)
        assert sorted(told) == sorted(f"deployment.{after.lower()}" for _n, _before, after in changes)

    def _learn_of_rollback(self) -> None:
        with self.stage.everything():
            rows = Deployment.objects.filter(lane_id=self.lane_id, kind=DeploymentKind.ROLLBACK)
            for row in rows.exclude(pk__in=self.model.deployments).select_related("release"):
                self.model.add(Asked(row.pk, row.release.version, "good", is_rollback=True))
        for asked in self.model.deployments.values():
            if not asked.ended:
                asked.losses = max(asked.losses, self.stage.fresh(Deployment(pk=asked.id)).attempt)

    def _behave(self) -> None:
        self.stage.judge.behave(**{version.replace(".", "_"): rule for version, rule in self.behaviour.items()})

    @contextmanager
    def _dying(self, place: str | None) -> Iterator[None]:
        crashpoints.POINT = place
        try:
            yield
        except Killed:
            with self.stage.everything():
                held = Deployment.objects.with_subject().filter(lane_id=self.lane_id, state__in=ACTIVE)
                self.dead += [row for row in held if row.lease_token]
        finally:
            crashpoints.POINT = None


def _sequences(stage, monkeypatch, count: int, steps: int, *, derandomize: bool) -> None:
    def die(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(crashpoints.os, "kill", die)
    monkeypatch.setattr(Deployments, "stage", stage)
    run_state_machine_as_test(
        Deployments,
        settings=hypothesis.settings(
            max_examples=count, stateful_step_count=steps, deadline=None, derandomize=derandomize, database=None,
            print_blob=True, suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip


def test_any_order_of_events_ends_well(stage, monkeypatch) -> None:
    _sequences(stage, monkeypatch, 4, 12, derandomize=True)


@pytest.mark.reliability
def test_thousands_of_orders_of_events_end_well(stage, monkeypatch) -> None:
    count = int(os.environ.get("EAIP_SEQUENCES", FULL[0]))
    _sequences(stage, monkeypatch, count, int(os.environ.get("EAIP_SEQUENCE_STEPS", FULL[1])), derandomize=False)
