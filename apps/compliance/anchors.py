"""Brings checkpoints out of the system: who holds our database and our key can't take back what others hold (ADR 0116).

Each place gets the newest checkpoint of each workspace after its time, and at once when another key signs. Whoever
brings it takes the row by a conditional update and moves it by another; who dies on the way leaves it to the next.
"""

import base64
import binascii
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from smtplib import SMTPException
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import connection
from django.db.models.functions import Coalesce
from django.template.loader import render_to_string

from apps.audit import actions as audit
from apps.audit import witnesses
from apps.audit.actors import SYSTEM
from apps.audit.models import Checkpoint
from apps.audit.notes import rfc3339
from apps.audit.source import coming_from, task_source
from apps.compliance.enums import AnchorPlace, StreamKind
from apps.compliance.models import Anchor
from apps.compliance.streams import webhook
from apps.compliance.streams.deliver import NotDelivered, reach_of
from apps.core.clock import CLOCK, clock_in
from apps.core.clock import now as database_now
from apps.core.retries import pause_after
from apps.integrations import outbound
from apps.integrations import outbound_addresses as addresses
from apps.integrations.apart import run_apart
from apps.integrations.outbound import NoAnswer
from apps.integrations.outbound_addresses import NotAllowed
from apps.workspaces.models import Workspace
from apps.workspaces.scope import whole_scope

KIND = "audit.checkpoints"
# Whose networks the installation's own webhook may be in (OUTBOUND_INTERNAL).
PLATFORM = "platform"
# Longer than any place may take to answer.
LEASE = timedelta(minutes=2)
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)
# Told in the trail after so many tries in a row.
TELL_AFTER = 3

BEGIN = """
INSERT INTO compliance_anchor (id, workspace_id, place, key_id, tries, detail)
SELECT gen_random_uuid(), workspace_id, %s, '', 0, '' FROM audit_tree ON CONFLICT (workspace_id, place) DO NOTHING
"""
TAKE = """
UPDATE compliance_anchor anchor
SET tries = anchor.tries + 1, next_try_at = clock_timestamp() + make_interval(secs => %(lease)s)
FROM audit_tree tree CROSS JOIN LATERAL (
    SELECT id, signed_at, key_id FROM audit_checkpoint WHERE workspace_id = tree.workspace_id
    ORDER BY signed_at DESC, id DESC LIMIT 1) newest
WHERE anchor.workspace_id = tree.workspace_id AND anchor.place = %(place)s
    AND (anchor.next_try_at IS NULL OR anchor.next_try_at <= clock_timestamp())
    AND (anchor.signed_at IS NULL OR newest.signed_at > anchor.signed_at
        AND (newest.key_id <> anchor.key_id OR anchor.taken_at <= clock_timestamp() - make_interval(secs => %(every)s)))
RETURNING anchor.id, newest.id, anchor.next_try_at
"""


@dataclass(frozen=True)
class Due:
    """One checkpoint on its way to one place. `until` is the moment by which its row is held."""

    anchor_id: UUID
    until: datetime
    workspace: Workspace
    checkpoint: Checkpoint
    note: str

    @property
    def file_name(self) -> str:
        """Return a name that sorts by workspace and time."""
        return f"{self.workspace.slug}-{self.checkpoint.signed_at:%Y%m%dT%H%M%S.%fZ}-{self.checkpoint.tree_size}.note"


def places() -> dict[AnchorPlace, timedelta]:
    """This function will say where the settings want checkpoints, and after how long each place gets another."""
    wanted = {
        AnchorPlace.MAIL: (settings.AUDIT_ANCHOR_MAIL, settings.AUDIT_ANCHOR_MAIL_EVERY),
        AnchorPlace.WEBHOOK: (settings.AUDIT_ANCHOR_WEBHOOK, settings.AUDIT_ANCHOR_EVERY),
        AnchorPlace.FOLDER: (settings.AUDIT_ANCHOR_DIR, settings.AUDIT_ANCHOR_EVERY),
    }
    return {place: every for place, (where, every) in wanted.items() if where}


def standing(workspaces: tuple[UUID, ...]) -> list[Anchor]:
    """This function will return how far the checkpoints of these workspaces were brought, to each place of today."""
    return list(Anchor.objects.visible_in(workspaces).filter(place__in=places()))


def see_to_anchors() -> int:
    """This function will bring what is due to each place, and return how many checkpoints were on the way.

    The sweeper of every worker calls it.
    """
    count = 0
    for place, every in places().items():
        if due := take(place, every):
            count += len(due)
            with coming_from(task_source()):
                bring(place, due)
    return count


def take(place: AnchorPlace, every: timedelta) -> list[Due]:
    """This function will take what is due of one place, for as long as LEASE; of two who ask, one gets it."""
    with whole_scope(), connection.cursor() as cursor:
        cursor.execute(BEGIN, [place.value])
        held, waited = LEASE.total_seconds(), every.total_seconds()
        cursor.execute(TAKE, {"place": place.value, "every": waited, "lease": held})
        rows = cursor.fetchall()
        checkpoints = Checkpoint.objects.in_bulk([row[1] for row in rows])
        owners = Workspace.objects.in_bulk([each.workspace_id for each in checkpoints.values()])
        seen = witnesses.of(list(checkpoints.values()))
        return [
            Due(
                anchor_id, until, owners[checkpoints[pk].workspace_id], checkpoints[pk],
                checkpoints[pk].note + "".join(each.line for each in seen[pk]),
            )
            for anchor_id, pk, until in rows
        ]  # fmt: skip


def bring(place: AnchorPlace, due: Sequence[Due]) -> None:
    """This function will bring what was taken to its place, and write down how that went."""
    try:
        WAYS[place](due, database_now())
    except NotDelivered as error:
        _failed(due, str(error)[:300])
    else:
        _brought(due)


def _brought(due: Sequence[Due]) -> None:
    with whole_scope():
        for each in due:
            anchor = Anchor.objects.locked().get(pk=each.anchor_id)
            moved = Anchor.objects.filter(pk=anchor.pk, next_try_at=each.until).update(
                signed_at=each.checkpoint.signed_at, tree_size=each.checkpoint.tree_size,
                key_id=each.checkpoint.key_id, taken_at=CLOCK, tries=0, failing_since=None, detail="",
                next_try_at=None,
            )  # fmt: skip
            # No entry for each: it would make a checkpoint, which would have to be brought, for ever.
            if moved and anchor.tries > TELL_AFTER:
                audit.record(
                    "anchor.recovered", by=SYSTEM, target=anchor, after={"tree_size": each.checkpoint.tree_size},
                    summary=f"Checkpoints can be brought out again: {anchor}",
                )  # fmt: skip


def _failed(due: Sequence[Due], detail: str) -> None:
    with whole_scope():
        for each in due:
            anchor = Anchor.objects.locked().get(pk=each.anchor_id)
            pause = pause_after(anchor.tries, first=FIRST_PAUSE, longest=LONGEST_PAUSE)
            moved = Anchor.objects.filter(pk=anchor.pk, next_try_at=each.until).update(
                failing_since=Coalesce("failing_since", CLOCK), detail=detail, next_try_at=clock_in(pause)
            )
            if moved and anchor.tries == TELL_AFTER:
                anchor.refresh_from_db()
                audit.record(
                    "anchor.failing", by=SYSTEM, target=anchor, outcome="FAILED", reason=anchor.why,
                    summary=f"Checkpoints can't be brought out: {anchor}",
                )  # fmt: skip


def _mail(due: Sequence[Due], now: datetime) -> None:
    body = render_to_string("emails/checkpoints.txt", {"due": due, "portal": settings.PORTAL_URL})
    notes = [(each.file_name, each.note, "text/plain") for each in due]
    mail = EmailMessage("Checkpoints of the audit trail", body, to=settings.AUDIT_ANCHOR_MAIL, attachments=notes)
    try:
        mail.send()
    except (SMTPException, OSError, ValueError) as error:
        raise NotDelivered(f"The mail server did not take it: {error}.") from error


def _webhook(due: Sequence[Due], now: datetime) -> None:
    told = {
        "type": KIND,
        "timestamp": rfc3339(now),
        "data": {"checkpoints": [{"workspace": str(each.workspace.pk), "note": each.note} for each in due]},
    }
    content = json.dumps(told, ensure_ascii=False).encode()
    try:
        secret = base64.b64decode(settings.AUDIT_ANCHOR_SECRET.removeprefix("whsec_"), validate=True)
        answer = run_apart(
            outbound.post(
                addresses.read(settings.AUDIT_ANCHOR_WEBHOOK, schemes=("https", "http")),
                reach_of(StreamKind.WEBHOOK, PLATFORM),
                body=content,
                headers=webhook.headers(
                    secret, message_id=str(due[0].checkpoint.pk), timestamp=int(now.timestamp()), content=content
                ),
                seconds=settings.STREAM_PATIENCE.total_seconds(),
            )
        )
    except binascii.Error as error:
        raise NotDelivered("AUDIT_ANCHOR_SECRET is not whsec_ and base64 after it.") from error
    except (NoAnswer, NotAllowed) as error:
        raise NotDelivered(str(error)) from error
    if not 200 <= answer.status < 300:
        raise NotDelivered(f"It answered {answer.status}.")


def _folder(due: Sequence[Due], now: datetime) -> None:
    for each in due:
        try:
            _write_once(Path(settings.AUDIT_ANCHOR_DIR) / each.file_name, each)
        except OSError as error:
            raise NotDelivered(f"The folder does not take it: {error.strerror}.") from error


def _write_once(path: Path, due: Due) -> None:
    """Write a file that is never written again: a folder that can only be added to is enough."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
    except FileExistsError as error:  # by a worker that died after it wrote, or by somebody else
        if not path.read_bytes().startswith(due.checkpoint.note.encode()):
            raise NotDelivered(f"{path.name} is there already and holds something else.") from error
        return
    with os.fdopen(descriptor, "w") as file:
        file.write(due.note)
        file.flush()
        os.fsync(descriptor)


WAYS: dict[AnchorPlace, Callable[[Sequence[Due], datetime], None]] = {
    AnchorPlace.MAIL: _mail,
    AnchorPlace.WEBHOOK: _webhook,
    AnchorPlace.FOLDER: _folder,
}
