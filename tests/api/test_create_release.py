"""POST /api/v1/releases: what a pipeline does with a token."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from apps.api.models import IdempotentRequest
from apps.audit.models import AuditEvent
from apps.changelogs.models import ChangelogEntry
from apps.integrations.git_repository import GitRepository
from apps.releases.enums import ArtifactKind, ReleaseState
from apps.releases.models import Artifact, Release
from apps.workspaces import actions as workspace_actions
from tests import charts
from tests.cast import Cast
from tests.world import HOSTILE, World, last_event, make_manifest, make_service

URL = "/api/v1/releases"
Post = Callable[..., Any]


@pytest.fixture
def token(world: World) -> str:
    with world.everything():
        return make_token(world.cast)


def make_token(cast: Cast, *, days: int = 30, now: Any = None) -> str:
    _, text = workspace_actions.create_token(
        cast.platform,
        name="Pipeline",
        scopes=["release:create"],
        days=days,
        by=cast.release_engineer,
        now=now or timezone.now(),
    )
    return text


def post(text: str | None, body: Any = None, *, key: str = "", raw: bytes | None = None, **headers: str) -> Any:
    more = {"Authorization": f"Bearer {text}"} if text else {}
    more |= {"Idempotency-Key": key} if key else {}
    data = raw if raw is not None else json.dumps(body if body is not None else release_body())
    return Client().post(URL, data, content_type="application/json", headers=more | headers)


def release_body(version: str = "1.1.0", **fields: Any) -> dict[str, Any]:
    return {"service": "greeter", "version": version, "manifest": make_manifest(version=version), **fields}


def test_a_tag_that_the_repository_does_not_have_is_refused(
    world: World, token: str, repository: GitRepository
) -> None:
    answer = post(token, release_body(tag="release-1.1.0"))

    assert (answer.status_code, answer.json()["code"]) == (422, "tag_unknown")
    assert not Release.objects.filter(version="1.1.0").exists()


def test_a_token_creates_and_seals_a_release(world: World, token: str) -> None:
    answer = post(token, release_body(kind="MINOR", changes=[{"text": "Greet by name", "kind": "FEATURE"}]))

    assert answer.status_code == 201
    assert answer["Location"] == "/releases/greeter/1.1.0/"
    with world.everything():
        release = Release.objects.get(version="1.1.0")
        assert (release.state, release.created_by_label) == (ReleaseState.SEALED, "Pipeline")
        assert answer.json()["content_hash"] == release.content_hash
        assert ChangelogEntry.objects.get(release=release).text == "Greet by name"
        event = last_event("release.sealed")
        assert (event.actor_type, event.actor_label, event.source["via"]) == ("TOKEN", "Pipeline", "api")


def test_a_chart_is_released_by_the_same_call_and_wheels_are_no_chart(world: World, token: str) -> None:
    with world.everything():
        make_service(world.cast.platform, "orders", program=charts.NAME, artifact_kind=ArtifactKind.CHART)
    manifest = charts.manifest_of("1.1.0", charts.archive("1.1.0"))

    refused = post(token, release_body(service="orders"))
    answer = post(token, release_body(service="orders", manifest=manifest))

    assert (refused.status_code, refused.json()["code"]) == (422, "release_invalid")
    assert answer.status_code == 201, answer.json()
    with world.everything():
        assert Artifact.objects.get(release__service__slug="orders").digest == f"sha256:{manifest['chart']['sha256']}"


def test_the_author_is_known_by_address_so_that_they_cannot_approve(world: World, token: str) -> None:
    author = world.cast.engineering_manager
    with world.everything():
        author.email = "manager@example.com"
        author.save(update_fields=["email"])

    post(token, release_body(author_email="Manager@example.com"))

    with world.everything():
        assert Release.objects.get(version="1.1.0").author == author


def test_the_same_key_gives_the_same_answer_and_one_release(world: World, token: str) -> None:
    first = post(token, key="build-17")
    again = post(token, key="build-17")

    assert (again.status_code, again.json()) == (201, first.json())
    assert "Idempotency-Replayed" not in first
    assert again["Idempotency-Replayed"] == "true"
    with world.everything():
        assert Release.objects.filter(version="1.1.0").count() == 1


def test_a_key_is_not_for_another_body(world: World, token: str) -> None:
    post(token, key="build-17")
    answer = post(token, release_body("1.2.0"), key="build-17")

    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    with world.everything():
        assert not Release.objects.filter(version="1.2.0").exists()


def test_a_refused_request_keeps_no_key(world: World, token: str) -> None:
    refused = post(token, release_body("0.9.0"), key="build-17")
    answer = post(token, release_body("1.1.0"), key="build-17")

    assert (refused.status_code, answer.status_code) == (409, 201)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (release_body("1.0.0"), 409, "version_exists"),
        (release_body("1.0.0", manifest=make_manifest(content="other")), 409, "version_taken"),
        (release_body("0.9.0"), 409, "version_lower"),
        (release_body("1.1"), 422, "version_invalid"),
        (release_body("v1.1.0"), 422, "version_invalid"),
        (release_body(kind="PATCH"), 422, "release_invalid"),
        (release_body(service="nowhere"), 404, "unknown_service"),
        (release_body(commit="main"), 422, "release_invalid"),
        (release_body(manifest={"program": "greeter", "wheels": []}), 422, "release_invalid"),
        (release_body(manifest="greeter"), 422, "field_invalid"),
        (release_body(published_date="yesterday"), 422, "field_invalid"),
        (release_body(changes=["text"]), 422, "changes_invalid"),
        (release_body(changes=[{"kind": "FEATURE"}]), 422, "changes_invalid"),
        (release_body(changes=[{"text": 7}]), 422, "changes_invalid"),
        (release_body(sealed=True), 422, "field_invalid"),
        (release_body(notes="a\x00b"), 422, "text_invalid"),
        (release_body() | {"service": "greeter\x00"}, 422, "text_invalid"),
        (release_body(author_email="a\x00@example.com"), 422, "text_invalid"),
        ({"service": "greeter"}, 422, "field_invalid"),
        ([], 400, "body_unreadable"),
    ],
)
def test_what_cannot_be_released_is_told_as_a_problem_and_changes_nothing(
    world: World, token: str, body: Any, status: int, code: str
) -> None:
    answer = post(token, body)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer["Content-Type"] == "application/problem+json"
    assert set(answer.json()) == {"type", "title", "status", "detail", "code"}
    with world.everything():
        assert list(Release.objects.values_list("version", flat=True)) == ["1.0.0"]
        refusal = last_event("access.refused")
        assert (refusal.actor_label, refusal.outcome) == ("Pipeline", "REFUSED")


def test_another_digest_is_refused_with_both_named(world: World, token: str) -> None:
    answer = post(token, release_body("1.0.0", manifest=make_manifest(content="other")))

    assert world.release.artifact_digest in answer.json()["detail"]
    assert answer.json()["detail"].count("sha256:") == 2


@pytest.mark.parametrize("raw", [b"{", b"\xff", b"NaN", b"[" * 100_000, b'{"service": NaN}'])
def test_a_body_that_is_no_json_is_refused(world: World, token: str, raw: bytes) -> None:
    assert post(token, raw=raw).status_code == 400


def test_a_body_over_a_megabyte_is_refused(world: World, token: str) -> None:
    assert post(token, raw=b" " * 1_000_001).status_code == 413


@pytest.mark.parametrize("text", [None, "", "eaip_wrong", "\x00", "ü" * 40])
def test_without_a_valid_token_nothing_is_told(world: World, text: str | None) -> None:
    answer = post(text, **({"Authorization": "Basic abc"} if text == "" else {}))

    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Bearer"


def test_an_expired_token_is_no_token(world: World) -> None:
    with world.everything():
        text = make_token(world.cast, days=1, now=timezone.now() - timedelta(days=2))

    assert post(text).status_code == 401


def test_a_revoked_token_is_no_token(world: World) -> None:
    with world.everything():
        token, text = workspace_actions.create_token(
            world.cast.platform,
            name="Pipeline",
            scopes=["release:create"],
            days=1,
            by=world.cast.release_engineer,
            now=timezone.now(),
        )
        workspace_actions.revoke_token(token, by=world.cast.release_engineer, now=timezone.now())

    assert post(text).status_code == 401


def test_a_token_of_another_workspace_finds_no_service(world: World) -> None:
    with world.everything():
        _, text = workspace_actions.create_token(
            world.cast.elsewhere,
            name="Stranger",
            scopes=["release:create"],
            days=1,
            by=world.cast.outsider,
            now=timezone.now(),
        )

    answer = post(text)

    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_service")


def test_a_token_without_the_scope_is_denied(world: World, token: str) -> None:
    with world.everything(), connection.cursor() as cursor:
        cursor.execute("UPDATE workspaces_apitoken SET scopes = '{}'")

    answer = post(token)

    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")


def test_a_session_is_not_asked_for_and_not_believed(world: World) -> None:
    browser = Client()
    browser.force_login(world.cast.release_engineer)

    answer = browser.post(URL, json.dumps(release_body()), content_type="application/json")

    assert answer.status_code == 401


def test_a_form_of_another_site_is_not_read(world: World, token: str) -> None:
    answer = Client().post(URL, release_body(), headers={"Authorization": f"Bearer {token}"})

    assert answer.status_code == 415


def test_only_post_is_answered(world: World) -> None:
    answer = Client().get(URL)

    assert (answer.status_code, answer["Allow"]) == (405, "POST")
    assert answer.json()["code"] == "method_not_allowed"


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_notes_are_kept_as_they_are(world: World, token: str, text: str) -> None:
    answer = post(token, release_body(notes=text, author=text, changes=[{"text": text}]))

    assert answer.status_code == 201
    with world.everything():
        assert Release.objects.get(version="1.1.0").notes == text


@pytest.mark.django_db(transaction=True)
def test_ten_requests_with_one_key_at_once_make_one_release(world: World) -> None:
    with world.everything():
        token = make_token(world.cast)

    def ask(_: int) -> tuple[int, str]:
        try:
            answer = post(token, key="build-17")
            return answer.status_code, answer.json()["id"]
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as threads:
        answers = set(threads.map(ask, range(10)))

    assert len(answers) == 1
    assert next(iter(answers))[0] == 201
    with world.everything():
        assert Release.objects.filter(version="1.1.0").count() == 1
        assert IdempotentRequest.objects.count() == 1
        assert AuditEvent.objects.filter(kind="release.sealed", summary__contains="1.1.0").count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_version_is_released_once_however_many_ask(world: World) -> None:
    with world.everything():
        token = make_token(world.cast)

    def ask(number: int) -> int:
        try:
            body = release_body(manifest=make_manifest(version="1.1.0", content=str(number)))
            return post(token, body).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        answers = sorted(threads.map(ask, range(8)))

    assert answers == [201] + [409] * 7
