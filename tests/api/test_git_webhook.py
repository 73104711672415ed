"""POST /api/v1/webhooks/git/<service>: a push is verified, written down, built, and brought to Staging by itself."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.utils import timezone

from apps.api import runner
from apps.api.identities import webhook_secret
from apps.approvals.models import Promotion
from apps.audit.models import AuditEvent
from apps.deployments.executors.configured import artifact_store
from apps.integrations.git_repository import GitRepository
from apps.releases.enums import PushState, ReleaseKind, ReleaseState
from apps.releases.models import PushedCommit, Release
from tests.cast import NOW
from tests.reported import reported
from tests.world import HOSTILE, World, last_event, make_service

URL = "/api/v1/webhooks/git/greeter"
COMMIT = "a" * 40


def event(ref: str = "refs/tags/v1.1.0", commit: str = COMMIT, **fields: Any) -> dict[str, Any]:
    person = {"name": "Platform developer", "email": "developer@example.com"}
    return {
        "ref": ref,
        "deleted": False,
        "repository": {"name": "greeter", "pushed_at": int(timezone.now().timestamp())},
        "pusher": person,
        "head_commit": {"id": commit, "author": person, "committer": person},
    } | fields


def push(world: World, payload: Mapping[str, Any] | None = None, **options: Any) -> Any:
    body = options.get("raw") or json.dumps(payload if payload is not None else event()).encode()
    secret = options.get("secret") or webhook_secret(world.service.pk)
    headers = {
        "X-GitHub-Event": options.get("kind", "push"),
        "X-GitHub-Delivery": options.get("delivery") or str(uuid4()),
        "X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
    } | options.get("headers", {})
    return Client().post(options.get("url", URL), body, content_type="application/json", headers=headers)


def test_a_signed_push_is_written_down_and_waits_to_be_built(world: World) -> None:
    answer = push(world)

    assert answer.status_code == 202
    with world.everything():
        pushed = PushedCommit.objects.get()
        assert (pushed.state, pushed.name, pushed.commit) == (PushState.RECEIVED, "v1.1.0", COMMIT)
        received = last_event("push.received")
        assert (received.source["via"], received.target_id) == ("webhook", str(pushed.pk))
        assert answer.json()["id"] == str(pushed.pk)


def test_the_secret_is_of_the_service_and_of_the_installation(world: World) -> None:
    secret = webhook_secret(world.service.pk)

    expected = hmac.new(settings.SECRET_KEY.encode(), f"webhook:{world.service.pk}".encode(), "sha256").hexdigest()
    assert secret == expected


@pytest.mark.parametrize(
    "options",
    [
        {"secret": "wrong"},
        {"headers": {"X-Hub-Signature-256": ""}},
        {"headers": {"X-Hub-Signature-256": "sha1=abc"}},
        {"headers": {"X-Hub-Signature-256": "sha256=ü"}},
        {"url": "/api/v1/webhooks/git/nowhere"},
    ],
)
def test_who_does_not_sign_learns_nothing(world: World, options: dict[str, Any]) -> None:
    answer = push(world, **options)

    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    with world.everything():
        assert not PushedCommit.objects.exists()


def test_the_signature_covers_the_raw_bytes(world: World) -> None:
    spaced = json.dumps(event(), indent=2).encode()

    assert push(world, raw=spaced).status_code == 202


def test_another_service_s_secret_does_not_open_this_one(world: World) -> None:
    other = make_service(world.cast.platform, "other")

    assert push(world, secret=webhook_secret(other.pk)).status_code == 401


def test_a_delivery_comes_once(world: World) -> None:
    first = push(world, delivery="one")
    again = push(world, event(commit="b" * 40), delivery="one")

    assert (first.status_code, again.status_code, again.json()["code"]) == (202, 409, "push_known")


def test_the_same_bytes_under_another_name_are_the_same_push(world: World) -> None:
    body = json.dumps(event()).encode()

    assert push(world, raw=body).status_code == 202
    assert push(world, raw=body).status_code == 409
    with world.everything():
        assert PushedCommit.objects.count() == 1


@pytest.mark.parametrize("minutes", [-6, 6])
def test_an_old_push_is_not_believed(world: World, minutes: int) -> None:
    moment = int((timezone.now() + timedelta(minutes=minutes)).timestamp())

    answer = push(world, event(repository={"pushed_at": moment}))

    assert (answer.status_code, answer.json()["code"]) == (400, "push_stale")


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"ref": "refs/heads/../x"}, 422),
        ({"ref": "main"}, 422),
        ({"commit": "abc"}, 422),
        ({"commit": "A" * 40}, 422),
        ({"pusher": {}}, 422),
        ({"pusher": {"name": "a\x00b"}}, 422),
        ({"repository": {}}, 422),
        ({"repository": {"pushed_at": 1 << 60}}, 400),
        ({"repository": {"pushed_at": True}}, 422),
        ({"head_commit": None}, 422),
    ],
)
def test_a_malformed_push_changes_nothing(world: World, changes: dict[str, Any], status: int) -> None:
    answer = push(world, event(**changes))

    assert answer.status_code == status
    assert answer["Content-Type"] == "application/problem+json"
    with world.everything():
        assert not PushedCommit.objects.exists()
        assert last_event("access.refused").actor_label == "Git webhook of Greeter"


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"ref": "refs/heads/main"}, "push"),
        ({"ref": "refs/tags/vintage"}, "push"),
        ({"deleted": True, "head_commit": None}, "push"),
        ({}, "ping"),
    ],
)
def test_what_becomes_no_release_is_answered_and_forgotten(world: World, changes: dict[str, Any], kind: str) -> None:
    answer = push(world, event(**changes), kind=kind)

    assert answer.status_code == 200
    with world.everything():
        assert not PushedCommit.objects.exists()


def test_an_empty_push_changes_nothing(world: World) -> None:
    assert push(world, {}).status_code == 422


def test_a_large_push_is_not_read(world: World) -> None:
    assert push(world, raw=b" " * 1_000_001).status_code == 413


def test_only_post_is_answered(world: World) -> None:
    assert Client().get(URL).status_code == 405


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_kept_as_they_are(world: World, text: str) -> None:
    answer = push(world, event(pusher={"name": text}))

    assert answer.status_code == 202
    with world.everything():
        assert PushedCommit.objects.get().pusher_label == text


def pushed(world: World, ref: str, commit: str, *, email: str = "") -> PushedCommit:
    """Push, and let the portal work on it as its worker does."""
    person = {"name": "Platform developer", "email": email}
    push(world, event(ref, commit, head_commit={"id": commit, "author": person, "committer": person}))
    with world.everything():
        row = PushedCommit.objects.latest("received_at")
        runner.work_on(row.pk, now=timezone.now())
        row.refresh_from_db()
        return row


def test_a_tag_becomes_a_sealed_release_with_its_changes(world: World, repository: GitRepository) -> None:
    row = pushed(world, "refs/tags/v1.0.1", repository.resolve("v1.0.1"))

    with world.everything():
        assert (row.state, row.outcome) == (PushState.BUILT, "")
        release = row.release
        assert (release.version, release.kind, release.state) == ("1.0.1", ReleaseKind.PATCH, ReleaseState.SEALED)
        assert (release.tag, release.author_label) == ("v1.0.1", "Release engineer")
        assert "answer an unknown path with 404" in [change.text for change in release.changes.all()]
        assert release.artifact.manifest["wheels"][0]["source"] == "build"
        assert not Promotion.objects.exists()


def test_who_committed_is_known_so_that_they_cannot_approve(world: World, repository: GitRepository) -> None:
    manager = world.cast.engineering_manager
    with world.everything():
        manager.email = "manager@example.com"
        manager.save(update_fields=["email"])

    row = pushed(world, "refs/tags/v1.0.1", repository.resolve("v1.0.1"), email="manager@example.com")

    assert (row.release.author, row.release.committer) == (manager, manager)


def test_a_push_to_develop_is_a_pre_release_that_goes_to_dev_by_itself(world: World, repository: GitRepository) -> None:
    row = pushed(world, "refs/heads/develop", repository.resolve("develop"))

    with world.everything():
        assert (row.release.version, row.release.kind) == ("2.0.0-develop.1", ReleaseKind.PRERELEASE)
        asked = Promotion.objects.get()
        assert (asked.lane, asked.release, asked.requested_by) == (world.lane(world.dev), row.release, None)
        assert asked.starts_by_itself


def test_a_second_push_to_develop_gets_the_next_number(world: World, repository: GitRepository) -> None:
    pushed(world, "refs/heads/develop", repository.resolve("v2.3.0"))
    row = pushed(world, "refs/heads/develop", repository.resolve("develop"))

    assert row.release.version == "2.0.0-develop.2"


def complete(world: World) -> None:
    """End the one open promotion as if its deployment had succeeded; deployments have tests of their own."""
    from apps.approvals import actions as approval_actions
    from apps.audit.actors import SYSTEM

    promotion = Promotion.objects.open().get()
    reported(promotion.release)
    approval_actions.mark(promotion, "DEPLOYING", by=SYSTEM, now=NOW)
    approval_actions.mark(promotion, "COMPLETED", by=SYSTEM, now=NOW)


def test_it_goes_on_to_staging_and_never_to_production(world: World, repository: GitRepository) -> None:
    row = pushed(world, "refs/heads/develop", repository.resolve("develop"))

    with world.everything():
        for _ in range(4):
            if Promotion.objects.open().exists():
                complete(world)
            runner.build_due(now=timezone.now())
        row.refresh_from_db()

        places = Promotion.objects.order_by("number").values_list("lane__environment__slug", flat=True)
        assert list(places) == ["dev", "qa", "staging"]
        assert row.followed_at is not None


def test_what_is_built_is_where_gates_look_for_it(settings, tmp_path: Path) -> None:
    """Whoever asked for the store first must not decide where it is for everybody after: a build went there alone."""
    before = artifact_store().root
    settings.ARTIFACT_DIR = tmp_path

    assert artifact_store().root == tmp_path != before


def test_it_stops_where_a_promotion_does_not_get_through(world: World, repository: GitRepository) -> None:
    from apps.approvals import actions as approval_actions

    row = pushed(world, "refs/heads/develop", repository.resolve("develop"))

    with world.everything():
        approval_actions.withdraw(
            Promotion.objects.open().get(), reason="Not today", by=world.cast.devops, now=timezone.now()
        )
        runner.build_due(now=timezone.now())
        row.refresh_from_db()

        assert row.outcome.startswith("Withdrawn in Dev")
        assert Promotion.objects.count() == 1


@pytest.mark.parametrize(
    ("ref", "commit", "told"),
    [
        ("refs/tags/v9.9.9", "a" * 40, "The repository has no tags/v9.9.9"),
        ("refs/tags/v1.0.1", "v1.1.0", "another commit"),
        ("refs/heads/develop", "b" * 40, "The repository has no bbbb"),
        ("refs/tags/v1.0", "v1.0", "is not a version"),
        ("refs/tags/v1.0.0", "v1.0.0", "sha256:"),
    ],
)
def test_what_cannot_be_built_is_refused_for_good(
    world: World, repository: GitRepository, ref: str, commit: str, told: str
) -> None:
    if commit == "v1.0":
        repository.run("tag", "v1.0", repository.resolve("v1.0.1"))
    commit = repository.resolve(commit) if commit.startswith("v") else commit

    row = pushed(world, ref, commit)

    with world.everything():
        assert (row.state, row.release) == (PushState.REFUSED, None)
        assert told in row.outcome or "another commit" in row.outcome
        assert last_event("release.refused").target_id == str(row.pk)
        assert list(Release.objects.values_list("version", flat=True)) == ["1.0.0"]


def test_a_lost_hint_is_found_again(world: World, repository: GitRepository) -> None:
    push(world, event("refs/tags/v1.0.1", repository.resolve("v1.0.1")))

    with world.everything():
        assert runner.build_due(now=timezone.now()) == 1
        assert PushedCommit.objects.get().state == PushState.BUILT
        assert runner.build_due(now=timezone.now()) == 0


def test_a_push_that_somebody_builds_is_left_to_them(world: World, repository: GitRepository) -> None:
    push(world, event("refs/tags/v1.0.1", repository.resolve("v1.0.1")))
    with world.everything():
        row = PushedCommit.objects.get()
        assert PushedCommit.objects.filter(pk=row.pk).claim(timedelta(minutes=4))

        runner.work_on(row.pk, now=timezone.now())

        assert not PushedCommit.objects.filter(pk=row.pk).claim(timedelta(minutes=4))
        assert PushedCommit.objects.get().state == PushState.RECEIVED
        with connection.cursor() as cursor:
            cursor.execute("UPDATE releases_pushedcommit SET claimed_until = clock_timestamp() - interval '1 second'")
        runner.work_on(row.pk, now=timezone.now())
        assert PushedCommit.objects.get().state == PushState.BUILT


def test_no_other_workspace_sees_a_push(world: World) -> None:
    push(world)
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('app.workspaces', %s, true)", [str(world.cast.elsewhere.pk)])

    assert not PushedCommit.objects.exists()
    assert not AuditEvent.objects.filter(kind="push.received").exists()
