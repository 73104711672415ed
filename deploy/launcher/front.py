"""The process that people see and signal: it starts the keeper and leaves nothing behind, whatever becomes of either.

Both adopt orphans. When the front is killed, the keeper's pipe closes and it ends everything in order; when the keeper
is killed, its descendants become the front's, which ends them.
"""

import os
import signal
import traceback
from contextlib import suppress
from pathlib import Path

from deploy.launcher import portal, processes
from deploy.launcher.console import say
from deploy.launcher.lock import Lock


def serve(lock: Lock, host: str, port: int) -> int:
    processes.adopt_orphans()
    if _parent_name() in {"make", "gmake"}:
        processes.end_with_parent(signal.SIGTERM)
    stop_pipe, ask = os.pipe()
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, lambda *_: _pass_on(ask))
    keeper = os.fork()
    if keeper == 0:
        os.close(ask)
        _be_keeper(lock, stop_pipe, host, port)
    os.close(stop_pipe)
    code = _wait_for(keeper)
    if code < 0:
        say(f"  !! the launcher's keeper was ended by signal {-code}; everything it kept is being ended")
    processes.end_descendants()
    return code if code >= 0 else 1


def _be_keeper(lock: Lock, stop_pipe: int, host: str, port: int) -> None:
    code = 1
    try:
        os.setsid()
        processes.adopt_orphans()
        code = portal.run(lock, stop_pipe, host, port)
    except Exception:  # noqa: BLE001  the last chance to tell
        traceback.print_exc()
    finally:
        os._exit(code)


def _pass_on(ask: int) -> None:
    with suppress(OSError):  # the keeper has ended already
        os.write(ask, b".")


def _wait_for(keeper: int) -> int:
    while True:
        pid, status = os.wait()
        if pid == keeper:
            return os.waitstatus_to_exitcode(status)


def _parent_name() -> str:
    try:
        return Path(f"/proc/{os.getppid()}/comm").read_text().strip()
    except OSError:
        return ""
