import os
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from apps.integrations import haproxy, http_request
from apps.integrations.haproxy import Backend, Haproxy, HaproxyError, PortTaken, ProxyUnreachable, set_aside_taken_ports
from deploy.launcher.ports import free_ports
from tests.processes import DeploymentTarget, eventually


class Slow(socketserver.ThreadingUnixStreamServer):
    """Answers visits after the pauses that it is told; the proxy's own questions at once."""

    daemon_threads = True

    def __init__(self, path: Path, pauses: list[float]) -> None:
        self.pauses = list(pauses)
        super().__init__(str(path), _Answer)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *_error: object) -> None:
        self.shutdown()
        self.server_close()


class _Answer(socketserver.StreamRequestHandler):
    server: Slow

    def handle(self) -> None:
        if b"/visit" in self.rfile.readline():
            time.sleep(self.server.pauses.pop())
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


@pytest.fixture
def proxy(deployment_target: DeploymentTarget) -> Haproxy:
    sockets = Path(os.environ["EAIP_HAPROXY_SOCKET"]).parent
    return Haproxy(
        runtime=sockets / "haproxy.sock",
        master=sockets / "haproxy-master.sock",
        config_dir=Path(os.environ["EAIP_HAPROXY_CONFIG_DIR"]),
    )


@pytest.fixture
def backend(proxy: Haproxy) -> Iterator[Backend]:
    backend = a_backend(f"calendar-{os.getpid()}")
    yield backend
    proxy.remove(backend.name)


class Died(BaseException):
    """Stands for the end of the process: nothing but the operating system cleans up after it."""


def die(_place: str) -> None:
    raise Died


def a_backend(name: str, port: int | None = None) -> Backend:
    sockets = {slot: Path(f"/tmp/none-{slot}.sock") for slot in ("blue", "green")}
    return Backend(name, port or free_ports(1)[0], "/health", sockets)


def test_a_backend_comes_and_its_weights_change(proxy: Haproxy, backend: Backend) -> None:
    assert proxy.add(backend)
    assert not proxy.add(backend), "a second time needs no reload"

    proxy.set_weights(backend.name, {"blue": 0, "green": 256})

    assert proxy.weights(backend.name) == {"blue": 0, "green": 256}
    assert set(proxy.counters(backend.name)) == {"blue", "green"}


def test_response_times_are_counted_by_server(proxy: Haproxy, tmp_path: Path) -> None:
    path = tmp_path / "blue.sock"
    answers = {"blue": path, "green": tmp_path / "none.sock"}
    backend = Backend(f"timed-{os.getpid()}", free_ports(1)[0], "/", answers)
    pauses = [0.0] * 18 + [0.3, 0.3]
    with Slow(path, pauses):
        proxy.add(backend)
        try:
            proxy.set_weights(backend.name, {"blue": 256})
            eventually(lambda: proxy.servers(backend.name)["blue"].is_up)
            before = proxy.counters(backend.name)["blue"].times
            for _visit in pauses:
                http_request.get("/visit", to=backend.port)

            times = proxy.counters(backend.name)["blue"].times.since(before)
        finally:
            proxy.remove(backend.name)

    assert (before.total, times.total) == (0, len(pauses))
    assert times.quantile(0.8) < 128
    assert 256 <= times.quantile(0.95) <= 512


def test_weights_survive_a_reload(proxy: Haproxy, backend: Backend) -> None:
    proxy.add(backend)
    proxy.set_weights(backend.name, {"blue": 200, "green": 56})

    proxy.reload()

    assert proxy.weights(backend.name) == {"blue": 200, "green": 56}


def test_weights_that_only_the_running_proxy_knows_are_written_down(proxy: Haproxy, backend: Backend) -> None:
    proxy.add(backend)
    proxy.command(f"set weight {backend.name}/green 256")

    proxy.keep_weights(backend.name, proxy.weights(backend.name))
    proxy.reload()

    assert proxy.servers(backend.name)["green"].weight == 256


def test_weights_survive_a_change_of_the_health_path(proxy: Haproxy, backend: Backend) -> None:
    proxy.add(backend)
    proxy.set_weights(backend.name, {"blue": 0, "green": 256})

    proxy.add(Backend(backend.name, backend.port, "/other", backend.servers))

    assert proxy.servers(backend.name)["green"].weight == 256


def test_a_change_that_was_written_but_never_read_is_read_by_whoever_comes_after(
    proxy: Haproxy, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.add(backend)
    other = replace(backend, health_path="/other")
    with monkeypatch.context() as patched:
        patched.setattr(haproxy, "crashpoint", die)
        with pytest.raises(Died):
            proxy.add(other)

    assert proxy.add(other), "the running proxy still asks the old path"
    assert not proxy.add(other)


def test_a_backend_whose_removal_was_cut_gives_its_port_back(
    proxy: Haproxy, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.add(backend)
    with monkeypatch.context() as patched:
        patched.setattr(haproxy, "crashpoint", die)
        with pytest.raises(Died):
            proxy.remove(backend.name)

    proxy.remove(backend.name)

    assert not proxy.knows(backend.name)
    assert proxy.add(backend)


def test_an_unknown_backend_is_an_error(proxy: Haproxy) -> None:
    for ask in (proxy.servers, proxy.counters, lambda name: proxy.set_weights(name, {"blue": 1})):
        with pytest.raises(HaproxyError):
            ask("nobody")
    assert not proxy.knows("nobody")


def test_a_port_belongs_to_one_backend(proxy: Haproxy, backend: Backend) -> None:
    proxy.add(backend)

    with pytest.raises(PortTaken, match=f"already belongs to {backend.name}"):
        proxy.add(a_backend("thief", backend.port))

    assert not proxy.knows("thief")


def test_a_backend_whose_port_was_taken_meanwhile_does_not_hold_up_the_others(tmp_path: Path) -> None:
    free, taken = a_backend("free"), a_backend("taken")
    for backend in (free, taken):
        (tmp_path / f"lane-{backend.name}.cfg").write_text(backend.fragment())

    with socket.create_server(("127.0.0.1", taken.port)):
        assert set_aside_taken_ports(tmp_path) == {"taken": taken.port}

    assert [path.name for path in tmp_path.iterdir()] == ["lane-free.cfg"]


def test_a_configuration_that_is_refused_leaves_the_one_before(proxy: Haproxy, backend: Backend) -> None:
    proxy.add(backend)
    broken = proxy.config_dir / "zz-broken.cfg"
    broken.write_text("frontend broken\n  no such word\n")
    try:
        with pytest.raises(HaproxyError, match="refused"):
            proxy.add(a_backend("late"))
    finally:
        broken.unlink()

    assert not (proxy.config_dir / "lane-late.cfg").exists()
    assert proxy.knows(backend.name)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a b", "/"),
        ("a\nb", "/"),
        ("../a", "/"),
        ("A", "/"),
        ("", "/"),
        ("a", "health"),
        ("a", "/x\nfrontend y"),
        ("a", "/ x"),
    ],
)
def test_nothing_can_be_smuggled_into_the_configuration(name: str, path: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        Backend(name, 20000, path, {"blue": Path("/tmp/a.sock")})


def test_a_proxy_that_is_away_is_unreachable(tmp_path: Path) -> None:
    gone = Haproxy(runtime=tmp_path / "a.sock", master=tmp_path / "b.sock", config_dir=tmp_path)

    with pytest.raises(ProxyUnreachable):
        gone.servers("any")
