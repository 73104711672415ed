"""A lane's own folder on the target: the last accepted fence, the lock of the step at work, a record for each slot."""

import contextlib
import errno
import fcntl
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from apps.core.crashpoints import crashpoint
from apps.deployments.executors.contract import Cancelled, OutcomeUnknown, Slot, StaleFence, TargetUntouched
from apps.integrations.atomic_file import write_atomically

_KEY = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


@dataclass(frozen=True, slots=True)
class SlotRecord:
    """Who brought what into a slot, written before it starts."""

    deployment_id: str
    fence: int
    version: str
    digest: str
    configuration: int
    program: str


class Lane:
    def __init__(self, root: Path, key: str, *, parts: Iterable[str] = ("data", *Slot)) -> None:
        if not _KEY.fullmatch(key):
            raise TargetUntouched(f"Not a key of a lane: {key!r}.", retry=False, code="target-invalid")
        self.key, self.folder, self._parts = key, root / key, tuple(parts)

    def slot_folder(self, slot: Slot) -> Path:
        return self.folder / slot.value

    @property
    def data_folder(self) -> Path:
        """What the service keeps over its releases; both slots share it."""
        return self.folder / "data"

    def prepare(self) -> None:
        try:
            for folder in (self.folder, *(self.folder / part for part in self._parts)):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise TargetUntouched(f"The lane's folder can't be made: {error.strerror}.", code="target-disk") from error

    def record(self, slot: Slot) -> SlotRecord | None:
        try:
            return SlotRecord(**json.loads((self.slot_folder(slot) / "slot.json").read_text()))
        except FileNotFoundError:
            return None

    def write_record(self, slot: Slot, record: SlotRecord) -> None:
        _write_json(self.slot_folder(slot) / "slot.json", asdict(record))

    def forget(self, slot: Slot) -> None:
        for name in ("slot.json", "configuration.json", "program.json"):
            (self.slot_folder(slot) / name).unlink(missing_ok=True)

    def write_program(self, slot: Slot, program: Mapping[str, Any], configuration: Mapping[str, Any]) -> Path:
        """Leave the slot's own files for the program; return the one that it is started with."""
        _write_json(self.slot_folder(slot) / "configuration.json", configuration)
        path = self.slot_folder(slot) / "program.json"
        _write_json(path, program)
        return path

    @property
    def fence(self) -> int:
        try:
            return int(json.loads((self.folder / "fence.json").read_text())["fence"])
        except FileNotFoundError:
            return 0

    @contextlib.contextmanager
    def fenced(self, fence: int, deployment_id: UUID | None = None) -> Iterator[None]:
        """Accept a fence, and hold the door while a short effect happens, so that no other fence comes in between.

        Raises StaleFence: a higher one was accepted before.
        """
        self.prepare()
        with _locked(self.folder / "fence.lock"):
            last = self.fence
            if fence < last:
                raise StaleFence(f"The target has accepted fence {last} for this lane; {fence} is too late.")
            if fence > last:
                crashpoint("before_fence")
                _write_json(
                    self.folder / "fence.json",
                    {"fence": fence, "deployment_id": str(deployment_id) if deployment_id else None},
                )
                crashpoint("after_fence")
            yield

    @contextlib.contextmanager
    def at_work(self, *, patience: float = 0.0, is_cancelled: Callable[[], bool] = lambda: False) -> Iterator[int]:
        """Hold the lane for one step and yield the lock's descriptor; a guard that inherits it keeps the lane held.

        Raises OutcomeUnknown: somebody else, or what they left behind, is still at work after `patience` seconds.
        """
        self.prepare()
        descriptor = os.open(self.folder / "work.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            deadline = time.monotonic() + patience
            while not _try_lock(descriptor):
                if is_cancelled():
                    raise Cancelled("Cancelled while another step of this lane was at work.")
                if time.monotonic() >= deadline:
                    raise OutcomeUnknown("Another step of this lane is still at work on the target.")
                time.sleep(0.05)
            yield descriptor
        finally:
            os.close(descriptor)

    @property
    def is_at_work(self) -> bool:
        try:
            with self.at_work():
                return False
        except OutcomeUnknown:
            return True


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_atomically(path, json.dumps(content, sort_keys=True) + "\n")
