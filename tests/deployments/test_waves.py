from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.deployments.waves import Move, Place, Progress, Step, next_move

NOW = datetime(2026, 11, 18, 19, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
W, U, D, F = Progress.WAITING, Progress.UNDER_WAY, Progress.DONE, Progress.FAILED
A, H, L = Progress.ASKED, Progress.HELD, Progress.LEFT


def place(wave: int, progress: Progress, *, ago: timedelta = timedelta(0), why: str = "") -> Place:
    done_at = NOW - ago if progress == D else None
    return Place(f"Place {wave}", wave, progress, done_at=done_at, why="It broke." if progress == F else why)


def move(*places: Place, pause: timedelta = HOUR, released: int = 0) -> Move:
    return next_move(places, pause=pause, released=released, now=NOW)


@pytest.mark.parametrize(
    ("places", "released", "step", "wave"),
    [
        ([place(1, W), place(2, W)], 0, Step.ASK, 1),
        ([place(1, U), place(2, W)], 0, Step.WAIT, 1),
        ([place(1, D), place(1, U), place(2, W)], 0, Step.WAIT, 1),
        ([place(1, D), place(2, W)], 0, Step.WAIT, 2),
        ([place(1, D, ago=HOUR), place(2, W)], 0, Step.ASK, 2),
        ([place(1, D), place(2, W)], 2, Step.ASK, 2),
        ([place(1, D), place(2, W)], 1, Step.WAIT, 2),
        ([place(1, D, ago=2 * HOUR), place(1, D), place(2, W)], 0, Step.WAIT, 2),
        ([place(1, D, ago=HOUR), place(2, U), place(2, W)], 0, Step.ASK, 2),
        ([place(1, D, ago=HOUR, why="It burns."), place(1, D, ago=HOUR), place(2, W)], 0, Step.WAIT, 2),
        ([place(1, D, ago=HOUR, why="It burns."), place(2, W)], 2, Step.ASK, 2),
        ([place(1, D, ago=HOUR), place(2, D, why="It burns."), place(2, W)], 0, Step.ASK, 2),
        ([place(1, D), place(2, D, why="It burns.")], 0, Step.COMPLETE, 0),
        ([place(1, D), place(2, D)], 0, Step.COMPLETE, 0),
        ([place(1, F), place(2, W)], 0, Step.STOP, 0),
        ([place(1, D), place(2, F), place(2, U)], 0, Step.STOP, 0),
        ([place(1, F), place(2, W)], 2, Step.STOP, 0),
        ([place(1, D, ago=HOUR), place(2, A), place(3, W)], 0, Step.WAIT, 2),
        ([place(1, D, ago=HOUR), place(2, A), place(3, W)], 3, Step.ASK, 3),
        ([place(1, D, ago=HOUR), place(2, A), place(3, D)], 3, Step.WAIT, 0),
        ([place(1, D, ago=HOUR), place(2, H), place(3, W)], 0, Step.ASK, 3),
        ([place(1, D, ago=HOUR), place(2, W), place(3, U)], 0, Step.ASK, 2),
        ([place(1, H), place(2, W)], 0, Step.WAIT, 2),
        ([place(1, L), place(2, W)], 0, Step.WAIT, 2),
        ([place(1, H), place(2, W)], 2, Step.ASK, 2),
        ([place(1, D), place(2, L)], 0, Step.COMPLETE, 0),
        ([place(1, L), place(2, L)], 0, Step.COMPLETE, 0),
        ([place(1, D), place(2, H)], 0, Step.WAIT, 0),
    ],
)
def test_what_comes_next(places: list[Place], released: int, step: Step, wave: int) -> None:
    found = move(*places, released=released)

    assert (found.step, found.wave) == (step, wave)


def test_it_says_how_long_it_waits_and_why_it_stopped() -> None:
    watched, unwell = move(place(1, D), place(2, W)), move(place(1, D, ago=HOUR, why="It burns."), place(2, W))
    assert (watched.until, watched.offer) == (NOW + HOUR, 2)
    assert (unwell.sentence, unwell.offer) == ("Wave 2 waits until all is well before it. Place 1: It burns.", 2)
    assert move(place(1, F), place(2, W)).sentence == "Place 1: It broke."


@pytest.mark.parametrize(
    ("places", "offer"),
    [
        ([place(1, W), place(2, W)], 0),
        ([place(1, D), place(2, W)], 2),
        ([place(1, U), place(2, W)], 0),
        ([place(1, U), place(1, A), place(2, W)], 0),
        ([place(1, D), place(1, A), place(2, W), place(3, W)], 2),
        ([place(1, D), place(2, A)], 0),
        ([place(1, L), place(2, W)], 2),
    ],
)
def test_a_person_may_let_begin_what_only_waits(places: list[Place], offer: int) -> None:
    found = move(*places)

    assert found.offer == offer
    if offer:
        assert move(*places, released=offer).wave == offer


@given(
    st.lists(st.tuples(st.integers(1, 4), st.sampled_from(list(Progress))), min_size=1, max_size=8),
    st.integers(0, 4),
    st.integers(0, 120),
)
def test_no_wave_is_asked_for_before_all_before_it_is_done(
    rows: list[tuple[int, Progress]], released: int, minutes: int
) -> None:
    places = [place(wave, progress, ago=timedelta(minutes=minutes)) for wave, progress in rows]

    found = move(*places, released=released)

    if found.step == Step.ASK:
        passed = (D, L, H, A) if released > 0 else (D, L, H)
        assert all(other.progress in passed for other in places if other.wave < found.wave)
        assert any(other.progress == W for other in places if other.wave == found.wave)
    if any(other.progress == F for other in places):
        assert found.step == Step.STOP
