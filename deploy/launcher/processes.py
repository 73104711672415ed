"""Child processes that can't outlive the one who started them."""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from deploy.launcher.paths import ROOT

_libc = ctypes.CDLL(None, use_errno=True)
_DEATH_SIGNAL, _SUBREAPER = 1, 36  # linux/prctl.h


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to start, and how to end it. `rank` orders the end: the highest ranks go first.

    `ends_with_children`: its children are asked to end with it, and when none is left, it needn't be waited for.
    """

    name: str
    command: tuple[str | Path, ...]
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    directory: Path = ROOT
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 5.0
    rank: int = 0
    restarts: bool = True
    ends_with_children: bool = False
    shown: bool = False
    before: Callable[[], None] | None = None
    become: Callable[[], None] | None = None


def end_with_parent(with_signal: int) -> None:
    _libc.prctl(_DEATH_SIGNAL, int(with_signal), 0, 0, 0)


def adopt_orphans() -> None:
    """Make this process the parent of every descendant whose own parent ends, so that none gets lost."""
    _libc.prctl(_SUBREAPER, 1, 0, 0, 0)


def spawn(program: Program, log: Path) -> subprocess.Popen[bytes]:
    """Start the program in a session of its own, its output appended to `log`; it ends when this process ends."""
    parent = os.getpid()

    def before_exec() -> None:
        if program.become:
            program.become()  # first, because a change of identity clears the death signal
        end_with_parent(program.stop_signal)
        if os.getppid() != parent:
            os._exit(1)

    if program.before:
        program.before()
    with log.open("ab") as output:
        return subprocess.Popen(
            [str(part) for part in program.command],
            env=dict(program.environment),
            cwd=program.directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=before_exec,
        )


def stop(process: subprocess.Popen[bytes], program: Program) -> None:
    """End one process started by `spawn`: its own signal first, KILL for its whole group after the limit."""
    if process.poll() is None:
        process.send_signal(program.stop_signal)
        try:
            process.wait(program.stop_seconds)
        except subprocess.TimeoutExpired:
            end_group(process)
            process.wait()


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End what is left of the group of a process started by `spawn`."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def descendants(of: int) -> Iterator[int]:
    """Yield every live process below `of`, zombies left out."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            state, parent = Path("/proc", entry, "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            children.setdefault(int(parent), []).append(int(entry))
    waiting = [of]
    while waiting:
        found = children.get(waiting.pop(), [])
        yield from found
        waiting += found


def signal_all(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def end_descendants(*, grace_seconds: float = 2.0) -> int:
    """End whatever is left below this process, which must have called `adopt_orphans`; return how many there were."""
    met: set[int] = set()
    until = time.monotonic() + grace_seconds
    while left := set(descendants(os.getpid())):
        late = time.monotonic() > until
        signal_all(left if late else left - met, signal.SIGKILL if late else signal.SIGTERM)
        met |= left
        _reap()
        time.sleep(0.02)
    _reap()
    return len(met)


def end_those_with(variable: str) -> None:
    """Kill every process of this user in whose environment `variable` ("NAME=value") stands."""
    for entry in os.listdir("/proc"):
        with suppress(OSError):
            if entry.isdigit() and variable.encode() in Path("/proc", entry, "environ").read_bytes().split(b"\0"):
                os.kill(int(entry), signal.SIGKILL)


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def last_lines(log: Path, count: int = 12) -> str:
    """Return the end of a log, indented, for people."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 8000))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(f"      {line}" for line in text.strip().splitlines()[-count:])
