"""The steps of an attempt, one start for each, also when the answer to it was lost."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn, TypeVar

from apps.core.crashpoints import crashpoint
from apps.deployments.executors.contract import (
    Cancelled,
    Log,
    Order,
    OutcomeUnknown,
    ReleaseFailed,
    StepResult,
    TargetUntouched,
)
from apps.deployments.executors.guard import Lifeline
from apps.deployments.executors.lane import Lane
from apps.deployments.executors.remote.seen import Phase, RemoteStep, Seen
from apps.deployments.executors.remote.service import Service
from apps.integrations.atomic_file import write_atomically
from apps.integrations.json_api import ApiProblem, NoAnswer, Refused, TooMany

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Step:
    order: Order
    lane: Lane
    lifeline: Lifeline
    log: Log

    @property
    def asked(self) -> Path:
        return self.lane.folder / "asked.json"


class Steps(Service):
    def _check(self, step: Step) -> StepResult:
        order = step.order
        with untouched():
            seen = self._patiently(step, partial(self.accepted, order))
            if seen is not None and seen.is_of(order.deployment_id):
                return StepResult("It was asked for already.", changed=False)
            said = self._patiently(step, partial(self.checked, order.target, order.release, order.configuration))
        return StepResult(said, changed=False)

    def _start(self, step: Step) -> StepResult:
        order = step.order
        with untouched():
            seen = self._idle(step)
        if seen is not None and seen.is_of(order.deployment_id) and not self._is_to_begin(order, seen):
            return StepResult(f"{self.service} has begun it already: {seen.detail}", changed=False)
        if (seen := self._appeared(step, since=_asked_at(step, seen))) is None:
            self._ask(step)
            seen = self._appeared(step, since=time.time())
        if seen is None:
            raise OutcomeUnknown(f"{self.service} was asked, but shows nothing of it.")
        crashpoint("appeared")
        return StepResult(f"{self.service} has begun: {seen.detail}", evidence={"key": seen.key})

    def _follow(self, step: Step) -> StepResult:
        deadline, said = time.monotonic() + self.clocks.ready, ""
        broken_since: float | None = None
        while True:
            seen, told = self._glance(step)
            if seen is not None:
                self._require_ours(step.order, seen)
                if seen.is_good:
                    return StepResult(seen.detail, changed=False, evidence={"key": seen.key})
                broken_since = (broken_since or time.monotonic()) if seen.hopeless else None
            if told != said:
                step.log(said := told)
            now = time.monotonic()
            if broken_since is not None and now - broken_since > self.clocks.hopeless:
                raise ReleaseFailed(f"{self.service} holds it for broken: {told}"[:500], serving=True)
            if now > deadline and seen is None:
                raise OutcomeUnknown(told)
            if now > deadline and seen is not None:
                self.end(step, seen)
                raise ReleaseFailed(f"Not done within {self.clocks.ready:.0f} s: {told}"[:500], serving=True)
            if step.lifeline.pause(self.clocks.poll):
                self._give_up(step)

    def _is_to_begin(self, order: Order, seen: Seen) -> bool:
        """A run that we have stopped ourselves is begun anew by a later attempt; one that failed never is."""
        return seen.phase is Phase.WANTED or (seen.phase is Phase.STOPPED and seen.run_fence < order.fence)

    def _idle(self, step: Step) -> Seen | None:
        """Wait until the service is at work for nobody else. What another attempt of ours left running is stopped."""
        deadline = time.monotonic() + self.clocks.patience
        while True:
            seen = self._patiently(step, partial(self.accepted, step.order))
            ours = seen is not None and seen.is_of(step.order.deployment_id)
            if seen is None or seen.phase not in (Phase.BUSY, Phase.RUNNING) or (ours and seen.phase is Phase.RUNNING):
                return seen
            if seen.phase is Phase.RUNNING and seen.deployment:
                step.log(f"Another attempt is still under way there and is stopped: {seen.detail}")
                self.end(step, seen)
                continue
            if time.monotonic() > deadline:
                said = f"{self.service} is at work for somebody else: {seen.detail}"
                raise OutcomeUnknown(said) if ours else TargetUntouched(said, code="busy")
            if step.lifeline.pause(self.clocks.poll):
                raise Cancelled("Cancelled before anything was begun.")

    def _ask(self, step: Step) -> None:
        """Start it. That it was asked for is written down before, so that a lost answer never leads to a second run."""
        while True:
            if step.lifeline.is_cancelled:
                raise Cancelled("Cancelled before anything was begun.")
            note = {"deployment": str(step.order.deployment_id), "fence": step.order.fence, "at": time.time()}
            write_atomically(step.asked, json.dumps(note))
            crashpoint("asked_noted")
            try:
                with step.lane.fenced(step.order.fence, step.order.deployment_id):
                    seen = self.accepted(step.order)
                    step.lifeline.require(self.clocks.silence)
                    self.start(step.order, seen)
            except TooMany as error:
                step.asked.unlink(missing_ok=True)
                self._wait(step, error)
                continue
            except ApiProblem as error:
                if not _may_have_been_done(error):
                    step.asked.unlink(missing_ok=True)
                    self._refused(step, error)
                step.log(f"{error} It is looked for.")
            return

    def _refused(self, step: Step, error: ApiProblem) -> NoReturn:
        seen = self._glance(step)[0]
        if seen is not None and seen.is_of(step.order.deployment_id):
            raise OutcomeUnknown(str(error)) from error  # half of it was taken before
        raise TargetUntouched(str(error), retry=False, code="refused") from error

    def _appeared(self, step: Step, *, since: float | None) -> Seen | None:
        """Look until what was asked for is there; None when it has not come in time, or was never asked for."""
        if since is None:
            return None
        while True:
            seen, told = self._glance(step)
            if seen is not None and seen.is_of(step.order.deployment_id) and not self._is_to_begin(step.order, seen):
                return seen
            if time.time() - since > self.clocks.appear:
                if seen is None and told:
                    raise OutcomeUnknown(told)
                return None
            if step.lifeline.pause(self.clocks.poll):
                self._give_up(step)

    def _glance(self, step: Step) -> tuple[Seen | None, str]:
        """Look once; a service that is away for a moment is no reason to give up what goes on there."""
        try:
            seen = self.accepted(step.order)
        except TooMany as error:
            step.lifeline.pause(min(error.seconds, self.clocks.appear))
            return None, str(error)
        except (ApiProblem, TargetUntouched) as error:
            return None, str(error)
        return seen, seen.detail if seen else ""

    def _require_ours(self, order: Order, seen: Seen) -> None:
        if not seen.is_of(order.deployment_id):
            raise OutcomeUnknown(f"Somebody else has put another in its place: {seen.detail}"[:500])
        if seen.phase in (Phase.WANTED, Phase.BUSY):
            raise OutcomeUnknown(f"Somebody else has begun something in its place: {seen.detail}"[:500])
        if seen.phase is Phase.FAILED or seen.phase is Phase.STOPPED:
            raise ReleaseFailed(f"{self.service} could not deploy it: {seen.detail}"[:500], serving=True)

    def _give_up(self, step: Step) -> None:
        """Obey a cancel: nothing goes on there without anybody who looks after it."""
        with _lost():
            seen = self.accepted(step.order)
            if seen is not None and seen.is_of(step.order.deployment_id):
                self.end(step, seen)
        raise Cancelled(f"Cancelled; {self.service} was told to stop.")

    def end(self, step: Step, seen: Seen) -> None:
        """Stop what runs, and wait until it has. Raises OutcomeUnknown: it runs on."""
        if seen.phase is not Phase.RUNNING:
            return
        step.lifeline.require(self.clocks.silence)
        with _lost():
            self.stop(step.order.target, seen)
        deadline = time.monotonic() + self.clocks.stop
        while True:
            now, told = self._glance(step)
            if now is not None and (now.phase is not Phase.RUNNING or now.deployment != seen.deployment):
                return
            if time.monotonic() > deadline:
                raise OutcomeUnknown(f"{self.service} was told to stop and has not done so: {told}"[:500])
            time.sleep(min(self.clocks.poll, 1.0))

    def _patiently(self, step: Step, question: Callable[[], Answer]) -> Answer:
        while True:
            try:
                return question()
            except TooMany as error:
                self._wait(step, error)

    def _wait(self, step: Step, error: TooMany) -> None:
        if error.seconds > self.clocks.ready:
            raise TargetUntouched(str(error), code="rate-limit") from error
        step.log(str(error))
        if step.lifeline.pause(error.seconds):
            raise Cancelled("Cancelled while the service took no more requests.")


STEPS: dict[str, Callable[[Steps, Step], StepResult]] = {
    RemoteStep.CHECK: Steps._check,
    RemoteStep.START: Steps._start,
    RemoteStep.FOLLOW: Steps._follow,
}


def _asked_at(step: Step, seen: Seen | None) -> float | None:
    """Return when it was asked for from here by a worker that died over it, if what it asked for is not there yet."""
    try:
        note = json.loads(step.asked.read_text())
    except FileNotFoundError:
        return None
    has_come = seen is not None and seen.is_of(step.order.deployment_id) and seen.run_fence >= note["fence"]
    is_ours = note["deployment"] == str(step.order.deployment_id)
    return float(note["at"]) if is_ours and not has_come else None


def _may_have_been_done(error: ApiProblem) -> bool:
    return isinstance(error, NoAnswer) or (isinstance(error, Refused) and error.status >= 500)


@contextlib.contextmanager
def untouched() -> Iterator[None]:
    """Turn a problem of the service into the words of the contract, where it was only asked."""
    try:
        yield
    except ApiProblem as error:
        can_help = not (isinstance(error, Refused) and error.status in (401, 403, 404))
        raise TargetUntouched(str(error), retry=can_help, code="service") from error


@contextlib.contextmanager
def _lost() -> Iterator[None]:
    """The same where it is at work for us: nobody can tell what becomes of it."""
    try:
        yield
    except (ApiProblem, TargetUntouched) as error:
        raise OutcomeUnknown(str(error)) from error
