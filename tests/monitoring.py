"""The real Alertmanager as a child of a test, and messages as it sends them."""

import json
import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
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
