"""Keeps the portal's processes: starts them, says when one ends, starts it again with back-off, ends all of them.

One thread, no callbacks: whoever waits for anything waits in `tick()`, which does the keeping meanwhile.
"""

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile

from deploy.launcher import processes
from deploy.launcher.console import Refused, Step, say
from deploy.launcher.processes import Program

LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 60.0  # who ran this long starts its back-off from the beginning
LOG_BYTES = 20_000_000


class Stopped(Exception):
    """Somebody asked for the end."""


class DidNotStart(Refused):
    """A program ended, or did not answer in time."""


@dataclass
class Kept:
    program: Program
    log: Path
    process: subprocess.Popen[bytes]
    started: float
    failures: int = 0
    again_at: float | None = None
    shown_bytes: int = 0
    awaited: bool = False  # while its start is being waited for, its end is the waiter's business


class Keeper:
    def __init__(self, logs: Path, stop_pipe: int) -> None:
        self.logs, self.stop_pipe = logs, stop_pipe
        self.kept: list[Kept] = []
        self.stopping = False
        self.hurried = False
        self._rotated = time.monotonic()
        self._wakes, wake = os.pipe()
        self._watched = [self._wakes, stop_pipe]
        os.set_blocking(self._wakes, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self._ask_to_stop())
        for ignored in (signal.SIGINT, signal.SIGHUP):  # the front tells us
            signal.signal(ignored, signal.SIG_IGN)

    def start(self, program: Program) -> Kept:
        log = self.logs / f"{program.name}.log"
        size = log.stat().st_size if log.exists() else 0
        kept = Kept(program, log, processes.spawn(program, log), time.monotonic(), shown_bytes=size)
        self.kept.append(kept)
        return kept

    def wait_ready(self, kept: Kept, is_ready: Callable[[], bool], *, step: Step, limit_seconds: float = 60) -> None:
        """Wait until the program answers. Raises DidNotStart with the end of its log."""
        until = time.monotonic() + limit_seconds
        kept.awaited = True
        while not is_ready():
            if kept.process.poll() is not None or time.monotonic() > until:
                what = "does not answer" if kept.process.returncode is None else "has ended"
                self.drop(kept)
                raise DidNotStart(f"{kept.program.name} {what}:\n{processes.last_lines(kept.log)}\n  log: {kept.log}")
            self.tick(0.03)
            step.tick()
        kept.awaited = False

    def run(self, program: Program, *, step: Step) -> None:
        """Run a program to its end. Raises DidNotStart when it fails."""
        self.finish(self.start(program), step=step)

    def finish(self, kept: Kept, *, step: Step) -> None:
        """Wait for the end of a program that was started. Raises DidNotStart when it fails."""
        while kept.process.poll() is None:
            self.tick(0.1)
            step.tick()
        self.kept.remove(kept)
        if kept.process.returncode:
            raise DidNotStart(f"{kept.program.name} failed:\n{processes.last_lines(kept.log)}\n  log: {kept.log}")

    def drop(self, kept: Kept) -> None:
        processes.stop(kept.process, kept.program)
        self.kept.remove(kept)

    def tick(self, seconds: float = 0.5) -> None:
        """Keep for up to `seconds`. Raises Stopped when somebody asked for the end."""
        ready = select.select(self._watched, [], [], seconds)[0]
        if self._wakes in ready:
            os.read(self._wakes, 4096)
        if self.stop_pipe in ready:
            self._hear_the_front()
        self._reap()
        self._show()
        if self.stopping:
            raise Stopped
        self._start_again()
        self._rotate()

    def stop_all(self) -> None:
        """End every program, those that serve people first and the engines last."""
        self.stopping = True
        for rank in sorted({kept.program.rank for kept in self.kept}, reverse=True):
            going = [kept for kept in self.kept if kept.program.rank == rank and kept.process.poll() is None]
            for kept in going:
                children = processes.descendants(kept.process.pid) if kept.program.ends_with_children else ()
                processes.signal_all([kept.process.pid, *children], kept.program.stop_signal)
            since = time.monotonic()
            while still := [kept for kept in going if kept.process.poll() is None]:
                for kept in still:
                    if self._has_waited_enough(kept, time.monotonic() - since):
                        processes.end_group(kept.process)
                self._wait_while_stopping()
        self.kept.clear()

    def _has_waited_enough(self, kept: Kept, seconds: float) -> bool:
        alone = kept.program.ends_with_children and not any(processes.descendants(kept.process.pid))
        return self.hurried or alone or seconds > kept.program.stop_seconds

    def _wait_while_stopping(self) -> None:
        try:
            self.tick(0.05)
        except Stopped:
            return

    def _hear_the_front(self) -> None:
        if not os.read(self.stop_pipe, 1):  # the front has died
            self._watched.remove(self.stop_pipe)
        self._ask_to_stop()

    def _ask_to_stop(self) -> None:
        self.hurried = self.stopping
        self.stopping = True

    def _reap(self) -> None:
        """Take note of the ends of our programs, and let the orphans go that we adopted."""
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                break
            if ended is None:
                break
            kept = next((each for each in self.kept if each.process.pid == ended.si_pid), None)
            if kept is None:
                os.waitpid(ended.si_pid, 0)
            else:
                kept.process.wait()
        for kept in list(self.kept):
            if kept.process.returncode is None or kept.again_at is not None or kept.awaited or self.stopping:
                continue
            if kept.program.restarts:
                self._plan_restart(kept)
            elif kept.program.shown:
                self._let_go(kept)

    def _plan_restart(self, kept: Kept) -> None:
        processes.end_group(kept.process)  # what a killed parent leaves would keep its port
        now = time.monotonic()
        kept.failures = 1 if now - kept.started > STEADY_SECONDS else kept.failures + 1
        pause = min(2.0 ** (kept.failures - 1), LONGEST_PAUSE_SECONDS)
        kept.again_at = now + pause
        say(f"  !! {kept.program.name} has ended ({_how(kept)}); starts again in {pause:.0f} s. Log: {kept.log}")

    def _let_go(self, kept: Kept) -> None:
        self._show()
        self.kept.remove(kept)
        if kept.process.returncode:
            say(f"  !! {kept.program.name} has failed ({_how(kept)}). Log: {kept.log}")

    def _start_again(self) -> None:
        for kept in self.kept:
            if kept.again_at is not None and time.monotonic() >= kept.again_at:
                kept.process, kept.started = processes.spawn(kept.program, kept.log), time.monotonic()
                kept.again_at = None
                say(f"  ok {kept.program.name} started again")

    def _show(self) -> None:
        """Pass on the lines of those programs that people want to read."""
        for kept in self.kept:
            if not kept.program.shown or not kept.log.exists():
                continue
            with kept.log.open("rb") as log:
                log.seek(kept.shown_bytes)
                text = log.read()
            whole = text[: text.rfind(b"\n") + 1]
            kept.shown_bytes += len(whole)
            for line in whole.decode(errors="replace").splitlines():
                say(line)

    def _rotate(self) -> None:
        """Keep logs small: the programs append, so a log that was cut goes on from its beginning."""
        if time.monotonic() - self._rotated < 60:
            return
        self._rotated = time.monotonic()
        for kept in self.kept:
            if kept.log.exists() and kept.log.stat().st_size > LOG_BYTES:
                copyfile(kept.log, kept.log.with_name(kept.log.name + ".1"))
                os.truncate(kept.log, 0)
                kept.shown_bytes = 0


def _how(kept: Kept) -> str:
    code = kept.process.returncode
    return f"signal {-code}" if code < 0 else f"exit code {code}"
