"""The portal's processes as children of a test: real servers that can be asked, stopped and killed.

They use the database and the broker that the environment of the test names; a test that commits has its own.
"""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from deploy.launcher import ports, processes
from deploy.launcher.engines import HAProxy, Supervisord
from deploy.launcher.processes import Program
from tests.engines import wait_until

Value = TypeVar("Value")


@dataclass(kw_only=True)
class Child:
    """A running program; leaving the `with` block stops it."""

    program: Program
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def is_running(self) -> bool:
        return self.process.poll() is None

    def stop(self) -> None:
        processes.stop(self.process, self.program)

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.is_running():
            self.process.send_signal(signal.SIGCONT)
        self.stop()


@dataclass(kw_only=True)
class WebServer(Child):
    url: str


def start_web(
    logs: Path,
    *,
    environment: Mapping[str, str] | None = None,
    workers: int = 1,
    limit_seconds: float = 60,
) -> WebServer:
    """Start the web server on a free port; return it when it answers. `environment` is added to the test's own."""
    port = ports.free_ports(1)[0]
    url = f"http://127.0.0.1:{port}"
    command = ("-m", "uvicorn", "eaip.asgi:application", "--host", "127.0.0.1", "--port", str(port))
    command += ("--workers", str(workers), "--no-access-log", "--timeout-graceful-shutdown", "1")
    command += ("--timeout-worker-healthcheck", str(round(limit_seconds)))
    program = _program(f"web-{port}", *command, more=environment)
    log = logs / f"{program.name}.log"
    server = WebServer(program=program, process=processes.spawn(program, log), log=log, url=url)
    _wait(server, lambda: _answers(url), limit_seconds)
    return server


def start_worker(
    logs: Path,
    *,
    environment: Mapping[str, str] | None = None,
    concurrency: int = 4,
    name: str = "worker",
    modules: tuple[str, ...] = (),
    limit_seconds: float = 60,
) -> Child:
    """Start a worker; return it when it is ready to work (with the broker gone: when it has tried to reach it)."""
    program = _program(
        name,
        *("-m", "celery", "-A", "eaip", "worker", "--pool", "threads", "--concurrency", str(concurrency)),
        *("--without-gossip", "--without-mingle", "--loglevel", "INFO", "--hostname", f"{name}@%h"),
        *(f"--include={module}" for module in modules),
        more=environment,
    )
    log = logs / f"{name}.log"
    before = log.stat().st_size if log.exists() else 0
    child = Child(program=program, process=processes.spawn(program, log), log=log)

    def is_ready() -> bool:
        said = log.read_bytes()[before:]
        return b" ready." in said or b"Cannot connect to" in said

    _wait(child, is_ready, limit_seconds)
    return child


def start_command(logs: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Child:
    """Start a management command; it is not waited for."""
    program = _program(arguments[0], "manage.py", *arguments, more=environment)
    log = logs / f"{arguments[0]}.log"
    return Child(program=program, process=processes.spawn(program, log), log=log)


@dataclass(kw_only=True)
class DeploymentTarget:
    """HAProxy and supervisord, where EAIP_HAPROXY_* and EAIP_SUPERVISOR_* say."""

    proxy: Child
    supervisor: Child

    @classmethod
    def start(cls) -> Self:
        proxy_directory = Path(os.environ["EAIP_HAPROXY_CONFIG_DIR"])
        sockets = Path(os.environ["EAIP_HAPROXY_SOCKET"]).parent
        supervisor_directory = Path(os.environ["EAIP_SUPERVISOR_CONFIG_DIR"])
        with ExitStack() as stack:
            children = []
            for engine in (HAProxy(proxy_directory, sockets), Supervisord(supervisor_directory, sockets, sockets)):
                engine.prepare()
                program = engine.program()
                log = sockets / f"{program.name}.log"
                child = stack.enter_context(Child(program=program, process=processes.spawn(program, log), log=log))
                _wait(child, engine.is_ready, 30)
                children.append(child)
            stack.pop_all()
        return cls(proxy=children[0], supervisor=children[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.supervisor.stop()
        self.proxy.stop()


def eventually(
    condition: Callable[[], Value], *, within_seconds: float = 20, every_seconds: float = 0.05, because: str = ""
) -> Value:
    """Return the first true value of `condition()`. Raises AssertionError when none came in time."""
    until = time.monotonic() + within_seconds
    while not (value := condition()):
        assert time.monotonic() < until, because or f"not within {within_seconds} s"
        time.sleep(every_seconds)
    return value


def _program(name: str, *arguments: str, more: Mapping[str, str] | None) -> Program:
    environment = os.environ | {"PYTHONUNBUFFERED": "1"} | dict(more or {})
    environment.pop("DJANGO_ALLOW_ASYNC_UNSAFE", None)  # the tests' own, for Playwright's loop
    return Program(name=name, command=(sys.executable, *arguments), environment=environment, stop_seconds=10)


def _wait(child: Child, is_ready: Callable[[], bool], limit_seconds: float) -> None:
    try:
        wait_until(is_ready, process=child.process, log=child.log, limit_seconds=limit_seconds)
    except BaseException:
        child.stop()
        raise


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError as refusal:
        return refusal.code < 500
    except OSError:
        return False
