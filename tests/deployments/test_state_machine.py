"""R13: people, workers, deaths and time in any order, on real PostgreSQL; a model in plain Python says what may come.

A worker dies inside of the process: its crash point raises what no handler catches, so the transaction in hand is
rolled back and nothing after it happens. Every run of the suite tries the same PUSH sequences; `make reliability
PARTS=R13` tries 2,000 others, 100 of each seed, so that they can be taken in parts: `-k seed-3`.
"""

import itertools
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import hypothesis
import pytest
from django.utils import timezone
from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from apps.approvals import actions as approval_actions
from apps.approvals.models import Promotion
from apps.audit.models import AuditEvent
from apps.core import crashpoints
from apps.core.clock import CLOCK
from apps.core.verdict import Refusal
from apps.deployments import actions, runner, transitions
from apps.deployments import log as deployment_log
from apps.deployments.engine import journal
from apps.deployments.engine.orders import executor_of, order_of
from apps.deployments.enums import ACTIVE, TERMINAL, DeploymentKind
from apps.deployments.enums import DeploymentState as S
from apps.deployments.executors.contract import StaleFence, StepKind
from apps.deployments.models import Deployment, Transition
from apps.environments import actions as environment_actions
from apps.environments.enums import Tier
from apps.environments.models import Hold, Lane
from apps.releases.models import Release
from tests.deployments.conftest import Stage
from tests.deployments.file_target import Place
from tests.deployments.reference import BEHAVIOUR, Asked, LaneModel, Nature
from tests.deployments.test_crashes import ON_THE_WAY, ON_THE_WAY_BACK
from tests.deployments.test_verification import _say
from tests.world import make_environment, make_lane

NATURES: tuple[Nature, ...] = ("good", "good", "good", "unready", "sick", "buggy", "untouched")
PLACES = [
    *ON_THE_WAY, *ON_THE_WAY_BACK, "after_probe:APPLIED", "after_probe:NOT_APPLIED", "after_retry_commit",
    "after_cancelling_commit", "before_unknown_commit", "before_untouched_commit", "after_untouched_commit",
]  # fmt: skip
KINDS = [f"deployment.{state.lower()}" for state in S]
# Most workers die of it: one that does not brings an attempt to its end in one step.
DEATHS = st.sampled_from([None] * 10 + PLACES)
ROUNDS_TO_REST = 12
SEEDS, LANES = 20, 8
# Sequences, and the steps of each. Those of each push are in parts, which its processes share.
PUSH, OF_A_SEED = (25, 4), (100, 50)
PARTS = 4


TryOut = Callable[..., None]


class Killed(BaseException):
    """The worker is dead: nothing catches this."""


@dataclass
class Rest:
    """A lane where nothing is open and a good release serves. To make one costs as much as a whole sequence."""

    lane_id: UUID
    serves: str = ""
    goods: int = 0
    """How many good releases it has had."""
    last: int = 0
    """The number of its last deployment."""


class Deployments(RuleBasedStateMachine):
    stage: Stage
    rests: list[Rest]
    """Where sequences begin: the lanes take turns, each with what it has been through."""
    goods: list[Release]
    """Every lane gets the same good releases; bad ones are quarantined where they hurt, so they are new."""
    figures: Counter[str]
    numbers = itertools.count(1)

    def __init__(self) -> None:
        super().__init__()
        self.model = LaneModel()
        self.behaviour: dict[str, dict[str, str]] = {}
        self.dead: list[Deployment] = []
        self.rows: list[Deployment] = []
        if len(self.rests) == LANES:
            self.rest = self.rests.pop(0)
            self.model.serves = self.rest.serves
            self._behave()
        else:
            with self.stage.everything():
                place = make_environment(self.stage.world.cast.platform, f"Dev {next(self.numbers)}", Tier.DEV)
                self.rest = Rest(make_lane(place, self.stage.world.service).pk)
            self.start("good")
            self._require_right()
            self.work(None)

    @property
    def lane_id(self) -> UUID:
        return self.rest.lane_id

    # Every rule may be taken at any moment and always does something: what can't be done now gives way to what can. A
    # precondition would be asked of lanes that other sequences have been on, and Hypothesis could repeat none.

    # ---- people

    @rule(nature=st.sampled_from(NATURES))
    def start(self, nature: Nature) -> None:
        if self._open is not None:
            return self._require_busy()
        with self.stage.everything():
            for hold in Hold.objects.open().filter(lane_id=self.lane_id):
                environment_actions.lift_hold(hold, reason="Looked at", by=self._devops, now=timezone.now())
            release, lane = self._release(nature), self._lane()
            promotion = self._request(release, lane)
            started = actions.start_deployment(promotion, by=self._engineer, now=timezone.now())
        self.behaviour[release.version] = BEHAVIOUR[nature]
        self._behave()
        return self.model.add(Asked(started.pk, release.version, nature))

    @rule()
    def roll_back(self) -> None:
        if self._open is not None:
            return self._require_busy()
        with self.stage.everything():
            try:
                back = actions.roll_back(self._lane(), reason="Worse", by=self._devops, now=timezone.now())
            except actions.NoRollbackTarget:
                return None
        return self.model.add(Asked(back.pk, back.release.version, "good", is_rollback=True))

    @rule()
    def cancel(self) -> None:
        if (found := self._open) is None:
            return self.start("good")
        with self.stage.everything():
            if actions.may_cancel(self._devops, self.stage.fresh(found)):
                self.model.deployments[found.pk].is_cancelled = True
                actions.cancel_deployment(found, reason="No", by=self._devops, now=timezone.now())
        return None

    @rule()
    def abandon(self) -> None:
        if (found := self._open) is None or found.state != S.UNKNOWN:
            return self.time_passes("after_effect:SWITCH")
        with self.stage.everything():
            self.model.deployments[found.pk].is_abandoned = True
            actions.abandon_deployment(found, reason="Gone", by=self._devops, now=timezone.now())
        return None

    # ---- workers and time

    @rule(dies_at=DEATHS)
    def work(self, dies_at: str | None) -> None:
        """A hint comes, to a worker that may die of it."""
        self._run(self._open or self._started(), dies_at)

    @rule(dies_at=DEATHS)
    def time_passes(self, dies_at: str | None) -> None:
        """Leases lapse, the next look is due, and a sweeper comes by."""
        found = self._open or self._started()
        with self.stage.everything():
            rows = Deployment.objects.filter(pk=found.pk)
            rows.filter(lease_token__isnull=False).update(lease_until=CLOCK)
            rows.filter(probe_after__isnull=False).update(probe_after=CLOCK)
        self._run(found, dies_at)

    @rule()
    def hint_comes_again(self) -> None:
        """For what has ended."""
        ended = [known for known, asked in self.model.deployments.items() if asked.ended]
        if not ended:
            return self.work(None)
        for known in ended[-3:]:
            runner.run(known)
        return None

    @rule(answer=st.sampled_from(["UNREACHABLE", "IN_FLIGHT", ""]))
    def target_answers(self, answer: str) -> None:
        for asked in self.model.deployments.values():
            self.behaviour[asked.version] = BEHAVIOUR[asked.nature] | ({"probe": answer} if answer else {})
        self._behave()

    @rule()
    def dead_worker_wakes_up(self) -> None:
        """It was only frozen, and goes on with the row that it had in hand, which somebody else has or has ended."""
        if not self.dead:
            return self.time_passes("after_effect:INSTALL")
        if not self._is_overtaken:
            self.time_passes(None)
        stale = self.dead[-1]
        now = self.stage.fresh(stale)
        if now.is_open and (now.fence, now.lease_token) == (stale.fence, stale.lease_token):
            return None
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
        return None

    # ---- what is true all the time

    @invariant()
    def holds(self) -> None:
        self.figures["steps"] += 1
        self._require_right()

    def _require_right(self) -> None:
        with self.stage.everything():
            lane = self._lane()
            mine = Deployment.objects.filter(lane_id=self.lane_id, number__gt=self.rest.last)
            self.rows = list(mine.select_related("release"))
            self._require_told()
        assert sum(row.is_open for row in self.rows) <= 1
        self._learn()
        for row in self.rows:
            asked = self.model.deployments[row.pk]
            assert not asked.ended or asked.ended == row.state, f"{row} had ended as {asked.ended}"
            if row.state in TERMINAL and not asked.ended:
                self.model.end(asked, row.state)
        if (row := self._open) is not None:
            someone = row.lease_until is not None or row.state in (S.QUEUED, S.STARTING)
            assert someone or (row.state == S.UNKNOWN and row.probe_after), "nobody will ever look at it"
        serves = lane.live_release.version if lane.live_release else ""
        assert serves == self.model.serves
        self.stage.judge.require_once(lane.target_key)
        if self._open is None and not self.model.is_adrift:
            assert self.stage.judge.serves(lane.target_key) == (serves or None)

    def teardown(self) -> None:
        """With the target back and time enough, everything comes to an end by itself."""
        self.target_answers("")
        for _round in range(ROUNDS_TO_REST):
            self._require_right()
            if self._open is None:
                break
            self.time_passes(None)
        else:
            raise AssertionError(f"still {self._open.state} after {ROUNDS_TO_REST} looks")
        self.figures.update(sequences=1, steps=-1, deployments=len(self.rows))  # it began with a look
        if not self.model.is_adrift and self.model.serves:
            last = max((row.number for row in self.rows), default=self.rest.last)
            self.rests.append(replace(self.rest, serves=self.model.serves, last=last))

    # ---- how

    @property
    def _devops(self):
        return self.stage.world.cast.devops

    @property
    def _engineer(self):
        return self.stage.world.cast.release_engineer

    def _lane(self) -> Lane:
        return Lane.objects.with_cell().select_related("live_release").get(pk=self.lane_id)

    def _release(self, nature: Nature) -> Release:
        if nature != "good":
            return self.stage.world.next_release(f"3.0.{next(self.numbers)}")
        if self.rest.goods == len(self.goods):
            self.goods.append(self.stage.world.next_release(f"2.{self.rest.goods}.0"))
        self.rest.goods += 1
        return self.goods[self.rest.goods - 1]

    @property
    def _open(self) -> Deployment | None:
        """The attempt that was open after the last step."""
        return next((row for row in self.rows if row.is_open), None)

    def _started(self) -> Deployment:
        self.start("good")
        self._require_right()
        assert self._open is not None
        return self._open

    def _require_busy(self) -> None:
        with self.stage.everything(), pytest.raises((actions.LaneBusy, Refusal)) as refused:
            actions.roll_back(self._lane(), reason="Me too", by=self._devops, now=timezone.now())
        assert refused.value.code == "lane_busy"

    @property
    def _is_overtaken(self) -> bool:
        """Say whether the row that the last dead worker had is somebody else's by now, or has ended."""
        held = {(row.pk, row.fence, row.lease_token) for row in self.rows if row.is_open}
        return bool(self.dead) and (self.dead[-1].pk, self.dead[-1].fence, self.dead[-1].lease_token) not in held

    def _request(self, release: Release, lane: Lane) -> Promotion:
        return approval_actions.request_promotion(
            release, lane=lane, by=self._engineer, now=timezone.now(), starts_by_itself=False
        )

    def _run(self, found: Deployment, dies_at: str | None) -> None:
        self.figures["runs"] += 1
        with self._dying(dies_at):
            runner.run(found.pk)

    def _require_told(self) -> None:
        """I5: each change has one event, and follows from the one before it."""
        rows = self.rows
        changes, told = defaultdict(list), defaultdict(list)
        for change in Transition.objects.filter(deployment__in=rows).order_by("n"):
            changes[change.deployment_id].append((change.n, change.from_state, change.to_state))
        events = AuditEvent.objects.filter(target_type="deployment", target_id__in=[str(row.pk) for row in rows])
        for target_id, kind in events.filter(kind__in=KINDS).values_list("target_id", "kind"):
            told[target_id].append(kind)
        for row in rows:
            mine = changes[row.pk]
            assert [n for n, _before, _after in mine] == list(range(1, len(mine) + 1))
            for (_n, _from, before), (_m, after_from, after) in itertools.pairwise(mine):
                assert after_from == before
                assert after in transitions.TABLE[S(before)]
            assert mine[-1][2] == row.state
            assert sorted(told[str(row.pk)]) == sorted(f"deployment.{after.lower()}" for _n, _before, after in mine)

    def _learn(self) -> None:
        """Take in the rollbacks that the engine began, and what was lost."""
        for row in self.rows:
            if row.pk not in self.model.deployments:
                assert row.kind == DeploymentKind.ROLLBACK
                self.model.add(Asked(row.pk, row.release.version, "good", is_rollback=True))
            asked = self.model.deployments[row.pk]
            if not asked.ended:
                asked.losses = max(asked.losses, row.attempt)

    def _behave(self) -> None:
        self.stage.judge.behave(**{version.replace(".", "_"): rule for version, rule in self.behaviour.items()})

    @contextmanager
    def _dying(self, place: str | None) -> Iterator[None]:
        crashpoints.POINT = place
        try:
            yield
        except Killed:
            self.figures["deaths"] += 1
            with self.stage.everything():
                held = Deployment.objects.with_subject().filter(lane_id=self.lane_id, state__in=ACTIVE)
                self.dead += [row for row in held if row.lease_token]
        finally:
            crashpoints.POINT = None


@pytest.fixture
def try_out(
    stage: Stage, settings: Any, monkeypatch: pytest.MonkeyPatch, record_property: Callable[..., None]
) -> TryOut:
    """Return what tries sequences, and keeps how many they were."""

    def die(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(crashpoints.os, "kill", die)
    # A lease lapses when the sequence says so, and not because the machine stood still; the log is no part of this.
    settings.ENGINE_LEASE, settings.ENGINE_BEAT = timedelta(minutes=5), timedelta(minutes=1)
    settings.ENGINE_GUARD_SILENCE = timedelta(minutes=4)
    monkeypatch.setattr(deployment_log, "FLUSH_SECONDS", 3600)
    _say(stage, samples=1, breaches=1)

    def sequences(count: int, steps: int, *, seed: int) -> None:
        figures, began = Counter[str](), time.monotonic()
        machine = type("Machine", (Deployments,), {"stage": stage, "rests": [], "goods": [], "figures": figures})
        hypothesis.seed(seed)(machine)
        chosen = hypothesis.settings(
            max_examples=count, stateful_step_count=steps, deadline=None, database=None,
            print_blob=True, suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        run_state_machine_as_test(machine, settings=chosen)
        record_property("of", f"sequences of {steps} steps")
        for name, number in {**figures, "longest part, s": time.monotonic() - began}.items():
            record_property(name, number)
        assert figures["sequences"] >= count

    return sequences


@pytest.mark.parametrize("part", range(1, PARTS + 1), ids=lambda part: f"part-{part}")
def test_any_order_of_events_ends_well(try_out: TryOut, part: int) -> None:
    try_out(*PUSH, seed=part)


@pytest.mark.reliability
@pytest.mark.parametrize("seed", range(1, SEEDS + 1), ids=lambda seed: f"seed-{seed}")
def test_thousands_of_orders_of_events_end_well(try_out: TryOut, seed: int) -> None:
    try_out(*OF_A_SEED, seed=seed)
