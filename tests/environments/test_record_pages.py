"""Pages of data and backups, and who is told of what they lack."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
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
from apps.environments.data_rules import USUAL, DataRules, data_state
from apps.environments.models import DataRefresh, Environment, RecordReminder
from apps.policies import jobs
from tests.approvals.promotions import put_in_force
from tests.approvals.test_races import at_once
from tests.cast import NOW
from tests.drill import HTMX, get, post, signed_in, text_of
from tests.environments.recorded import LINK, PROOF, TESTED, record, record_all, refresh, remove
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
    def state(days: float, *, was_refreshed: bool = True, rules: DataRules = USUAL["STAGING"], **fields: Any) -> Any:
        at = NOW if was_refreshed else None
        found = data_state(rules, created_at=NOW - DAY, refreshed_at=at, now=NOW + DAY * days, **fields)
        return found and (found.word, found.at_fault_since, found.faults)

    assert state(6.9) == ("In time", None, ())
    assert state(7) == ("Overdue", NOW + DAY * 7, ("overdue",))
    assert state(30) == ("Expired", NOW + DAY * 30, ("overdue", "expired"))
    assert state(6, was_refreshed=False) == ("Overdue", NOW + DAY * 6, ("overdue",))
    assert state(40, removed_at=NOW + DAY) == ("Overdue", NOW + DAY * 7, ("overdue",))
    assert state(40, removed_at=NOW - DAY) == state(40)
    assert state(2, rules=DataRules(("MASKED",), kept_days=2)) == ("Expired", NOW + DAY * 2, ("expired",))
    assert state(90, rules=USUAL["QA"]) is None


@pytest.fixture
def look(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], list[str]]:
    """Look at all records so many days after NOW, and return the subjects of the new mails."""
    with world.everything():
        put_in_force("PRODUCTION", "recovery")
    User.objects.filter(pk=world.cast.devops.pk).update(email="devops@example.test")

    def look_at(days: float) -> list[str]:
        mail.outbox.clear()
        monkeypatch.setattr(jobs, "timezone", SimpleNamespace(now=lambda: NOW + DAY * days))
        with world.everything():
            RecordReminder.objects.update(look_after=NOW - DAY)
        jobs.remind_of_records()
        return sorted(letter.subject for letter in mail.outbox)

    return look_at


@pytest.mark.django_db
def test_owners_hear_of_each_lack_once_and_anew_only_when_it_was_mended(
    world: World, look: Callable[[float], list[str]]
) -> None:
    data, backups = "Staging: data are", "Production: backups fall short"
    with world.everything():
        refresh(world, at=NOW - DAY)
        record_all(world, at=NOW - DAY)

    assert look(0) == []
    assert look(6) == [backups, f"{data} overdue"]
    jobs.remind_of_records()
    assert [letter.to for letter in mail.outbox] == [["devops@example.test"]] * 2
    assert page(world, "data-list") in mail.outbox[0].body + mail.outbox[1].body
    assert "Record a backup that succeeded." in mail.outbox[0].body + mail.outbox[1].body
    assert look(6.5) == []
    with world.everything():
        record(world, at=NOW + DAY * 7)
    assert look(7) == []
    assert look(9) == [backups], "it was mended, and is stale again"
    assert look(30) == [f"{data} expired"]
    with world.everything():
        remove(world, at=NOW + DAY * 30)
    assert look(30) == [], "of the refresh that is overdue still they were told"
    with world.everything():
        refresh(world, at=NOW + DAY * 31)
    assert look(31) == []
    assert look(38) == [f"{data} overdue"]
    with world.everything():
        told = AuditEvent.objects.filter(kind="recovery.reminded", environment_id=world.production.pk)
        assert told.count() == 2
        assert last_event("data.reminded").change["lacks"]["after"] == ["overdue"]
        assert AuditEvent.objects.filter(kind="data.reminded").count() == 3


@pytest.mark.django_db(transaction=True)
def test_two_workers_that_look_at_once_mail_once(world: World, look: Callable[[float], list[str]]) -> None:
    with world.everything():
        refresh(world, at=NOW)
        record_all(world, at=NOW)
    assert look(0) == []
    with world.everything():
        record(world, "RESTORE_TEST", at=NOW + DAY / 24, succeeded=False, figures={})
        RecordReminder.objects.update(look_after=NOW - DAY)

    assert at_once(world, *[jobs.remind_of_records] * 2) == [None, None]

    assert [letter.subject for letter in mail.outbox] == ["Production: backups fall short"]
    with world.everything():
        told = AuditEvent.objects.filter(kind="recovery.reminded", environment_id=world.production.pk)
        assert told.count() == 1


@pytest.mark.django_db
def test_mail_that_is_not_taken_is_tried_again_later(
    world: World, look: Callable[[float], list[str]], settings: Any
) -> None:
    usual = settings.EMAIL_BACKEND
    settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT = (
        "django.core.mail.backends.smtp.EmailBackend", "127.0.0.1", 1,
    )  # fmt: skip
    with world.everything():
        record_all(world, at=NOW)
        refresh(world, at=NOW - DAY * 31)

    look(0)

    with world.everything():
        reminder = RecordReminder.objects.get(environment=world.staging)
        assert (reminder.told, reminder.look_after) == ([], NOW + jobs.PAUSE)
        assert not AuditEvent.objects.filter(kind="data.reminded").exists()
    settings.EMAIL_BACKEND = usual
    assert look(0) == ["Staging: data are expired"]


@pytest.mark.django_db
def test_people_record_a_removal_and_the_page_says_so(world: World) -> None:
    at = timezone.now() - timedelta(hours=1)
    with world.everything():
        refresh(world, at=at - DAY * 31)
    told = {"removed_at": at.strftime("%Y-%m-%dT%H:%M")}
    shown = text_of(get(world.cast.devops, page(world, "data-list")))
    assert "Record the removal" in shown

    answers = [post(world.cast.devops, page(world, "data-removal"), body) for body in ({}, told, {**told, **EVIDENCE})]

    assert [answer.status_code for answer in answers] == [422, 302, 409]
    assert "Something else is on record" in text_of(answers[2])
    with world.everything():
        assert last_event("data.removed").actor_id == str(world.cast.devops.pk)
    shown = text_of(get(world.cast.devops, page(world, "data-list")))
    assert "Its data set was removed: bring a new one and record it." in shown
    assert "Record the removal" not in shown
    assert post(world.cast.auditor, page(world, "data-removal"), told).status_code == 403


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
