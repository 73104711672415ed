import threading
from pathlib import Path
from uuid import uuid4

import pytest

from apps.deployments.executors.contract import OutcomeUnknown, Slot, StaleFence, TargetUntouched
from apps.deployments.executors.lane import Lane, SlotRecord


@pytest.fixture
def lane(tmp_path: Path) -> Lane:
    return Lane(tmp_path, "calendar-dev")


def test_the_last_accepted_fence_is_kept(lane: Lane) -> None:
    with lane.fenced(3, uuid4()):
        pass
    with lane.fenced(3):
        pass
    with pytest.raises(StaleFence, match="has accepted fence 3"), lane.fenced(2):
        raise AssertionError("a stale fence must not get in")

    assert Lane(lane.folder.parent, lane.key).fence == 3


def test_of_many_fences_at_once_none_lower_comes_after_a_higher(lane: Lane) -> None:
    accepted: list[int] = []

    def try_it(fence: int) -> None:
        try:
            with lane.fenced(fence):
                accepted.append(fence)
        except StaleFence:
            return

    threads = [threading.Thread(target=try_it, args=[fence]) for fence in range(1, 33)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert accepted == sorted(accepted)
    assert lane.fence == 32


def test_one_step_at_a_time(lane: Lane) -> None:
    with lane.at_work():
        assert lane.is_at_work
        with pytest.raises(OutcomeUnknown), lane.at_work(patience=0.1):
            raise AssertionError("two steps at once")
    assert not lane.is_at_work


def test_a_slot_remembers_who_brought_what(lane: Lane) -> None:
    record = SlotRecord(str(uuid4()), 7, "1.0.0", "sha256:0", 2, "greeter")
    lane.prepare()
    lane.write_record(Slot.GREEN, record)

    assert lane.record(Slot.GREEN) == record
    assert lane.record(Slot.BLUE) is None
    lane.forget(Slot.GREEN)
    assert lane.record(Slot.GREEN) is None


@pytest.mark.parametrize("key", ["../x", "a/b", "", "A", "x" * 41])
def test_a_key_is_never_a_path(tmp_path: Path, key: str) -> None:
    with pytest.raises(TargetUntouched, match="Not a key"):
        Lane(tmp_path, key)
