"""Pages of data and backups, and who is told of data that are overdue."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.models import AuditEvent
from apps.environments import jobs
from apps.environments.data_rules import data_state
from apps.environments.models import DataRefresh, Environment
from tests.cast import NOW
from tests.drill import HTMX, get, post, signed_in, text_of
from tests.environments.recorded import LINK, PROOF, TESTED, record, refresh
from tests.world import World, last_event

EVIDENCE = {"link": LINK, "sha256": "a" * 64}
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def store(settings: Any, tmp_path: Path) -> None:
    settings.ARTIFACT_DIR = tmp_path / "artifacts"


def page(world: World, name: str, place: Environment | None = None) -> str:
    place = place or world.staging
    return reverse(f"environments:{name}", args=[place.workspace.slug, place.slug])


@pytest.mark.django_db
def test_people_record_with_a_report_and_read_it_again(world: World) -> None:
    at = timezone.now() - timedelta(hours=1)
    file = SimpleUploadedFile("masking.json", b"<script>", content_type="text/html")
    told = {"kind": "ANONYMISED", "source": world.production.pk, "refreshed_at": at.strftime("%Y-%m-%dT%H:%M")}

    refused = post(world.cast.devops, page(world, "data-create"), told)
    taken = post(world.cast.devops, page(world, "data-create"), told | {"report": file})

    assert (refused.status_code, taken.status_code) == (422, 302)
    assert "needs a report that says it was anonymised" in text_of(refused)
    with world.everything():
        row = DataRefresh.objects.get()
    address = reverse("environments:record-evidence", args=["platform", "staging", row.pk])
    file = get(world.cast.auditor, address)
    assert (b"".join(file.streaming_content), file["Content-Type"]) == (b"<script>", "application/octet-stream")
    assert file["Content-Disposition"] == 'attachment; filename="masking.json"'
    assert address in text_of(get(world.cast.auditor, page(world, "data-list")))
    assert post(world.cast.auditor, page(world, "data-create"), told).status_code == 403


@pytest.mark.django_db
def test_people_record_a_test_and_what_is_wrong_is_told(world: World) -> None:
    told = {"kind": "RESTORE_TEST", "done_at": "2026-11-18T10:00", "succeeded": "yes", **TESTED}
    address = page(world, "recovery-create", world.production)

    wrong, without, taken = (
        post(world.cast.devops, address, told | more) for more in ({"sha256": "x" * 65}, {}, EVIDENCE)
    )

    assert [wrong.status_code, without.status_code, taken.status_code] == [422, 422, 302]
    assert "A restore test needs a report" in text_of(without)
    shown = text_of(get(world.cast.auditor, page(world, "recovery-list", world.production)))
    assert "RPO 5 min, RTO 42 min" in shown
    assert "Your roles in this workspace do not let you" in shown
    assert get(world.cast.auditor, page(world, "recovery-list", world.production), **HTMX).status_code == 200


@pytest.mark.django_db
def test_lists_ask_as_much_for_many_as_for_one(world: World) -> None:
    counts = []
    for number in (1, 60):
        with world.everything():
            for days in range(number):
                refresh(world, at=NOW - DAY * (days + number))
                record(world, at=NOW - DAY * (days + number))
        for name, place in (("data-list", world.staging), ("recovery-list", world.production)):
            with CaptureQueriesContext(connection) as asked:
                shown = get(world.cast.auditor, page(world, name, place))
            counts.append(len(asked))
            assert ("before=" in text_of(shown)) == (number > 1)

    assert counts[:2] == counts[2:]


def test_limits_of_data_count_from_the_last_refresh() -> None:
    def state(days: float, *, was_refreshed: bool = True, tier: str = "STAGING") -> Any:
        at = NOW if was_refreshed else None
        found = data_state(tier, created_at=NOW - DAY, refreshed_at=at, now=NOW + DAY * days)
        return found and (found.word, found.at_fault_since)

    assert state(6.9) == ("In time", None)
    assert state(7) == ("Overdue", NOW + DAY * 7)
    assert state(30) == ("Expired", NOW + DAY * 30)
    assert state(6, was_refreshed=False) == ("Overdue", NOW + DAY * 6)
    assert state(90, tier="QA") is None


@pytest.mark.django_db
def test_owners_hear_of_overdue_data_once_and_of_expired_ones_once_more(world: World) -> None:
    User.objects.filter(pk=world.cast.devops.pk).update(email="devops@example.test")
    with world.everything():
        refresh(world, at=timezone.now() - DAY * 8)

    jobs.remind_of_data()
    jobs.remind_of_data()

    [letter] = mail.outbox
    assert (letter.subject, "devops@example.test" in letter.to) == ("Data of Staging are overdue", True)
    assert page(world, "data-list") in letter.body
    with world.everything():
        Environment.objects.update(data_told_for=timezone.now() - DAY * 60)
        refresh(world, at=timezone.now())
    jobs.remind_of_data()
    assert len(mail.outbox) == 1
    with world.everything():
        assert last_event("data.reminded").environment_id == world.staging.pk


@pytest.mark.django_db
def test_mail_about_data_that_is_not_taken_is_tried_again_later(world: World, settings: Any) -> None:
    User.objects.filter(pk=world.cast.devops.pk).update(email="devops@example.test")
    settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT = (
        "django.core.mail.backends.smtp.EmailBackend", "127.0.0.1", 1,
    )  # fmt: skip
    with world.everything():
        refresh(world, at=timezone.now() - DAY * 31)

    jobs.remind_of_data()

    with world.everything():
        staging = Environment.objects.get(pk=world.staging.pk)
        assert (staging.data_told_for, staging.data_mail_after is None) == (None, False)
        assert not AuditEvent.objects.filter(kind="data.reminded").exists()


@pytest.mark.django_db
def test_what_is_overdue_stands_on_the_dashboard_and_the_environments_pages(world: World) -> None:
    with world.everything():
        refresh(world, at=timezone.now() - DAY * 31)
    client = signed_in(world.cast.auditor)

    for address, words in (
        (reverse("dashboards:dashboard"), "Data of Staging: expired"),
        (reverse("environments:environment-list"), "Data Expired"),
        (page(world, "environment-detail"), "is older than 30 days: remove it"),
        (page(world, "data-list"), "is older than 30 days: remove it"),
    ):
        assert words in text_of(client.get(address)), address
    with world.everything():
        refresh(world, at=timezone.now(), evidence=PROOF)
    assert "Data of Staging" not in text_of(client.get(reverse("dashboards:dashboard")))
