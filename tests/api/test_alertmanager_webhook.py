"""POST /api/v1/webhooks/alertmanager: alerts of lanes are kept once and closed when they end; the rest is answered."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.audit.models import AuditEvent
from apps.health import alerts
from apps.health.models import Alert
from tests.monitoring import WEBHOOK, alert, make_token, send
from tests.world import HOSTILE, World, last_event


@pytest.fixture
def token(world: World) -> str:
    with world.everything():
        return make_token(world.cast)


def events(world: World, kind: str) -> int:
    with world.everything():
        return AuditEvent.objects.filter(kind=kind).count()


def test_an_alert_is_kept_with_its_lane_and_told_once(world: World, token: str) -> None:
    fired = alert(at=timezone.now())

    answers = [send(token, fired), send(token, fired)]

    assert [(answer.status_code, answer.json()["kept"]) for answer in answers] == [(202, 1), (202, 1)]
    with world.everything():
        kept = Alert.objects.get()
        assert (kept.lane, kept.name, kept.severity) == (world.lane(world.dev), "ManyErrors", "warning")
        assert (kept.is_firing, kept.summary) == (True, "One in ten requests fails")
        event = last_event("alert.fired")
        assert (event.actor_type, event.source["via"], event.target_id) == ("TOKEN", "webhook", str(kept.pk))
    assert events(world, "alert.fired") == 1


def test_the_end_closes_it_once_and_what_ended_stays_ended(world: World, token: str) -> None:
    at = timezone.now() - timedelta(minutes=5)
    for told in (alert(at=at), alert(at=at, ended=True), alert(at=at, ended=True), alert(at=at)):
        send(token, told)

    with world.everything():
        assert not Alert.objects.get().is_firing
    assert (events(world, "alert.fired"), events(world, "alert.resolved")) == (1, 1)


def test_the_same_alert_fires_anew_with_another_start(world: World, token: str) -> None:
    at = timezone.now() - timedelta(minutes=5)
    send(token, alert(at=at), alert(at=at + timedelta(minutes=1)))

    with world.everything():
        assert Alert.objects.count() == 2
    assert events(world, "alert.fired") == 2


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (alert(labels={"environment": "nowhere"}), "runs in an environment nowhere"),
        (alert(labels={"service": "other"}), "No service other"),
        (alert(labels={"environment": "north-bank"}), "of this token's workspace"),
        (alert(labels={"service": ""}), "needs the labels service and environment"),
        (alert(startsAt="yesterday"), "startsAt is not a time"),
        (alert(startsAt="2026-11-01T10:00:00"), "with a zone"),
        (alert(fingerprint="../x"), "no fingerprint"),
        (alert(status="maybe"), "neither firing nor resolved"),
        ("text", "not an object"),
        ({"labels": ["a"]}, "labels are not an object"),
    ],
)
def test_what_names_nothing_known_is_kept_nowhere_and_said_so(world: World, token: str, told: Any, why: str) -> None:
    answer = send(token, told, alert("Another", fingerprint="1234"))

    assert (answer.status_code, answer.json()["kept"]) == (202, 1)
    assert [why in ignored["why"] for ignored in answer.json()["ignored"]] == [True]
    with world.everything():
        assert Alert.objects.get().name == "Another"


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({"raw": b"{"}, 400, "body_unreadable"),
        ({"raw": b"[]"}, 400, "body_unreadable"),
        ({"raw": b'{"version": "4", "alerts": 7}'}, 422, "field_invalid"),
        ({"version": "3"}, 422, "field_invalid"),
        ({"raw": b'{"version": "4", "alerts": [' + b",".join([b"0"] * 501) + b"]}"}, 422, "field_invalid"),
        ({"raw": b" " * 1_000_001}, 413, "body_too_large"),
    ],
)
def test_what_is_no_message_of_alertmanager_is_refused(
    world: World, token: str, options: dict[str, Any], status: int, code: str
) -> None:
    answer = send(token, **options)

    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_hostile_text_is_kept_as_text_of_one_line(world: World, token: str) -> None:
    for number, text in enumerate((*HOSTILE, "a\x00b\nc", "x" * 5000)):
        told = alert(text, fingerprint=f"f{number}", annotations={"summary": text}, generatorURL=f"javascript:{text}")
        assert send(token, told).json()["kept"] == 1

    with world.everything():
        assert not [kept for kept in Alert.objects.all() if set(kept.summary) & set("\x00\n\u202e") or kept.link]


def test_it_wants_a_token_of_its_own_scope(world: World) -> None:
    with world.everything():
        other = make_token(world.cast, scope="release:create", by=world.cast.release_engineer)

    missing, wrong, scope = send(None, alert()), send("eaip_wrong", alert()), send(other, alert())

    assert [answer.status_code for answer in (missing, wrong, scope)] == [401, 401, 403]
    assert "alerts:write" in scope.json()["detail"]
    assert Client().get(WEBHOOK).status_code == 405
    with world.everything():
        assert not Alert.objects.exists()


def test_old_alerts_go_with_the_samples(world: World, token: str, settings: Any) -> None:
    send(token, alert("Old", fingerprint="a"), alert("New", fingerprint="b"))
    with world.everything():
        Alert.objects.filter(name="Old").update(told_at=timezone.now() - settings.HEALTH_KEEP * 2)

    assert alerts.prune() == 1

    with world.everything():
        assert Alert.objects.get().name == "New"
