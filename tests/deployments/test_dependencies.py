"""What the portal leans on beside its database: noticed when it is gone, named on every page, and its return."""

import re
import threading
from datetime import timedelta
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client

from apps.audit.models import AuditEvent
from apps.health import dependencies
from apps.health.models import Dependency
from deploy.launcher import ports
from tests.browser.crawl import view_of
from tests.deployments.conftest import whole
from tests.processes import eventually, start_worker

LINK = re.compile(r'<a\b(?![^>]*\bdownload\b)[^>]*\bhref="(/[^"]*)"')
NOWHERE = "redis://127.0.0.1:{port}/0"


@pytest.fixture(autouse=True)
def index(settings, monkeypatch: pytest.MonkeyPatch):
    """A package index that answers; every look is due at once."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    settings.DEPENDENCY_INTERVAL = timedelta(0)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple/")
    yield server
    server.shutdown()
    server.server_close()


def events(cast) -> list[str]:
    with whole(cast):
        return [
            event.kind for event in AuditEvent.objects.filter(kind__startswith="dependency.").order_by("recorded_at")
        ]


def test_one_lost_answer_is_an_accident_and_two_are_an_outage_that_is_told_once(db, cast, settings) -> None:
    settings.REDIS_URL = NOWHERE.format(port=ports.free_ports(1)[0])

    dependencies.look_at_dependencies()
    assert Dependency.objects.get(pk="broker").down_since is None
    dependencies.look_at_dependencies()
    down = Dependency.objects.get(pk="broker")
    dependencies.look_at_dependencies()

    assert down.down_since is not None
    assert "refused" in down.detail
    assert Dependency.objects.get(pk="broker").down_since == down.down_since
    assert Dependency.objects.get(pk="package-index").failures == 0
    assert events(cast) == ["dependency.lost"]


def test_what_answers_again_is_told(db, cast, settings) -> None:
    alive = settings.REDIS_URL
    settings.REDIS_URL = NOWHERE.format(port=ports.free_ports(1)[0])
    dependencies.look_at_dependencies()
    dependencies.look_at_dependencies()

    settings.REDIS_URL = alive
    dependencies.look_at_dependencies()

    assert Dependency.objects.get(pk="broker").down_since is None
    assert events(cast) == ["dependency.lost", "dependency.returned"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("broker", "The message broker can&#x27;t be reached since"),
        ("package-index", "The package index can&#x27;t be reached since"),
        ("prometheus", "Prometheus can&#x27;t be reached since"),
        ("alertmanager", "Alertmanager can&#x27;t be reached since"),
    ],
)
def test_every_page_answers_with_one_of_them_gone_and_names_it(
    stage, settings, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    stage.deploy()
    nowhere = f"127.0.0.1:{ports.free_ports(1)[0]}"
    if name == "package-index":
        monkeypatch.setenv("PIP_INDEX_URL", f"http://{nowhere}/simple/")
    settings.REDIS_URL = f"redis://{nowhere}/0" if name == "broker" else settings.REDIS_URL
    settings.PROMETHEUS_URL = f"http://{nowhere}" if name == "prometheus" else ""
    settings.ALERTMANAGER_URL = f"http://{nowhere}" if name == "alertmanager" else ""
    dependencies.look_at_dependencies()
    dependencies.look_at_dependencies()
    client = Client()
    client.force_login(stage.world.cast.devops)

    pages = pages_of(client)

    assert len(pages) > 30
    for address, page in pages.items():
        assert page.status_code in (200, 403), address  # what they may not do, is said as ever
        assert said in page.content.decode(), address


def pages_of(client: Client) -> dict[str, HttpResponse]:
    """One page of each view that links lead to."""
    waiting, seen, found = ["/"], set(), {}
    while waiting:
        address = waiting.pop(0)
        view = view_of(address, "/")
        if view is None or view in seen:
            continue
        seen.add(view)
        found[address] = client.get(address)
        waiting += [unescape(link).split("#")[0] for link in LINK.findall(found[address].content.decode())]
    return found


def test_prometheus_is_named_where_it_is_configured_and_forgotten_where_it_is_not(db, cast, settings) -> None:
    settings.PROMETHEUS_URL = f"http://127.0.0.1:{ports.free_ports(1)[0]}"
    dependencies.look_at_dependencies()
    dependencies.look_at_dependencies()
    client = Client()
    client.force_login(cast.devops)

    assert "Prometheus can&#x27;t be reached since" in client.get("/").content.decode()

    settings.PROMETHEUS_URL = ""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE health_dependency SET looked_at = now() - interval '2 hours' WHERE name = 'prometheus'")
    page = client.get("/").content.decode()
    assert "can&#x27;t be reached" not in page
    assert "No worker" not in page


def test_that_no_worker_looks_is_named_alone(db, cast, settings) -> None:
    settings.DEPENDENCY_INTERVAL = timedelta(seconds=10)
    dependencies.look_at_dependencies()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE health_dependency SET looked_at = now() - interval '2 minutes', down_since = now()")
    client = Client()
    client.force_login(cast.devops)

    page = client.get("/").content.decode()

    assert "No worker has been heard of since" in page
    assert "can&#x27;t be reached" not in page


def test_with_all_well_a_page_says_nothing(db, cast) -> None:
    dependencies.look_at_dependencies()
    client = Client()
    client.force_login(cast.devops)

    page = client.get("/").content.decode()

    assert "can&#x27;t be reached" not in page
    assert "No worker" not in page


def test_of_many_workers_one_looks(transactional_db, settings) -> None:
    settings.DEPENDENCY_INTERVAL = timedelta(seconds=60)
    start, took = threading.Barrier(8), []

    def look() -> None:
        try:
            start.wait(10)
            took.append(dependencies._take("broker"))
        finally:
            connection.close()

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert sorted(took) == [False] * 7 + [True]


def test_a_worker_without_its_broker_says_so_itself(stage, cast, tmp_path: Path) -> None:
    nowhere = NOWHERE.format(port=ports.free_ports(1)[0])

    with start_worker(tmp_path, environment={"REDIS_URL": nowhere, "DEPENDENCY_INTERVAL_SECONDS": "0.2"}) as worker:
        down = eventually(
            lambda: Dependency.objects.filter(pk="broker", down_since__isnull=False).first(),
            within_seconds=30,
            because=worker.output,
        )

    assert down.failures == dependencies.FAILURES
