"""Make the target match what the database says: after a start of the portal, and from time to time.

Only what is dead is mended. What a person has put there is told and left, whatever else differs (ADR 0109).
"""

import contextlib
from collections.abc import Iterable

from apps.deployments.executors.contract import (
    Correction,
    ExecutorError,
    LaneRow,
    Slot,
    SlotRow,
)
from apps.deployments.executors.guard import Lifeline
from apps.deployments.executors.lane import Lane, SlotRecord
from apps.deployments.executors.manifest import program_of
from apps.deployments.executors.slots import Slots, all_to
from apps.integrations.haproxy import HaproxyError
from apps.integrations.supervisord import SupervisorError


def reconcile(slots: Slots, rows: Iterable[LaneRow]) -> tuple[Correction, ...]:
    """Put every lane right and return what differed. One lane that can't be put right never holds up another."""
    rows = tuple(rows)
    slots.installation.store.tidy()
    with contextlib.suppress(ExecutorError):
        slots.ensure(*(row.target for row in rows))  # all with one reload; who stands in the way is found below
    found: list[Correction] = []
    for row in rows:
        try:
            slots.ensure(row.target)
            found += _lane(slots, row)
        except (ExecutorError, HaproxyError, SupervisorError) as error:
            found.append(Correction(row.target.lane_key, str(error), mended=False))
    return tuple(found)


def _lane(slots: Slots, row: LaneRow) -> list[Correction]:
    lane = slots.lane(row.target)
    with lane.at_work() as lock:
        with lane.fenced(row.fence):
            pass
        drift = _by_hand(slots, lane, row)
        with lane.fenced(row.fence):
            told = _running(slots, lane, row, drift, lock=lock)
            if not drift:
                told += [*_weights(slots, lane, row), *_left_over(slots, lane, row)]
    found = [Correction(lane.key, detail, mended=True) for detail in told]
    if drift:
        said = f"{'; '.join(drift)}. A person has to deploy again or roll back"
        found.append(Correction(lane.key, said, mended=False, drifted=True))
    return found


def _by_hand(slots: Slots, lane: Lane, row: LaneRow) -> list[str]:
    """Say what differs from what was deployed and is alive. Of a lane where nothing should run, nothing: it is emptied.

    Weights that were never written down are of a backend that came new into the proxy: nobody has set them.
    """
    live = row.live
    if live is None or live.slot is None:
        return []
    found = [said for slot in Slot if (said := slots.stranger(row.target, slot))]
    record = lane.record(live.slot)
    wanted = (live.release.digest, live.configuration.number)
    if not found and record and (record.digest, record.configuration) != wanted and slots.is_alive(lane, live.slot):
        seen = f"{live.slot.value} runs {record.version} with configuration {record.configuration}"
        found.append(f"{seen}, not {live.release.version} with configuration {live.configuration.number}")
    weights = slots.proxy.weights(lane.key)
    is_set = any(weights.values()) or any(slots.proxy.kept_weights(lane.key).values())
    if is_set and weights != all_to(live.slot):
        said = ", ".join(f"{name} {weight}" for name, weight in sorted(weights.items()))
        found.append(f"the traffic is at {said}, where {live.slot.value} should have all of it")
    return found


def _running(slots: Slots, lane: Lane, row: LaneRow, drift: list[str], *, lock: int) -> list[str]:
    """Bring back what is dead, and, where nobody has changed anything, what an attempt has left in its place."""
    told = []
    for slot, wanted in _wanted(row).items():
        record = SlotRecord(
            deployment_id=str(wanted.deployment_id),
            fence=row.fence,
            version=wanted.release.version,
            digest=wanted.release.digest,
            configuration=wanted.configuration.number,
            program=program_of(wanted.release),
        )
        holds = slots.holds(row.target, slot, wanted.release, wanted.configuration)
        if slots.is_dead(row.target, slot) or not (drift or holds):
            if not slots.installation.is_installed(wanted.release.digest):
                slots.installation.install(wanted.release, lifeline=Lifeline(), log=lambda _line: None, lock=lock)
            slots.start(lane, slot, record, wanted.release, wanted.configuration)
            told.append(f"{slot.value} did not run {record.version}: started")
        elif holds and (seen := lane.record(slot)) and seen.deployment_id != record.deployment_id:
            lane.write_record(slot, record)
    return told


def _left_over(slots: Slots, lane: Lane, row: LaneRow) -> list[str]:
    told = []
    for slot in Slot:
        is_there = lane.record(slot) or slots.supervisor.state(slots.program_name(lane, slot))
        if slot not in _wanted(row) and is_there:
            slots.stop(lane, slot)
            told.append(f"{slot.value} was running, the database knows nothing of it: stopped")
    return told


def _wanted(row: LaneRow) -> dict[Slot, SlotRow]:
    return {each.slot: each for each in (row.warm, row.live) if each and each.slot}


def _weights(slots: Slots, lane: Lane, row: LaneRow) -> list[str]:
    wanted = all_to(row.live.slot if row.live else None)
    seen = slots.proxy.weights(lane.key)
    if seen == wanted:
        slots.proxy.keep_weights(lane.key, seen)
        return []
    slots.proxy.set_weights(lane.key, wanted)
    return [f"weights were {seen}, set to {wanted}"]
