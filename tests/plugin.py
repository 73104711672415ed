"""Starts the engines before Django reads its settings, once for a run; each process of the run gets its own places.

pytest loads it early (`-p tests.plugin` in pyproject.toml), the processes of xdist by PYTEST_PLUGINS.
"""

import os
import shutil
import socket
from collections.abc import Generator
from typing import Any

import pytest

from tests.engines import Engines, static_files

# What `make test` uses in place of the real clocks: the same proportions, in seconds.
QUICK_CLOCKS = {
    "ENGINE_LEASE_SECONDS": "3",
    "ENGINE_BEAT_SECONDS": "0.5",
    "ENGINE_GUARD_SILENCE_SECONDS": "2",
    "ENGINE_SWEEP_SECONDS": "1",
    "ENGINE_JUDGE_SECONDS": "1",
    "ENGINE_UNCLAIMED_SECONDS": "1",
    "ENGINE_VERIFY_INTERVAL_SECONDS": "0.2",
    "ENGINE_PROBE_EVERY_SECONDS": "0.5",
    "ENGINE_WARM_SECONDS": "30",
    "HEALTH_INTERVAL_SECONDS": "1",
}

_engines: Engines | None = None


def engines() -> Engines:
    if _engines is None:
        raise RuntimeError("the engines are not running")
    return _engines


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests() -> Generator[None, Any, Any]:
    global _engines
    first = "EAIP_TEST_ENGINES" not in os.environ
    _engines = Engines.start() if first else Engines.joined()
    try:
        _settle(_engines, first=first)
        return (yield)
    except BaseException:
        if first:
            _engines.stop()
        raise


def pytest_unconfigure() -> None:
    if _engines is not None and _engines.running:
        _engines.stop()


def _settle(engines: Engines, *, first: bool) -> None:
    """Name the places of this process in the environment, where the settings look for them."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    number = int(worker.removeprefix("gw")) + 1 if worker.startswith("gw") else 0
    if first:
        os.environ["EAIP_TEST_STATIC"] = str(static_files())
    os.environ |= engines.environment(worker, number) | {
        "EAIP_TEST_ENGINES": engines.note(),
        "PYTEST_PLUGINS": "tests.plugin",
        "DJANGO_ALLOW_ASYNC_UNSAFE": "1",  # the loop of Playwright runs in the tests' thread
    }
    if os.environ.get("EAIP_TEST_CLOCKS") != "real":
        os.environ |= QUICK_CLOCKS


def pytest_configure(config: pytest.Config) -> None:
    """Let tests talk to this machine alone."""
    connect = socket.socket.connect

    def connect_here(self: socket.socket, address: Any) -> None:
        if self.family in {socket.AF_INET, socket.AF_INET6} and not _is_here(address[0]):
            raise PermissionError(f"a test wanted to connect to {address[0]}:{address[1]}")
        connect(self, address)

    socket.socket.connect = connect_here  # type: ignore[method-assign]
    config.add_cleanup(lambda: setattr(socket.socket, "connect", connect))


def _is_here(host: str) -> bool:
    return host in {"localhost", "::1", ""} or host.startswith("127.")


def pytest_sessionfinish() -> None:
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker and _engines is not None:
        shutil.rmtree(_engines.directory / worker, ignore_errors=True)
