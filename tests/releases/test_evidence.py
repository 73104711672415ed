"""Evidence: kept once, with its original, bound to what the release was sealed with; by programs and by people."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import Error, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.html import escape

from apps.integrations.artifact_store import ArtifactStore, StoreFull
from apps.releases import actions, reports
from apps.releases.actions.evidence import EvidenceInvalid
from apps.releases.models import Evidence
from tests.api.test_create_release import make_token
from tests.cast import NOW
from tests.drill import HTMX, get, post, signed_in, text_of
from tests.world import HOSTILE, World, last_event, make_manifest

GOOD = b'<testsuite><testcase name="a"/><testcase name="b"/></testsuite>'
BAD = b'<testsuite><testcase name="a"><failure/></testcase></testsuite>'
API = "/api/v1/releases/greeter/1.0.0/evidence"


@pytest.fixture(autouse=True)
def store(settings: Any, tmp_path: Path) -> ArtifactStore:
    settings.ARTIFACT_DIR = tmp_path / "artifacts"
    return ArtifactStore(settings.ARTIFACT_DIR)


@pytest.fixture
def token(world: World) -> str:
    with world.everything():
        return make_token(world.cast)


def address(world: World, name: str = "evidence-list", *more: object) -> str:
    return reverse(f"releases:{name}", args=[world.service.slug, world.release.version, *more])


def send(token: str, report: bytes, query: str = "kind=JUNIT&suite=UNIT", url: str = API, **headers: str) -> Any:
    more = {"Authorization": f"Bearer {token}", **headers}
    return Client().post(f"{url}?{query}", report, content_type="application/xml", headers=more)


def keep(world: World, report: bytes = GOOD, **more: Any) -> Evidence:
    with world.everything():
        values = {"kind": "JUNIT", "suite": "UNIT", "by": world.cast.release_engineer, "now": NOW, **more}
        return actions.keep_evidence(world.release, report=report, **values)[0]


@pytest.mark.django_db
def test_a_pipeline_reports_its_tests(world: World, token: str, store: ArtifactStore) -> None:
    answer = send(token, GOOD, "kind=junit&suite=unit&environment=staging")

    assert answer.status_code == 201, answer.content
    told = answer.json()
    assert (told["says"], told["artifact_digest"]) == ("2 of 2 passed", world.release.artifact_digest)
    assert store.path(told["sha256"]).read_bytes() == GOOD
    with world.everything():
        found = Evidence.objects.get(pk=told["id"])
        assert (found.environment, found.received_from_label) == (world.staging, "Pipeline")
        event = last_event("evidence.received")
    assert (event.actor_label, event.target_id, event.change["sha256"]["after"]) == (
        "Pipeline", str(found.pk), told["sha256"],
    )  # fmt: skip


@pytest.mark.django_db
def test_the_same_report_is_kept_once(world: World, token: str) -> None:
    first, again = send(token, GOOD), send(token, GOOD)
    other = send(token, GOOD, "kind=JUNIT&suite=INTEGRATION")

    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 201)
    assert again.json() == first.json()
    with world.everything():
        assert Evidence.objects.count() == 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("query", "report", "status", "code", "said"),
    [
        ("kind=JUNIT&suite=UNIT", b"<testsuite", 422, "evidence_invalid", "not XML"),
        ("kind=JUNIT", GOOD, 422, "evidence_invalid", "which tests ran"),
        ("kind=PDF", GOOD, 422, "evidence_invalid", "no kind"),
        ("kind=LCOV&suite=UNIT", GOOD, 422, "evidence_invalid", "Only tests"),
        ("kind=JUNIT&suite=UNIT&environment=mars", GOOD, 404, "unknown_environment", "no such environment"),
        ("kind=JUNIT&suite=UNIT&sweet=1", GOOD, 422, "field_invalid", "no sweet"),
        ("kind=JUNIT&suite=UNIT&artifact_digest=sha256:00", GOOD, 409, "digest_differs", "was sealed with"),
        ("kind=JUNIT&suite=UNIT", b"x" * (reports.LIMIT + 1), 413, "body_too_large", "larger than"),
    ],
)
def test_what_can_not_be_kept_is_refused_and_leaves_nothing(
    world: World, token: str, store: ArtifactStore, query: str, report: bytes, status: int, code: str, said: str
) -> None:
    answer = send(token, report, query)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert said in answer.json()["detail"]
    assert not store.root.exists()
    with world.everything():
        assert not Evidence.objects.exists()


@pytest.mark.django_db
def test_an_unknown_release_a_draft_and_a_stranger_are_refused(world: World, token: str) -> None:
    assert send(token, GOOD, url=API.replace("1.0.0", "9.9.9")).json()["code"] == "unknown_release"
    assert send("eaip_wrong", GOOD).status_code == 401
    assert Client().get(API).status_code == 405
    with world.everything():
        draft = actions.create_release(
            world.service, version="1.1.0", manifest=make_manifest(version="1.1.0"), source="FORM",
            by=world.cast.release_engineer, now=NOW,
        )  # fmt: skip
    assert send(token, GOOD, url=API.replace("1.0.0", draft.version)).json()["code"] == "release_not_sealed"


@pytest.mark.django_db
def test_a_full_disk_is_said_and_nothing_is_kept(world: World, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object, **_more: object) -> None:
        raise StoreFull("The disk of the artifact store is full; nothing was kept.")

    monkeypatch.setattr(ArtifactStore, "put", full)
    answer = send(token, GOOD)

    assert (answer.status_code, answer.json()["code"]) == (507, "store_full")
    with world.everything():
        assert not Evidence.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("change", ["UPDATE releases_evidence SET suite = 'UNIT'", "DELETE FROM releases_evidence"])
def test_what_was_received_never_changes(world: World, change: str) -> None:
    keep(world)

    with world.everything(), pytest.raises(Error, match="can not be changed"), transaction.atomic():
        connection.cursor().execute(change)


@pytest.mark.django_db
def test_a_person_adds_a_report_and_everybody_of_the_workspace_reads_it(world: World) -> None:
    file = SimpleUploadedFile("junit.xml", BAD)
    given = {"kind": "JUNIT", "suite": "END_TO_END", "environment": str(world.qa.pk), "report": file}

    assert post(world.cast.release_engineer, address(world, "evidence-create"), given).status_code == 302

    page = text_of(get(world.cast.auditor, address(world)))
    release = text_of(get(world.cast.auditor, address(world, "release-detail")))
    assert "0 of 1 passed, 1 failed" in page
    assert "Add the report" not in page
    assert "0 of 1 passed, 1 failed" in release
    assert get(world.cast.outsider, address(world)).status_code == 404


@pytest.mark.django_db
def test_a_form_that_can_not_be_read_stays_on_the_page(world: World) -> None:
    url = address(world, "evidence-create")

    wrong = post(world.cast.release_engineer, url, {"kind": "LCOV", "report": SimpleUploadedFile("a", b"<a>")})
    empty = post(world.cast.release_engineer, url, {"kind": "LCOV"})

    assert (wrong.status_code, empty.status_code) == (422, 422)
    assert "holds no line of code" in text_of(wrong)
    assert post(world.cast.auditor, url, {"kind": "LCOV"}).status_code == 403
    assert get(world.cast.devops, url).status_code == 405


@pytest.mark.django_db
def test_a_form_that_is_far_too_large_is_refused_before_it_is_read(world: World) -> None:
    client = signed_in(world.cast.release_engineer)

    answer = client.post(address(world, "evidence-create"), {}, headers={"Content-Length": str(1 << 30)})

    assert answer.status_code == 413
    assert "At most" in text_of(answer)


@pytest.mark.django_db
def test_the_original_comes_back_as_it_was_and_is_never_shown_as_a_page(world: World) -> None:
    found = keep(world, b'<testsuite><testcase name="&lt;script&gt;"><failure/></testcase></testsuite>')

    answer = get(world.cast.auditor, address(world, "evidence-original", found.pk))

    assert b"".join(answer.streaming_content).startswith(b"<testsuite>")
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["Content-Disposition"].startswith("attachment")
    assert "&lt;script&gt;" in text_of(get(world.cast.auditor, address(world)))
    assert get(world.cast.outsider, address(world, "evidence-original", found.pk)).status_code == 404


@pytest.mark.django_db
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_shown_as_text(world: World, name: str) -> None:
    case = ElementTree.Element("testcase", name="".join(char for char in name if char.isprintable()))
    ElementTree.SubElement(case, "failure")
    keep(world, b"<testsuite>" + ElementTree.tostring(case) + b"</testsuite>")

    page = text_of(get(world.cast.auditor, address(world)))

    assert escape(case.get("name")) in page
    assert "<script>alert" not in page


@pytest.mark.django_db
def test_the_list_costs_the_same_for_many(world: World) -> None:
    def page() -> int:
        with CaptureQueriesContext(connection) as asked:
            get(world.cast.auditor, address(world), **HTMX)
        return len(asked)

    keep(world)
    few = page()
    for number in range(60):
        keep(world, f'<testsuite><testcase name="{number}"/></testsuite>'.encode(), environment=world.qa)

    assert page() == few
    assert "before=" in text_of(get(world.cast.auditor, address(world)))


@pytest.mark.django_db(transaction=True)
def test_of_two_who_send_the_same_at_once_one_keeps_it(world: World) -> None:
    barrier = threading.Barrier(2)

    def send_it(_number: int) -> bool:
        barrier.wait()
        try:
            with world.everything():
                return actions.keep_evidence(
                    world.release, kind="JUNIT", suite="UNIT", report=GOOD, by=world.cast.release_engineer, now=NOW
                )[1]
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(send_it, range(2))) == [False, True]
    with world.everything():
        assert Evidence.objects.count() == 1


@pytest.mark.django_db
def test_an_unreadable_report_says_which_kind_was_expected(world: World) -> None:
    with pytest.raises(EvidenceInvalid, match=r"can't be read as Findings \(SARIF\)"):
        keep(world, json.dumps([]).encode(), kind="SARIF", suite="")
    assert settings.BODY_LIMIT > reports.LIMIT
