"""The local executor: real programs in two slots for each lane, behind HAProxy, kept alive by supervisord.

Blue is the slot that serves when an attempt begins, green the other; the slots themselves are named `blue` and `green`
and change their parts with each deployment. Which slot belongs to an attempt is written in the slot's own record before
anything starts there, so every step finds its way back after a crash.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import UUID

from apps.deployments.executors import reconciliation
from apps.deployments.executors.contract import (
    Abilities,
    ArtifactRejected,
    Cancelled,
    ConfigurationRef,
    Correction,
    LaneRow,
    Log,
    NotIdle,
    Observation,
    Order,
    OutcomeUnknown,
    Readiness,
    ReleaseFailed,
    ReleaseRef,
    Sample,
    Slot,
    SlotTraffic,
    Standing,
    StepKind,
    StepPlan,
    StepResult,
    Stores,
    TargetRef,
    TargetUntouched,
)
from apps.deployments.executors.guard import Lifeline
from apps.deployments.executors.lane import Lane, SlotRecord
from apps.deployments.executors.lifelines import Lifelines
from apps.deployments.executors.manifest import program_of
from apps.deployments.executors.slots import Slots, all_to
from apps.integrations import http_request
from apps.integrations.haproxy import HaproxyError, ProxyUnreachable
from apps.integrations.supervisord import SupervisorError


@dataclass(frozen=True, slots=True)
class Clocks:
    """Seconds, all of them."""

    patience: float = 25.0
    """How long a step waits for what a lost worker left at work; longer than a guard's silence."""
    start: float = 30.0
    check: float = 30.0
    check_interval: float = 0.2
    good_checks: int = 3
    drain: float = 30.0


class LocalExecutor:
    can = Abilities(
        probe=True, cancel=True, roll_back=True, keep_warm=True, repeat=True, observe=True, stores=Stores.ALL
    )

    def __init__(self, slots: Slots, clocks: Clocks | None = None) -> None:
        self.slots = slots
        self.clocks = clocks or Clocks()
        self._lifelines = Lifelines()

    # ---- what the engine calls, in the order of the contract

    def plan(self, order: Order) -> tuple[StepPlan, ...]:
        version = order.release.version
        back = order.rolls_back is not None
        return (
            StepPlan(
                StepKind.VERIFY_ARTIFACT,
                f"Verify {version} in the artifact store" if back else f"Verify {version} against the package index",
                "STARTING",
                1,
            ),
            StepPlan(StepKind.INSTALL, f"Install {version}", "STARTING", 0.1 if back else 6),
            StepPlan(StepKind.START_GREEN, f"Start {version} in the idle slot", "APPLYING", 2),
            StepPlan(StepKind.CHECK_GREEN, "Check its health before it gets traffic", "APPLYING", 2),
            StepPlan(StepKind.SWITCH, f"Switch traffic to {version}", "APPLYING", 0.1),
            StepPlan(StepKind.VERIFY, "Verify health, errors and response time under traffic", "VERIFYING", 10),
            StepPlan(StepKind.DRAIN_BLUE, "Drain the slot that served before", "VERIFYING", 1),
            StepPlan(StepKind.RETIRE_BLUE, "Stop the slot that served before", "VERIFYING", 1)
            if back
            else StepPlan(
                StepKind.KEEP_BLUE, "Keep the slot that served before, for instant rollback", "VERIFYING", 0.1
            ),
        )

    def probe(self, order: Order) -> Observation:
        lane = self.slots.lane(order.target)
        with lane.fenced(order.fence, order.deployment_id):
            pass
        if lane.is_at_work:
            return Observation(Standing.IN_FLIGHT, "A step of this lane is at work on the target.")
        try:
            loaded = self.slots.loaded(lane)
        except HaproxyError as error:
            return Observation(Standing.UNREACHABLE, str(error))
        if not loaded:
            return Observation(Standing.NOT_APPLIED, "Nothing serves on this lane.")
        live, mine = loaded[0], self._slot_of(order, lane)
        record = lane.record(live)
        sample = self.sample(order.target)
        state = Standing.NOT_APPLIED if mine not in loaded else Standing.BEGUN if loaded[1:] else Standing.APPLIED
        if state is Standing.APPLIED:
            self._keep_weights(order, lane)
        return Observation(
            state=state,
            detail=f"{live.value} serves {record.version if record else 'an unknown release'}: {sample.detail}",
            live_slot=live,
            healthy=sample.ok,
            version=record.version if record else None,
            digest=record.digest if record else None,
            configuration=record.configuration if record else None,
            deployment_id=UUID(record.deployment_id) if record else None,
        )

    def apply(self, kind: str, order: Order, *, log: Log) -> StepResult:
        step = _STEPS.get(kind)
        if step is None:
            raise ValueError(f"{kind} is not a step of the executor")
        lane = self.slots.lane(order.target)
        with (
            _named(serving=kind in (StepKind.DRAIN_BLUE, StepKind.KEEP_BLUE, StepKind.RETIRE_BLUE)),
            self._lifelines.of(order.deployment_id) as lifeline,
        ):
            with lane.fenced(order.fence, order.deployment_id):
                pass
            with lane.at_work(patience=self.clocks.patience, is_cancelled=lambda: lifeline.is_cancelled) as lock:
                return step(self, _Step(order, lane, lifeline, log, lock))

    def renew(self, deployment_id: UUID, at: float) -> None:
        self._lifelines.renew(deployment_id, at)

    def cancel(self, deployment_id: UUID) -> None:
        self._lifelines.cancel(deployment_id)

    def discard(self, order: Order, *, log: Log) -> None:
        lane = self.slots.lane(order.target)
        with lane.at_work(patience=self.clocks.patience), lane.fenced(order.fence, order.deployment_id):
            slot = self._slot_of(order, lane)
            if slot is None:
                return
            if slot in self.slots.loaded(lane):
                raise NotIdle(f"{slot.value} serves: it can't be discarded.")
            self.slots.stop(lane, slot)
            log(f"{slot.value} is stopped and empty again.")

    def retire(self, target: TargetRef, slot: Slot, *, fence: int) -> bool:
        lane = self.slots.lane(target)
        with lane.at_work(), lane.fenced(fence):
            if slot in self.slots.loaded(lane):
                raise NotIdle(f"{slot.value} serves: it can't be retired.")
            return not self.slots.stranger(target, slot) and self.slots.stop(lane, slot)

    def remove(self, target: TargetRef, *, fence: int) -> None:
        lane = self.slots.lane(target)
        with _named(serving=False), lane.at_work(patience=self.clocks.patience), lane.fenced(fence):
            for slot in Slot:
                self.slots.stop(lane, slot)
            self.slots.proxy.remove(lane.key)

    def readiness(self, target: TargetRef, release: ReleaseRef, configuration: ConfigurationRef) -> Readiness:
        try:
            complete = self.slots.installation.is_complete(release)
        except ArtifactRejected as error:
            return Readiness(False, False, str(error))
        lane = self.slots.lane(target)
        with contextlib.suppress(HaproxyError, SupervisorError):
            loaded = self.slots.loaded(lane)
            for slot in Slot:
                if slot not in loaded and self.slots.holds(target, slot, release, configuration):
                    return Readiness(True, True, f"{release.version} still runs in {slot.value}: a switch is enough.")
        if complete:
            return Readiness(
                True, False, f"{release.version} is in the artifact store and can be started without network."
            )
        return Readiness(False, False, f"The artifact store doesn't hold all of {release.version}.")

    def sample(self, target: TargetRef) -> Sample:
        answer = http_request.get(target.health_path, to=target.port)
        version = answer.headers.get("x-release")
        return Sample(answer.is_good, answer.status, answer.milliseconds, answer.detail, version)

    def traffic(self, target: TargetRef) -> tuple[SlotTraffic, ...]:
        try:
            known = self.slots.proxy.knows(target.lane_key)
            counters = self.slots.proxy.counters(target.lane_key) if known else {}
        except HaproxyError as error:
            raise TargetUntouched(str(error), code="proxy") from error
        return tuple(
            SlotTraffic(
                slot=Slot(name),
                weight=row.weight,
                up=row.status.startswith("UP"),
                sessions=row.sessions,
                requests=row.requests,
                errors=row.answers_5xx + row.without_answer,
                times=row.times,
            )
            for name, row in sorted(counters.items())
        )

    def tail(self, target: TargetRef, slot: Slot, *, size: int = 4000) -> str:
        path = self.slots.lane(target).slot_folder(slot) / "output.log"
        try:
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - size))
                return file.read(size).decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def reconcile(self, rows: tuple[LaneRow, ...]) -> tuple[Correction, ...]:
        return reconciliation.reconcile(self.slots, rows)

    # ---- steps

    def _verify_artifact(self, step: "_Step") -> StepResult:
        online = step.order.rolls_back is None
        detail = self.slots.installation.verify(step.order.release, with_index=online, log=step.log)
        return StepResult(detail, changed=False, evidence={"digest": step.order.release.digest, "asked_index": online})

    def _install(self, step: "_Step") -> StepResult:
        release = step.order.release
        if self.slots.installation.is_installed(release.digest):
            return StepResult(f"{release.version} is installed already.", changed=False)
        self.slots.installation.fetch(release, lifeline=step.lifeline, log=step.log)
        changed = self.slots.installation.install(release, lifeline=step.lifeline, log=step.log, lock=step.lock)
        return StepResult(f"{release.version} is installed in an environment of its own.", changed=changed)

    def _start_green(self, step: "_Step") -> StepResult:
        order, lane = step.order, step.lane
        self.slots.ensure(order.target)
        if (kept := self._kept_for(order, lane)) is not None:
            with lane.fenced(order.fence, order.deployment_id):
                lane.write_record(kept, _record_of(order))
            serves = kept in self.slots.loaded(lane)
            how = "serves all the time" if serves else "is still warm"
            return StepResult(f"{kept.value} {how} with {order.release.version}.", changed=False, slot=kept)
        slot = self._slot_of(order, lane) or (self._serving(order, lane) or Slot.GREEN).other
        name = self.slots.program_name(lane, slot)
        state = self.slots.supervisor.state(name)
        if self._slot_of(order, lane) is slot and state and state.is_alive and self.slots.accepts(lane, slot):
            return StepResult(f"{order.release.version} runs in {slot.value} already.", changed=False, slot=slot)
        with lane.fenced(order.fence, order.deployment_id):
            self.slots.start(lane, slot, _record_of(order), order.release, order.configuration)
        step.log(f"started {order.release.version} in {slot.value} with configuration {order.configuration.number}")
        self._wait_for_start(step, slot)
        return StepResult(f"{order.release.version} runs in {slot.value}.", slot=slot)

    def _check_green(self, step: "_Step") -> StepResult:
        order, lane = step.order, step.lane
        slot = self._own_slot(order, lane)
        deadline = time.monotonic() + self.clocks.check
        good, last = 0, "no answer yet"
        while good < self.clocks.good_checks or not self.slots.is_up(lane, slot):
            if time.monotonic() > deadline:
                raise ReleaseFailed(f"{order.release.version} did not get healthy in {slot.value}: {last}.")
            answer = http_request.get(order.target.health_path, to=self.slots.socket_of(lane, slot))
            good, last = good + 1 if answer.is_good else 0, answer.detail
            seen = answer.headers.get("x-release", order.release.version)
            if seen != order.release.version:
                raise ReleaseFailed(f"{slot.value} answers as {seen}, not as {order.release.version}.")
            step.log(f"health check of {slot.value}: {answer.detail} in {answer.milliseconds:.0f} ms")
            step.pause(self.clocks.check_interval if good < self.clocks.good_checks else 0.05)
        return StepResult(f"{slot.value} is healthy: {good} good answers in a row.", changed=False, slot=slot)

    def _switch(self, step: "_Step") -> StepResult:
        order, lane = step.order, step.lane
        slot = self._own_slot(order, lane)
        wanted = all_to(slot)
        if step.lifeline.is_cancelled:
            raise Cancelled("Cancelled before the switch.")
        with lane.fenced(order.fence, order.deployment_id):
            before = self.slots.proxy.weights(lane.key)
            if before != wanted:
                started = time.monotonic()
                with _after_effect():
                    self.slots.proxy.set_weights(lane.key, wanted)
                step.log(f"weights {before} -> {wanted} in {(time.monotonic() - started) * 1000:.1f} ms")
        changed = before != wanted
        detail = f"All traffic goes to {slot.value} with {order.release.version}."
        return StepResult(detail, changed=changed, slot=slot, evidence={"weights_before": before, "weights": wanted})

    def _drain_blue(self, step: "_Step") -> StepResult:
        slot = self._own_slot(step.order, step.lane)
        deadline = time.monotonic() + self.clocks.drain
        while (
            left := self.slots.proxy.counters(step.lane.key)[slot.other.value].sessions
        ) and time.monotonic() < deadline:
            step.log(f"{slot.other.value} still answers {left} requests")
            step.pause(0.2)
        if left:
            return StepResult(f"{left} requests were still open on {slot.other.value} after the limit.", slot=slot)
        return StepResult(f"{slot.other.value} has no request left.", changed=False, slot=slot)

    def _keep_blue(self, step: "_Step") -> StepResult:
        slot = self._own_slot(step.order, step.lane)
        if stranger := self.slots.stranger(step.order.target, slot.other):
            with step.lane.fenced(step.order.fence, step.order.deployment_id):
                self.slots.stop(step.lane, slot.other)
            return StepResult(f"{stranger}: it is stopped.", slot=slot)
        record = step.lane.record(slot.other)
        if record is None:
            return StepResult("Nothing served here before.", changed=False, slot=slot)
        detail = f"{slot.other.value} keeps {record.version} warm for instant rollback."
        return StepResult(detail, changed=False, slot=slot)

    def _retire_blue(self, step: "_Step") -> StepResult:
        order, lane = step.order, step.lane
        slot = self._own_slot(order, lane)
        with lane.fenced(order.fence, order.deployment_id):
            if slot.other in self.slots.loaded(lane):
                raise NotIdle(f"{slot.other.value} serves: it can't be stopped.")
            changed = self.slots.stop(lane, slot.other)
        return StepResult(f"{slot.other.value} is stopped.", changed=changed, slot=slot)

    def _keep_weights(self, order: Order, lane: Lane) -> None:
        """Its switch may have been cut after the proxy obeyed: a later reload would bring back what served before."""
        with lane.fenced(order.fence, order.deployment_id), contextlib.suppress(HaproxyError):
            self.slots.proxy.keep_weights(lane.key, self.slots.proxy.weights(lane.key))

    def _serving(self, order: Order, lane: Lane) -> Slot | None:
        """Return the slot that serves. What a person has split between both goes to the one that has most of it."""
        loaded = self.slots.loaded(lane)
        if loaded[1:]:
            with lane.fenced(order.fence, order.deployment_id):
                self.slots.proxy.set_weights(lane.key, all_to(loaded[0]))
        return loaded[0] if loaded else None

    def _slot_of(self, order: Order, lane: Lane) -> Slot | None:
        for slot in Slot:
            record = lane.record(slot)
            if record and record.deployment_id == str(order.deployment_id):
                return slot
        return None

    def _own_slot(self, order: Order, lane: Lane) -> Slot:
        slot = self._slot_of(order, lane)
        if slot is None:
            raise OutcomeUnknown("No slot belongs to this attempt any more.")
        return slot

    def _kept_for(self, order: Order, lane: Lane) -> Slot | None:
        """Return the slot that runs what a rollback wants, if one does and it isn't the attempt that is undone."""
        if order.rolls_back is None:
            return None
        for slot in Slot:
            record = lane.record(slot)
            is_other = record is not None and record.deployment_id != str(order.rolls_back)
            if is_other and self.slots.holds(order.target, slot, order.release, order.configuration):
                return slot
        return None

    def _wait_for_start(self, step: "_Step", slot: Slot) -> None:
        name = self.slots.program_name(step.lane, slot)
        deadline = time.monotonic() + self.clocks.start
        while True:
            state = self.slots.supervisor.state(name)
            if state and state.is_alive and self.slots.accepts(step.lane, slot):
                return
            if state is None or state.has_given_up or time.monotonic() > deadline:
                reason = state.detail if state else "it is gone"
                last = [line for line in self.tail(step.order.target, slot).splitlines() if line.strip("- \t")]
                for line in last[-20:]:
                    step.log(line)
                raise ReleaseFailed(f"{step.order.release.version} did not start: {last[-1] if last else reason}"[:500])
            step.pause(0.1)


@dataclass(frozen=True, slots=True)
class _Step:
    order: Order
    lane: Lane
    lifeline: Lifeline
    log: Log
    lock: int

    def pause(self, seconds: float) -> None:
        if self.lifeline.pause(seconds):
            raise Cancelled("Cancelled.")


_STEPS: dict[str, Callable[[LocalExecutor, _Step], StepResult]] = {
    StepKind.VERIFY_ARTIFACT: LocalExecutor._verify_artifact,
    StepKind.INSTALL: LocalExecutor._install,
    StepKind.START_GREEN: LocalExecutor._start_green,
    StepKind.CHECK_GREEN: LocalExecutor._check_green,
    StepKind.SWITCH: LocalExecutor._switch,
    StepKind.DRAIN_BLUE: LocalExecutor._drain_blue,
    StepKind.KEEP_BLUE: LocalExecutor._keep_blue,
    StepKind.RETIRE_BLUE: LocalExecutor._retire_blue,
}


def _record_of(order: Order) -> SlotRecord:
    return SlotRecord(
        deployment_id=str(order.deployment_id),
        fence=order.fence,
        version=order.release.version,
        digest=order.release.digest,
        configuration=order.configuration.number,
        program=program_of(order.release),
    )


@contextlib.contextmanager
def _named(*, serving: bool) -> Iterator[None]:
    """Turn what proxy and supervisor raise into the words of the contract; before a switch no traffic has moved."""
    try:
        yield
    except (HaproxyError, SupervisorError) as error:
        if serving:
            raise OutcomeUnknown(str(error)) from error
        raise TargetUntouched(str(error), code="proxy" if isinstance(error, HaproxyError) else "supervisor") from error


@contextlib.contextmanager
def _after_effect() -> Iterator[None]:
    """Once the command has left, a lost answer says nothing about the weights."""
    try:
        yield
    except ProxyUnreachable as error:
        raise OutcomeUnknown(str(error)) from error
