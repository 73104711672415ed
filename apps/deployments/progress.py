"""How far an attempt is, and how long such attempts have taken in its lane."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from apps.deployments.enums import DeploymentState, StepVerdict
from apps.deployments.models import Deployment, Step

COMPARED = 5


@dataclass(frozen=True)
class Usual:
    """What the lane's last successes of the same kind took, as medians; seconds. Empty for a lane's first."""

    whole: float | None
    steps: dict[str, float]


@dataclass(frozen=True)
class ShownStep:
    seq: int
    label: str
    tone: str
    word: str
    detail: str
    took: timedelta | None
    started_at: datetime | None
    usual: float | None
    is_planned: bool
    is_current: bool


@dataclass(frozen=True)
class Progress:
    steps: tuple[ShownStep, ...]
    done: int
    value: float
    sentence: str
    left: timedelta | None

    @property
    def total(self) -> int:
        return len(self.steps)


def usual_of(deployment: Deployment) -> Usual:
    """This function will ask how long the lane's last successful attempts took, in two queries."""
    before = Deployment.objects.filter(
        lane_id=deployment.lane_id, kind=deployment.kind, state=DeploymentState.SUCCEEDED, started_at__isnull=False
    ).exclude(pk=deployment.pk)
    ended = {attempt.pk: attempt for attempt in before.order_by("-number")[:COMPARED]}
    steps = Step.objects.filter(deployment_id__in=ended, started_at__isnull=False, ended_at__isnull=False)
    by_kind: dict[str, list[float]] = {}
    for step in steps.only("kind", "started_at", "ended_at").order_by("seq"):
        by_kind.setdefault(step.kind, []).extend(_seconds(step.took))
    whole = [seconds for attempt in ended.values() for seconds in _seconds(attempt.took)]
    return Usual(median(whole) if whole else None, {kind: median(took) for kind, took in by_kind.items()})


def _seconds(took: timedelta | None) -> list[float]:
    return [took.total_seconds()] if took is not None else []


def progress_of(deployment: Deployment, steps: Sequence[Step], usual: Usual, *, now: datetime) -> Progress:
    """This function will tell how far the attempt is. `steps` are those of its plan in order, the last try of each."""
    shown = tuple(_shown(step, usual, is_open=deployment.is_open, now=now) for step in steps)
    done = sum(step.verdict == StepVerdict.DONE for step in steps)
    current = next((step for step in shown if step.is_current), None)
    value = done + (_share(current, now=now) if current else 0)
    left = _left(deployment, usual, now=now)
    return Progress(shown, done, round(value, 2), _sentence(deployment, current, done, len(shown)), left)


def last_tries(steps: Iterable[Step]) -> list[Step]:
    """This function will keep the newest attempt of each step. Shapes: steps ordered by seq and attempt."""
    return list({step.seq: step for step in steps}.values())


def _shown(step: Step, usual: Usual, *, is_open: bool, now: datetime) -> ShownStep:
    verdict = StepVerdict(step.verdict)
    return ShownStep(
        seq=step.seq,
        label=step.label,
        tone=step.tone,
        word=verdict.label,
        detail=step.detail,
        took=(step.ended_at or now) - step.started_at if step.started_at else None,
        started_at=step.started_at,
        usual=None
        if verdict == StepVerdict.SKIPPED
        else usual.steps.get(step.kind) or step.intent.get("expected_seconds"),
        is_planned=verdict == StepVerdict.PLANNED,
        is_current=verdict in (StepVerdict.RUNNING, StepVerdict.UNKNOWN) and is_open,
    )


def _share(step: ShownStep, *, now: datetime) -> float:
    """How much of the running step is done, by its usual time; never the whole of it."""
    if not step.usual or step.started_at is None:
        return 0.1
    return min(0.95, (now - step.started_at).total_seconds() / step.usual)


def _left(deployment: Deployment, usual: Usual, *, now: datetime) -> timedelta | None:
    if not deployment.is_active or usual.whole is None or deployment.started_at is None:
        return None
    left = usual.whole - (now - deployment.started_at).total_seconds()
    return timedelta(seconds=left) if left > 0 else None


def _sentence(deployment: Deployment, current: ShownStep | None, done: int, total: int) -> str:
    if current:
        return f"Step {min(done + 1, total)} of {total}: {current.label}"
    if deployment.is_open:
        return f"{deployment.label}, {done} of {total} steps done"
    return f"{done} of {total} steps done"
