"""The target made of files, with a real family of children at work for START_GREEN, under the guard.

No lock of the target stands between two of them: what keeps them apart is that each ends before its lease. Every one of
the family notes each moment of its life; a file `wait-family` keeps the family alive.
"""

from pathlib import Path
from uuid import UUID

from django.conf import settings

from apps.deployments.executors import guard
from apps.deployments.executors.contract import Cancelled, Log, Order, OutcomeUnknown, StepKind, StepResult
from apps.deployments.executors.lifelines import Lifelines
from tests.deployments.file_target import FileTarget

# One stays, one has a session of its own, one was forked twice; all are deaf to TERM.
LIFE = "trap '' TERM HUP; while [ -e wait-family ]; do date +%s.%N >> lived-$FENCE; sleep 0.05; done"
FAMILY = f'trap \'\' TERM HUP; setsid sh -c "$LIFE" & (setsid sh -c "$LIFE" &); {LIFE}; wait'


class ChildTarget(FileTarget):
    def __init__(self) -> None:
        super().__init__()
        self._lifelines = Lifelines()

    def apply(self, kind: StepKind, order: Order, *, log: Log) -> StepResult:
        if kind is StepKind.START_GREEN:
            self._raise_family(order, log)
        return super().apply(kind, order, log=log)

    def renew(self, deployment_id: UUID, at: float) -> None:
        self._lifelines.renew(deployment_id, at)

    def cancel(self, deployment_id: UUID) -> None:
        self._lifelines.cancel(deployment_id)
        super().cancel(deployment_id)

    def _raise_family(self, order: Order, log: Log) -> None:
        with self._lifelines.of(order.deployment_id) as lifeline:
            outcome = guard.run(
                ["/bin/sh", "-c", FAMILY],
                cwd=settings.TARGET_DIR,
                log=log,
                lifeline=lifeline,
                silence=settings.ENGINE_GUARD_SILENCE.total_seconds(),
                env={"FENCE": str(order.fence), "LIFE": LIFE},
            )
        if outcome.reason == "cancelled":
            raise Cancelled("cancelled")
        if not outcome.succeeded:
            raise OutcomeUnknown(f"the family was ended: {outcome.reason}")


def executor() -> ChildTarget:
    return ChildTarget()


def moments(folder: Path, fence: int) -> list[float]:
    """When any of the family of a fence was alive."""
    path = folder / f"lived-{fence}"
    return sorted(float(line) for line in path.read_text().split()) if path.exists() else []
