"""Many lanes with an attempt on each, for what befalls all of them at once."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.deployments.enums import DeploymentState
from apps.deployments.executors.contract import StepKind
from apps.deployments.models import Deployment, Step
from apps.environments.enums import Tier
from apps.environments.models import Environment
from tests.deployments.conftest import Stage
from tests.processes import eventually
from tests.world import make_environment, make_lane

REAL_CLOCKS = os.environ.get("EAIP_TEST_CLOCKS") == "real"
PATIENCE_SECONDS = 240


@dataclass
class ManyLanes:
    stage: Stage
    environments: list[Environment]

    @classmethod
    def make(cls, stage: Stage, count: int) -> "ManyLanes":
        world = stage.world
        with stage.everything():
            places = [make_environment(world.cast.platform, f"Dev {n}", Tier.DEV) for n in range(count)]
            world.lanes.update({place.pk: make_lane(place, world.service) for place in places})
        return cls(stage, places)

    def start(self, version: str) -> list[Deployment]:
        """Ask for this new version on every lane."""
        release = self.stage.release(version)
        return [self.stage.start(release, environment) for environment in self.environments]

    def start_held(
        self, version: str, step: StepKind, *, because: Callable[[], str], at_least: int | None = None
    ) -> list[Deployment]:
        """The same, and return when each of them, or so many, stand in the step."""
        self.stage.judge.hold(step)
        started = self.start(version)
        self.until(lambda: self.standing_in(step, started) >= (at_least or len(started)), because)
        return started

    def standing_in(self, step: StepKind, started: list[Deployment]) -> int:
        with self.stage.everything():
            begun = Step.objects.filter(deployment__in=started, kind=step, started_at__isnull=False, ended_at=None)
            return begun.count()

    def until_all_ended(self, started: list[Deployment], *, because: Callable[[], str]) -> float:
        """Return how many seconds it took."""
        began = time.monotonic()
        self.until(lambda: not self.open(started), because)
        return time.monotonic() - began

    def open(self, started: list[Deployment]) -> list[Deployment]:
        with self.stage.everything():
            return list(Deployment.objects.filter(pk__in=[each.pk for each in started], ended_at=None))

    def fresh(self, started: list[Deployment]) -> list[Deployment]:
        with self.stage.everything():
            return list(Deployment.objects.filter(pk__in=[each.pk for each in started]))

    def longest_wait(self, started: list[Deployment], *, since: datetime | None = None) -> float:
        """Return the seconds from asking, or from `since`, until the last of them had begun."""
        waits = [each.started_at - (since or each.requested_at) for each in self.fresh(started)]
        return max(waits, default=timedelta()).total_seconds()

    def longest_whole(self, started: list[Deployment]) -> float:
        """Return the seconds from asking for one until it had ended, the longest of them."""
        return max((each.ended_at - each.requested_at).total_seconds() for each in self.fresh(started))

    def require_each_done_once(self, started: list[Deployment]) -> None:
        """Hold rows and ledgers against each other: none lost, none doubled."""
        for each in self.fresh(started):
            assert each.state == DeploymentState.SUCCEEDED, f"{each} {each.state}: {each.outcome}"
            mine = [e["effect"] for e in self.stage.judge.effects(each.target_key) if e["deployment"] == str(each.pk)]
            assert (mine.count("start"), mine.count("switch")) == (1, 1), f"{each}: {mine}"
            self.stage.judge.require_once(each.target_key)

    def until(self, condition: Callable[[], bool], because: Callable[[], str]) -> None:
        try:
            eventually(condition, within_seconds=PATIENCE_SECONDS, every_seconds=0.1)
        except AssertionError:
            raise AssertionError(because()) from None
