"""What a roll-out does next: pure. A wave begins when all before it is done and stayed well."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Progress(StrEnum):
    """How far a roll-out is in one environment.

    HELD and LEFT are what its workspace decided; ASKED is a promotion that waits for a gate, an approval or a window.
    """

    WAITING = "WAITING"
    HELD = "HELD"
    LEFT = "LEFT"
    ASKED = "ASKED"
    UNDER_WAY = "UNDER_WAY"
    DONE = "DONE"
    FAILED = "FAILED"


# What is said of a guest to others, what matters most first.
_PARTS = {
    Progress.FAILED: "It did not take the release, gave it back or is not well with it; its own people see why.",
    Progress.UNDER_WAY: "The release is being deployed there.",
    Progress.ASKED: "It waits for its own approvals, windows or other gates.",
    Progress.WAITING: "Its wave has not begun.",
    Progress.HELD: "Its own people hold it; nobody waits for it.",
    Progress.DONE: "It runs the release.",
    Progress.LEFT: "It left the roll-out.",
}
_SETTLED = (Progress.DONE, Progress.LEFT)


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

    `offer` is the wave that a person may let begin now, 0 for none: it waits for a pause, for what is wrong before it,
    or for places before it that have not begun.
    """

    step: Step
    sentence: str
    wave: int = 0
    until: datetime | None = None
    offer: int = 0


def next_move(places: Sequence[Place], *, pause: timedelta, released: int, now: datetime) -> Move:
    """This function will say what a roll-out does next.

    Shapes: `released` is the last wave that a person let begin without waiting, 0 for none.
    """
    if why := failures(places):
        return Move(Step.STOP, why)
    staying = [place for place in places if place.progress != Progress.LEFT]
    left = [place for place in staying if place.progress != Progress.DONE]
    if not left:
        words = f"All {len(staying)} environments run it." if staying else "Every environment left it."
        return Move(Step.COMPLETE, words)
    ahead = [place for place in left if not _is_passed(place, released)]
    if not ahead:
        return Move(Step.WAIT, "What is left goes on when its own workspace lets it.")
    wave = min(place.wave for place in ahead)
    of_wave = [place for place in staying if place.wave == wave]
    if all(place.progress != Progress.WAITING for place in of_wave):
        return _under_way(wave, of_wave, left)
    if released >= wave:
        return Move(Step.ASK, f"Wave {wave} begins.", wave)
    return _after([place for place in places if place.wave < wave], wave, pause=pause, now=now)


def failures(places: Sequence[Place]) -> str:
    """This function will say which places failed and why; nothing where none did."""
    return " ".join(f"{place.name}: {place.why}" for place in places if place.progress == Progress.FAILED)


def part_in_words(places: Sequence[Place]) -> tuple[Progress, str]:
    """This function will say how far a guest is, for who may know nothing else of it: no name and no reason.

    Shapes: the progress that matters most of its places, of which there is one at least.
    """
    found = {place.progress for place in places}
    worst = next(progress for progress in _PARTS if progress in found)
    some = " Some of it runs the release." if Progress.DONE in found and worst not in _SETTLED else ""
    return worst, f"{_PARTS[worst]}{some}"


def _is_passed(place: Place, released: int) -> bool:
    """Say whether what comes later does not wait for it: its workspace holds it, or a person let a later wave begin."""
    return place.progress == Progress.HELD or (place.progress == Progress.ASKED and place.wave < released)


def _under_way(wave: int, of_wave: Sequence[Place], left: Sequence[Place]) -> Move:
    done = sum(place.progress == Progress.DONE for place in of_wave)
    later = [place.wave for place in left if place.wave > wave and place.progress == Progress.WAITING]
    deploys = any(place.progress == Progress.UNDER_WAY for place in of_wave)
    sentence = f"Wave {wave} is under way: {done} of {len(of_wave)} done."
    return Move(Step.WAIT, sentence, wave, offer=0 if deploys else min(later, default=0))


def _after(before: Sequence[Place], wave: int, *, pause: timedelta, now: datetime) -> Move:
    if wrong := " ".join(f"{place.name}: {place.why}" for place in before if place.why):
        return Move(Step.WAIT, f"Wave {wave} waits until all is well before it. {wrong}", wave, offer=wave)
    ends = [place.done_at + pause for place in before if place.done_at]
    if before and not ends:
        return Move(Step.WAIT, f"Wave {wave} waits: nothing before it runs the release yet.", wave, offer=wave)
    until = max(ends, default=now)
    if now >= until:
        return Move(Step.ASK, f"Wave {wave} begins.", wave)
    return Move(Step.WAIT, f"Wave {wave} waits while wave {wave - 1} is watched.", wave, until, offer=wave)
