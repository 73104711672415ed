"""Seals what has been written: every entry becomes a leaf of its workspace's tree, and a checkpoint signs the tree.

One transaction takes all entries of transactions that have ended (below the xid watermark), so that the entries of a
slow one are neither skipped nor waited for. Whoever seals holds one row; a second sealer finds it held and does
nothing, a killed one leaves nothing half done, and a leaf index that is taken refuses the rest (ADR 0099).

It works by a connection of its own, as the role eaip_sealer, which may write nothing else. No model is used: what is
hashed are the stored bytes, whatever the code of a release makes of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from psycopg import Connection, Cursor
from psycopg.errors import LockNotAvailable

from apps.audit import merkle
from apps.audit.keys import SigningKey, vkeys
from apps.audit.merkle import Tree, leaf_hash
from apps.audit.notes import BadNote, Checkpoint, Note

TILE_BITS = 8
LEVELS = tuple(range(TILE_BITS, 64, TILE_BITS))
ROWS_AT_ONCE = 2_000

HOLD = "SELECT next_xid::text, server FROM audit_sealing FOR UPDATE NOWAIT"
NOW = """
SELECT pg_snapshot_xmin(pg_current_snapshot())::text, system_identifier::text, clock_timestamp()
FROM pg_control_system()
"""
# What has a leaf is left out: another server counts transactions from its own beginning, so that entries which came
# with a restored backup may be met again.
UNSEALED = """
SELECT workspace_id, event_id, recorded_at, canonical FROM audit_event event
WHERE {ended} AND NOT EXISTS (
    SELECT FROM audit_leaf leaf WHERE leaf.workspace_id = event.workspace_id AND leaf.event_id = event.event_id)
ORDER BY workspace_id, recorded_at, event_id
"""
TREES = """
SELECT tree.workspace_id, size, peaks, refused, tree_size, root_hash, signed_at, note
FROM audit_tree tree LEFT JOIN LATERAL (
    SELECT tree_size, root_hash, signed_at, note FROM audit_checkpoint
    WHERE workspace_id = tree.workspace_id ORDER BY signed_at DESC, id DESC LIMIT 1) last ON true
ORDER BY tree.workspace_id
"""
KEEP = """
INSERT INTO audit_tree (workspace_id, size, peaks) VALUES (%s, %s, %s)
ON CONFLICT (workspace_id) DO UPDATE SET size = excluded.size, peaks = excluded.peaks
"""
LOOKED = """
UPDATE audit_sealing SET next_xid = %s::xid8, server = %s, looked_at = %s,
    refused = (SELECT count(*) FROM audit_tree WHERE refused <> '')
"""

# Whole columns at a time: a COPY into a table with row-level security is not taken.
NEW_LEAVES = """
INSERT INTO audit_leaf (workspace_id, leaf_index, event_id, recorded_at, leaf_hash)
SELECT * FROM unnest(%s::uuid[], %s::bigint[], %s::uuid[], %s::timestamptz[], %s::bytea[])
"""
NEW_NODES = """
INSERT INTO audit_node (workspace_id, level, index, hash)
SELECT * FROM unnest(%s::uuid[], %s::smallint[], %s::bigint[], %s::bytea[])
"""

Row = tuple[UUID, UUID, datetime, bytes]
Leaf = tuple[UUID, int, UUID, datetime, bytes]
Node = tuple[UUID, int, int, bytes]


class Refused(Exception):
    """The tree is not what was signed last: nothing more is signed until a person has looked."""


@dataclass(slots=True)
class Sealed:
    """What one look did: leaves by workspace, checkpoints signed, and why others were refused."""

    leaves: dict[UUID, int] = field(default_factory=dict)
    signed: list[Checkpoint] = field(default_factory=list)
    refused: dict[UUID, str] = field(default_factory=dict)
    was_held: bool = False


class Before(NamedTuple):
    """The last checkpoint of a log."""

    size: int
    root: bytes
    signed_at: datetime
    note: str


def seal(connection: Connection, key: SigningKey, *, each: timedelta, at_least: timedelta) -> Sealed:
    """Seal what has ended since, and sign the trees whose turn it is: in one transaction.

    Units: a tree that grew is signed when its last checkpoint is older than `each`, one that did not by `at_least`.
    """
    done = Sealed()
    try:
        with connection.transaction(), connection.cursor() as cursor:
            since, server = cursor.execute(HOLD).fetchone() or ("0", "")
            watermark, here, now = cursor.execute(NOW).fetchone() or ("0", "", None)
            rows = _unsealed(connection, since if server == here else None, watermark)
            done.leaves, is_whole = _append_all(connection, rows)
            _sign_all(cursor, key, done, now=now, each=each, at_least=at_least)
            # What a tree could not take is met again: from where it was, as the server counts that said so.
            cursor.execute(LOOKED, [*((watermark, here) if is_whole else (since, server)), now])
    except LockNotAvailable:
        done.was_held = True
    return done


def _unsealed(connection: Connection, since: str | None, watermark: str) -> Iterator[Row]:
    with connection.cursor(name="unsealed") as cursor:
        cursor.itersize = ROWS_AT_ONCE
        if since is None:
            cursor.execute(UNSEALED.format(ended="true"))
        else:
            cursor.execute(UNSEALED.format(ended="xid >= %s::xid8 AND xid < %s::xid8"), [since, watermark])
        yield from cursor


def _append_all(connection: Connection, rows: Iterator[Row]) -> tuple[dict[UUID, int], bool]:
    """Return the number of new leaves by workspace, and whether every entry got one."""
    trees: dict[UUID, Tree | None] = {}
    grown: dict[UUID, int] = {}
    block: list[Row] = []
    for row in rows:
        block.append(row)
        if len(block) == ROWS_AT_ONCE:
            _append(connection, block, trees, grown)
            block.clear()
    if block:
        _append(connection, block, trees, grown)
    with connection.cursor() as cursor:
        for workspace_id in grown:
            if tree := trees[workspace_id]:
                cursor.execute(KEEP, [workspace_id, tree.size, b"".join(tree.peaks)])
    return grown, None not in trees.values()


def _append(connection: Connection, block: list[Row], trees: dict[UUID, Tree | None], grown: dict[UUID, int]) -> None:
    leaves: list[Leaf] = []
    nodes: list[Node] = []
    with connection.cursor() as cursor:
        for workspace_id in {row[0] for row in block} - trees.keys():
            trees[workspace_id] = _tree(cursor, workspace_id)
        for workspace_id, event_id, recorded_at, canonical in block:
            tree, leaf = trees[workspace_id], leaf_hash(canonical)
            if tree is None:
                continue
            leaves.append((workspace_id, tree.size, event_id, recorded_at, leaf))
            whole = tree.append(leaf)
            grown[workspace_id] = grown.get(workspace_id, 0) + 1
            nodes += [
                (workspace_id, level, (tree.size >> level) - 1, whole[level]) for level in LEVELS if level < len(whole)
            ]
        if leaves:
            cursor.execute(NEW_LEAVES, [list(column) for column in zip(*leaves, strict=True)])
        if nodes:
            cursor.execute(NEW_NODES, [list(column) for column in zip(*nodes, strict=True)])


def _tree(cursor: Cursor, workspace_id: UUID) -> Tree | None:
    """Return a tree as it stands, None when there are leaves beyond it: one more would make a fork."""
    row = cursor.execute("SELECT size, peaks FROM audit_tree WHERE workspace_id = %s", [workspace_id]).fetchone()
    tree = tree_of(*row) if row else Tree()
    return None if _leaves_beyond(cursor, workspace_id, tree.size) else tree


def _leaves_beyond(cursor: Cursor, workspace_id: UUID, size: int) -> bool:
    beyond = "SELECT EXISTS (SELECT FROM audit_leaf WHERE workspace_id = %s AND leaf_index >= %s)"
    return bool((cursor.execute(beyond, [workspace_id, size]).fetchone() or (False,))[0])


def tree_of(size: int, peaks: bytes) -> Tree:
    """Return a tree as it is kept: its size, and its peaks one after the other."""
    width = merkle.HASH_BYTES
    return Tree(size, [bytes(peaks[place : place + width]) for place in range(0, len(peaks), width)])


def _sign_all(
    cursor: Cursor, key: SigningKey, done: Sealed, *, now: datetime, each: timedelta, at_least: timedelta
) -> None:
    known = [bytes(public) for (public,) in cursor.execute("SELECT public_key FROM audit_key").fetchall()]
    for workspace_id, size, peaks, was_refused, *last in cursor.execute(TREES).fetchall():
        before = Before(*last) if last[0] is not None else None
        if before and now - before.signed_at < (each if size != before.size else at_least):
            continue
        tree = tree_of(size, peaks)
        try:
            _require_sound(cursor, workspace_id, tree, before, known)
        except Refused as refusal:
            if str(refusal) != was_refused:
                done.refused[workspace_id] = str(refusal)
                _note_refusal(cursor, workspace_id, str(refusal), now)
            continue
        checkpoint = Checkpoint(workspace_id, size, tree.root, now)
        cursor.execute(
            "INSERT INTO audit_checkpoint (workspace_id, tree_size, root_hash, signed_at, key_id, note)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            [workspace_id, size, checkpoint.root, now, key.id, checkpoint.signed(key.private)],
        )
        if was_refused:
            _note_refusal(cursor, workspace_id, "", None)
        done.signed.append(checkpoint)


def _note_refusal(cursor: Cursor, workspace_id: UUID, why: str, when: datetime | None) -> None:
    cursor.execute(
        "UPDATE audit_tree SET refused = %s, refused_at = %s WHERE workspace_id = %s", [why, when, workspace_id]
    )


def _require_sound(
    cursor: Cursor, workspace_id: UUID, tree: Tree, before: Before | None, known: Sequence[bytes]
) -> None:
    """Raises Refused: the tree does not hold the one that was signed last, or that was not signed by us."""
    if before:
        if tree.size < before.size:
            raise Refused(f"The tree has {tree.size} leaves; {before.size} were signed.")
        if stored_root(cursor, workspace_id, before.size) != before.root:
            raise Refused(f"The first {before.size} leaves are not those that were signed.")
        try:
            note = Note.read(before.note)
        except BadNote as error:
            raise Refused(f"The last checkpoint can't be read. {error}") from error
        if note.body != Checkpoint(workspace_id, before.size, before.root, before.signed_at).body:
            raise Refused("The text of the last checkpoint is not what its row says.")
        if not note.is_signed_by(vkeys(known, workspace_id)):
            raise Refused("The last checkpoint is not signed by a key of this log.")
    if _leaves_beyond(cursor, workspace_id, tree.size):
        raise Refused(f"The tree has leaves beyond its {tree.size}.")
    if stored_root(cursor, workspace_id, tree.size) != tree.root:
        raise Refused("The leaves that are kept don't make the tree that is to be signed.")


def stored_root(cursor: Cursor, workspace_id: UUID, size: int) -> bytes:
    """Return the root over the first `size` leaves, from the leaves and nodes that are kept."""
    return merkle.root_between(roots_of(cursor, workspace_id), 0, size)


def roots_of(cursor: Cursor, workspace_id: UUID) -> merkle.Roots:
    """Return what gives the root of any perfect subtree of a workspace's tree, from at most 256 kept hashes."""

    def roots(begin: int, end: int) -> bytes:
        width = end - begin
        level = max((level for level in (0, *LEVELS) if 1 << level <= width), default=0)
        if level:
            table, place, value, more = "audit_node", "index", "hash", f"AND level = {level}"
        else:
            table, place, value, more = "audit_leaf", "leaf_index", "leaf_hash", ""
        found = cursor.execute(
            f"SELECT {value} FROM {table} WHERE workspace_id = %s AND {place} >= %s AND {place} < %s {more}"  # noqa: S608
            f" ORDER BY {place}",
            [workspace_id, begin >> level, end >> level],
        ).fetchall()
        return merkle.root_of(bytes(row[0]) for row in found)

    return roots
