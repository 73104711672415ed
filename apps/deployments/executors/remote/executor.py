"""What the engine calls, in the order of the contract."""

import time
from uuid import UUID

from apps.deployments.executors.contract import (
    ConfigurationRef,
    Correction,
    ExecutorError,
    LaneRow,
    Log,
    NotIdle,
    Observation,
    Order,
    OutcomeUnknown,
    Readiness,
    ReleaseRef,
    Sample,
    Slot,
    SlotRow,
    SlotTraffic,
    Standing,
    StepKind,
    StepPlan,
    StepResult,
    TargetRef,
    TargetUntouched,
)
from apps.deployments.executors.elsewhere import reconcile_each
from apps.deployments.executors.remote.seen import UNDER_WAY, RemoteStep, Seen
from apps.deployments.executors.remote.steps import STEPS, Step, Steps, untouched
from apps.integrations.json_api import ApiProblem, NoAnswer, Refused, TooMany, within

READINESS_KEPT = 60.0
# Somebody waits for the page, or for the release that shall come back.
READINESS_LIMIT = 3.0
GONE = 404


class RemoteExecutor(Steps):
    def plan(self, order: Order) -> tuple[StepPlan, ...]:
        version = order.release.version
        return (
            StepPlan(RemoteStep.CHECK, f"Ask {self.service} whether it can deploy {version}", "STARTING", 2),
            StepPlan(RemoteStep.START, f"Ask {self.service} to deploy {version}", "APPLYING", 3),
            StepPlan(RemoteStep.FOLLOW, f"Follow {self.service} to the end", "APPLYING", 60),
            StepPlan(StepKind.VERIFY, "Verify that it stays as it should be", "VERIFYING", 10),
        )

    def probe(self, order: Order) -> Observation:
        lane = self.lane(order.target)
        with lane.fenced(order.fence, order.deployment_id):
            pass
        if lane.is_at_work:
            return Observation(Standing.IN_FLIGHT, "A step of this lane is at work on the target.")
        try:
            seen = self.accepted(order)
            self.hold(order, seen)
        except (ApiProblem, TargetUntouched) as error:
            return Observation(Standing.UNREACHABLE, str(error))
        if seen is None or not seen.is_of(order.deployment_id):
            told = seen.detail if seen else f"{self.service} knows no attempt of this lane."
            return Observation(Standing.NOT_APPLIED, f"{told} It is not of this attempt.")
        # What runs over there without a worker is BEGUN: whoever is next follows it further, or stops it.
        return Observation(
            state=Standing.APPLIED if seen.is_good else Standing.BEGUN,
            detail=seen.detail,
            healthy=seen.is_good,
            deployment_id=order.deployment_id,
        )

    def apply(self, kind: str, order: Order, *, log: Log) -> StepResult:
        step = STEPS.get(kind)
        if step is None:
            raise ValueError(f"{kind} is not a step of the executor")
        lane = self.lane(order.target)
        with self._lifelines.of(order.deployment_id) as lifeline:
            with lane.fenced(order.fence, order.deployment_id):
                pass
            with lane.at_work(patience=self.clocks.patience, is_cancelled=lambda: lifeline.is_cancelled):
                return step(self, Step(order, lane, lifeline, log))

    def renew(self, deployment_id: UUID, at: float) -> None:
        self._lifelines.renew(deployment_id, at)

    def cancel(self, deployment_id: UUID) -> None:
        self._lifelines.cancel(deployment_id)

    def discard(self, order: Order, *, log: Log) -> None:
        lane = self.lane(order.target)
        with (
            untouched(),
            lane.at_work(patience=self.clocks.patience),
            self._lifelines.of(order.deployment_id) as lifeline,
        ):
            with lane.fenced(order.fence, order.deployment_id):
                seen = self.accepted(order)
            if seen is None or not seen.is_of(order.deployment_id):
                return
            self.end(Step(order, lane, lifeline, log), seen)
            raise NotIdle(f"{seen.detail} It is of this attempt and may serve: it can't be discarded.")

    def retire(self, target: TargetRef, slot: Slot, *, fence: int) -> bool:
        return False

    def remove(self, target: TargetRef, *, fence: int) -> None:
        lane = self.lane(target)
        with untouched(), lane.at_work(patience=self.clocks.patience):
            with lane.fenced(fence):
                seen = self.look(target)
                if seen is None or not seen.deployment:
                    return
                self.empty(target, fence=fence)
            self._require_empty(target)

    def readiness(self, target: TargetRef, release: ReleaseRef, configuration: ConfigurationRef) -> Readiness:
        """Pages ask this again and again, so an answer is kept for a minute."""
        key, now = (target.lane_key, release.digest), time.monotonic()
        kept = self._ready.get(key)
        if kept is None or now - kept[0] > READINESS_KEPT:
            try:
                with within(READINESS_LIMIT):
                    found = Readiness(True, False, self.checked(target, release, configuration))
            except (NoAnswer, TooMany) as error:
                found = Readiness(False, False, str(error), answered=False)
            except (ApiProblem, ExecutorError) as error:
                found = Readiness(False, False, str(error))
            kept = self._ready[key] = (now, found)
        return kept[1]

    def sample(self, target: TargetRef) -> Sample:
        started = time.monotonic()
        try:
            seen = self.look(target)
        except (ApiProblem, TargetUntouched) as error:
            return Sample(False, None, (time.monotonic() - started) * 1000, str(error))
        detail = seen.detail if seen else f"{self.service} knows no attempt of this lane"
        good = seen is not None and seen.is_good and seen.deployment != ""
        return Sample(good, None, (time.monotonic() - started) * 1000, detail)

    def traffic(self, target: TargetRef) -> tuple[SlotTraffic, ...]:
        return ()

    def reconcile(self, rows: tuple[LaneRow, ...]) -> tuple[Correction, ...]:
        return reconcile_each(
            rows, self._reconciled, place="server", away=(NoAnswer, TooMany), refused=(ApiProblem, ExecutorError)
        )

    def _require_empty(self, target: TargetRef) -> None:
        deadline = time.monotonic() + self.clocks.patience
        while True:
            seen = self.look(target)
            if seen is None or (not seen.deployment and seen.phase not in UNDER_WAY):
                return
            if time.monotonic() > deadline:
                raise OutcomeUnknown(f"{self.service} was told to take it away, and has not yet: {seen.detail}")
            time.sleep(min(self.clocks.poll, 1.0))

    def _reconciled(self, row: LaneRow) -> list[Correction]:
        key = row.target.lane_key
        try:
            seen, told = self.look(row.target), f"{self.service} has nothing of it any more."
        except Refused as error:
            if error.status != GONE or (row.live and not self.can.observe):
                raise
            seen, told = None, str(error)
        if row.live is None:
            return self._emptied(row, seen)
        if seen is None and not self.can.observe:
            return []  # what it did may be long forgotten there, or never was
        if seen is not None:
            told = self._differs(row, row.live, seen)
        said = f"{self.service} says: {told} A person has to deploy again"
        return [Correction(key, said, mended=False, drifted=True)] if told else []

    def _emptied(self, row: LaneRow, seen: Seen | None) -> list[Correction]:
        key = row.target.lane_key
        if seen is not None and seen.deployment:
            self.remove(row.target, fence=row.fence)
            return [Correction(key, f"{self.service} had it, nothing should run: taken away", mended=True)]
        if seen is not None and seen.phase in UNDER_WAY:
            return [Correction(key, f"{self.service} has not taken it away: {seen.detail}", mended=False)]
        return []

    def _differs(self, row: LaneRow, live: SlotRow, seen: Seen) -> str:
        if not seen.is_of(live.deployment_id):
            return seen.detail
        return self.differs(Order(live.deployment_id, row.fence, row.target, live.release, live.configuration))
