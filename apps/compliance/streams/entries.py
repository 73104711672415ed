"""What a stream reads: entries in the order of their leaves, which the seal gives by the xid watermark without a gap.

So nothing is skipped whichever transaction commits first, and a receiver that counts the leaves sees that itself.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection

AT_ONCE = 500
BATCH_BYTES = 512 * 1024
# By both columns of the key, so that one partition is asked for each leaf. What retention has cut has no entry.
NEXT = """
SELECT leaf.leaf_index, leaf.event_id, leaf.recorded_at, event.canonical, event.kind, event.outcome
FROM audit_leaf leaf
LEFT JOIN audit_event event ON event.event_id = leaf.event_id AND event.recorded_at = leaf.recorded_at
WHERE leaf.workspace_id = %s AND leaf.leaf_index >= %s
ORDER BY leaf.leaf_index LIMIT %s
"""
STANDS = "SELECT COALESCE((SELECT size FROM audit_tree WHERE workspace_id = %s), 0), database_identity()"
FIRST_SINCE = "SELECT min(leaf_index) FROM audit_leaf WHERE workspace_id = %s AND recorded_at >= %s"
OLDEST_DUE = "SELECT recorded_at FROM audit_leaf WHERE workspace_id = %s AND leaf_index = %s"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as it was sealed; `canonical` is None where retention has cut it away."""

    leaf_index: int
    event_id: UUID
    recorded_at: datetime
    canonical: bytes | None
    kind: str
    outcome: str


def read(workspace_id: UUID, leaf: int, *, at_most: int = AT_ONCE) -> list[Entry]:
    """This function will return the entries from a leaf on: as many as make one batch, at least one if there is one."""
    with connection.cursor() as cursor:
        cursor.execute(NEXT, [workspace_id, leaf, at_most])
        rows = cursor.fetchall()
    entries: list[Entry] = []
    size = 0
    for index, event_id, recorded_at, canonical, kind, outcome in rows:
        size += len(canonical or b"")
        if entries and size > BATCH_BYTES:
            break
        whole = bytes(canonical) if canonical is not None else None
        entries.append(Entry(index, event_id, recorded_at, whole, kind or "", outcome or ""))
    return entries


def stands(workspace_id: UUID) -> tuple[int, str]:
    """This function will return how many leaves the log has, and which server counts them."""
    with connection.cursor() as cursor:
        cursor.execute(STANDS, [workspace_id])
        size, server = cursor.fetchone()
    return size, server


def first_since(workspace_id: UUID, since: datetime) -> int:
    """This function will return the first leaf of an entry written since then; the next one that comes, if none is."""
    with connection.cursor() as cursor:
        cursor.execute(FIRST_SINCE, [workspace_id, since])
        first = cursor.fetchone()[0]
    return stands(workspace_id)[0] if first is None else first


def behind(workspace_id: UUID, leaf: int) -> tuple[int, datetime | None]:
    """This function will return how many entries wait behind a cursor, and since when the first does."""
    size, _server = stands(workspace_id)
    with connection.cursor() as cursor:
        cursor.execute(OLDEST_DUE, [workspace_id, leaf])
        row = cursor.fetchone()
    return max(size - leaf, 0), row[0] if row else None
