"""HAProxy: two servers per backend on unix sockets, switched by absolute weights over the runtime socket.

Weights live in two places that this module keeps alike: in the running proxy, and in the backend's own configuration
fragment. So a reload or a restart of the proxy starts with the weights of the last switch, and no state file can
contradict the configuration. A reload is needed only when a backend comes or goes.
"""

import csv
import errno
import io
import os
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from apps.core.crashpoints import crashpoint
from apps.core.histogram import Histogram
from apps.integrations.atomic_file import write_atomically

FULL_WEIGHT = 256
HAND_OVER_SECONDS = 1.0
# Upper edges of the bands that response times are counted in (ADR 0040): each is about 1.4 times the one before.
BANDS_MS = (1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256, 362, 512, 724, 1024, 1448, 2048, 2896, 4096)
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_PATH = re.compile(r"/[A-Za-z0-9._~/%?=&+-]{0,199}")
_SERVER = re.compile(r"^\s*server (\S+) .* weight (\d+)$", re.MULTILINE)
_BAND = re.compile(r"\bgpc(\d+)=(\d+)")
_BIND = re.compile(r"^\s*bind 127\.0\.0\.1:(\d+)$", re.MULTILINE)


_NO_TIMES = Histogram(BANDS_MS, (0,) * (len(BANDS_MS) + 1))


class HaproxyError(Exception):
    pass


class ProxyUnreachable(HaproxyError):
    pass


class PortTaken(HaproxyError):
    pass


@dataclass(frozen=True, slots=True)
class Server:
    name: str
    weight: int
    is_up: bool


@dataclass(frozen=True, slots=True)
class ServerCounters:
    """Counters since the proxy's worker started."""

    name: str
    weight: int
    status: str
    sessions: int
    requests: int
    answers_5xx: int
    without_answer: int
    times: Histogram
    """Milliseconds from the request to the head of the answer, waiting for a server included."""


@dataclass(frozen=True, slots=True)
class Backend:
    name: str
    port: int
    health_path: str
    servers: Mapping[str, Path]
    """Unix socket of each server by its name."""
    weights: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Everything below lands in a configuration file: nothing may end a line or start a word of its own.
        if not _NAME.fullmatch(self.name) or not all(_NAME.fullmatch(server) for server in self.servers):
            raise ValueError(f"not a name for a backend or server: {self.name!r} {list(self.servers)!r}")
        if not _PATH.fullmatch(self.health_path):
            raise ValueError(f"not a path for a health check: {self.health_path!r}")
        if not 1 <= self.port <= 65535:
            raise ValueError(f"not a port: {self.port}")

    def fragment(self) -> str:
        servers = "\n".join(
            f'  server {name} "unix@{_quoted(path)}" weight {self.weights.get(name, 0)}'
            for name, path in self.servers.items()
        )
        return _FRAGMENT.format(
            name=self.name, port=self.port, health_path=self.health_path, servers=servers, **_COUNTING
        )


_FRAGMENT = """\
frontend to-{name}
  mode http
  bind 127.0.0.1:{port}
  timeout client 30s
  timeout http-request 5s
  timeout http-keep-alive 10s
  default_backend {name}
backend {name}
  mode http
  timeout connect 1s
  timeout server 30s
  timeout queue 5s
  timeout check 2s
  option redispatch
  retries 2
  retry-on conn-failure empty-response
  http-reuse safe
  option httpchk
  http-check send meth GET uri {health_path} ver HTTP/1.1 hdr Host localhost hdr Connection close
  http-response set-header X-Slot %s
  stick-table type string len 40 size 64 store gpc({bands})
  http-request set-var(txn.began) date(0,ms)
  http-response set-var(txn.took) date(0,ms),sub(txn.began)
  http-response track-sc0 srv_name
{counting}
  default-server check inter 1s fastinter 250ms downinter 500ms fall 2 rise 1
{servers}
"""


def _rules_that_count() -> str:
    ranges = [f"0:{BANDS_MS[0]}", *(f"{low + 1}:{high}" for low, high in pairwise(BANDS_MS)), f"{BANDS_MS[-1] + 1}:"]
    return "\n".join(
        f"  http-response sc-inc-gpc({band},0) if {{ var(txn.took) -m int {values} }}"
        for band, values in enumerate(ranges)
    )


_COUNTING = {"bands": len(BANDS_MS) + 1, "counting": _rules_that_count()}


def _quoted(path: Path) -> str:
    text = str(path)
    if re.search(r"[\"'\\$\s#]", text) or len(text) > 100:
        raise ValueError(f"not a path for a unix socket of the proxy: {text!r}")
    return text


def _connect(connection: socket.socket, path: Path) -> None:
    """Connect; while a reload hands the socket to the next worker, nobody listens on it for a moment."""
    until = time.monotonic() + HAND_OVER_SECONDS
    while True:
        try:
            connection.connect(str(path))
        except ConnectionRefusedError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return


class Haproxy:
    def __init__(self, *, runtime: Path, master: Path, config_dir: Path, timeout: float = 5.0) -> None:
        self.runtime, self.master, self.config_dir, self.timeout = runtime, master, config_dir, timeout

    def set_weights(self, backend: str, weights: Mapping[str, int]) -> None:
        """Set absolute weights (0 to 256) of a backend's servers with one line of commands.

        Who gains comes first, so that at no instant the backend is without a server.
        Raises HaproxyError: unknown backend or server. Raises ProxyUnreachable: nobody answers; nothing changed or all.
        """
        ordered = sorted(weights.items(), key=lambda item: -item[1])
        answer = self.command(";".join(f"set weight {backend}/{server} {weight}" for server, weight in ordered))
        if answer.strip():
            raise HaproxyError(f"The proxy refused the weights of {backend}: {answer.strip()}")
        crashpoint("weights_set")
        self.keep_weights(backend, weights)
        crashpoint("weights_kept")

    def keep_weights(self, backend: str, weights: Mapping[str, int]) -> None:
        """Write down weights that the running proxy has: whoever set them may have died before he could."""
        path = self._fragment(backend)
        before = text = path.read_text()
        for server, weight in weights.items():
            text = re.sub(rf"^(\s*server {re.escape(server)} .* weight )\d+$", rf"\g<1>{weight}", text, flags=re.M)
        if text != before:
            write_atomically(path, text)

    def weights(self, backend: str) -> dict[str, int]:
        """Return the weights that the running proxy has. Raises HaproxyError: it doesn't know the backend."""
        return {name: server.weight for name, server in self.servers(backend).items()}

    def kept_weights(self, backend: str) -> dict[str, int]:
        """Return the weights that were written down, which a reload would bring back."""
        return _weights(self._text(backend) or "")

    def servers(self, backend: str) -> dict[str, Server]:
        """Return the servers of a backend by name. Raises HaproxyError: the running proxy doesn't know the backend."""
        _version, header, *rows = self._table(f"show servers state {backend}")
        columns = header.lstrip("# ").split()
        found = [dict(zip(columns, row.split(), strict=False)) for row in rows]
        return {
            row["srv_name"]: Server(row["srv_name"], int(row["srv_uweight"]), row["srv_op_state"] == "2")
            for row in found
        }

    def counters(self, backend: str) -> dict[str, ServerCounters]:
        """Return the counters of a backend's servers by name. Raises HaproxyError: unknown backend."""
        text = "\n".join(self._table(f"show stat {backend} 4 -1"))
        times = self._times(backend)
        return {
            row["svname"]: ServerCounters(
                name=row["svname"],
                weight=int(row["uweight"] or 0),
                status=row["status"],
                sessions=int(row["scur"] or 0) + int(row["qcur"] or 0),
                requests=int(row["stot"] or 0),
                answers_5xx=int(row["hrsp_5xx"] or 0),
                without_answer=int(row["econ"] or 0) + int(row["eresp"] or 0),
                times=times.get(row["svname"], _NO_TIMES),
            )
            for row in csv.DictReader(io.StringIO(text.lstrip("# ")))
        }

    def _times(self, backend: str) -> dict[str, Histogram]:
        """Return what the backend's table counted by server; none of a server that never answered."""
        found = {}
        for line in self.command(f"show table {backend}").splitlines():
            if key := re.search(r"\bkey=(\S+)", line):
                counts = {int(band): int(count) for band, count in _BAND.findall(line)}
                found[key[1]] = Histogram(BANDS_MS, tuple(counts.get(band, 0) for band in range(len(BANDS_MS) + 1)))
        return found

    def knows(self, backend: str) -> bool:
        return any(line.split()[-1:] == [backend] for line in self.command("show backend").splitlines())

    def add(self, *backends: Backend) -> bool:
        """Bring backends into the running proxy with at most one reload; True when one was needed.

        Raises PortTaken: a port belongs to another backend or another program; the proxy runs on as before.
        Raises HaproxyError: the proxy refused the configuration; the fragments are as before.
        """
        wanted: dict[str, str | None] = {}
        for backend in backends:
            old = self._text(backend.name)
            if old is None or not self._runs(backend, old):
                self._require_free_port(backend, old)
                wanted[backend.name] = replace(backend, weights=_weights(old or "")).fragment()
        if wanted:
            self._exchange(wanted)
            crashpoint("proxy_reloaded")
        return bool(wanted)

    def remove(self, name: str) -> None:
        if self._fragment(name).exists() or self._unread(name).exists():
            self._exchange({name: None})

    def reload(self) -> None:
        """Start a new worker of the proxy; the old one ends with its last connection."""
        answer = self.command("reload", socket_path=self.master, timeout=30)
        if "Success=1" not in answer:
            taken = re.search(r"cannot bind socket \((.*?)\) for \[(.*?)\]", answer)
            if taken:
                raise PortTaken(f"The proxy can't listen on {taken[2]}: {taken[1]}.")
            raise HaproxyError(f"The proxy refused its configuration: {answer.strip()[-500:]}")

    def command(self, line: str, *, socket_path: Path | None = None, timeout: float | None = None) -> str:
        path = socket_path or self.runtime
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(timeout or self.timeout)
                _connect(connection, path)
                connection.sendall(line.encode() + b"\n")
                parts = []
                while part := connection.recv(65536):
                    parts.append(part)
        except OSError as error:
            raise ProxyUnreachable(f"The proxy doesn't answer: {error.strerror or error}.") from error
        return b"".join(parts).decode()

    def _table(self, command: str) -> list[str]:
        lines = [line for line in self.command(command).splitlines() if line.strip()]
        if len(lines) < 2 and (not lines or not lines[0].startswith("#")):
            raise HaproxyError(f"The proxy doesn't know that: {' '.join(lines) or command}")
        return lines

    def _fragment(self, name: str) -> Path:
        return self.config_dir / f"lane-{name}.cfg"

    def _unread(self, name: str) -> Path:
        """The mark of a fragment that the running proxy may not have read."""
        return self.config_dir / f"lane-{name}.unread"

    def _text(self, name: str) -> str | None:
        path = self._fragment(name)
        return path.read_text() if path.exists() else None

    def _write(self, name: str, text: str | None) -> None:
        if text is None:
            self._fragment(name).unlink(missing_ok=True)
        else:
            write_atomically(self._fragment(name), text)

    def _runs(self, backend: Backend, written: str) -> bool:
        alike = _shape(written) == _shape(backend.fragment())
        return alike and not self._unread(backend.name).exists() and self.knows(backend.name)

    def _require_free_port(self, backend: Backend, old: str | None) -> None:
        if old is not None and str(backend.port) in _BIND.findall(old) and self.knows(backend.name):
            return  # the port is in use, by ourselves
        for path in self.config_dir.glob("lane-*.cfg"):
            if path != self._fragment(backend.name) and str(backend.port) in _BIND.findall(path.read_text()):
                raise PortTaken(f"Port {backend.port} already belongs to {path.stem.removeprefix('lane-')}.")
        if reason := _why_taken(backend.port):
            raise PortTaken(f"Port {backend.port} is taken by another program: {reason}.")

    def _exchange(self, wanted: Mapping[str, str | None]) -> None:
        """Write fragments (None: take it away) and reload, or leave them as they were.

        Each is marked as unread until the reload has succeeded: the running proxy can't be asked what it has read, and
        whoever should have told it may die before.
        """
        before = {name: self._text(name) for name in wanted}
        for name, text in wanted.items():
            self._unread(name).touch()
            self._write(name, text)
        crashpoint("fragment_written")
        try:
            self.reload()
        except HaproxyError:
            for name, text in before.items():
                self._write(name, text)
            raise
        for name in wanted:
            self._unread(name).unlink()


def set_aside_taken_ports(config_dir: Path) -> dict[str, int]:
    """Before the proxy starts: take out the backends whose port somebody else has, or none would start.

    Returns their ports by name. Whoever adds them again later is told PortTaken, or gets them back.
    """
    taken = {}
    for path in config_dir.glob("lane-*.cfg"):
        for port in map(int, _BIND.findall(path.read_text())):
            if _why_taken(port):
                taken[path.stem.removeprefix("lane-")] = port
                path.unlink()
    return taken


def _why_taken(port: int) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            return os.strerror(error.errno)
    return ""


def _weights(fragment: str) -> dict[str, int]:
    return {name: int(weight) for name, weight in _SERVER.findall(fragment)}


def _shape(fragment: str) -> str:
    """A fragment without its weights: two of one shape need no reload."""
    return re.sub(r" weight \d+$", "", fragment, flags=re.MULTILINE)
