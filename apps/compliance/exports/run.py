"""Writes exports of the trail: one owner by lease, from scratch if the one before died, in constant memory.

The file gets its name in the transaction that says that it is done, so that none is ever offered by half.
"""

import hashlib
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID, uuid4

from django.conf import settings
from django.db import Error, connection

from apps.audit.actors import SYSTEM
from apps.audit.models import Checkpoint
from apps.audit.source import coming_from, task_source
from apps.compliance.enums import ExportState
from apps.compliance.export_transitions import advance
from apps.compliance.exports import files
from apps.compliance.exports.writers import Writer, writer_of
from apps.compliance.models import AuditExport
from apps.core import live
from apps.core.clock import CLOCK, clock_in
from apps.core.clock import now as database_now
from apps.core.crashpoints import crashpoint
from apps.integrations.atomic_file import sync_folder
from apps.workspaces.scope import workspace_scope

log = logging.getLogger(__name__)

# So often a run begins anew whose worker died; what kills every worker is not tried for ever.
TRIES = 5


@dataclass(frozen=True)
class Due:
    """An export that waits, whose worker fell silent, or whose time is over."""

    id: UUID
    workspaces: tuple[UUID, ...]
    state: str


class Lost(Exception):
    """This run goes on for nobody: the export was cancelled, or another worker has it."""


def see_to_exports(export_id: UUID | None = None) -> int:
    """This function will write the exports that are due, or the one, and remove those whose time is over.

    The sweeper of every worker calls it; whoever takes an export first writes it.
    """
    found = due(export_id)
    for each in found:
        try:
            with coming_from(task_source(export_id=each.id)):
                _expire(each) if each.state == ExportState.DONE else _run(each)
        except Exception:
            log.exception("export %s could not be written; it stays due", each.id)
    return len(found)


def due(export_id: UUID | None = None) -> list[Due]:
    """This function will return the exports to do something about, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, workspaces, state FROM exports_due()")
        found = [Due(key, tuple(workspaces), state) for key, workspaces, state in cursor.fetchall()]
    return [each for each in found if export_id in (None, each.id)]


def _run(wanted: Due) -> None:
    token = uuid4()
    export = _taken(wanted, token)
    if export is None:
        return
    crashpoint("export_taken")
    path = files.part(export.pk, token)
    try:
        with _Beat(export, token) as beat:
            digest = _written(export, path, beat)
    except Lost:
        log.info("export %s goes on elsewhere, or was cancelled", export.pk)
    except OSError as error:
        log.warning("export %s can't be written: %s", export.pk, error)
        _fail(export, token, str(error))
    else:
        crashpoint("export_written")
        _finish(export, token, path, beat, digest)
    finally:
        path.unlink(missing_ok=True)


def _taken(wanted: Due, token: UUID) -> AuditExport | None:
    with workspace_scope(wanted.workspaces):
        found = AuditExport.objects.filter(pk=wanted.id)
        if not found.take(token, settings.EXPORT_LEASE):
            return None
        export: AuditExport = found.locked().get()
        if export.tries > TRIES:
            _failed(export, f"Its worker has died {TRIES} times.")
            files.remove(export.pk)
            return None
        if export.state == ExportState.QUEUED:
            advance(export, ExportState.RUNNING, by=SYSTEM, summary=f"Began to write {export}")
        heads = [_head(workspace_id) for workspace_id in export.workspaces]
        AuditExport.objects.filter(pk=export.pk).update(heads=heads, rows=0, bytes=0)
        # Whole, with whom it names: what writes it stands in no workspace, where no token can be read.
        export = AuditExport.objects.select_related("asked_by", "token").get(pk=export.pk)
    files.remove(export.pk, parts_only=True, but=token)
    return export


def _head(workspace_id: UUID) -> dict[str, Any]:
    newest = Checkpoint.objects.filter(workspace_id=workspace_id).order_by("-tree_size", "-signed_at").first()
    known = (
        {"tree_size": newest.tree_size, "root_hash": newest.root, "key_id": newest.key_id, "note": newest.note}
        if newest
        else {"tree_size": None}
    )
    return {"workspace_id": str(workspace_id), **known}


def _written(export: AuditExport, path: Path, beat: "_Beat") -> str:
    """Write the file and return its SHA-256."""
    beat.writer = writer_of(export, now=database_now())
    with _synced(path) as file:
        sink = _Sink(file, beat)
        beat.writer.write_to(sink)
    beat.require()
    return sink.digest.hexdigest()


@contextmanager
def _synced(path: Path) -> Iterator[BinaryIO]:
    files.prepare()
    with open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _finish(export: AuditExport, token: UUID, path: Path, beat: "_Beat", digest: str) -> None:
    with workspace_scope(export.workspaces):
        mine = AuditExport.objects.locked().filter(pk=export.pk, state=ExportState.RUNNING, lease_token=token).first()
        if mine is None:
            return
        os.replace(path, files.place(export.pk))
        sync_folder(path.parent)
        rows = beat.writer.rows if beat.writer else 0
        advance(
            mine, ExportState.DONE, by=export.token.actor if export.token else export.asked_by,
            summary=f"Exported {rows:,} events as {mine.get_form_display()}",
            rows=rows, bytes=beat.bytes, sha256=digest, ended_at=CLOCK, expires_at=clock_in(settings.EXPORT_KEEP),
            lease_token=None, lease_until=None,
        )  # fmt: skip


def _fail(export: AuditExport, token: UUID, detail: str) -> None:
    with workspace_scope(export.workspaces):
        mine = AuditExport.objects.locked().filter(pk=export.pk, state=ExportState.RUNNING, lease_token=token).first()
        if mine is not None:
            _failed(mine, detail)


def _failed(export: AuditExport, detail: str) -> None:
    advance(
        export, ExportState.FAILED, by=SYSTEM, summary=f"Could not write {export}", reason=detail,
        detail=detail[:300], ended_at=CLOCK, lease_token=None, lease_until=None,
    )  # fmt: skip


def _expire(wanted: Due) -> None:
    with workspace_scope(wanted.workspaces):
        export = AuditExport.objects.locked().filter(pk=wanted.id, expires_at__lte=CLOCK).first()
        if export is None or export.state != ExportState.DONE:
            return
        files.remove(export.pk)
        advance(export, ExportState.EXPIRED, by=SYSTEM, summary=f"Removed the file of {export}")


class _Beat:
    """Renews the lease from a thread of its own, says on the page how far the run is, and learns that it is lost."""

    def __init__(self, export: AuditExport, token: UUID) -> None:
        self.writer: Writer | None = None
        self.bytes = 0
        self._export, self._token = export, token
        self._over, self._lost = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._beat, name="export", daemon=True)

    def __enter__(self) -> "_Beat":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def require(self) -> None:
        """Raises Lost: nobody waits for this run any more."""
        if self._lost.is_set():
            raise Lost

    def _beat(self) -> None:
        try:
            while not self._over.wait(settings.EXPORT_BEAT.total_seconds()):
                try:
                    if not self._renewed():
                        self._lost.set()
                        return
                except Error as error:
                    log.warning("the lease of export %s can't be renewed: %s", self._export.pk, error)
                    connection.close()
        finally:
            connection.close()

    def _renewed(self) -> bool:
        with workspace_scope(self._export.workspaces):
            rows = self.writer.rows if self.writer else 0
            mine = AuditExport.objects.filter(
                pk=self._export.pk, lease_token=self._token, state=ExportState.RUNNING
            ).update(lease_until=clock_in(settings.EXPORT_LEASE), rows=rows, bytes=self.bytes)
            live.hint(self._export.workspace_id, f"auditexport:{self._export.pk}")
        return mine == 1


class _Sink:
    """The file as writers see it: hashed as it grows, and only for as long as somebody waits for it."""

    def __init__(self, file: BinaryIO, beat: _Beat) -> None:
        self.digest = hashlib.sha256()
        self._file, self._beat = file, beat

    def write(self, data: bytes) -> int:
        self._beat.require()
        self._file.write(data)
        self.digest.update(data)
        self._beat.bytes += len(data)
        crashpoint("export_block")
        return len(data)
