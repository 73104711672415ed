"""Make the target match what the database says: after a start of the portal, and from time to time."""

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
from apps.deployments.executors.slots import Slots
from apps.integrations.haproxy import FULL_WEIGHT, HaproxyError
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
    with lane.at_work() as lock, lane.fenced(row.fence):
        wanted = {slot_row.slot: slot_row for slot_row in (row.warm, row.live) if slot_row}
        told = []
        for slot in Slot:
            if slot in wanted:
                told += _running(slots, lane, slot, wanted[slot], fence=row.fence, lock=lock)
        told += _weights(slots, lane, row)
        for slot in Slot:
            if slot not in wanted and (lane.record(slot) or slots.supervisor.state(slots.program_name(lane, slot))):
                slots.stop(lane, slot)
                told.append(f"{slot.value} was running, the database knows nothing of it: stopped")
    return [Correction(lane.key, detail, mended=True) for detail in told]


def _running(slots: Slots, lane: Lane, slot: Slot, wanted: SlotRow, *, fence: int, lock: int) -> list[str]:
    record = SlotRecord(
        deployment_id=str(wanted.deployment_id),
        fence=fence,
        version=wanted.release.version,
        digest=wanted.release.digest,
        configuration=wanted.configuration.number,
        program=program_of(wanted.release),
    )
    if slots.holds(lane, slot, wanted.release, wanted.configuration):
        if (seen := lane.record(slot)) and seen.deployment_id != record.deployment_id:
            lane.write_record(slot, record)
        return []
    if not slots.installation.is_installed(wanted.release.digest):
        slots.installation.install(wanted.release, lifeline=Lifeline(), log=lambda _line: None, lock=lock)
    slots.start(lane, slot, record, wanted.release, wanted.configuration)
    return [f"{slot.value} did not run {record.version}: started"]


def _weights(slots: Slots, lane: Lane, row: LaneRow) -> list[str]:
    wanted = {slot.value: FULL_WEIGHT if row.live and slot is row.live.slot else 0 for slot in Slot}
    seen = slots.proxy.weights(lane.key)
    if seen == wanted:
        slots.proxy.keep_weights(lane.key, seen)
        return []
    slots.proxy.set_weights(lane.key, wanted)
    return [f"weights were {seen}, set to {wanted}"]
