"""What the ledger says of who asked and from where, at every door; and what it doesn't believe."""

import json
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client, RequestFactory
from django.urls import reverse

from apps.audit import actions as audit
from apps.audit.actors import SYSTEM, Actor
from apps.audit.fingerprints import fingerprint
from apps.audit.models import AuditEvent
from apps.audit.source import Source, coming_from, task_source
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.workspaces.scope import workspace_scope
from eaip.proxies import address_of, request_id_of
from tests.accounts.factors import register_app
from tests.cast import PASSWORD
from tests.world import World

OURS, THEIRS, FORGED = "10.0.0.7", "203.0.113.9", "198.51.100.1"


def _request(peer: str, hops: str = "", **headers: str) -> Any:
    given = {"HTTP_X_FORWARDED_FOR": hops} if hops else {}
    return RequestFactory().get("/", REMOTE_ADDR=peer, **given, **headers)


@pytest.mark.parametrize(
    ("depth", "peer", "hops", "address"),
    [
        (0, THEIRS, FORGED, THEIRS),
        (0, OURS, FORGED, OURS),
        (1, OURS, THEIRS, THEIRS),
        (1, OURS, f"{FORGED}, {THEIRS}", THEIRS),
        (1, THEIRS, FORGED, THEIRS),  # came past the proxy
        (2, OURS, f"{FORGED}, {THEIRS}, 10.0.0.8", THEIRS),
        (2, OURS, f"{FORGED}, {THEIRS}", THEIRS),  # the second proxy is not there
        (1, OURS, "", OURS),
        (1, OURS, "not an address", OURS),
        (1, "", THEIRS, THEIRS),  # a socket of this machine
        (1, "::ffff:10.0.0.7", THEIRS, THEIRS),
    ],
)
def test_address_is_what_our_proxies_say(settings: Any, depth: int, peer: str, hops: str, address: str) -> None:
    settings.TRUSTED_PROXY_DEPTH = depth

    assert address_of(_request(peer, hops)) == address


@pytest.mark.parametrize(
    ("depth", "peer", "given", "is_taken"),
    [
        (1, OURS, "0123abcd-ef", True),
        (0, OURS, "0123abcd-ef", False),
        (1, THEIRS, "0123abcd-ef", False),
        (1, OURS, "<script>alert", False),
        (1, OURS, "x" * 65, False),
    ],
)
def test_request_id_is_taken_from_our_proxies_alone(
    settings: Any, depth: int, peer: str, given: str, is_taken: bool
) -> None:
    settings.TRUSTED_PROXY_DEPTH = depth

    assert (request_id_of(_request(peer, HTTP_X_REQUEST_ID=given)) == given) is is_taken


def _last(kind: str) -> AuditEvent:
    return AuditEvent.objects.filter(kind=kind).latest("recorded_at")


@pytest.mark.django_db
def test_person_is_named_with_session_and_how_they_signed_in(client: Client, world: World) -> None:
    client.post(reverse("accounts:sign-in"), {"username": "devops", "password": PASSWORD})
    response = client.post(reverse("accounts:theme"), {"theme": "DARK"}, headers={"user-agent": "Browser"})
    key = client.session.session_key
    with world.everything():
        event = _last("profile.changed")

    assert event.actor["method"] == "password"
    assert event.actor["session"] == fingerprint(key)
    assert event.actor["authenticated_at"]
    assert event.source == {
        "via": "page", "ip": "127.0.0.1", "user_agent": "Browser", "request_id": response["X-Request-ID"],
    }  # fmt: skip
    assert key not in bytes(event.canonical).decode()
    assert _last_of(world, "session.started").actor["method"] == "password"


def _last_of(world: World, kind: str) -> AuditEvent:
    with world.everything():
        return _last(kind)


@pytest.mark.django_db
def test_confirmation_is_named_in_what_follows_it(client: Client, world: World) -> None:
    person = world.cast.devops
    client.force_login(person)
    with world.everything():
        register_app(person)
    session = client.session
    session["confirmation"] = [str(person.pk), "TOTP", "2026-11-01T10:00:00+00:00", ""]
    session.save()
    client.post(reverse("accounts:theme"), {"theme": "DARK"})

    actor = _last_of(world, "profile.changed").actor
    assert (actor["confirmed_with"], actor["confirmed_at"]) == ("TOTP", "2026-11-01T10:00:00+00:00")


def test_token_is_named_with_the_person_whom_it_stands_for(db: None) -> None:
    identity = {"id": "7", "method": "token", "token": "7", "on_behalf_of": "a person"}
    event = _recorded(Source(via="api", identify=lambda: identity), by=Actor("TOKEN", "7", "CI"))

    assert event.actor == {
        "type": "TOKEN", "id": "7", "label": "CI", "method": "token", "token": "7", "on_behalf_of": "a person",
    }  # fmt: skip


def test_what_the_portal_does_for_somebody_names_them(db: None) -> None:
    event = _recorded(Source(via="page", identify=lambda: {"id": "a person", "session": "x"}), by=SYSTEM)

    assert event.actor == {
        "type": "SYSTEM", "id": "system", "label": "EAIP Operations", "on_behalf_of": "a person",
    }  # fmt: skip


def test_background_work_names_what_caused_it(db: None) -> None:
    event = _recorded(task_source(deployment_id="d"), by=SYSTEM, causation={"fence": 3})

    assert event.causation == {"deployment_id": "d", "fence": 3}
    assert event.source["via"] == "task"


def _recorded(source: Source, **fields: Any) -> AuditEvent:
    with coming_from(source), workspace_scope([PLATFORM_WORKSPACE_ID]):
        return AuditEvent.objects.get(
            pk=audit.record("release.sealed", target=None, summary="A test wrote this", **fields)
        )


@pytest.mark.django_db
def test_management_command_is_named_with_who_started_it(world: World) -> None:
    with world.everything():
        register_app(world.cast.devops)
    call_command("remove_factors", "devops", reason="Lost phone, seen in person")

    event = _last_of(world, "factor.removed")
    assert event.source["via"] == "command"
    assert "@" in event.source["user_agent"]
    assert event.change["kind"] == {"before": "TOTP", "after": None}


SECRETS = {
    "eaip_" + "Q" * 40: "token",
    "https://ci:hunter2hunter@git.example/x.git": "address",
    "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0\n-----END PRIVATE KEY-----": "key",
    "AKIAIOSFODNN7EXAMPLE": "cloud",
    "ghp_" + "a" * 36: "github",
    "Bearer abcdefghijklmnopqrstuvwxyz": "header",
    "postgresql://app:hunter2hunter@db/app?sslmode=require": "database",
    "password=hunter2hunter": "assignment",
}
PARTS = ("eaip_QQQ", "hunter2", "MIIEvQ", "AKIAIOSF", "ghp_aaa", "abcdefghijkl")


@pytest.mark.parametrize("secret", SECRETS, ids=SECRETS.values())
@pytest.mark.parametrize("field", ["summary", "reason", "before", "after", "approval", "target_details", "user_agent"])
def test_planted_secret_is_a_fingerprint_in_what_is_sealed_or_opened(db: None, secret: str, field: str) -> None:
    said = f"It said {secret}, then ended"
    value: Any = {"note": {"deep": [said]}} if field in {"before", "after", "approval", "target_details"} else said
    source = Source(via="page", user_agent=said if field == "user_agent" else "")
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        event = _recorded(source, by=SYSTEM) if field == "user_agent" else None
        if event is None:
            fields = {"summary": "A test wrote this", field: value}
            event = AuditEvent.objects.get(pk=audit.record("release.sealed", by=SYSTEM, target=None, **fields))
        with connection.cursor() as cursor:
            cursor.execute("SELECT string_agg(opening, '') FROM audit_subject")
            kept = bytes(event.canonical).decode() + (cursor.fetchone()[0] or "")

    assert "hmac:" in kept
    assert "It said" in kept
    assert not [part for part in PARTS if part in kept]


@pytest.mark.parametrize("name", ["password", "webhook_secret", "API_KEY", "client_secret", "token", "private_key"])
def test_field_named_as_a_secret_is_a_fingerprint_before_and_after(db: None, name: str) -> None:
    event = _recorded(Source(via="page"), by=SYSTEM, before={name: "one plain word"}, after={name: "other plain word"})

    assert event.change == {name: {"before": fingerprint("one plain word"), "after": fingerprint("other plain word")}}
    assert "plain word" not in bytes(event.canonical).decode()
    assert json.loads(bytes(event.canonical))["change"] == event.change
