"""What pages and others read of the seal: how far it is, what it refuses, and the proof of one entry."""

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction

from apps.audit import merkle
from apps.audit.models import AuditEvent, Checkpoint
from apps.audit.notes import VerifierKey, origin_of
from apps.audit.sealing import roots_of

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
