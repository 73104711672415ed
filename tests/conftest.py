"""Fixtures that every test may use. Databases, engines and real processes of the portal; people are in `cast.py`."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from django.conf import settings as django_settings
from django.test import TransactionTestCase
from playwright.sync_api import Browser, sync_playwright

from apps.integrations.git_repository import GitRepository
from deploy.local import make_greeter
from tests import chromium, plugin
from tests.engines import Engines, renamed
from tests.processes import Child, DeploymentTarget, WebServer, start_web, start_worker

pytest_plugins = ["tests.cast", "tests.world", "tests.prepared", "tests.record"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the full set of places to fail at to `make reliability`, or to who asks for it with -m or by name."""
    if os.environ.get("EAIP_TEST_CLOCKS") == "real" or config.option.markexpr or config.option.keyword:
        return
    chosen = [item for item in items if not item.get_closest_marker("reliability")]
    config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("reliability")])
    items[:] = chosen


@pytest.fixture(scope="session")
def engines() -> Engines:
    return plugin.engines()


@pytest.fixture(scope="session")
def django_db_setup() -> None:
    """Nothing to make: `plugin.py` cloned the migrated template before the settings were read."""


@pytest.fixture(scope="session", autouse=True)
def _never_truncate() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda self: None)
        yield


@pytest.fixture
def _django_db_helper(database: str, _django_db_helper: None) -> None:
    """Put the choice of the database before pytest-django's own preparation."""


@pytest.fixture
def database_url(database: str) -> str:
    """The address of this test's database, for the application's role."""
    return renamed(os.environ["DATABASE_URL"], database)


@pytest.fixture
def owner_url(database: str) -> str:
    return renamed(os.environ["DATABASE_OWNER_URL"], database)


@pytest.fixture
def redis_url() -> str:
    """The address of this process's own database in Valkey, emptied."""
    url = os.environ["REDIS_URL"]
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture
def portal(transactional_db: None, redis_url: str, tmp_path: Path) -> Iterator[WebServer]:
    """The web server as a child process, on this test's own database."""
    with start_web(tmp_path) as server:
        yield server


@pytest.fixture
def worker(transactional_db: None, redis_url: str, tmp_path: Path) -> Iterator[Child]:
    """A worker as a child process, on this test's own database."""
    with start_worker(tmp_path) as started:
        yield started


@pytest.fixture(scope="session")
def deployment_target() -> Iterator[DeploymentTarget]:
    """HAProxy and supervisord at the places that the settings name."""
    with DeploymentTarget.start() as target:
        yield target


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_greeter.make(tmp_path_factory.mktemp("greeter") / "greeter.git").path


@pytest.fixture
def repository(history: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> GitRepository:
    """A copy of the demonstration's repository, where the portal looks for it."""
    subprocess.run(["git", "clone", "--quiet", "--mirror", history, tmp_path / "greeter.git"], check=True)
    monkeypatch.setattr(django_settings, "REPOSITORY_DIR", tmp_path)
    return GitRepository(tmp_path / "greeter.git")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright, chromium.launch(playwright) as started:
        yield started
