"""/api/v1/exports: a program asks for an export of its workspace's trail, looks how far it is, and downloads it."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.audit import actions as audit
from apps.audit.actors import SYSTEM
from apps.audit.models import AuditEvent
from apps.compliance.exports.run import see_to_exports
from apps.workspaces import actions as workspace_actions
from apps.workspaces.scope import workspace_scope
from tests.cast import Cast

pytestmark = pytest.mark.django_db(transaction=True)
ADDRESS = "/api/v1/exports"


@pytest.fixture(autouse=True)
def kept_in(settings: Any, tmp_path: Path) -> None:
    settings.EXPORT_DIR = tmp_path / "exports"


def token(cast: Cast, scope: str = "audit:export") -> str:
    with workspace_scope([cast.platform.pk]):
        _, text = workspace_actions.create_token(
            cast.platform, name="Archive", scopes=[scope], days=30, now=timezone.now(),
            by=cast.auditor if scope == "audit:export" else cast.devops,
        )  # fmt: skip
        audit.record("release.sealed", by=SYSTEM, target=None, summary="Something happened")
    return text


def send(client: Client, text: str, body: object) -> Any:
    return client.post(ADDRESS, body, content_type="application/json", headers={"Authorization": f"Bearer {text}"})


def test_a_program_gets_its_export(client: Client, cast: Cast) -> None:
    text = token(cast)
    headers = {"Authorization": f"Bearer {text}"}

    asked = send(client, text, {"form": "jsonl", "filters": {"kind": "release.sealed"}})
    assert asked.status_code == 202, asked.content
    page = asked["Location"]
    assert client.get(page, headers=headers).json()["state"] == "QUEUED"
    assert client.get(f"{page}/file", headers=headers).status_code == 409
    see_to_exports()

    told = client.get(page, headers=headers).json()
    assert (told["state"], told["rows"], told["token"]) == ("DONE", 1, "Archive")
    part = client.get(f"{page}/file", headers={**headers, "Range": "bytes=0-0"})
    assert (part.status_code, b"".join(part.streaming_content)) == (206, b"{")
    assert [each["id"] for each in client.get(ADDRESS, headers=headers).json()["exports"]] == [told["id"]]
    with workspace_scope([cast.platform.pk]):
        event = AuditEvent.objects.get(kind="export.downloaded")
    assert (event.actor_type, event.actor["on_behalf_of"]) == ("TOKEN", str(cast.auditor.pk))


@pytest.mark.parametrize("form", ["CSV", "PARQUET", "BUNDLE"])
def test_a_program_gets_each_form_by_the_first_worker_that_takes_it(client: Client, cast: Cast, form: str) -> None:
    text = token(cast)
    page = send(client, text, {"form": form})["Location"]

    see_to_exports()

    told = client.get(page, headers={"Authorization": f"Bearer {text}"}).json()
    assert (told["state"], told["token"]) == ("DONE", "Archive")


def test_only_the_token_that_asked_finds_it_and_only_with_its_scope(client: Client, cast: Cast) -> None:
    first, second, other = token(cast), token(cast), token(cast, "alerts:write")
    page = send(client, first, {"form": "CSV"})["Location"]

    assert send(client, other, {"form": "CSV"}).status_code == 403
    assert client.get(page, headers={"Authorization": f"Bearer {second}"}).status_code == 404
    assert client.get(page).status_code == 401
    assert client.delete(ADDRESS).status_code == 405


def test_what_can_not_be_made_is_refused_in_words(client: Client, cast: Cast) -> None:
    text = token(cast)
    for body in (
        {"form": "exe"},
        {"form": 1},
        {"form": "CSV", "filters": []},
        {"form": "CSV", "filters": {"since": "yesterday"}},
        {"form": "CSV", "filters": {"colour": "red"}},
        {"form": "CSV", "more": 1},
    ):
        answer = send(client, text, body)

        assert (answer.status_code, answer["Content-Type"]) == (422, "application/problem+json"), body
        assert answer.json()["detail"]
