import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.integrations.supervisord import Supervisor, SupervisorError, SupervisorUnreachable
from tests.processes import DeploymentTarget, eventually

SLEEP = [sys.executable, "-c", "import time; print('hello', flush=True); time.sleep(600)"]


@pytest.fixture
def supervisor(deployment_target: DeploymentTarget) -> Iterator[Supervisor]:
    supervisor = Supervisor(
        socket_path=Path(os.environ["EAIP_SUPERVISOR_SOCKET"]),
        config_dir=Path(os.environ["EAIP_SUPERVISOR_CONFIG_DIR"]),
    )
    yield supervisor
    for name in supervisor.states():
        supervisor.remove(name)


def running_pid(supervisor: Supervisor, name: str) -> int | None:
    state = supervisor.state(name)
    return state.pid if state and state.is_running else None


def test_a_program_is_added_kept_alive_and_removed(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.add("sleeper", SLEEP, folder=tmp_path, log_file=tmp_path / "output.log")
    first = eventually(lambda: running_pid(supervisor, "sleeper"))

    os.kill(first, signal.SIGKILL)
    second = eventually(lambda: (pid := running_pid(supervisor, "sleeper")) != first and pid)

    assert second
    assert (tmp_path / "output.log").read_text().startswith("hello")
    assert supervisor.remove("sleeper")
    assert supervisor.state("sleeper") is None
    assert not Path(f"/proc/{second}").exists()


def test_adding_again_replaces_the_program(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.add("sleeper", SLEEP, folder=tmp_path, log_file=tmp_path / "output.log")
    first = eventually(lambda: running_pid(supervisor, "sleeper"))

    supervisor.add("sleeper", SLEEP, folder=tmp_path, log_file=tmp_path / "output.log", env={"ONE": "1"})

    assert eventually(lambda: running_pid(supervisor, "sleeper")) != first


def test_a_program_that_never_starts_is_given_up(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.add("broken", [sys.executable, "-c", "exit(1)"], folder=tmp_path, log_file=tmp_path / "output.log")

    assert eventually(lambda: (state := supervisor.state("broken")) and state.has_given_up, within_seconds=15)


def test_paths_with_spaces_and_percent_signs_work(supervisor: Supervisor, tmp_path: Path) -> None:
    folder = tmp_path / "a folder with 100% room"
    folder.mkdir()
    script = folder / "a script.py"
    script.write_text("import time; time.sleep(600)")

    supervisor.add("spaced", [sys.executable, str(script)], folder=folder, log_file=folder / "output.log")

    assert eventually(lambda: running_pid(supervisor, "spaced"))


def test_what_supervisord_refuses_leaves_no_file_and_tells_no_secret(
    supervisor: Supervisor, tmp_path: Path, deployment_target: DeploymentTarget
) -> None:
    with pytest.raises(SupervisorError) as refused:
        supervisor.add("nowhere", SLEEP, folder=tmp_path, log_file=tmp_path / "missing" / "output.log")

    assert "ENV_" not in str(refused.value)
    assert not (supervisor.config_dir / "nowhere.conf").exists()
    supervisor.add("sleeper", SLEEP, folder=tmp_path, log_file=tmp_path / "output.log")


def test_a_program_whose_folder_is_gone_keeps_no_other_from_starting(supervisor: Supervisor, tmp_path: Path) -> None:
    gone = tmp_path / "50% gone"
    gone.mkdir()
    supervisor.add("before", SLEEP, folder=tmp_path, log_file=gone / "output.log")
    shutil.rmtree(gone)

    supervisor.add("after", SLEEP, folder=tmp_path, log_file=tmp_path / "output.log")

    assert eventually(lambda: running_pid(supervisor, "after"))


def test_removing_what_is_not_there_changes_nothing(supervisor: Supervisor) -> None:
    assert not supervisor.remove("nobody")


@pytest.mark.parametrize("name", ["a b", "../a", "a]\n[program:b", ""])
def test_a_name_can_not_smuggle_configuration(supervisor: Supervisor, tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        supervisor.add(name, SLEEP, folder=tmp_path, log_file=tmp_path / "output.log")


@pytest.mark.parametrize("argument", ["x\ncommand=id", "a ;b", "a #b"])
def test_an_argument_can_not_smuggle_configuration(supervisor: Supervisor, tmp_path: Path, argument: str) -> None:
    with pytest.raises(SupervisorError):
        supervisor.add("sleeper", [*SLEEP, argument], folder=tmp_path, log_file=tmp_path / "output.log")


def test_a_supervisor_that_is_away_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(SupervisorUnreachable):
        Supervisor(socket_path=tmp_path / "none.sock", config_dir=tmp_path).states()
