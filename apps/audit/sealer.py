"""The process that seals: one at a time, with the key that it alone reads (`manage.py seal`).

Its connection is its own, as the role eaip_sealer. What it has to tell, it records as everybody does, but for the name
of a new key, which nobody else may write.
"""

import contextlib
import logging
import os
import threading
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import psycopg
from django.db import connection, transaction
from psycopg import Connection

from apps.audit import actions, keys
from apps.audit.actors import SYSTEM
from apps.audit.keys import KeyProblem, SigningKey
from apps.audit.sealing import Sealed, seal
from apps.audit.source import coming_from, task_source

log = logging.getLogger(__name__)

AT_ONCE = timedelta(0)
NEVER = timedelta.max
# The ledger's own: held for as long as the process lives, so that a second one waits.
ONE_SEALER = 5_317_204_988_001
UNNAMED = """
SELECT workspace_id FROM audit_tree tree WHERE NOT EXISTS (
    SELECT FROM audit_event event WHERE event.workspace_id = tree.workspace_id
        AND kind = 'audit.key_rotated' AND summary LIKE %s)
"""
UNCOVERED = """
SELECT EXISTS (
    SELECT FROM audit_event event
    JOIN audit_tree tree USING (workspace_id) LEFT JOIN audit_leaf leaf USING (workspace_id, event_id)
    WHERE kind = 'audit.key_rotated' AND summary LIKE %s AND tree.refused = '' AND NOT EXISTS (
        SELECT FROM audit_checkpoint known
        WHERE known.workspace_id = event.workspace_id AND known.tree_size > leaf.leaf_index))
"""
# Asked at each look without a successor: whoever was killed after the move of the files leaves it to the next.
ENDED = "UPDATE audit_key SET valid_until = clock_timestamp() WHERE valid_until IS NULL AND key_id <> %s"


@dataclass(frozen=True, slots=True)
class Clocks:
    """How often it looks, after how long it signs a tree that grew, and one that did not."""

    look: timedelta
    each: timedelta
    at_least: timedelta


@dataclass
class Sealer:
    """`key_file` holds the key; `<key_file>.next` is the one that is to follow it."""

    url: str
    key_file: Path
    clocks: Clocks

    def run(self, over: threading.Event) -> None:
        """Seal until it is over. A database that is away, or a key that can't be read, is waited for."""
        while not over.is_set():
            try:
                with psycopg.connect(self.url, autocommit=True, connect_timeout=5) as own:
                    self._work(own, over)
            except psycopg.Error as error:
                log.warning("the seal waits for the database: %s", str(error).strip())
            except KeyProblem as problem:
                log.error("the seal waits for its key: %s", problem)  # noqa: TRY400  the reason is all there is to tell
            over.wait(self.clocks.look.total_seconds())

    def _work(self, own: Connection, over: threading.Event) -> None:
        while not over.is_set():
            row = own.execute("SELECT pg_try_advisory_lock(%s)", [ONE_SEALER]).fetchone()
            if row and row[0]:
                break
            over.wait(self.clocks.look.total_seconds())
        while not over.is_set():
            self.look(own)
            over.wait(self.clocks.look.total_seconds())

    def look(self, own: Connection) -> Sealed:
        """Seal what is there, once. Raises KeyProblem: the key can't be used."""
        key = self.key(own)
        each, at_least = self.clocks.each, self.clocks.at_least
        if (following := self.key_file.with_name(f"{self.key_file.name}.next")).exists():
            new = self._name_successor(own, key, following)
            if self._uncovered(own, new):
                # The old key's last act is to sign the trees that hold its successor's name, and those alone.
                each, at_least = AT_ONCE, NEVER
            else:
                key = self._replace(key, new, following)
        else:
            own.execute(ENDED, [key.id])
        done = seal(own, key, each=each, at_least=at_least)
        for workspace_id, why in done.refused.items():
            self._record(
                workspace_id, "audit.seal_refused", outcome="FAILED",
                summary="The seal refuses to sign the audit trail: it is not what was signed before", reason=why,
            )  # fmt: skip
        return done

    def key(self, own: Connection) -> SigningKey:
        """Return the key; the first of all is made. Raises KeyProblem: it is none that this log knows."""
        known = [row[0] for row in own.execute("SELECT key_id FROM audit_key WHERE valid_until IS NULL").fetchall()]
        if not known and not self.key_file.exists():
            self.key_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            keys.make_key(self.key_file)
        key = keys.read_key(self.key_file)
        if not known:
            own.execute("INSERT INTO audit_key (key_id, public_key) VALUES (%s, %s)", [key.id, key.public])
        elif key.id not in known:
            raise KeyProblem(
                f"{self.key_file} holds the key {key.id}; this log is signed by {', '.join(known)}. Put that key back, "
                "or let it name its successor: manage.py audit_key rotate"
            )
        return key

    def _name_successor(self, own: Connection, old: SigningKey, following: Path) -> SigningKey:
        """Record in every log which key follows. Finds out what has been done: a killed sealer's successor goes on."""
        new = keys.read_key(following)
        own.execute(
            "INSERT INTO audit_key (key_id, public_key) VALUES (%s, %s) ON CONFLICT DO NOTHING", [new.id, new.public]
        )
        for workspace_id in self._unnamed(own, new):
            with coming_from(task_source()):
                actions.record(
                    "audit.key_rotated", by=SYSTEM, target=None, workspace_id=workspace_id, own=own,
                    summary=f"The key {old.id} names its successor {new.id}",
                    before={"key": str(old.vkey(workspace_id))}, after={"key": str(new.vkey(workspace_id))},
                )  # fmt: skip
        return new

    def _replace(self, old: SigningKey, new: SigningKey, following: Path) -> SigningKey:
        """Put the new key in the old one's place in one move; the old one stays beside it until somebody takes it."""
        with contextlib.suppress(FileExistsError):
            os.link(self.key_file, self.key_file.with_name(f"{self.key_file.name}.{old.id}"))
        os.replace(following, self.key_file)
        return new

    @staticmethod
    def _unnamed(own: Connection, new: SigningKey) -> list[UUID]:
        """Return the logs without an entry that names the new key."""
        return [row[0] for row in own.execute(UNNAMED, [f"%{new.id}"]).fetchall()]

    @staticmethod
    def _uncovered(own: Connection, new: SigningKey) -> bool:
        """Say whether a log has such an entry that no checkpoint holds yet, and may get one."""
        row = own.execute(UNCOVERED, [f"%{new.id}"]).fetchone()
        return bool(row and row[0])

    @staticmethod
    def _record(workspace_id: UUID, kind: str, **details: object) -> None:
        with coming_from(task_source()), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('app.workspaces', %s, true)", [str(workspace_id)])
            actions.record(kind, by=SYSTEM, target=None, workspace_id=workspace_id, **details)  # type: ignore[arg-type]
