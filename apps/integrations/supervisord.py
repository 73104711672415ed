"""supervisord: keeps programs alive beside the portal's own processes. Spoken to by XML-RPC on a unix socket.

One program is one file in the folder that supervisord includes; so what was running comes back with supervisord.
"""

import configparser
import http.client
import re
import shlex
import socket
import xmlrpc.client
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apps.core.crashpoints import crashpoint
from apps.integrations.atomic_file import write_atomically

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,79}")
_BAD_NAME, _NOT_RUNNING, _ALREADY_ADDED, _CANT_REREAD = 10, 70, 90, 92


class SupervisorError(Exception):
    pass


class SupervisorUnreachable(SupervisorError):
    pass


@dataclass(frozen=True, slots=True)
class ProgramState:
    name: str
    state: str
    """STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED, FATAL or UNKNOWN."""
    pid: int | None
    detail: str

    @property
    def is_running(self) -> bool:
        return self.state == "RUNNING"

    @property
    def is_alive(self) -> bool:
        return self.state in ("RUNNING", "STARTING")

    @property
    def has_given_up(self) -> bool:
        return self.state in ("FATAL", "EXITED", "STOPPED")


class Supervisor:
    def __init__(self, *, socket_path: Path, config_dir: Path, timeout: float = 30.0) -> None:
        self.socket_path, self.config_dir, self.timeout = socket_path, config_dir, timeout

    def add(
        self, name: str, argv: Sequence[str], *, folder: Path, log_file: Path, env: Mapping[str, str] | None = None
    ) -> None:
        """Write a program's file and start it; one of that name that runs already is stopped and replaced."""
        text = _program(name, argv, folder=folder, log_file=log_file, env=env or {})
        self.remove(name)
        write_atomically(self._file(name), text)
        crashpoint("program_written")
        try:
            self._reload(name)
            crashpoint("program_read")
            self._call("addProcessGroup", name)
            crashpoint("program_added")
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != _ALREADY_ADDED:
                self._file(name).unlink(missing_ok=True)
                # What supervisord says after the first brace is its whole environment, secrets included.
                reason = fault.faultString.partition("{")[0][:300]
                raise SupervisorError(f"supervisord refused the program {name}: {reason}") from None

    def remove(self, name: str) -> bool:
        """Stop a program and forget it. False when there was none."""
        known = self._file(name).exists()
        try:
            self._call("stopProcessGroup", name, True)
            crashpoint("program_stopped")
            self._call("removeProcessGroup", name)
            crashpoint("program_removed")
            known = True
        except xmlrpc.client.Fault as fault:
            if fault.faultCode not in (_BAD_NAME, _NOT_RUNNING):
                raise SupervisorError(f"supervisord can't remove {name}: {fault.faultString}") from fault
        self._file(name).unlink(missing_ok=True)
        return known

    def state(self, name: str) -> ProgramState | None:
        """Return what supervisord says of a program, None when it doesn't know it."""
        try:
            row = self._call("getProcessInfo", name)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == _BAD_NAME:
                return None
            raise SupervisorError(fault.faultString) from fault
        return _state(row)

    def states(self) -> dict[str, ProgramState]:
        return {row["name"]: _state(row) for row in self._call("getAllProcessInfo")}

    def restart(self, name: str) -> None:
        """Start a known program that supervisord has given up."""
        try:
            self._call("startProcess", name, False)
        except xmlrpc.client.Fault as fault:
            raise SupervisorError(f"supervisord can't start {name}: {fault.faultString}") from fault

    def _reload(self, name: str) -> None:
        """Let supervisord read a program's file. While the folder of another's log is gone, it reads none."""
        try:
            self._call("reloadConfig")
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != _CANT_REREAD:
                raise
            for path in {*self.config_dir.glob("*.conf")} - {self._file(name)}:
                _log_file(path).parent.mkdir(parents=True, exist_ok=True)
            self._call("reloadConfig")

    def _file(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ValueError(f"not a name for a program: {name!r}")
        return self.config_dir / f"{name}.conf"

    def _call(self, method: str, *arguments: Any) -> Any:
        proxy = xmlrpc.client.ServerProxy(
            "http://supervisord", transport=_UnixTransport(self.socket_path, self.timeout)
        )
        try:
            with proxy:
                return getattr(proxy.supervisor, method)(*arguments)
        except (OSError, http.client.HTTPException, xmlrpc.client.ProtocolError) as error:
            raise SupervisorUnreachable(f"supervisord doesn't answer: {error}") from error


def _state(row: Mapping[str, Any]) -> ProgramState:
    return ProgramState(row["name"], row["statename"], row["pid"] or None, row["description"] or row["spawnerr"])


def _program(name: str, argv: Sequence[str], *, folder: Path, log_file: Path, env: Mapping[str, str]) -> str:
    values = {
        "command": shlex.join(argv),
        "directory": str(folder),
        "stdout_logfile": str(log_file),
        "environment": ",".join(f'{key}="{value}"' for key, value in env.items()),
    }
    for value in values.values():
        if re.search(r"[\r\n]|\s[;#]", value):
            raise SupervisorError(f"supervisord would take a part of this for a comment: {value!r}")
    # supervisord expands %(...)s, in the name of a log file twice.
    values = {key: value.replace("%", "%%") for key, value in values.items()}
    values["stdout_logfile"] = values["stdout_logfile"].replace("%", "%%")
    lines = [f"{key}={value}" for key, value in values.items() if value]
    return "\n".join([f"[program:{name}]", *lines, *_KEPT_ALIVE]) + "\n"


def _log_file(path: Path) -> Path:
    """Return where the program of a file that _program wrote logs to."""
    known = configparser.RawConfigParser()
    known.read_string(path.read_text())
    return Path(known[f"program:{path.stem}"]["stdout_logfile"].replace("%%%%", "%"))


_KEPT_ALIVE = (
    "autostart=true",
    "autorestart=true",
    "startsecs=1",
    "startretries=2",
    "stopsignal=TERM",
    "stopwaitsecs=10",
    "stopasgroup=true",
    "killasgroup=true",
    "redirect_stderr=true",
    "stdout_logfile_maxbytes=1MB",
    "stdout_logfile_backups=1",
)


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__()
        self._path, self._timeout = path, timeout

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = _UnixConnection(self._path, self._timeout)
        self._connection = host, connection  # what close() of the base class closes
        return connection


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
