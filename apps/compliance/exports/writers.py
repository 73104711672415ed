"""The forms that the trail is taken away in. Each is made once for a run, writes itself once, and counts its rows."""

from collections.abc import Callable, Generator
from contextlib import closing
from datetime import datetime
from typing import IO, Protocol, cast

from apps.audit.bundle import Bundle
from apps.audit.export import COLUMNS, Export
from apps.audit.models import AuditEvent
from apps.audit.querysets import EventQuerySet
from apps.compliance.enums import ExportForm
from apps.compliance.exports import criteria
from apps.compliance.models import AuditExport

# Of the Parquet file; what is gathered of a group is compressed already.
GROUP_ROWS = 20_000
BATCH_ROWS = 1_000


class Sink(Protocol):
    """Where a writer writes to."""

    def write(self, data: bytes, /) -> int: ...


class Writer(Protocol):
    """What a run asks for."""

    @property
    def rows(self) -> int: ...

    def write_to(self, sink: Sink) -> None: ...


def writer_of(export: AuditExport, *, now: datetime) -> Writer:
    """This function will make what writes an export. Not within a transaction: each takes a snapshot of its own."""
    return _MAKERS[ExportForm(export.form)](export, now)


def _events(export: AuditExport) -> EventQuerySet:
    events = AuditEvent.objects.visible_in(tuple(export.workspaces))
    return events.matching(**criteria.read(export.criteria))


def _passed_on(blocks: Generator[bytes], sink: Sink) -> None:
    with closing(blocks):  # ends its transaction, whatever the sink raises
        for block in blocks:
            sink.write(block)


class CopyWriter:
    """Blocks as PostgreSQL's COPY writes them."""

    def __init__(self, export: AuditExport, form: str) -> None:
        self._copy = Export(_events(export), form, workspaces=tuple(export.workspaces))

    @property
    def rows(self) -> int:
        return self._copy.rows

    def write_to(self, sink: Sink) -> None:
        _passed_on(self._copy.blocks(), sink)


class BundleWriter:
    """The whole log of the one workspace, or of it what the filters beside the workspace choose."""

    def __init__(self, export: AuditExport, now: datetime) -> None:
        is_part = bool(export.criteria.keys() - {"workspace"})
        (workspace_id,) = export.workspaces
        self._bundle = Bundle(
            workspace_id, asked_by=str(export.token or export.asked_by), now=now, criteria=export.asked,
            events=_events(export) if is_part else None,
        )  # fmt: skip

    @property
    def rows(self) -> int:
        return self._bundle.runs.count

    def write_to(self, sink: Sink) -> None:
        _passed_on(self._bundle.blocks(), sink)


class ParquetWriter(CopyWriter):
    """Columns of text, of which none is empty rather than absent, and one of moments."""

    def __init__(self, export: AuditExport) -> None:
        super().__init__(export, "plain")

    def write_to(self, sink: Sink) -> None:
        # Nobody else needs it: it costs a worker nothing until somebody asks for this form.
        from arro3.core import DataType, Field, Schema
        from arro3.io import read_csv, write_parquet

        kinds = dict.fromkeys(COLUMNS, DataType.string()) | {"recorded_at": DataType.timestamp("us", tz="UTC")}
        schema = Schema([Field(*each) for each in kinds.items()])
        with closing(self._copy.blocks()) as blocks:
            spool = _Spool(blocks, sink)
            # Of a file it asks for no more than a spool has.
            rows = read_csv(cast(IO[bytes], spool), schema, has_header=False, batch_size=BATCH_ROWS)
            try:
                write_parquet(rows, cast(IO[bytes], spool), compression="zstd(3)", max_row_group_size=GROUP_ROWS)
            finally:
                if spool.failure:
                    raise spool.failure
        spool.drain()


class _Spool:
    """What the library reads from and writes to. It can't bear a write that fails, so each reading passes on first what
    was written, and it forgets what kind of error a reading ended with.
    """

    def __init__(self, blocks: Generator[bytes], sink: Sink) -> None:
        self.failure: Exception | None = None
        self._blocks, self._sink = blocks, sink
        self._read, self._written = memoryview(b""), bytearray()

    def read(self, size: int) -> bytes:
        try:
            self.drain()
            self._read = self._read or memoryview(next(self._blocks, b""))
        except Exception as error:
            self.failure = error
            raise
        taken, self._read = self._read[:size], self._read[size:]
        return bytes(taken)

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def drain(self) -> None:
        """Pass on what was written."""
        if self._written:
            self._sink.write(bytes(self._written))
            self._written.clear()

    def flush(self) -> None:
        """The library asks for it at the end; `drain` is for afterwards."""

    def seek(self, *_: int) -> int:
        """The library asks that it be there, and never calls it."""
        raise OSError("a spool has no places")


_MAKERS: dict[ExportForm, Callable[[AuditExport, datetime], Writer]] = {
    ExportForm.CSV: lambda export, now: CopyWriter(export, "csv"),
    ExportForm.JSONL: lambda export, now: CopyWriter(export, "jsonl"),
    ExportForm.PARQUET: lambda export, now: ParquetWriter(export),
    ExportForm.BUNDLE: BundleWriter,
}
