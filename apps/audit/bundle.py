"""The signed bundle: what an auditor needs to check a workspace's log, or a part of it, without the portal.

Format and meaning of each file: docs/reference/audit.md. `clients/verify_audit.py` reads it and shares no code with it.
"""

import io
import json
import re
import zipfile
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction

from apps.audit import seals
from apps.audit.notes import origin_of, rfc3339
from apps.audit.querysets import EventQuerySet

FORMAT = "eaip-audit-bundle/1"
BLOCK_BYTES = 64 * 1024
ROWS_AT_ONCE = 2_000
LEAVES_AT_ONCE = 32_768
CLOCK_BACK_SECONDS = 3600

HEAD = """
SELECT tree_size FROM audit_checkpoint WHERE workspace_id = %s ORDER BY tree_size DESC, signed_at DESC LIMIT 1
"""
# The event is looked up by both columns of its key, so that one partition is asked for each leaf.
WHOLE = """
SELECT leaf.leaf_index, event.canonical, leaf.event_id, leaf.recorded_at
FROM audit_leaf leaf
LEFT JOIN audit_event event ON event.event_id = leaf.event_id AND event.recorded_at = leaf.recorded_at
WHERE leaf.workspace_id = %s AND leaf.leaf_index BETWEEN %s AND %s
ORDER BY leaf.leaf_index
"""
PART = """
SELECT leaf.leaf_index, event.canonical, leaf.event_id, leaf.recorded_at
FROM audit_leaf leaf JOIN audit_event event ON event.event_id = leaf.event_id
WHERE leaf.workspace_id = %s AND leaf.leaf_index < %s AND event.event_id IN ({chosen})
ORDER BY leaf.leaf_index
"""
PERIOD = """
SELECT min(leaf_index), max(leaf_index) FROM audit_leaf
WHERE workspace_id = %s AND leaf_index < %s AND recorded_at >= %s AND recorded_at < %s
"""
LAST_LEAF = "SELECT max(leaf_index) FROM audit_leaf WHERE workspace_id = %s AND leaf_index < %s"
LEAVES = r"""
SELECT string_agg(CASE WHEN length(leaf_hash) = 32 THEN leaf_hash ELSE decode(repeat('00', 32), 'hex') END, ''
                  ORDER BY place)
FROM generate_series(%s::bigint, %s::bigint) place
LEFT JOIN audit_leaf ON workspace_id = %s AND leaf_index = place
"""
# A year of a busy log has a million; the newest vouches for all. The last of a key covers the name of its successor.
NOTES = """
SELECT note || coalesce((
    SELECT string_agg(line, '' ORDER BY cosigned_at, witness) FROM audit_cosignature seen
    WHERE (seen.workspace_id, seen.tree_size, seen.signed_at) = (known.workspace_id, known.tree_size, known.signed_at)
), '') FROM (
    SELECT workspace_id, note, tree_size, signed_at, row_number() OVER (ORDER BY signed_at DESC) AS newest,
        row_number() OVER (PARTITION BY key_id, date_trunc('hour', signed_at) ORDER BY signed_at DESC) AS in_hour
    FROM audit_checkpoint WHERE workspace_id = %s) known
WHERE newest <= 2000 OR in_hour = 1
ORDER BY tree_size, signed_at
"""
OPENINGS = """
SELECT id, encode(salt, 'hex'), opening FROM audit_subject
WHERE workspace_id = %s AND id = ANY (%s::uuid[]) AND erased_at IS NULL ORDER BY id
"""
# A quote within a text stands behind a backslash, so this is a key of the entry itself.
SUBJECT = re.compile(rb'"subject": "([0-9a-f-]{36})"')
PROVED = """
SELECT leaf.leaf_index, event.canonical
FROM audit_event event JOIN audit_leaf leaf USING (event_id)
WHERE leaf.workspace_id = %s AND leaf.leaf_index < %s AND event.workspace_id = leaf.workspace_id AND event.kind = %s
ORDER BY leaf.leaf_index
"""


class _Spool(io.RawIOBase):
    """What zipfile writes to; taken away in blocks. It can't seek, so sizes stand behind each file."""

    def __init__(self) -> None:
        self.held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.held += data
        return len(data)

    def taken(self, at_least: int = 1) -> Iterator[bytes]:
        if len(self.held) >= at_least:
            yield bytes(self.held)
            self.held.clear()


class _Runs:
    """Leaf indexes that come in order, as the ranges that they make."""

    def __init__(self) -> None:
        self.text = io.StringIO()
        self.first = self.last = -1
        self.count = 0

    def add(self, index: int) -> None:
        self.count += 1
        if self.count > 1 and index == self.last + 1:
            self.last = index
            return
        self.close()
        self.first = self.last = index

    def close(self) -> None:
        if self.first >= 0:
            self.text.write(f"{self.first}-{self.last}\n")


class _Absent:
    """Leaves whose entry is not in the ledger any more though no cut covers it, in ranges with what is still known."""

    def __init__(self) -> None:
        self.ranges: list[dict[str, Any]] = []

    def add(self, index: int, event_id: UUID, recorded_at: datetime) -> None:
        at = rfc3339(recorded_at)
        if self.ranges and self.ranges[-1]["last"] == index - 1:
            known = self.ranges[-1]
            known |= {"last": index, "from": min(known["from"], at), "until": max(known["until"], at)}
        elif len(self.ranges) < 1_000:
            self.ranges.append({"first": index, "last": index, "event_id": event_id, "from": at, "until": at})


class Bundle:
    """One bundle on its way out: `blocks` yields its bytes once, from one snapshot, in a transaction of its own.

    Without `events` and `period` it holds the whole log. A period holds every leaf between its first and its last, so
    the verifier can tell that none is missing there, and so do `leaves`, first and last; of what `events` choose it can
    only tell that each was sealed. One that is not opened holds no personal data of entries of version 2.
    """

    def __init__(
        self,
        workspace_id: UUID,
        *,
        asked_by: str,
        now: datetime,
        criteria: Mapping[str, str] | None = None,
        events: EventQuerySet | None = None,
        period: tuple[datetime, datetime] | None = None,
        leaves: tuple[int, int] | None = None,
        is_opened: bool = True,
    ) -> None:
        self.workspace_id = workspace_id
        self.events, self.period, self.asked_leaves, self.is_opened = events, period, leaves, is_opened
        self.asked_by, self.now, self.criteria = asked_by, now, dict(criteria or {})
        self.spool, self.runs, self.absent = _Spool(), _Runs(), _Absent()
        self.subjects: set[bytes] = set()

    def blocks(self) -> Generator[bytes]:
        """Yield the archive in blocks of about 64 KB. Not within a transaction: it takes a snapshot of its own."""
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            cursor.execute("SELECT set_config('app.workspaces', %s, true)", [str(self.workspace_id)])
            with zipfile.ZipFile(self.spool, "w", zipfile.ZIP_STORED) as self.archive:
                for name, content in self._files():
                    yield from self._file(name, content)
        yield from self.spool.taken()

    def _file(self, name: str, content: Iterable[bytes]) -> Iterator[bytes]:
        information = zipfile.ZipInfo(name, self.now.astimezone(UTC).timetuple()[:6])
        with self.archive.open(information, "w", force_zip64=True) as file:
            for piece in content:
                file.write(piece)
                yield from self.spool.taken(BLOCK_BYTES)

    def _files(self) -> Iterator[tuple[str, Iterable[bytes]]]:
        self.size = self._one(HEAD, self.workspace_id) or 0
        last = self._one(LAST_LEAF, self.workspace_id, self.size)
        self.last = -1 if last is None else last
        cuts, rotations = self._proved("retention.cut"), self._proved("audit.key_rotated")
        self.cut = [_cut_range(entry) for _, entry in cuts]
        self.span = self._span()
        yield "entries.jsonl", self._entries()
        self.runs.close()
        yield "subjects.jsonl", self._openings()
        yield "positions.txt", [self.runs.text.getvalue().encode()]
        yield "leaves.bin", self._leaves()
        yield "checkpoints.txt", self._notes()
        yield "keys.txt", self._keys()
        yield "cuts.jsonl", _lines({"leaf_index": index, "entry": entry} for index, entry in cuts)
        yield "rotations.jsonl", _lines({"leaf_index": index, "entry": entry} for index, entry in rotations)
        yield "absent.jsonl", _lines(self.absent.ranges)
        yield "manifest.json", [json.dumps(self._manifest(), cls=DjangoJSONEncoder, indent=2).encode()]

    def _manifest(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "workspace_id": self.workspace_id,
            "origin": origin_of(self.workspace_id),
            "tree_size": self.size,
            "entries": self.runs.count,
            "whole": self.events is None and self.period is None and self.asked_leaves is None,
            "span": self.span,
            "criteria": self.criteria,
            "asked_by": self.asked_by,
            "made_at": rfc3339(self.now),
            "clock_back_seconds": CLOCK_BACK_SECONDS,
        }

    def _span(self) -> tuple[int, int] | None:
        """Return the first and the last leaf between which the bundle holds every entry."""
        if self.events is not None:
            return None
        if self.asked_leaves is not None:
            return self.asked_leaves
        if self.period is None:
            return (0, self.size - 1) if self.size else None
        first, last = self._row(PERIOD, self.workspace_id, self.size, *self.period)
        return None if first is None else (first, last)

    def _entries(self) -> Iterator[bytes]:
        block = bytearray()
        for index, canonical, event_id, recorded_at in self._rows():
            entry = canonical or self._elsewhere(event_id)
            if entry is None:
                if not any(first <= index <= last for first, last in self.cut):
                    self.absent.add(index, event_id, recorded_at)
                continue
            self.runs.add(index)
            if self.is_opened:
                self.subjects |= subjects_of(entry)
            # A line feed can only be there if somebody changed the bytes; the next line must not suffer for it.
            block += entry.replace(b"\n", b" ") + b"\n"
            if len(block) >= BLOCK_BYTES:
                yield bytes(block)
                block.clear()
        yield bytes(block)

    def _rows(self) -> Iterator[tuple[int, bytes | None, UUID, datetime]]:
        statement, parameters = WHOLE, (self.workspace_id, *(self.span or (0, -1)))
        if self.events is not None:
            chosen, more = self.events.order_by().values("event_id").query.sql_with_params()
            statement, parameters = PART.format(chosen=chosen), (self.workspace_id, self.size, *more)
        with connection.connection.cursor("eaip_bundle", binary=True) as cursor:
            cursor.itersize = ROWS_AT_ONCE
            yield from cursor.execute(statement, parameters)

    def _elsewhere(self, event_id: UUID) -> bytes | None:
        """Return an entry whose time was changed: it is not where its leaf says. Only so many are looked for."""
        if len(self.absent.ranges) >= 100:
            return None
        return self._one("SELECT canonical FROM audit_event WHERE event_id = %s", event_id)

    def _leaves(self) -> Iterator[bytes]:
        """Yield 32 bytes for each leaf; zeros for one that is not in its table."""
        for first in range(0, self.last + 1, LEAVES_AT_ONCE):
            last = min(first + LEAVES_AT_ONCE - 1, self.last)
            yield bytes(self._one(LEAVES, first, last, self.workspace_id))

    def _openings(self) -> Iterator[bytes]:
        """Yield what the commitments of the entries open to, but for what was erased."""
        yield from _lines(openings_of(self.workspace_id, self.subjects))

    def _notes(self) -> Iterator[bytes]:
        with connection.cursor() as cursor:
            cursor.execute(NOTES, [self.workspace_id])
            for number, (note,) in enumerate(cursor):
                yield (b"--\n" if number else b"") + note.encode()

    def _keys(self) -> Iterator[bytes]:
        for key in seals.public_keys():
            until = rfc3339(key.until) if key.until else "-"
            yield f"{key.vkey(self.workspace_id)} {rfc3339(key.since)} {until}\n".encode()

    def _proved(self, kind: str) -> list[tuple[int, str]]:
        with connection.cursor() as cursor:
            cursor.execute(PROVED, [self.workspace_id, self.size, kind])
            return [(index, bytes(canonical).decode(errors="replace")) for index, canonical in cursor]

    def _row(self, statement: str, *parameters: Any) -> tuple[Any, ...]:
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchone() or (None,)

    def _one(self, statement: str, *parameters: Any) -> Any:
        return self._row(statement, *parameters)[0]


def subjects_of(entry: bytes) -> set[bytes]:
    """This function will return the ids of the commitments to personal data that an entry holds, as bytes."""
    return {UUID(found.decode()).bytes for found in SUBJECT.findall(entry)}


def openings_of(workspace_id: UUID, subjects: Collection[bytes]) -> Iterator[dict[str, str]]:
    """This function will yield what commitments open to, in the order of their ids, but for what was erased."""
    known = sorted(subjects)
    for first in range(0, len(known), ROWS_AT_ONCE):
        with connection.cursor() as cursor:
            some = [str(UUID(bytes=key)) for key in known[first : first + ROWS_AT_ONCE]]
            cursor.execute(OPENINGS, [workspace_id, some])
            for key, salt, opening in cursor:
                yield {"subject": str(key), "salt": salt, "opening": opening}


def _cut_range(entry: str) -> tuple[int, int]:
    """Return what a cut says it took away; nothing where somebody changed it, so that all counts as absent."""
    try:
        change = json.loads(entry)["change"]
        return int(change["first_leaf"]["after"]), int(change["last_leaf"]["after"])
    except (KeyError, TypeError, ValueError):
        return 0, -1


def _lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    for row in rows:
        yield json.dumps(row, cls=DjangoJSONEncoder, ensure_ascii=False).encode() + b"\n"
