"""What the launcher says when it can't start."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from deploy.launcher import __main__ as launcher
from deploy.launcher import install, ports, servers
from deploy.launcher.console import Refused
from deploy.launcher.lock import Lock


@pytest.fixture
def locks(tmp_path: Path) -> Iterator[tuple[Lock, Lock]]:
    """The locks of two starts in one clone."""
    with ExitStack() as held:
        yield held.enter_context(closing(Lock.open(tmp_path))), held.enter_context(closing(Lock.open(tmp_path)))


def test_a_taken_port_is_named_with_the_way_out() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(Refused, match=rf"Port {port} is taken by another program.*make run PORT=\d+"):
            ports.require_free("127.0.0.1", port)


@pytest.mark.parametrize("word", ["80x", "0", "65536", "-1"])
def test_a_port_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv("PORT", word)

    with pytest.raises(Refused, match=f"PORT={word} is not a port"):
        launcher.chosen_port()


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(Refused, match=r"Can't listen on 192\.0\.2\.1"):
        ports.require_free("192.0.2.1", 8000)


def test_the_second_start_names_the_first(locks: tuple[Lock, Lock]) -> None:
    first, second = locks
    first.take()
    first.note(pid=os.getpid(), address="http://127.0.0.1:8000/")

    with pytest.raises(Refused, match=rf"process {os.getpid()}.*http://127\.0\.0\.1:8000/"):
        second.take()


def test_the_lock_is_free_when_its_holder_has_gone(locks: tuple[Lock, Lock]) -> None:
    first, second = locks
    first.take()
    first.close()

    second.take()

    assert json.loads(second.path.read_text())["pid"] == os.getpid()


def test_nothing_is_installed_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed: list[list[Path]] = []
    monkeypatch.setattr(install, "VENV", tmp_path)
    monkeypatch.setattr(install, "_usable", lambda: True)
    monkeypatch.setattr(install, "_install", installed.append)

    for _ in range(2):
        install.ensure("test")
    install.ensure("run")

    assert [[each.name for each in lists] for lists in installed] == [["run.txt", "traces.txt", "test.txt"]]


def test_the_machine_without_venv_hears_which_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "_usable", lambda: False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(Refused, match=r"apt-get install python3\.\d+-venv"):
        install.ensure("run")


def test_a_role_that_may_not_make_roles_needs_the_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_OWNER_URL")
    monkeypatch.setattr(servers, "_as_administrator", lambda url: "")

    with pytest.raises(Refused, match="DATABASE_OWNER_URL"):
        servers._named("postgresql://eaip_app@127.0.0.1/eaip", {})
