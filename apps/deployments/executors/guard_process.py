"""Guard of one child process. Run as a file by `guard.py`, standard library only, so that it starts in milliseconds.

It reads one line of JSON from its standard input (argv, env, cwd, parent, renewed, silence, limit, grace,
orphan_grace), starts the child in a session of its own, and then watches: a line on standard input with a moment of the
monotonic clock, which all processes of a machine share, renews, `c` cancels, end of file means that the worker is gone.
Being a subreaper it inherits every descendant that loses its parent, also those that called setsid or forked twice, so
"no children left" is a fact that waitpid() states, not a guess.
It ends after the last descendant has ended, and writes one line of JSON about it to the descriptor that its argument
names.
"""

import ctypes
import json
import os
import select
import signal
import sys
import time
from typing import Any

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
LEFTOVER_GRACE = 0.2
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def descendants() -> list[int]:
    """Every process below this one, by the parents that the kernel names."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:
                state, parent = file.read().rpartition(b")")[2].split()[:2]
        except OSError:
            continue  # it ended meanwhile
        if state != b"Z":
            children.setdefault(int(parent), []).append(int(entry))
    found: list[int] = []
    pending = [os.getpid()]
    while pending:
        below = children.get(pending.pop(), [])
        found += below
        pending += below
    return found


def send(number: int) -> None:
    for pid in descendants():
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue  # it ended meanwhile


def spawn(spec: dict[str, Any]) -> int:
    guard = os.getpid()
    # A TERM between fork and exec would meet the guard's handler in the copy and be lost: it waits until exec.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        return pid
    try:
        os.setsid()
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard:
            os._exit(125)
        for number in (*ENDING, signal.SIGPIPE, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(1, 2)
        os.closerange(3, min(os.sysconf("SC_OPEN_MAX"), 65536))
        os.chdir(spec["cwd"])
        os.execve(spec["argv"][0], spec["argv"], spec["env"])  # noqa: S606  a shell is what we avoid
    except BaseException as error:  # noqa: BLE001  whatever it is, the copy of the guard must not go on
        os.write(2, f"cannot start {spec['argv'][0]}: {error}\n".encode())
    os._exit(127)


class Watch:
    def __init__(self, spec: dict[str, Any], child: int, wakeup: int) -> None:
        self.spec, self.child, self.wakeup = spec, child, wakeup
        self.started, self.renewed = time.monotonic(), spec["renewed"]
        self.unread = b""
        self.reason = "exited"
        self.status: int | None = None
        self.signalled = False

    def on_signal(self, *_: object) -> None:
        self.signalled = True

    def reap(self) -> bool:
        """Collect the dead. True while anyone lives."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self.child:
                self.status = status

    @property
    def is_silent(self) -> bool:
        return bool(self.spec["silence"]) and time.monotonic() - self.renewed > self.spec["silence"]

    def listen(self, seconds: float) -> str | None:
        """Wait for a word of the worker, the end of a child or a limit; return why the child must end, if it must."""
        ready, _, _ = select.select([0, self.wakeup], [], [], seconds)
        if self.wakeup in ready:
            os.read(self.wakeup, 512)
        if 0 in ready:
            words = os.read(0, 4096)
            if not words:
                return "orphaned"
            *lines, self.unread = (self.unread + words).split(b"\n")
            if b"c" in lines:
                return "cancelled"
            self.renewed = max([self.renewed, *map(float, lines)])
        now = time.monotonic()
        if self.signalled:
            return "orphaned"
        if self.is_silent:
            return "silence"
        if self.spec["limit"] and now - self.started > self.spec["limit"]:
            return "limit"
        return None

    def end(self, grace: float) -> None:
        """TERM, grace, KILL, until the kernel says that no child is left."""
        send(signal.SIGTERM)
        deadline = time.monotonic() + grace
        while self.reap() and time.monotonic() < deadline:
            if self.listen(0.01) == "orphaned":
                deadline = min(deadline, time.monotonic() + self.spec["orphan_grace"])
                time.sleep(0.01)
        while self.reap():
            send(signal.SIGKILL)
            time.sleep(0.005)

    def run(self) -> None:
        while self.reap() and self.status is None:
            reason = self.listen(0.5)
            if reason:
                self.reason = reason
                quick = reason in ("orphaned", "silence")
                self.end(self.spec["orphan_grace"] if quick else self.spec["grace"])
                return
        self.end(LEFTOVER_GRACE)


def main(status_fd: int) -> None:
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            return
        line += byte
    spec = json.loads(line)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != spec["parent"]:
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    watch = Watch(spec, 0, reading)
    for number in ENDING:
        signal.signal(number, watch.on_signal)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    if watch.is_silent:  # the worker stood still until now: another one may be at work already
        watch.reason = "silence"
    else:
        watch.child = spawn(spec)
        watch.run()
    code = os.waitstatus_to_exitcode(watch.status) if watch.status is not None else None
    try:
        os.write(status_fd, json.dumps({"reason": watch.reason, "exit_code": code}).encode() + b"\n")
    except OSError:
        sys.exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
