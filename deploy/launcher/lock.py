"""One running portal for each clone: a lock that ends with its holder, and a note that says who holds it."""

import fcntl
import json
import os
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Self

from deploy.launcher.console import Refused, Step

NAME = "launcher.json"
LEAVING_SECONDS = 30


class Lock:
    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.file = os.fdopen(descriptor, "r+", encoding="utf-8")

    @classmethod
    def open(cls, data: Path) -> Self:
        path = data / NAME
        return cls(path, os.open(path, os.O_RDWR | os.O_CREAT, 0o600))

    @classmethod
    def received(cls, data: Path, descriptor: str) -> Self:
        """Return the lock that the process held before it became this program."""
        os.set_inheritable(int(descriptor), False)
        return cls(data / NAME, int(descriptor))

    @classmethod
    def holder_of(cls, data: Path) -> dict[str, Any]:
        """Return what the portal that runs on these data noted; nothing, where none runs."""
        try:
            found = cls(data / NAME, os.open(data / NAME, os.O_RDWR))
        except FileNotFoundError:
            return {}
        with closing(found):
            noted = found.read()
            return noted if _alive(noted.get("pid")) else {}

    def close(self) -> None:
        self.file.close()

    def pass_on(self) -> str:
        os.set_inheritable(self.file.fileno(), True)
        return str(self.file.fileno())

    def take(self) -> None:
        """Take the lock. Raises Refused when a portal runs from this clone, and says which one."""
        if self._try():
            self.note(pid=os.getpid(), began=time.monotonic())
            return
        holder = self.read()
        if _alive(holder.get("pid")):
            where = holder.get("address") or "it is still starting"
            raise Refused(f"The portal already runs from this clone (process {holder['pid']}): {where}")
        with Step("Waiting for the last run to end", "The last run has ended") as step:
            until = time.monotonic() + LEAVING_SECONDS
            while not self._try():
                if time.monotonic() > until:
                    raise Refused(f"Something still holds {self.path}; end it and start again.")
                step.tick()
                time.sleep(0.1)
        self.note(pid=os.getpid(), began=time.monotonic())

    def note(self, **facts: Any) -> None:
        self.file.seek(0)
        self.file.truncate()
        json.dump(facts, self.file)
        self.file.flush()

    def read(self) -> dict[str, Any]:
        self.file.seek(0)
        try:
            found = json.load(self.file)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def _try(self) -> bool:
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _alive(pid: Any) -> bool:
    if not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
