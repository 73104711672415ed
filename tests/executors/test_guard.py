"""Nothing that a worker started outlives it. The worker here is a real process, killed as a power cut would."""

import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from apps.deployments.executors import guard
from deploy.launcher.paths import ROOT

PLAIN = "while :; do sleep 0.2; done"
OWN_SESSION = f"setsid sh -c '{PLAIN}' & wait"
FORKED_TWICE = f"(setsid sh -c '{PLAIN}' &) ; {PLAIN}"
DEAF_TO_TERM = f"trap '' TERM HUP INT; {PLAIN}"
FAMILIES = {
    "plain": PLAIN,
    "own session": OWN_SESSION,
    "forked twice": FORKED_TWICE,
    "deaf to TERM": DEAF_TO_TERM,
    "all of it": f"trap '' TERM; {FORKED_TWICE}",
}
WORKER = """
import sys
from pathlib import Path
from apps.deployments.executors import guard
script, silence, mark = sys.argv[1:]
guard.run(["/bin/sh", "-c", script], cwd=Path("/"), log=print, silence=float(silence), env={"MARK": mark})
"""
# One with all families at work at the same time, each in a thread of its own, as in a real one.
BUSY_WORKER = """
import json, sys, threading
from pathlib import Path
from apps.deployments.executors import guard
for mark, script in json.loads(sys.argv[1]).items():
    run = lambda script, mark: guard.run(
        ["/bin/sh", "-c", script], cwd=Path("/"), log=print, silence=20, env={"MARK": mark}
    )
    threading.Thread(target=run, args=(script, mark)).start()
"""


def marked(mark: str) -> list[int]:
    """Every living process that was started with this mark in its environment."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                environment = (folder / "environ").read_bytes()
                state = (folder / "stat").read_bytes().rpartition(b")")[2].split()[0]
            except OSError:
                continue
            if f"MARK={mark}".encode() in environment.split(b"\0") and state != b"Z":
                found.append(int(folder.name))
    return found


def start_worker(script: str, mark: str, silence: float = 20) -> "subprocess.Popen[bytes]":
    worker = subprocess.Popen([sys.executable, "-c", WORKER, script, str(silence), mark], cwd=ROOT)
    deadline = time.monotonic() + 10
    while not marked(mark):
        assert time.monotonic() < deadline, "the child did not start"
        time.sleep(0.01)
    return worker


def seconds_until_none(mark: str, limit: float) -> float:
    started = time.monotonic()
    while marked(mark):
        assert time.monotonic() - started < limit, f"still alive after {limit} s: {marked(mark)}"
        time.sleep(0.01)
    return time.monotonic() - started


def kill_worker_and_wait(family: str, number: int) -> float:
    mark = f"{os.getpid()}-{family.replace(' ', '-')}-{number}"
    worker = start_worker(FAMILIES[family], mark)
    time.sleep(0.05 * (number % 4))  # at different moments of the family's growth
    worker.kill()
    worker.wait()
    return seconds_until_none(mark, limit=2)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("number", [0, 1])
def test_no_child_outlives_a_killed_worker_by_two_seconds(family: str, number: int) -> None:
    kill_worker_and_wait(family, number)


@pytest.mark.reliability
def test_no_child_outlives_a_killed_worker_in_a_hundred_trials() -> None:
    seconds = [kill_worker_and_wait(family, number) for number in range(20) for family in FAMILIES]

    print(f"\nR2 {len(seconds)} workers with a tree each killed: {worst_of(seconds)}")
    assert max(seconds) <= 2


@pytest.mark.reliability
def test_no_child_outlives_killed_workers_with_a_hundred_trees_several_at_once() -> None:
    seconds = [kill_busy_worker_and_wait(number) for number in range(20)]

    print(f"\nR2 {len(seconds)} workers with {len(FAMILIES)} trees each killed: {worst_of(seconds)}")
    assert max(seconds) <= 2


def kill_busy_worker_and_wait(number: int) -> float:
    scripts = {f"{os.getpid()}-busy-{number}-{place}": script for place, script in enumerate(FAMILIES.values())}
    worker = subprocess.Popen([sys.executable, "-c", BUSY_WORKER, json.dumps(scripts)], cwd=ROOT)
    deadline = time.monotonic() + 20
    while not all(marked(mark) for mark in scripts):
        assert time.monotonic() < deadline, "not all children have started"
        time.sleep(0.01)
    time.sleep(0.05 * (number % 4))
    worker.kill()
    worker.wait()
    started = time.monotonic()
    for mark in scripts:
        seconds_until_none(mark, limit=2)
    return time.monotonic() - started


def worst_of(seconds: list[float]) -> str:
    half = statistics.median(seconds) * 1000
    return f"the last child ended after {half:.0f} ms (median), {max(seconds) * 1000:.0f} ms (worst)"


def test_children_of_a_frozen_worker_end_after_the_silence() -> None:
    mark = f"{os.getpid()}-frozen"
    worker = start_worker(FORKED_TWICE, mark, silence=1)
    try:
        worker.send_signal(signal.SIGSTOP)

        seconds_until_none(mark, limit=4)
    finally:
        worker.kill()
        worker.wait()


def test_renewals_keep_a_child_alive_past_the_silence() -> None:
    lifeline = guard.Lifeline()
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(0.1):
            lifeline.renew(time.monotonic())

    beating = threading.Thread(target=beat)
    beating.start()
    try:
        outcome = guard.run(["/bin/sleep", "1"], cwd=Path("/"), log=print, lifeline=lifeline, silence=0.5)
    finally:
        stop.set()
        beating.join()

    assert outcome.succeeded


@pytest.mark.parametrize("heard", [False, True], ids=["known before", "heard late"])
def test_nothing_begins_or_goes_on_after_a_renewal_that_is_too_long_ago(tmp_path: Path, heard: bool) -> None:
    """What counts is when the lease was renewed, not when a worker that stood still starts the child or tells it."""
    long_ago = time.monotonic() - 20
    lifeline = guard.Lifeline(None if heard else long_ago)
    if heard:
        lifeline.renew(long_ago)

    outcome = guard.run(["/usr/bin/touch", "begun"], cwd=tmp_path, log=print, lifeline=lifeline, silence=10)

    assert (outcome.reason, outcome.exit_code) == ("silence", None)
    assert not (tmp_path / "begun").exists()


def test_a_renewal_that_is_told_late_counts_from_when_it_was_asked_for() -> None:
    lifeline = guard.Lifeline()
    asked_at = time.monotonic()
    threading.Timer(0.8, lifeline.renew, [asked_at]).start()

    outcome = guard.run(["/bin/sleep", "30"], cwd=Path("/"), log=print, lifeline=lifeline, silence=1)

    assert outcome.reason == "silence"
    assert outcome.seconds < 1.7


@pytest.mark.parametrize(("limits", "reason"), [({"silence": 0.3}, "silence"), ({"limit": 0.3}, "limit")])
def test_a_child_ends_at_its_limits(limits: dict[str, float], reason: str) -> None:
    outcome = guard.run(["/bin/sleep", "30"], cwd=Path("/"), log=print, **limits)  # type: ignore[arg-type]

    assert outcome.reason == reason
    assert outcome.seconds < 1.5


def test_cancel_asks_first_and_then_kills() -> None:
    lifeline = guard.Lifeline()
    threading.Timer(0.3, lifeline.cancel).start()

    outcome = guard.run(["/bin/sh", "-c", DEAF_TO_TERM], cwd=Path("/"), log=print, lifeline=lifeline, grace=0.5)

    assert (outcome.reason, outcome.exit_code) == ("cancelled", -signal.SIGKILL)
    assert 0.7 < outcome.seconds < 2


def test_a_cancel_that_came_before_the_start_counts() -> None:
    lifeline = guard.Lifeline()
    lifeline.cancel()

    outcome = guard.run(["/bin/sleep", "30"], cwd=Path("/"), log=print, lifeline=lifeline)

    assert outcome.reason == "cancelled"
    assert outcome.seconds < 2


def test_descendants_that_a_child_leaves_behind_are_ended() -> None:
    mark = f"{os.getpid()}-left"
    script = f"setsid sh -c '{PLAIN}' >/dev/null 2>&1 & (sleep 60 &) ; echo done"

    outcome = guard.run(["/bin/sh", "-c", script], cwd=Path("/"), log=print, env={"MARK": mark})

    assert outcome.succeeded
    assert outcome.seconds < 2
    assert marked(mark) == []


def test_output_comes_line_by_line_with_bounded_pieces() -> None:
    lines: list[str] = []
    script = (
        "printf 'one\\r\\n\\033[32mtwo\\033[0m\\n'; head -c 20000 /dev/zero | tr '\\0' x; echo; echo bad >&2; exit 3"
    )

    outcome = guard.run(["/bin/sh", "-c", script], cwd=Path("/"), log=lines.append)

    assert lines[:2] == ["one", "\033[32mtwo\033[0m"]
    assert [len(line) for line in lines[2:-1]] == [8192, 8192, 3616]
    assert (outcome.exit_code, outcome.last_line) == (3, "bad")


def test_a_child_sees_the_allowed_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "not for children")
    lines: list[str] = []

    guard.run(["/usr/bin/env"], cwd=Path("/"), log=lines.append, env={"OWN": "1"})

    names = {line.partition("=")[0] for line in lines}
    assert "OWN" in names
    assert names <= {*guard.ALLOWED_ENVIRONMENT, "OWN"}


def test_a_program_that_is_not_there_is_a_plain_failure() -> None:
    outcome = guard.run(["/no/such/program"], cwd=Path("/"), log=print)

    assert outcome.exit_code == 127
    assert "cannot start /no/such/program" in outcome.last_line
