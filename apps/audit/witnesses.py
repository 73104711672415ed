"""Witnesses outside: they take checkpoints away, see that each tree grew from the last, and sign that they saw it.

Source: C2SP tlog-witness and tlog-cosignature (c2sp.org); here the witness asks, so that no door opens towards it.
"""

import base64
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import connection

from apps.audit import merkle
from apps.audit.models import Checkpoint, Cosignature
from apps.audit.notes import BadNote, Note, VerifierKey, cosigned_at, signature_line
from apps.audit.sealing import roots_of
from apps.core.verdict import Invalid, Refusal

KEEP = """
INSERT INTO audit_cosignature (workspace_id, tree_size, signed_at, witness, line, cosigned_at)
VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""


class NoCheckpoint(Refusal):
    """Nothing of the workspace's trail is signed yet."""

    status = 404
    code = "no_checkpoint"
    next_step = "Ask again in a minute: the first checkpoint is signed soon after the first entry."


class TreeUnknown(Invalid):
    """No two trees of these sizes were signed, the larger after the smaller."""

    code = "tree_unknown"
    next_step = "Ask with the sizes of two checkpoints of this log, the older first."


class CosignatureRefused(Invalid):
    """It is of no checkpoint of this log, or of no witness that is known here."""

    code = "cosignature_refused"
    next_step = "Nothing was kept. The operator names each witness in AUDIT_WITNESSES."


def known() -> list[VerifierKey]:
    """This function will return the keys of the witnesses that the settings name."""
    return [VerifierKey.read(text) for text in settings.AUDIT_WITNESSES]


def newest(workspace_id: UUID) -> Checkpoint:
    """This function will return the newest checkpoint of a workspace. Raises NoCheckpoint."""
    found: Checkpoint | None = Checkpoint.objects.filter(workspace_id=workspace_id).first()
    if found is None:
        raise NoCheckpoint("Nothing of this trail is signed yet.")
    return found


def consistency(workspace_id: UUID, old: int, new: int) -> list[str]:
    """This function will prove that the tree of `new` leaves grew from that of `old`: hashes in base64, as RFC 6962.

    Raises TreeUnknown: no such trees. Raises NoCheckpoint.
    """
    if not 0 < old <= new <= newest(workspace_id).tree_size:
        raise TreeUnknown(f"There are no trees of {old} and of {new} entries, one grown from the other.")
    with connection.cursor() as cursor:
        path = merkle.consistency_proof(roots_of(cursor.cursor, workspace_id), old, new)
    return [base64.b64encode(node).decode() for node in path]


def keep(workspace_id: UUID, text: str) -> int:
    """This function will keep what a witness signed; return how many signatures were new.

    Shapes: `text` is the checkpoint's own text, an empty line, and the lines of one or more witnesses.
    Raises CosignatureRefused: nothing was kept.
    """
    try:
        note = Note.read(text)
        checkpoint = _signed(workspace_id, note.body)
        if checkpoint is None or not note.signatures:
            raise CosignatureRefused("This is no checkpoint of this log with a signature below it.")
        of_it = workspace_id, checkpoint.tree_size, checkpoint.signed_at
        rows = [(*of_it, *_cosigned(note.body, *signature)) for signature in note.signatures]
    except BadNote as error:
        raise CosignatureRefused(str(error)) from error
    with connection.cursor() as cursor:
        return sum(cursor.execute(KEEP, row).rowcount for row in rows)


def of(checkpoints: Sequence[Checkpoint]) -> dict[UUID, list[Cosignature]]:
    """This function will find who cosigned these checkpoints, by the checkpoint's id (one query)."""
    named = {(each.workspace_id, each.tree_size, each.signed_at): each.pk for each in checkpoints}
    workspaces, sizes = {workspace for workspace, _, _ in named}, {size for _, size, _ in named}
    found: dict[UUID, list[Cosignature]] = {pk: [] for pk in named.values()}
    for row in Cosignature.objects.filter(workspace_id__in=workspaces, tree_size__in=sizes):
        if pk := named.get((row.workspace_id, row.tree_size, row.signed_at)):
            found[pk].append(row)
    return found


def _signed(workspace_id: UUID, body: str) -> Checkpoint | None:
    size = body.split("\n")[1] if body.count("\n") > 1 else ""
    if not (size.isascii() and size.isdigit() and len(size) < 19):
        return None
    same = Checkpoint.objects.filter(workspace_id=workspace_id, tree_size=int(size), note__startswith=f"{body}\n")
    return same.first()


def _cosigned(body: str, name: str, key_id: bytes, blob: bytes) -> tuple[str, str, datetime]:
    """Return the witness, its line and its moment. Raises BadNote: it did not sign this, or is not known here."""
    for key in known():
        if (name, key_id) == (key.name, key.id):
            line = signature_line(key, blob)
            return key.name, line, cosigned_at(body, key, line)
    raise BadNote("No witness that is known here made this signature.")
