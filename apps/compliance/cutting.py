"""What two people confirmed, carried out step by step; a step that was cut short is done again from its beginning.

A cut: archive, entry, seal, removal. Each step finds the one before committed, so that whatever dies leaves the entries
where they are, or gone with an archive and a sealed entry that proves them.
"""

import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, OperationalError, connection, transaction

from apps.accounts import actions as account_actions
from apps.audit import actions as audit
from apps.audit import seals
from apps.audit.actors import SYSTEM
from apps.audit.bundle import Bundle
from apps.audit.models import AuditEvent
from apps.compliance.enums import CutState
from apps.compliance.models import Cut, Erasure
from apps.compliance.retention import retention_of
from apps.workspaces.models import Workspace
from apps.workspaces.scope import workspace_scope

log = logging.getLogger(__name__)

HELD = "EA001"  # what the database's functions refuse with where a legal hold stands
WAITS = timedelta(minutes=5)
AGAIN = timedelta(hours=1)
COVERED = "A legal hold covers entries of it: it goes on some minutes after the hold is lifted."


class ArchiveChanged(Exception):
    """The archive is not there, or is not what was written."""


def go_on(workspace_id: UUID, *, now: datetime) -> None:
    """This function will take each cut of a workspace as far as it goes, and carry out what is to be erased."""
    with workspace_scope([workspace_id]):
        cuts = list(Cut.objects.filter(workspace_id=workspace_id).under_way().due(now))
        erasures = list(Erasure.objects.filter(workspace_id=workspace_id).due(now))
    for cut in cuts:
        with _alone(cut.pk) as is_alone:
            if is_alone:
                _cut(cut, now=now)
    for erasure in erasures:
        erase(erasure, now=now)


def archive(cut: Cut, *, now: datetime) -> None:
    """This function will write the archive of a confirmed cut, seal it by its hash, and note that.

    It holds the entries as they were sealed, the leaves and checkpoints, and no personal data that could be left out.
    """
    with workspace_scope([cut.workspace_id]):
        slug = Workspace.objects.get(pk=cut.workspace_id).slug
        years = retention_of(cut.workspace_id).archive_years
    name = f"{slug}-{cut.first_leaf}-{cut.last_leaf}-{token_hex(4)}.zip"
    bundle = Bundle(
        cut.workspace_id, asked_by=str(SYSTEM), now=now, criteria={"cut": str(cut.pk)},
        leaves=(cut.first_leaf, cut.last_leaf), is_opened=False,
    )  # fmt: skip
    digest, size = _write(path_of(name), bundle.blocks())
    with workspace_scope([cut.workspace_id]):
        locked = Cut.objects.locked().get(pk=cut.pk)
        if locked.state != CutState.CONFIRMED:
            path_of(name).unlink()
            return
        locked.state, locked.archive, locked.archive_sha256, locked.archive_bytes = (
            CutState.ARCHIVED, name, digest, size,
        )  # fmt: skip
        locked.archive_until_date = _years_later(now.date(), years)
        locked.save(update_fields=["state", "archive", "archive_sha256", "archive_bytes", "archive_until_date"])
        audit.record(
            "retention.archived", by=SYSTEM, target=locked, summary=f"Archived {locked}: {locked.leaves} leaves",
            after={"archive": name, "sha256": digest, "bytes": size, "until": locked.archive_until_date},
        )  # fmt: skip


@transaction.atomic
def tell(cut: Cut, *, now: datetime) -> None:
    """This function will write the entry that proves an archived cut: what went, who decided it, where it is now.

    Raises ArchiveChanged. The caller stands in the cut's scope.
    """
    locked = Cut.objects.locked().select_related("proposal").get(pk=cut.pk)
    if locked.state != CutState.ARCHIVED:
        return
    _require_archive(locked)
    if _is_held(locked):
        _wait(locked, COVERED, now=now)
        return
    proposal = locked.proposal
    locked.event_id = audit.record(
        "retention.cut", by=SYSTEM, target=locked, reason=proposal.reason,
        summary=f"Cut {locked}: leaves {locked.first_leaf} to {locked.last_leaf}",
        after={
            "first_leaf": locked.first_leaf, "last_leaf": locked.last_leaf, "count": locked.leaves,
            "root": seals.root_of_leaves(locked.workspace_id, locked.first_leaf, locked.last_leaf).hex(),
            "until": locked.until, "archive": locked.archive, "archive_sha256": locked.archive_sha256,
            "legal_basis": proposal.legal_basis,
        },
        approval={
            "proposal": str(proposal.pk), "proposed_by": str(proposal.proposed_by_id),
            "confirmed_by": str(proposal.decided_by_id), "comment": proposal.comment,
        },
    )  # fmt: skip
    locked.state, locked.problem = CutState.RECORDED, ""
    locked.save(update_fields=["state", "event_id", "problem"])


@transaction.atomic
def remove(cut: Cut, *, now: datetime) -> None:
    """This function will remove what a cut covers, once the entry that proves it is sealed; till then it waits.

    Raises ArchiveChanged. The caller stands in the cut's scope.
    """
    locked = Cut.objects.locked().get(pk=cut.pk)
    if locked.state != CutState.RECORDED or not _is_sealed(locked):
        return
    _require_archive(locked)
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT cut_events(%s)", [locked.pk])
            (gone,) = cursor.fetchone()
    except DatabaseError as error:
        if _code_of(error) != HELD:
            raise
        _wait(locked, COVERED, now=now)
        return
    audit.record(
        "retention.removed", by=SYSTEM, target=locked, summary=f"Removed {gone} entries: {locked}",
        after={"entries": gone, "archive_sha256": locked.archive_sha256}, causation={"event": str(locked.event_id)},
    )  # fmt: skip


def erase(erasure: Erasure, *, now: datetime) -> None:
    """This function will erase a person's data in all workspaces, and once more an hour later what was under way."""
    with workspace_scope([erasure.workspace_id]):
        locked = Erasure.objects.select_for_update(of=("self",), no_key=True).get(pk=erasure.pk)
        if locked.erased_at is not None and (locked.again_at is None or now < locked.again_at):
            return
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT workspace, entries, of_version_1 FROM erase_person(%s)", [locked.pk])
                found = {row[0]: row[1:] for row in cursor.fetchall()}
                cursor.execute("SELECT end_exports(%s, %s)", [locked.pk, list(found)])
        except DatabaseError as error:
            if _code_of(error) != HELD:
                raise
            _wait(locked, COVERED, now=now)
            return
        is_first = locked.erased_at is None
        entries = sum(row[0] for row in found.values())
        person = account_actions.erase_account(locked.person) if is_first else locked.person
        locked.erased_at, locked.again_at = locked.erased_at or now, now + AGAIN if is_first else None
        locked.entries, locked.problem = (locked.entries or 0) + entries, ""
        locked.save(update_fields=["erased_at", "again_at", "entries", "problem"])
        proposal = locked.proposal
        for workspace_id in {erasure.workspace_id, *found} if is_first else found:
            blanked, of_version_1 = found.get(workspace_id, (0, 0))
            with workspace_scope([workspace_id]):
                audit.record(
                    "subject.erased", by=SYSTEM, target=person, workspace_id=workspace_id,
                    summary=f"Erased the personal data of {person}",
                    after={
                        "entries": blanked, "entries_of_version_1": of_version_1, "legal_basis": proposal.legal_basis,
                    },
                    approval={
                        "proposal": str(proposal.pk), "proposed_by": str(proposal.proposed_by_id),
                        "confirmed_by": str(proposal.decided_by_id),
                    },
                )  # fmt: skip


def drop_empty_months() -> int:
    """This function will drop the tables of months that were cut in every workspace, and return how many."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT drop_empty_audit_partitions()")
            dropped: int = cursor.fetchone()[0]
    except OperationalError as error:  # somebody reads or writes for longer than it waits: the next cut comes again
        log.info("months of the trail that are empty stay for now: %s", error)
        return 0
    return dropped


def path_of(archive: str) -> Path:
    """This function will say where an archive is."""
    return Path(settings.AUDIT_ARCHIVE_DIR) / archive


def _cut(cut: Cut, *, now: datetime) -> None:
    try:
        if cut.state == CutState.CONFIRMED:
            archive(cut, now=now)
        with workspace_scope([cut.workspace_id]):
            tell(cut, now=now)
        with workspace_scope([cut.workspace_id]):
            remove(cut, now=now)
            is_done = Cut.objects.get(pk=cut.pk).state == CutState.DONE
    except (ArchiveChanged, OSError) as error:
        with workspace_scope([cut.workspace_id]):
            _wait(cut, f"Its archive can't be used, so nothing is removed: {error}", now=now)
        return
    if is_done:
        drop_empty_months()


def _write(path: Path, blocks: Iterator[bytes]) -> tuple[str, int]:
    """Write a file whole or not at all, and return its SHA-256 and size."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part, digest, size = path.with_suffix(".part"), hashlib.sha256(), 0
    try:
        with os.fdopen(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
            for block in blocks:
                digest.update(block)
                size += file.write(block)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)
    return digest.hexdigest(), size


def _require_archive(cut: Cut) -> None:
    try:
        with path_of(cut.archive).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ArchiveChanged(f"{cut.archive} can't be read ({error.strerror}).") from error
    if digest != cut.archive_sha256:
        raise ArchiveChanged(f"{cut.archive} is not what was written.")


def _is_sealed(cut: Cut) -> bool:
    if cut.event_id is None:
        return False
    place = seals.place_of(AuditEvent.objects.get(pk=cut.event_id))
    return place is not None and place.checkpoint is not None


def _is_held(cut: Cut) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT legal_hold_on_leaves(%s, %s, %s)", [cut.workspace_id, cut.first_leaf, cut.last_leaf])
        return cursor.fetchone()[0] is not None


def _wait(row: Cut | Erasure, problem: str, *, now: datetime) -> None:
    type(row).objects.filter(pk=row.pk).update(problem=problem[:300], again_at=now + WAITS)


def _code_of(error: Exception) -> str:
    return str(getattr(error.__cause__, "sqlstate", ""))


def _years_later(day: date, years: int) -> date:
    return day.replace(year=day.year + years, day=min(day.day, 28))


@contextmanager
def _alone(key: UUID) -> Iterator[bool]:
    """Hold this cut for as long as a step takes, past the ends of its transactions; say whether nobody else does."""
    number = int.from_bytes(key.bytes[:8], "big", signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [number])
        (is_alone,) = cursor.fetchone()
    try:
        yield is_alone
    finally:
        if is_alone:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [number])
