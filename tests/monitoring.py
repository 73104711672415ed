"""The real Alertmanager and Prometheus as children of a test, and messages as the first sends them."""

import json
import shutil
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.workspaces import actions as workspace_actions
from deploy.launcher import ports, processes
from deploy.launcher.processes import Program
from tests import debian
from tests.cast import Cast
from tests.engines import wait_until
from tests.processes import Child

WEBHOOK = "/api/v1/webhooks/alertmanager"
ROUTE = """
route: {{receiver: portal, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}
receivers:
  - name: portal
    webhook_configs:
      - url: {url}
        http_config: {{authorization: {{credentials_file: {token}}}}}
"""
SCRAPE = """
global: {{scrape_interval: 1s}}
scrape_configs: [{{job_name: greeter, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}]
"""


def make_token(cast: Cast, *, scope: str = "alerts:write", by: Any = None) -> str:
    _, text = workspace_actions.create_token(
        cast.platform, name="Alertmanager", scopes=[scope], days=30, by=by or cast.devops, now=timezone.now()
    )
    return text


def alert(name: str = "ManyErrors", *, ended: bool = False, at: datetime | None = None, **more: Any) -> dict[str, Any]:
    """Return one alert of a message, as Alertmanager writes it."""
    labels = {"alertname": name, "service": "greeter", "environment": "dev", "severity": "warning"}
    return {
        "status": "resolved" if ended else "firing",
        "labels": labels | more.pop("labels", {}),
        "annotations": {"summary": "One in ten requests fails"},
        "startsAt": (at or timezone.now()).isoformat().replace("+00:00", "123Z"),  # Go writes nanoseconds
        "endsAt": timezone.now().isoformat() if ended else "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example.test/graph?g0.expr=up",
        "fingerprint": "abcdef0123456789",
    } | more


def send(text: str | None, *sent: Any, raw: bytes | None = None, version: str = "4") -> Any:
    body = raw if raw is not None else json.dumps({"version": version, "alerts": list(sent)}).encode() + b"\n"
    headers = {"Authorization": f"Bearer {text}"} if text else {}
    return Client().post(WEBHOOK, body, content_type="application/json", headers=headers)


@contextmanager
def started(name: str, directory: Path, *arguments: str) -> Iterator[str]:
    """Start one of Debian's programs on a free port and return its address; skip the test where it is not."""
    executable = shutil.which(name)
    if executable is None:
        pytest.skip(f"{name} is missing: sudo {' '.join(debian.command(name))}")
    port = ports.free_ports(1)[0]
    command = (executable, f"--web.listen-address=127.0.0.1:{port}", *arguments)
    program = Program(name=name, command=command, environment={"PATH": "/usr/bin"}, stop_seconds=10)
    log = directory / f"{name}.log"
    with Child(program=program, process=processes.spawn(program, log), log=log) as child:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: _is_ready(url), process=child.process, log=log, limit_seconds=20)
        yield url


@contextmanager
def alertmanager(directory: Path, *, portal: str, token: str) -> Iterator[str]:
    """Start Alertmanager, which sends all it is told to the portal."""
    secret, config = directory / "token", directory / "alertmanager.yml"
    secret.write_text(token)
    config.write_text(ROUTE.format(url=portal + WEBHOOK, token=secret))
    storage = f"--storage.path={directory / 'alertmanager'}"
    with started(
        "prometheus-alertmanager", directory, f"--config.file={config}", storage, "--cluster.listen-address="
    ) as url:
        yield url


class Metered:
    """A program whose users come with each scrape: so many requests and errors, all as slow as is said."""

    EDGES = (0.05, 0.1, 0.2, 0.4, 0.8)

    def __init__(self, behaviour: Callable[[], tuple[int, int, float]]) -> None:
        self._behaviour = behaviour
        self._codes = {"200": 0, "500": 0}
        self._bands = dict.fromkeys((*map(str, self.EDGES), "+Inf"), 0)

    def scraped(self) -> str:
        """Return what Prometheus reads; `behaviour` gives (requests, errors, seconds)."""
        requests, errors, seconds = self._behaviour()
        self._codes["200"] += requests - errors
        self._codes["500"] += errors
        for edge in self._bands:
            self._bands[edge] += requests if seconds <= float(edge.strip("+")) else 0
        labels = 'service="greeter",environment="dev"'
        codes = [f'http_requests_total{{{labels},code="{code}"}} {n}' for code, n in self._codes.items() if n]
        bands = [f'http_request_duration_seconds_bucket{{{labels},le="{le}"}} {n}' for le, n in self._bands.items()]
        return "\n".join([*codes, *bands, ""])

    @contextmanager
    def running(self) -> Iterator[int]:
        metered = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = metered.scraped().encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

        with serving(Handler) as port:
            yield port


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def prometheus(directory: Path, *, scrape: int) -> Iterator[str]:
    """Start Prometheus, which reads the program at the port each second."""
    config = directory / "prometheus.yml"
    config.write_text(SCRAPE.format(port=scrape))
    storage = f"--storage.tsdb.path={directory / 'prometheus'}"
    with started("prometheus", directory, f"--config.file={config}", storage) as url:
        yield url


def tell(alertmanager_url: str, **told: Any) -> None:
    """Tell Alertmanager of an alert, as Prometheus does."""
    request = urllib.request.Request(
        f"{alertmanager_url}/api/v2/alerts",
        data=json.dumps([told]).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=5):
        pass


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=2):
            return True
    except OSError:
        return False
