"""What a roll-out does next: pure. A wave begins when all before it is done and stayed well."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Progress(StrEnum):
    """How far a roll-out is in one environment."""

    WAITING = "WAITING"
    UNDER_WAY = "UNDER_WAY"
    DONE = "DONE"
    FAILED = "FAILED"


@dataclass(frozen=True)
class Place:
    """One environment of a roll-out, as it is now. `done_at` is given when it is done.

    `why` says why it failed, or what is wrong where it is done and was so before.
    """

    name: str
    wave: int
    progress: Progress
    done_at: datetime | None = None
    why: str = ""


class Step(StrEnum):
    ASK = "ASK"
    WAIT = "WAIT"
    COMPLETE = "COMPLETE"
    STOP = "STOP"


@dataclass(frozen=True)
class Move:
    """`wave` is the one that is to be asked for, or is under way; `until` is when the pause before it ends.

    `offer` is the wave that a person may let begin now, 0 for none.
    """

    step: Step
    sentence: str
    wave: int = 0
    until: datetime | None = None
    offer: int = 0


def next_move(places: Sequence[Place], *, pause: timedelta, released: int, now: datetime) -> Move:
    """This function will say what a roll-out does next.

    Shapes: `released` is the last wave that a person let begin without its pause, 0 for none.
    """
    failed = [place for place in places if place.progress == Progress.FAILED]
    if failed:
        return Move(Step.STOP, " ".join(f"{place.name}: {place.why}" for place in failed))
    left = [place for place in places if place.progress != Progress.DONE]
    if not left:
        return Move(Step.COMPLETE, f"All {len(places)} environments run it.")
    wave = min(place.wave for place in left)
    of_wave = [place for place in places if place.wave == wave]
    if all(place.progress != Progress.WAITING for place in of_wave):
        done = sum(place.progress == Progress.DONE for place in of_wave)
        return Move(Step.WAIT, f"Wave {wave} is under way: {done} of {len(of_wave)} done.", wave)
    if released >= wave:
        return Move(Step.ASK, f"Wave {wave} begins.", wave)
    return _after([place for place in places if place.wave < wave], wave, pause=pause, now=now)


def _after(before: Sequence[Place], wave: int, *, pause: timedelta, now: datetime) -> Move:
    if wrong := " ".join(f"{place.name}: {place.why}" for place in before if place.why):
        return Move(Step.WAIT, f"Wave {wave} waits until all is well before it. {wrong}", wave, offer=wave)
    until = max([place.done_at + pause for place in before if place.done_at], default=now)
    if now >= until:
        return Move(Step.ASK, f"Wave {wave} begins.", wave)
    return Move(Step.WAIT, f"Wave {wave} waits while wave {wave - 1} is watched.", wave, until, offer=wave)
