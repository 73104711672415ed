"""Checkpoints on their way out: to a folder, by mail, by webhook; each once, at its time, and told where it fails."""

import base64
import hashlib
import hmac
import json
import stat
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from psycopg import Connection

from apps.audit import keys
from apps.audit.models import AuditEvent, Checkpoint
from apps.audit.sealer import Sealer
from apps.compliance import anchors
from apps.compliance.anchors import see_to_anchors
from apps.compliance.enums import AnchorPlace
from apps.compliance.models import Anchor
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.workspaces.scope import workspace_scope
from tests.audit.test_seal import all_sealed, own, sealer, url, write
from tests.cast import Cast
from tests.compliance.test_streams import Hook
from tests.processes import eventually

__all__ = ["own", "sealer", "url"]
pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.AUDIT_ANCHOR_DIR = str(tmp_path / "outside")
    (tmp_path / "outside").mkdir()
    return tmp_path / "outside"


@pytest.fixture
def hook(settings: Any) -> Iterator[Hook]:
    hook = Hook()
    settings.AUDIT_ANCHOR_WEBHOOK, settings.AUDIT_ANCHOR_SECRET = f"http://127.0.0.1:{hook.port}/in", SECRET
    settings.OUTBOUND_INTERNAL = {"platform": "127.0.0.0/8"}
    yield hook
    hook.server.shutdown()
    hook.server.server_close()


@pytest.fixture
def sealed(cast: Cast, sealer: Sealer, own: Connection) -> Checkpoint:
    return seal(sealer, own)


def seal(sealer: Sealer, own: Connection) -> Checkpoint:
    write()
    all_sealed(sealer, own)
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        return Checkpoint.objects.filter(workspace_id=PLATFORM_WORKSPACE_ID).first()


def anchor(place: AnchorPlace = AnchorPlace.FOLDER) -> Anchor:
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        return Anchor.objects.get(place=place)


def make_due() -> None:
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        Anchor.objects.exclude(next_try_at=None).update(next_try_at=anchors.clock_in(timedelta(seconds=-1)))


def kinds() -> list[str]:
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        return list(
            AuditEvent.objects.filter(kind__startswith="anchor.").order_by("recorded_at").values_list("kind", flat=True)
        )


def test_a_folder_gets_the_newest_once_an_hour_in_files_that_are_never_written_again(
    sealed: Checkpoint, sealer: Sealer, own: Connection, folder: Path, settings: Any
) -> None:
    seal(sealer, own)
    newest = seal(sealer, own)
    assert see_to_anchors() >= 1
    seal(sealer, own)
    assert see_to_anchors() == 0

    kept = list(folder.glob("platform-*"))
    assert [each.read_text() for each in kept] == [newest.note]
    assert kept[0].name.endswith(f"-{newest.tree_size}.note")
    assert stat.S_IMODE(kept[0].stat().st_mode) == 0o444
    assert anchor().tree_size == newest.tree_size
    assert kinds() == []

    settings.AUDIT_ANCHOR_EVERY = timedelta(0)
    assert see_to_anchors() == 1
    assert see_to_anchors() == 0  # the tree did not grow
    assert len(list(folder.glob("platform-*"))) == 2


def test_another_key_is_told_of_at_once(sealed: Checkpoint, sealer: Sealer, own: Connection, folder: Path) -> None:
    see_to_anchors()
    new = keys.make_key(sealer.key_file.with_name("signing.key.next"))

    eventually(lambda: sealer.look(own) and sealer.key(own).id == new.id, within_seconds=60)
    seal(sealer, own)

    assert see_to_anchors() >= 1
    assert anchor().key_id == new.id


def test_a_mail_holds_all_workspaces_each_with_its_file(sealed: Checkpoint, settings: Any) -> None:
    settings.AUDIT_ANCHOR_MAIL = ["auditor@example.test", "board@example.test"]

    see_to_anchors()
    see_to_anchors()

    assert [message.to for message in mail.outbox] == [settings.AUDIT_ANCHOR_MAIL]
    assert f"{sealed.tree_size} entries" in mail.outbox[0].body
    assert (sealed.note, "text/plain") in [(content, kind) for _, content, kind in mail.outbox[0].attachments]


def test_a_webhook_is_signed_as_standard_webhooks_has_it(sealed: Checkpoint, hook: Hook) -> None:
    see_to_anchors()

    [(headers, body)] = hook.asked
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    secret = base64.b64decode(SECRET.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    told = json.loads(body)
    assert told["type"] == "audit.checkpoints"
    assert {"workspace": str(PLATFORM_WORKSPACE_ID), "note": sealed.note} in told["data"]["checkpoints"]


def test_what_fails_is_tried_again_and_told_on_the_page_and_in_the_trail(
    sealed: Checkpoint, hook: Hook, client: Any, cast: Cast
) -> None:
    hook.answers = lambda body: 503
    for _ in range(4):
        see_to_anchors()
        assert see_to_anchors() == 0  # not at once
        make_due()

    client.force_login(cast.auditor)
    page = client.get("/audit/seals/").content.decode()
    assert "Brought out by webhook" in page
    assert "It answered 503." in page
    assert kinds() == ["anchor.failing"]

    hook.answers = lambda body: 204
    see_to_anchors()
    assert kinds() == ["anchor.failing", "anchor.recovered"]
    assert "503" not in client.get("/audit/seals/").content.decode()


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (lambda folder, name: folder.rmdir(), "The folder does not take it: No such file or directory."),
        (lambda folder, name: (folder / name).write_text("another past"), "holds something else."),
    ],
)
def test_a_folder_that_is_away_or_was_written_by_somebody_else_is_told(
    sealed: Checkpoint, folder: Path, harm: Any, why: str
) -> None:
    harm(folder, f"platform-{sealed.signed_at:%Y%m%dT%H%M%S.%fZ}-{sealed.tree_size}.note")

    see_to_anchors()

    assert why in anchor().detail
    assert anchor().taken_at is None


def test_who_wrote_and_died_is_followed_by_one_who_finds_the_file(sealed: Checkpoint, folder: Path) -> None:
    [due] = [each for each in anchors.take(AnchorPlace.FOLDER, timedelta(0)) if each.workspace.slug == "platform"]
    anchors._folder([due], due.until)
    make_due()

    see_to_anchors()

    assert anchor().tree_size == sealed.tree_size
    assert len(list(folder.glob("platform-*"))) == 1


def test_of_two_workers_at_once_one_brings_it_and_who_was_overtaken_moves_nothing(sealed: Checkpoint) -> None:
    """The race, on two connections."""
    ready, taken = threading.Barrier(2), []

    def work() -> None:
        ready.wait()
        taken.append(anchors.take(AnchorPlace.FOLDER, timedelta(hours=1)))
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    [lost] = [due for due in taken if due]
    make_due()
    assert anchors.take(AnchorPlace.FOLDER, timedelta(hours=1))
    anchors._brought(lost)
    assert anchor().taken_at is None
