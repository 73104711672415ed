"""Refreshes and removals of data, backups and tests of them: recorded once, by people and by jobs, with their proof."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import Error, connection, transaction
from django.test import Client

from apps.audit.models import AuditEvent
from apps.core.verdict import Refusal
from apps.environments import actions
from apps.environments.models import DataRefresh, RecoveryRecord
from apps.policies import actions as policy_actions
from apps.policies import sources
from tests.approvals.test_races import at_once
from tests.cast import NOW
from tests.environments.recorded import BACKUP, LINK, PROOF, TESTED, record, record_all, refresh, remove
from tests.monitoring import make_token
from tests.policies.proposals import activate, in_force
from tests.world import World, last_event

NONE = actions.Evidence()
EVIDENCE = {"link": LINK, "sha256": "a" * 64}
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def store(settings: Any, tmp_path: Path) -> None:
    settings.ARTIFACT_DIR = tmp_path / "artifacts"


@pytest.mark.django_db
def test_a_refresh_is_on_record_once_with_its_event(world: World) -> None:
    with world.everything():
        first, again = refresh(world), refresh(world)

        assert (first, DataRefresh.objects.count()) == (again, 1)
        event = last_event("data.refreshed")
        assert event.summary == "Anonymised data from Production in Staging since 2026-11-18 19:00 UTC"
        assert event.change["evidence_sha256"]["after"] == "a" * 64
        assert AuditEvent.objects.filter(kind="data.refreshed").count() == 1
        with pytest.raises(actions.RecordDiffers):
            refresh(world, source=world.qa)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("place", "fields", "code", "sentence"),
    [
        ("staging", {"evidence": NONE}, "evidence_missing", "needs a report that says it was anonymised on the way"),
        ("qa", {"kind": "MASKED", "evidence": NONE}, "evidence_missing", "What comes from Production needs a report"),
        ("qa", {"kind": "SYNTHETIC", "evidence": NONE}, "evidence_missing", "What comes from Production"),
        ("qa", {"kind": "ANONYMISED"}, "data_not_allowed", "QA is QA, which holds synthetic or masked data alone."),
        ("qa", {"kind": "REAL"}, "data_not_allowed", "Real data belong in Production alone."),
        ("staging", {"kind": "MASKED"}, "data_not_allowed", "holds anonymised data alone"),
        ("production", {"kind": "SYNTHETIC"}, "data_not_allowed", "no data set is brought there"),
        ("staging", {"source": None}, "record_invalid", "Anonymised data come from somewhere"),
        ("staging", {"source": "staging"}, "record_invalid", "another environment of the same workspace"),
        ("staging", {"source": "customer_production"}, "record_invalid", "of the same workspace"),
        ("staging", {"now": NOW - DAY}, "record_invalid", "is still to come"),
        ("staging", {"evidence": actions.Evidence(link=LINK)}, "record_invalid", "comes with its SHA-256"),
        ("staging", {"evidence": actions.Evidence(link="file:///x", sha256="a" * 64)}, "record_invalid", "http://"),
        ("staging", {"evidence": actions.Evidence(name="empty")}, "record_invalid", "1 byte to 16 MB"),
        ("staging", {"evidence": actions.Evidence(b"x", "x", LINK)}, "record_invalid", "not both"),
        ("staging", {"by": "auditor"}, "role_missing", "Ask somebody who is"),
    ],
)
def test_what_may_not_be_is_refused(world: World, place: str, fields: Any, code: str, sentence: str) -> None:
    values = dict(fields)
    if "by" in values:
        values["by"] = getattr(world.cast, values["by"])
    if values.get("source"):
        values["source"] = getattr(world, values["source"])

    with world.everything(), pytest.raises(Refusal) as refused:
        refresh(world, place=getattr(world, place), **values)

    assert (refused.value.code, sentence in refused.value.sentence) == (code, True), refused.value.sentence


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({}, ""),
        ({"evidence_sha256": "", "evidence_link": ""}, "refresh_from_production_proved"),
        ({"source_tier": "QA", "evidence_sha256": "", "evidence_link": ""}, "source_is_of_its_tier"),
        ({"kind": "REAL"}, "refresh_kind_known"),
        (
            {
                "tier": "PRODUCTION",
                "environment": "production",
                "source_id": None,
                "source_tier": "",
                "kind": "SYNTHETIC",
            },
            "refresh_never_in_production",
        ),
        ({"kind": "REMOVED"}, "refresh_source_whole"),
        ({"tier": "QA", "kind": "MASKED"}, "environment_is_of_its_tier"),
        ({"source_id": None, "source_tier": ""}, "refresh_source_whole"),
        ({"evidence_sha256": "a"}, "refresh_evidence_bound"),
    ],
)
def test_the_database_refuses_as_well(world: World, fields: Any, rule: str) -> None:
    told = {
        "workspace_id": world.staging.workspace_id, "environment": world.staging, "tier": "STAGING",
        "kind": "ANONYMISED", "source_id": world.production.pk, "source_tier": "PRODUCTION", "refreshed_at": NOW,
        "recorded_at": NOW, "recorded_by_label": "A program", "evidence_sha256": "a" * 64, "evidence_link": LINK,
    }  # fmt: skip

    told |= fields
    if isinstance(told["environment"], str):
        told["environment"] = getattr(world, told["environment"])

    with world.everything(), pytest.raises(Error, match=rule or "can not be changed"):
        write_and_change(told)


@transaction.atomic
def write_and_change(columns: dict[str, Any]) -> None:
    row = DataRefresh.objects.create(**columns)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    DataRefresh.objects.filter(pk=row.pk).update(kind="MASKED")


@pytest.mark.django_db
def test_what_a_tier_may_hold_is_what_its_policy_in_force_says(world: World) -> None:
    with world.everything():
        version = in_force("QA")
        changed = {**version.document, "data": {"kinds": ["ANONYMISED"]}}
        proposal = policy_actions.propose(
            sources.written(changed, schema_url="s"), tier="QA", reason="Another", by=world.cast.devops, now=NOW
        )
        activate(proposal, by=world.cast.security, comment="")

        assert refresh(world, place=world.qa, kind="ANONYMISED").kind == "ANONYMISED"
        with pytest.raises(actions.DataNotAllowed, match="holds anonymised data alone"):
            refresh(world, place=world.qa, kind="MASKED")
        with pytest.raises(actions.EvidenceMissing):
            refresh(world, place=world.qa, kind="ANONYMISED", at=NOW - DAY, evidence=NONE)


@pytest.mark.django_db
def test_a_removal_is_on_record_once_with_its_event(world: World) -> None:
    with world.everything():
        refresh(world, at=NOW - DAY * 31)
        first, again = (remove(world, evidence=PROOF) for _ in range(2))

        assert (first, first.evidence_sha256) == (again, "a" * 64)
        event = last_event("data.removed")
        assert event.summary == ("Anonymised data of 2026-10-18 19:00 UTC removed from Staging on 2026-11-18 19:00 UTC")
        assert AuditEvent.objects.filter(kind="data.removed").count() == 1
        for at, sentence in (
            (NOW - DAY, "It is on record that its data set was removed on 2026-11-18 19:00 UTC."),
            (NOW + DAY, "It is on record that its data set was removed on 2026-11-18 19:00 UTC."),
            (NOW - DAY * 40, "No data set of Staging is on record before"),
        ):
            with pytest.raises(actions.NothingToRemove, match=sentence):
                remove(world, at=at)
        with pytest.raises(Refusal, match="is still to come"):
            remove(world, at=NOW + DAY, now=NOW)
        with pytest.raises(Refusal, match="Your roles in this workspace do not let you"):
            remove(world, by=world.cast.auditor)


@pytest.mark.django_db(transaction=True)
def test_of_removals_told_at_once_one_is_kept_with_its_event(world: World) -> None:
    with world.everything():
        refresh(world, at=NOW - DAY * 31)

    results = at_once(
        world, *[lambda hours=hours: remove(world, at=NOW + timedelta(hours=hours)) for hours in range(4)]
    )

    kept = [row for row in results if isinstance(row, DataRefresh)]
    assert [type(row) for row in results if row not in kept] == [actions.NothingToRemove] * 3
    with world.everything():
        assert DataRefresh.objects.filter(kind="REMOVED").get() == kept[0]
        assert AuditEvent.objects.filter(kind="data.removed").count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("kind", "fields", "sentence"),
    [
        ("BACKUP", {"figures": {"kept_daily": 30}}, "The figure kept_monthly is missing."),
        ("BACKUP", {"figures": BACKUP | TESTED}, "A backup has no rpo_minutes, rto_minutes."),
        ("BACKUP", {"figures": BACKUP | {"reach_hours": 0}}, "at least one hour back"),
        ("BACKUP", {"figures": BACKUP | {"kept_daily": 10**6}}, "The figure kept_daily may be 0 to 10,000."),
        ("BACKUP", {"succeeded": False}, "A backup that failed has no kept_daily"),
        ("RESTORE_TEST", {"evidence": NONE}, "A restore test needs a report of what was measured."),
        ("RECOVERY_TEST", {"figures": {"rto_minutes": 4}}, "The figure rpo_minutes is missing."),
        ("SNAPSHOT", {}, "There is no kind 'SNAPSHOT'."),
    ],
)
def test_a_record_says_what_its_kind_has_to(world: World, kind: str, fields: Any, sentence: str) -> None:
    with world.everything(), pytest.raises(Refusal) as refused:
        record(world, kind, **fields)

    assert sentence in refused.value.sentence


@pytest.mark.django_db
def test_backups_and_tests_are_on_record_with_their_events(world: World) -> None:
    with world.everything():
        record_all(world)
        failed = record(world, "BACKUP", at=NOW + DAY, succeeded=False, figures={}, evidence=NONE)

        assert last_event("recovery.tested").change["rto_minutes"]["after"] == 42
        assert last_event("backup.recorded").summary == "Backup of Production failed on 2026-11-19 19:00 UTC"
        counting = {row.kind: row.done_at for row in RecoveryRecord.objects.counting()}
        assert counting == dict.fromkeys(("BACKUP", "RESTORE_TEST", "RECOVERY_TEST"), NOW)
        assert failed.sentence == "It failed"
        with pytest.raises(Error), transaction.atomic():
            failed.delete()


@pytest.mark.django_db(transaction=True)
def test_a_job_that_tells_twice_at_once_is_kept_once(world: World) -> None:
    results = at_once(world, *[lambda: record(world)] * 4)

    assert len({row.pk for row in results}) == 1
    with world.everything():
        assert RecoveryRecord.objects.count() == AuditEvent.objects.filter(kind="backup.recorded").count() == 1


def send(token: str, what: str, body: Any, slug: str = "staging") -> Any:
    address = f"/api/v1/environments/{slug}/{what}"
    headers = {"Authorization": f"Bearer {token}"}
    return Client().post(address, body, content_type="application/json", headers=headers)


@pytest.mark.django_db
def test_a_job_tells_of_refreshes_and_backups(world: World) -> None:
    with world.everything():
        token, other = (make_token(world.cast, scope=scope) for scope in ("records:write", "admission:review"))
    told = {"kind": "ANONYMISED", "refreshed_at": "2026-11-18T02:10:00Z", "source": "production"}
    backup = {"kind": "BACKUP", "done_at": "2026-11-18T03:10:00+01:00", "succeeded": True, **BACKUP}

    refused, first, again = (send(token, "refreshes", told | more) for more in ({}, *[{"evidence": EVIDENCE}] * 2))
    kept = send(token, "recovery", backup, "production")

    assert (refused.status_code, refused.json()["code"]) == (422, "evidence_missing")
    assert [first.status_code, again.status_code, kept.status_code] == [201, 200, 201]
    assert first.json() == again.json()
    gone = {"removed_at": "2026-11-18T04:10:00Z"}
    removed = [send(token, "removals", body) for body in (gone, gone, {"removed_at": "2026-11-18T05:10:00Z"})]
    assert [answer.status_code for answer in removed] == [201, 200, 409]
    assert removed[0].json() == removed[1].json() == {**removed[0].json(), "removed_at": "2026-11-18T04:10:00+00:00"}
    assert removed[2].json()["code"] == "nothing_to_remove"
    assert kept.json()["done_at"] == "2026-11-18T03:10:00+01:00"
    assert send(other, "recovery", backup, "production").status_code == 403
    assert Client().post("/api/v1/environments/qa/recovery", backup, content_type="application/json").status_code == 401
    assert Client().get("/api/v1/environments/qa/recovery").status_code == 405
    with world.everything():
        assert last_event("backup.recorded").actor_type == "TOKEN"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("what", "more", "slug", "answer"),
    [
        ("recovery", {"done_at": "yesterday"}, "production", (422, "must be a time such as")),
        ("recovery", {"done_at": "2026-11-18T02:10:00"}, "production", (422, "a time with a zone")),
        ("recovery", {"kept_daily": "30"}, "production", (422, "kept_daily must be a whole number")),
        ("recovery", {"size": 3}, "production", (422, "There is no field size.")),
        ("recovery", {"evidence": {"url": ""}}, "production", (422, "There is no field url.")),
        ("recovery", {}, "north-bank", (404, "no environment north-bank")),
        ("refreshes", {}, "staging", (422, "There is no field done_at")),
        ("removals", {}, "staging", (422, "There is no field done_at")),
    ],
)
def test_a_job_that_tells_it_wrongly_is_told_what(world: World, what: str, more: Any, slug: str, answer: Any) -> None:
    with world.everything():
        token = make_token(world.cast, scope="records:write")
    body = {"kind": "BACKUP", "done_at": "2026-11-18T02:10:00Z", "succeeded": True, **BACKUP}

    response = send(token, what, body | more, slug)

    assert (response.status_code, answer[1] in response.json()["detail"]) == (answer[0], True), response.json()
    with world.everything():
        assert not RecoveryRecord.objects.exists()
