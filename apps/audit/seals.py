"""What pages and others read of the seal: how far it is, what it refuses, and the proofs of entries."""

import base64
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from apps.audit import merkle
from apps.audit.models import AuditEvent, Checkpoint
from apps.audit.notes import VerifierKey, origin_of
from apps.audit.sealing import LEVELS, TILE_BITS, roots_of

STATE = """
SELECT tree.workspace_id, tree.size, tree.refused, tree.refused_at,
    (SELECT min(recorded_at) FROM audit_event event
     WHERE event.workspace_id = tree.workspace_id AND event.xid >= sealing.next_xid)
FROM audit_tree tree CROSS JOIN audit_sealing sealing
WHERE tree.workspace_id = ANY (%s)
"""
LEAVES_BEFORE = """
SELECT least(
    (SELECT coalesce(max(tree_size), 0) FROM audit_checkpoint WHERE workspace_id = %(workspace)s),
    (SELECT leaf_index FROM audit_leaf WHERE workspace_id = %(workspace)s AND leaf_index >= %(since)s
        AND recorded_at >= %(moment)s ORDER BY leaf_index LIMIT 1))
"""
LEAVES_BETWEEN = """
SELECT leaf_hash FROM audit_leaf WHERE workspace_id = %s AND leaf_index BETWEEN %s AND %s ORDER BY leaf_index
"""
# A tile is 256 hashes beside each other, of leaves or of nodes of one level.
TILES = """
SELECT tile, string_agg({value}, '' ORDER BY {place}) FROM unnest(%s::bigint[]) tile
JOIN {table} ON workspace_id = %s AND {place} BETWEEN tile << 8 AND (tile << 8) + 255 {more}
GROUP BY tile
"""
TILES_OF_LEAVES = TILES.format(table="audit_leaf", place="leaf_index", value="leaf_hash", more="")
TILES_OF_NODES = TILES.format(table="audit_node", place="index", value="hash", more="AND level = %s")
REMEMBERED = 1 << 14


@dataclass(frozen=True, slots=True)
class State:
    """Where a log stands. `unsealed_since` is when its oldest entry without a leaf was written."""

    workspace_id: UUID
    size: int
    refused: str
    refused_at: datetime | None
    unsealed_since: datetime | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry is in its tree, and the first checkpoint that holds it; None while none does."""

    leaf_index: int
    checkpoint: Checkpoint | None


def problem(*, silence: timedelta) -> str:
    """This function will say in a sentence what is wrong with the seal, "" when nothing is."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT looked_at, looked_at < clock_timestamp() - make_interval(secs => %s), refused FROM audit_sealing",
            [silence.total_seconds()],
        )
        looked_at, is_silent, refused = cursor.fetchone()
    if refused:
        return f"It refuses to sign {refused} log{'s' if refused > 1 else ''}: what is there is not what was signed."
    if looked_at is None:
        return "Nobody has sealed anything yet: manage.py seal does not run."
    return f"It has not been heard of since {looked_at:%Y-%m-%d %H:%M:%S} UTC." if is_silent else ""


def states(workspaces: tuple[UUID, ...]) -> list[State]:
    """This function will tell where the logs of these workspaces stand."""
    with connection.cursor() as cursor:
        cursor.execute(STATE, [list(workspaces)])
        return [State(*row) for row in cursor.fetchall()]


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key that signs, or signed, the logs. `id` is what pages call it."""

    id: str
    public: bytes
    since: datetime
    until: datetime | None

    def vkey(self, workspace_id: UUID) -> VerifierKey:
        """Return it as a verifier of a workspace's log is given it."""
        return VerifierKey(origin_of(workspace_id), self.public)


def public_keys() -> list[KnownKey]:
    """This function will return the keys, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT key_id, public_key, valid_from, valid_until FROM audit_key ORDER BY valid_from, key_id")
        return [KnownKey(name, bytes(public), since, until) for name, public, since, until in cursor.fetchall()]


def place_of(event: AuditEvent) -> Place | None:
    """This function will say where an entry is sealed, None while it is not."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT leaf_index FROM audit_leaf WHERE workspace_id = %s AND event_id = %s",
            [event.workspace_id, event.pk],
        )
        row = cursor.fetchone()
    if row is None:
        return None
    holding = Checkpoint.objects.filter(workspace_id=event.workspace_id, tree_size__gt=row[0])
    return Place(row[0], holding.order_by("tree_size", "signed_at").first())


def leaves_before(workspace_id: UUID, moment: datetime, *, since: int = 0) -> int:
    """This function will return the first leaf from `since` on whose entry is not older, or that nobody signed yet."""
    with connection.cursor() as cursor:
        cursor.execute(LEAVES_BEFORE, {"workspace": workspace_id, "since": since, "moment": moment})
        found: int = cursor.fetchone()[0]
    return found


def root_of_leaves(workspace_id: UUID, first: int, last: int) -> bytes:
    """This function will return the root of RFC 6962 over the leaves from the one to the other, both included."""
    with transaction.atomic(), connection.connection.cursor("leaves", binary=True) as cursor:
        cursor.execute(LEAVES_BETWEEN, [workspace_id, first, last])
        return merkle.root_of(bytes(row[0]) for row in cursor)


def proof_of(event: AuditEvent, place: Place) -> str:
    """This function will write the proof that a checkpoint holds an entry: C2SP tlog-proof, with its note.

    Raises ValueError: no checkpoint holds it yet.
    """
    if place.checkpoint is None:
        raise ValueError("no checkpoint holds this entry yet")
    with connection.cursor() as cursor:
        roots = roots_of(cursor.cursor, event.workspace_id)
        path = merkle.inclusion_proof(roots, place.leaf_index, place.checkpoint.tree_size)
    lines = ["c2sp.org/tlog-proof@v1", f"index {place.leaf_index}"]
    lines += [base64.b64encode(node).decode() for node in path]
    return "\n".join([*lines, "", place.checkpoint.note])


def paths_of(workspace_id: UUID, leaves: Collection[int], size: int) -> dict[int, list[str]]:
    """This function will prove that the tree of `size` leaves holds these: hashes in base64, as RFC 6962, by leaf.

    One query for each level of tiles (three up to 16 million leaves), however many are proved. Raises ValueError: one
    of them is not in that tree.
    """
    if not leaves:
        return {}
    # Neighbours share most of their way: what was computed last is remembered.
    roots = lru_cache(REMEMBERED)(_roots_in_tiles(workspace_id, leaves, size))
    return {
        leaf: [base64.b64encode(node).decode() for node in merkle.inclusion_proof(roots, leaf, size)]
        for leaf in sorted(leaves)
    }


def _roots_in_tiles(workspace_id: UUID, leaves: Collection[int], size: int) -> merkle.Roots:
    """Return what gives the root of a perfect subtree beside the way of one of these leaves, or at the right edge."""
    tiles: dict[int, dict[int, bytes]] = {}
    with connection.cursor() as cursor:
        for level in (0, *(level for level in LEVELS if size >> level)):
            wanted = {leaf >> level + TILE_BITS for leaf in (*leaves, size - 1)}
            parameters: tuple[Any, ...] = (list(wanted), workspace_id, *([level] if level else []))
            cursor.execute(TILES_OF_NODES if level else TILES_OF_LEAVES, parameters)
            tiles[level] = {tile: bytes(hashes) for tile, hashes in cursor.fetchall()}

    def roots(begin: int, end: int) -> bytes:
        level = max(level for level in tiles if 1 << level <= end - begin)
        # A tile that somebody took away makes a proof that leads nowhere, and no error here.
        hashes = tiles[level].get(begin >> level + TILE_BITS, b"")
        first, width = begin >> level & (1 << TILE_BITS) - 1, merkle.HASH_BYTES
        places = range(first, first + (end - begin >> level))
        return merkle.root_of(hashes[place * width : (place + 1) * width] for place in places)

    return roots
