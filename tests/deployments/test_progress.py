from datetime import UTC, datetime, timedelta

from apps.core import charts
from apps.deployments.enums import DeploymentState as S
from apps.deployments.enums import StepVerdict as V
from apps.deployments.models import Deployment, Step
from apps.deployments.progress import Usual, last_tries, progress_of

NOW = datetime(2026, 11, 18, 19, 0, tzinfo=UTC)
NO_HISTORY = Usual(None, {})


def step(seq: int, verdict: V, *, began: int | None = None, took: int | None = None, attempt: int = 1) -> Step:
    start = NOW - timedelta(seconds=began) if began is not None else None
    end = start + timedelta(seconds=took) if start and took is not None else None
    return Step(
        seq=seq, attempt=attempt, kind=f"K{seq}", label=f"Step {seq}", verdict=verdict, started_at=start, ended_at=end,
        intent={"expected_seconds": 10},
    )  # fmt: skip


def attempt(state: S, began: int = 20) -> Deployment:
    return Deployment(state=state, started_at=NOW - timedelta(seconds=began))


def test_the_running_step_counts_by_its_usual_time_and_never_whole() -> None:
    steps = [step(1, V.DONE, began=20, took=5), step(2, V.RUNNING, began=5), step(3, V.PLANNED)]

    half = progress_of(attempt(S.APPLYING), steps, NO_HISTORY, now=NOW)
    late = progress_of(attempt(S.APPLYING), steps, Usual(None, {"K2": 1.0}), now=NOW)

    assert (half.done, half.total, half.value) == (1, 3, 1.5)
    assert late.value == 1.95
    assert half.sentence == "Step 2 of 3: Step 2"


def test_what_is_left_comes_from_the_lanes_history() -> None:
    steps = [step(1, V.RUNNING, began=20)]

    assert progress_of(attempt(S.APPLYING), steps, Usual(55.0, {}), now=NOW).left == timedelta(seconds=35)
    assert progress_of(attempt(S.APPLYING), steps, Usual(15.0, {}), now=NOW).left is None
    assert progress_of(attempt(S.SUCCEEDED), steps, Usual(55.0, {}), now=NOW).left is None


def test_an_ended_attempt_has_no_running_step() -> None:
    steps = [step(1, V.DONE, began=20, took=5), step(2, V.UNKNOWN, began=5)]

    ended = progress_of(attempt(S.ABANDONED), steps, NO_HISTORY, now=NOW)

    assert ended.sentence == "1 of 2 steps done"
    assert not any(shown.is_current for shown in ended.steps)


def test_steps_that_were_never_reached_are_not_done() -> None:
    steps = [step(1, V.FAILED, began=20, took=5), step(2, V.SKIPPED), step(3, V.SKIPPED)]

    ended = progress_of(attempt(S.ERRORED), steps, Usual(None, {"K2": 4.0}), now=NOW)

    assert (ended.sentence, ended.value) == ("0 of 3 steps done", 0)
    assert [shown.word for shown in ended.steps] == ["Failed", "Not reached", "Not reached"]
    assert ended.steps[1].usual is None


def test_the_last_try_of_a_step_counts() -> None:
    steps = [step(1, V.FAILED, attempt=1), step(1, V.DONE, attempt=2), step(2, V.PLANNED)]

    assert [found.verdict for found in last_tries(steps)] == [V.DONE, V.PLANNED]


def test_a_gap_parts_the_line_and_the_limit_has_room() -> None:
    line = charts.line([(0, 10.0), (10, None), (20, 20.0)], limit=40.0, mark=10)

    assert line.runs == ("0.0,72.0", "240.0,52.0")
    assert line.mark_x == 120.0
    assert line.limit_y == 12.0
    assert charts.line([]).runs == ()
