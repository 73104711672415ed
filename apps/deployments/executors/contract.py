"""What the engine asks of an executor, in the words of the domain and nothing else: no Django, no database, no clock.

What it can do
--------------
`can` (`Abilities`) declares it, and the engine and the pages follow: without `probe` nothing is tried again by itself
and a person decides what became of it; without `cancel` a running attempt can't be cancelled; without `roll_back`
nothing is brought back by itself, and a person is called; without `keep_warm` there are no slots: `StepResult.slot` and
`Observation.live_slot` stay empty, `retire` finds nothing and `traffic` may be empty; without `observe` what was
changed by hand is not seen, and the pages say so. What `stores` leaves out is looked for at registries (ADR 0118).

How the engine calls it
-----------------------
1. At the claim: `plan(order)` gives the steps of this attempt in order. It is pure: the same order, the same steps.
   Journal them; they stay the plan of this attempt, also after a crash.
2. Before the first effect: `probe(order)`; record what it saw (`Observation`) as the state before. A
   probe accepts the fence of its order: who was there before can't change any more what was seen (ADR 0050).
3. For each step, in order: commit the intent, call `apply(step.kind, order, log=...)`, commit the `StepResult` with
   `WHERE fence = :mine`. The idempotency key is (order.deployment_id, step kind): calling a step again, under the same
   or a higher fence, finds the effect done and says so (`StepResult.changed` is False); it never does it twice.
   `StepKind.VERIFY` belongs to the engine: it takes samples with `sample(target)` and `traffic(target)` and never calls
   `apply` for it (`apply` refuses it with ValueError).
   `StepPlan.state` says in which state of the deployment a step runs: STARTING, APPLYING or VERIFYING.
4. With the claim and every renewed lease: `renew(deployment_id, at)`, `at` being the moment of time.monotonic() at
   which the lease was asked for. Children of a step die with their whole tree 20 s after the last such moment, also
   when the worker is stopped, and when it dies. When so long has passed already, nothing begins.
5. To cancel: `cancel(deployment_id)`; the running `apply` ends within seconds with `Cancelled`. It acts in the process
   that runs the step; anywhere else it does nothing, and the next `probe` tells the truth.
6. After a failure, a cancel or an error before the switch: `discard(order)` takes away what the attempt started beside
   what serves. Safe to repeat, refuses (`NotIdle`) to touch what serves.

After a switch the row of the lane must say `StepResult.slot` (also `Observation.live_slot`): commit it with the result
of SWITCH. KEEP_BLUE leaves the old slot running for instant rollback; `retire(target, slot, fence)` ends it, after
ENGINE_WARM, or leave it to `reconcile(rows)` with `warm=None`.

A lane that is given up: `remove(target, fence=)` ends all that runs of it; its data folder stays. `reconcile` does the
same for a row with `live=None`. Of a row with a live release it mends only what is dead; something else that runs, or
has the traffic, was put there by a person and is told as `drifted` and left until a person acts (ADR 0109).

A rollback is an order like any other with `rolls_back` set to the deployment that it undoes and `release` and
`configuration` of what shall serve again: the same steps, but nothing is asked of the network, and a slot that is
still warm with that release is taken as it is, so that only the weights change. If the bad release never got traffic,
every step finds the wanted release serving and changes nothing.

What an exception means
-----------------------
`ArtifactRejected`  definite: digest differs, withdrawn or missing in the index, damaged. Target untouched -> FAILED,
                    no rollback.
`ReleaseFailed`     definite: the release doesn't install, start or get healthy. `serving` says whether it had traffic.
                    -> FAILED and its rollback (a rollback of one that never served changes nothing and takes < 1 s).
`TargetUntouched`   our fault, or the network's, and the target is as it was (index unreachable, store full, port taken,
                    proxy or supervisor away before any effect) -> ERRORED. `retry` says whether waiting may help.
`Cancelled`         obeyed a cancel -> probe: CANCELLED, or FAILED with its rollback when it serves already.
`StaleFence`        another worker has the lane with a higher fence: stop at once, write nothing.
`OutcomeUnknown`    and every other exception: nobody can tell -> UNKNOWN, ask `probe`.
All named here are subclasses of `ExecutorError` with a stable `code` and a sentence for people as text.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from apps.core.histogram import Histogram

Log = Callable[[str], None]
"""Takes one line of output, without its line break, escape sequences for colour kept. Called from any thread."""


class StepKind(StrEnum):
    """The steps of executors with slots. Others name their own; VERIFY is the engine's in all of them."""

    VERIFY_ARTIFACT = "VERIFY_ARTIFACT"
    INSTALL = "INSTALL"
    START_GREEN = "START_GREEN"
    CHECK_GREEN = "CHECK_GREEN"
    SWITCH = "SWITCH"
    VERIFY = "VERIFY"
    DRAIN_BLUE = "DRAIN_BLUE"
    KEEP_BLUE = "KEEP_BLUE"
    RETIRE_BLUE = "RETIRE_BLUE"


class Slot(StrEnum):
    BLUE = "blue"
    GREEN = "green"

    @property
    def other(self) -> "Slot":
        return Slot.GREEN if self is Slot.BLUE else Slot.BLUE


class Standing(StrEnum):
    """What the target says of one attempt."""

    APPLIED = "APPLIED"  # it has the traffic
    NOT_APPLIED = "NOT_APPLIED"  # something else has it, or nothing; what this attempt started may still run idle
    BEGUN = "BEGUN"  # half of it is there and may have traffic: applying again finishes it, a rollback undoes it
    IN_FLIGHT = "IN_FLIGHT"  # a step of this lane, or a child of one, is at work at this moment
    UNREACHABLE = "UNREACHABLE"  # proxy or supervisor don't answer


class Stores(StrEnum):
    """What of a release an executor takes from this installation's store; the rest comes from where that is named."""

    ALL = "ALL"
    CHART = "CHART"
    NOTHING = "NOTHING"


@dataclass(frozen=True, slots=True)
class Abilities:
    probe: bool
    """Can it say what became of an attempt whose worker was lost?"""
    cancel: bool
    """Can a step that runs be stopped?"""
    roll_back: bool
    """Can it bring back a release that ran before?"""
    keep_warm: bool
    """Has it two slots, of which one keeps what served before?"""
    repeat: bool
    """May the engine try once more by itself when `probe` says that it isn't applied?"""
    observe: bool
    """Does `reconcile` see what runs, so that a version changed by hand is flagged?"""
    stores: Stores = Stores.NOTHING
    """Of this, `readiness` says whether it is there; of the rest its registries do, where the manifest names it."""


@dataclass(frozen=True, slots=True)
class TargetRef:
    """A lane, as the target knows it."""

    lane_key: str
    """Names folders, programs and the proxy's backend: lower-case letters, digits, `-`, at most 40."""
    service_slug: str
    environment_slug: str
    port: int
    """The lane's own port on 127.0.0.1, where the proxy answers; 0 where the executor has none."""
    health_path: str = "/"
    address: Mapping[str, str] = field(default_factory=dict)
    """Where the executor finds it, in the executor's own words (`environments.addresses`)."""


@dataclass(frozen=True, slots=True)
class ReleaseRef:
    version: str
    digest: str
    """`sha256:` and 64 hex digits over the canonical JSON of the manifest's wheels (`manifest.digest_of`)."""
    manifest: Mapping[str, Any]
    """As sealed; `releases.manifests` knows the forms."""


@dataclass(frozen=True, slots=True)
class ConfigurationRef:
    number: int
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Order:
    """One attempt: all that an executor may know of a deployment."""

    deployment_id: UUID
    fence: int
    target: TargetRef
    release: ReleaseRef
    configuration: ConfigurationRef
    rolls_back: UUID | None = None


@dataclass(frozen=True, slots=True)
class StepPlan:
    kind: str
    label: str
    state: str
    expected_seconds: float
    """What to show until the lane has a history of its own."""


@dataclass(frozen=True, slots=True)
class StepResult:
    detail: str
    """One sentence for the page, in the past tense."""
    changed: bool = True
    slot: Slot | None = None
    """The slot that this attempt uses, from START_GREEN on; from SWITCH on it is the live one. None without slots."""
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Observation:
    """What is seen on the target now; the release fields speak of the slot that serves, whoever brought it there."""

    state: Standing
    detail: str
    live_slot: Slot | None = None
    healthy: bool | None = None
    """None: nothing serves, or nobody could ask."""
    version: str | None = None
    digest: str | None = None
    configuration: int | None = None
    deployment_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One health request through the proxy, as a user would get it."""

    ok: bool
    status: int | None
    milliseconds: float
    detail: str
    version: str | None = None


@dataclass(frozen=True, slots=True)
class SlotTraffic:
    """The proxy's counters of one slot since its last start; take differences."""

    slot: Slot
    weight: int
    up: bool
    sessions: int
    requests: int
    errors: int
    """Answers 5xx, and requests that got no answer."""
    times: Histogram
    """Milliseconds until the head of the answer came."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Can this release be deployed here without asking anybody outside?"""

    ready: bool
    warm: bool
    """It still runs in the idle slot: rollback is a change of weights."""
    detail: str
    answered: bool = True
    """Whoever knows has said so; if not, asking of another release is no use."""


@dataclass(frozen=True, slots=True)
class SlotRow:
    slot: Slot | None
    deployment_id: UUID
    release: ReleaseRef
    configuration: ConfigurationRef


@dataclass(frozen=True, slots=True)
class LaneRow:
    """What the database says of a lane. Only lanes without an active deployment belong into a reconciliation."""

    target: TargetRef
    fence: int
    live: SlotRow | None
    warm: SlotRow | None = None


@dataclass(frozen=True, slots=True)
class Correction:
    """A difference between database and target; `mended` is False when it was not put right, `detail` says why.

    `drifted` says that the target was asked and runs something else, which is left to a person; without it an executor
    that mended nothing could not look.
    """

    lane_key: str
    detail: str
    mended: bool
    drifted: bool = False


class ExecutorError(Exception):
    code = "executor-error"


class ArtifactRejected(ExecutorError):
    code = "artifact-rejected"


class ReleaseFailed(ExecutorError):
    code = "release-failed"

    def __init__(self, message: str, *, serving: bool = False) -> None:
        super().__init__(message)
        self.serving = serving


class TargetUntouched(ExecutorError):
    code = "target-untouched"

    def __init__(self, message: str, *, retry: bool = True, code: str | None = None) -> None:
        super().__init__(message)
        self.retry = retry
        if code:
            self.code = code


class Cancelled(ExecutorError):
    code = "cancelled"


class StaleFence(ExecutorError):
    code = "stale-fence"


class NotIdle(ExecutorError):
    code = "not-idle"


class OutcomeUnknown(ExecutorError):
    code = "outcome-unknown"


class Executor(Protocol):
    can: Abilities

    def plan(self, order: Order) -> tuple[StepPlan, ...]: ...

    def probe(self, order: Order) -> Observation: ...

    def apply(self, kind: str, order: Order, *, log: Log) -> StepResult: ...

    def renew(self, deployment_id: UUID, at: float) -> None: ...

    def cancel(self, deployment_id: UUID) -> None: ...

    def discard(self, order: Order, *, log: Log) -> None: ...

    def retire(self, target: TargetRef, slot: Slot, *, fence: int) -> bool: ...

    def remove(self, target: TargetRef, *, fence: int) -> None: ...

    def readiness(self, target: TargetRef, release: ReleaseRef, configuration: ConfigurationRef) -> Readiness: ...

    def sample(self, target: TargetRef) -> Sample: ...

    def traffic(self, target: TargetRef) -> tuple[SlotTraffic, ...]: ...

    def reconcile(self, rows: tuple[LaneRow, ...]) -> tuple[Correction, ...]: ...
