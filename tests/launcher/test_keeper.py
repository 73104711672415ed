"""The keeper and its programs, with real processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.launcher import processes
from deploy.launcher.paths import ROOT
from deploy.launcher.processes import Program
from tests.processes import eventually

# A front in small: the script is the process that is killed or asked to end. It keeps `program`.
KEEPING = """
import os, sys, threading
from pathlib import Path
from deploy.launcher import processes
from deploy.launcher.keeper import Keeper, Stopped
from deploy.launcher.processes import Program
processes.adopt_orphans()
keeper = Keeper(Path(sys.argv[1]), os.pipe()[0])
keeper.start(Program(name="program", command=(sys.executable, "-c", sys.argv[2]), stop_seconds=1))
try:
    while True:
        keeper.tick()
except Stopped:
    keeper.stop_all()
    processes.end_descendants(grace_seconds=0.2)
"""
WRITE_PID = "import os, time; open('pid', 'a').write(f'{os.getpid()}\\n'); "


def keep(tmp_path: Path, program: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", KEEPING, tmp_path, f"import os; os.chdir({str(tmp_path)!r}); {program}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def pids(tmp_path: Path, count: int = 1) -> list[int]:
    def written() -> list[int]:
        path = tmp_path / "pid"
        found = [int(line) for line in path.read_text().split()] if path.exists() else []
        return found if len(found) >= count else []

    return eventually(written)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_program_that_ends_is_started_again_and_that_is_said(tmp_path: Path) -> None:
    keeper = keep(tmp_path, WRITE_PID + "time.sleep(60)")
    os.kill(pids(tmp_path)[0], signal.SIGKILL)

    again = pids(tmp_path, count=2)[1]
    keeper.terminate()
    said = keeper.communicate(timeout=10)[0]

    assert "program has ended (signal 9); starts again in 1 s" in said
    assert "program started again" in said
    assert not is_alive(again)


def test_what_a_killed_program_leaves_behind_keeps_no_port_from_the_next(tmp_path: Path) -> None:
    keeper = keep(tmp_path, "import os, time; os.fork(); " + WRITE_PID + "time.sleep(60)")
    both = pids(tmp_path, count=2)
    parent = next(pid for pid in both if os.getsid(pid) == pid)
    os.kill(parent, signal.SIGKILL)

    pids(tmp_path, count=4)
    left = [pid for pid in both if is_alive(pid)]
    keeper.terminate()
    keeper.communicate(timeout=10)

    assert left == []


def test_what_ignores_the_request_is_ended_all_the_same(tmp_path: Path) -> None:
    ignoring = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + WRITE_PID + "time.sleep(60)"
    keeper = keep(tmp_path, ignoring)
    stubborn = pids(tmp_path)[0]

    keeper.terminate()
    keeper.communicate(timeout=10)

    assert not is_alive(stubborn)


def test_a_program_does_not_outlive_a_keeper_that_is_killed(tmp_path: Path) -> None:
    keeper = keep(tmp_path, WRITE_PID + "time.sleep(60)")
    program = pids(tmp_path)[0]

    keeper.kill()
    keeper.communicate(timeout=10)

    eventually(lambda: not is_alive(program), within_seconds=5)


def test_a_child_that_slipped_away_is_ended_too(tmp_path: Path) -> None:
    slipping = (
        "import os, time\nif os.fork() == 0:\n os.setsid()\n if os.fork() == 0:\n  "
        + WRITE_PID
        + "time.sleep(60)\n os._exit(0)\ntime.sleep(60)"
    )
    keeper = keep(tmp_path, "exec(" + repr(slipping) + ")")
    slipped = pids(tmp_path)[0]

    keeper.terminate()
    keeper.communicate(timeout=10)

    assert not is_alive(slipped)


def test_programs_of_a_killed_supervisord_are_found_by_their_environment(tmp_path: Path) -> None:
    mark = f"SUPERVISOR_SERVER_URL=unix://{tmp_path}/supervisor.sock"
    left = subprocess.Popen(["sleep", "60"], env=os.environ | dict([mark.split("=", 1)]))
    other = subprocess.Popen(["sleep", "60"])
    eventually(lambda: mark.encode() in Path(f"/proc/{left.pid}/environ").read_bytes())

    processes.end_those_with(mark)

    assert left.wait(5) == -signal.SIGKILL
    assert other.poll() is None
    other.kill()
    other.wait()


def test_a_program_writes_to_its_log_and_ends_in_time(tmp_path: Path) -> None:
    program = Program(name="short", command=(sys.executable, "-c", "print('hello'); import time; time.sleep(60)"))
    since = time.monotonic()
    process = processes.spawn(program, tmp_path / "short.log")

    processes.stop(process, program)

    assert process.returncode == -signal.SIGTERM
    assert time.monotonic() - since < program.stop_seconds
    assert oct((tmp_path / "short.log").stat().st_mode)[-3:] in {"644", "600"}


@pytest.mark.skipif(os.getuid() != 0, reason="only root needs another identity for PostgreSQL")
def test_root_hands_the_database_to_nobody_where_user_namespaces_are_forbidden(tmp_path: Path) -> None:
    asked = subprocess.run(
        [sys.executable, "-m", "tests.launcher.without_user_namespaces", tmp_path],
        check=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    assert asked.stdout.split() == ["nobody", "65534"]
