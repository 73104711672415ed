"""What every other test relies on."""

import os
import socket
from pathlib import Path

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction
from playwright.sync_api import Browser

from tests import reliability
from tests.processes import Child, DeploymentTarget, WebServer


@pytest.mark.django_db
def test_tests_connect_as_the_application() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user")

        assert cursor.fetchone() == ("eaip_app", False, False)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", ["first", "second"])
def test_a_test_that_commits_has_a_database_of_its_own(attempt: str, database_url: str) -> None:
    assert not ContentType.objects.filter(app_label="harness").exists()

    with transaction.atomic():
        ContentType.objects.create(app_label="harness", model=attempt)

    assert database_url.endswith(connection.settings_dict["NAME"])
    assert os.environ["DATABASE_URL"] == database_url


def test_what_make_test_leaves_out_is_a_part_of_make_reliability() -> None:
    named = {path for part in reliability.PARTS.values() for path in part.tests}
    marked = {str(path) for path in Path("tests").rglob("test_*.py") if "mark.reliability" in path.read_text()}

    assert marked - named == {"tests/test_harness.py"}
    assert all(Path(path).exists() for path in named)


def test_nobody_outside_this_machine_is_spoken_to() -> None:
    with socket.socket() as client, pytest.raises(PermissionError):
        client.connect(("192.0.2.1", 80))


@pytest.mark.django_db(transaction=True)
def test_web_and_worker_run_as_children(portal: WebServer, worker: Child) -> None:
    assert "celery@" in worker.output or " ready." in worker.output
    assert portal.is_running()

    worker.kill()

    assert not worker.is_running()


def test_the_deployment_target_answers(deployment_target: DeploymentTarget) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(os.environ["EAIP_HAPROXY_SOCKET"])
        client.sendall(b"show info\n")

        assert b"HAProxy" in client.recv(200)


@pytest.mark.browser
def test_the_browser_opens_the_portal(browser: Browser, portal: WebServer) -> None:
    page = browser.new_page()

    page.goto(portal.url)

    assert "EAIP Operations" in page.title()
