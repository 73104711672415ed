"""A real ledger of many workspaces, written, sealed and exported as the portal does, and spoiled as a superuser can.

It has a database of its own, and connections of its own but for the export.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.db import connections
from pytest_django import DjangoDbBlocker

from apps.audit.bundle import Bundle
from apps.audit.keys import SigningKey, read_key
from apps.audit.querysets import EventQuerySet
from apps.audit.sealer import Clocks, Sealer
from apps.audit.sealing import Sealed, seal
from deploy.launcher.paths import ROOT
from tests.engines import Engines
from tests.prepared import connect_to
from tests.processes import eventually

CLIENT = ROOT / "clients" / "verify_audit.py"
AT_ONCE = timedelta(0)
LEDGER = ("audit_event", "audit_leaf", "audit_node", "audit_checkpoint")

NOBODY_ELSE = """
SELECT COALESCE(min(backend_xid::text::bigint) > (SELECT max(xid)::text::bigint FROM audit_event), true)
FROM pg_stat_activity WHERE datname <> current_database()
"""


@dataclass
class Ledger:
    engines: Engines
    blocker: DjangoDbBlocker
    database: str
    key: SigningKey = field(default_factory=lambda: SigningKey(Ed25519PrivateKey.generate()))

    @contextmanager
    def superuser(self) -> Iterator[psycopg.Connection]:
        with psycopg.connect(self.engines.postgres.url(database=self.database), autocommit=True) as connection:
            yield connection

    def begin(self) -> None:
        self.engines.clone(self.database)
        with self.superuser() as connection:
            self.know_key(connection)

    def know_key(self, connection: psycopg.Connection) -> None:
        values = [self.key.id, self.key.public]
        connection.execute("INSERT INTO audit_key (key_id, public_key) VALUES (%s, %s)", values)

    def copied_to(self, database: str) -> "Ledger":
        """A backup of everything, put back elsewhere."""
        self.engines.clone(database, of=self.database)
        return Ledger(self.engines, self.blocker, database, self.key)

    def record(self, workspace: UUID, number: int = 1, **fields: object) -> None:
        with self.superuser() as connection:
            for _ in range(number):
                record(connection, workspace, **fields)

    def seal(self) -> Sealed:
        """Seal what is there, once those of other tests, whose open transactions hold the seal back too, let it."""
        with self.superuser() as connection:
            eventually(lambda: (connection.execute(NOBODY_ELSE).fetchone() or (False,))[0], within_seconds=60)
            return seal(connection, self.key, each=AT_ONCE, at_least=timedelta(hours=1))

    def rotate(self, folder: Path) -> None:
        """Put a new key beside the old one, and let the sealer look until the new one signs."""
        key_file = folder / "signing.key"
        for path, key in (
            (key_file, self.key),
            (folder / "signing.key.next", SigningKey(Ed25519PrivateKey.generate())),
        ):
            path.write_bytes(key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            path.chmod(0o600)
        sealer = Sealer("", key_file, Clocks(AT_ONCE, AT_ONCE, timedelta(hours=1)))
        with self.superuser() as own, self.from_django():
            while (folder / "signing.key.next").exists():
                sealer.look(own)
        self.key = read_key(key_file)

    @contextmanager
    def from_django(self) -> Iterator[None]:
        """Let Django's connection be to this database."""
        usual = connections.settings["default"]["NAME"]
        connect_to(self.database)
        with self.blocker.unblock():
            try:
                yield
            finally:
                connections.close_all()
                connect_to(usual)

    def newest_note(self, workspace: UUID) -> str:
        with self.superuser() as connection:
            statement = "SELECT note FROM audit_checkpoint WHERE workspace_id = %s ORDER BY signed_at DESC LIMIT 1"
            (note,) = connection.execute(statement, [workspace]).fetchone() or ("",)
            return note

    def vkey(self, workspace: UUID) -> str:
        return str(self.key.vkey(workspace))

    def export(self, workspace: UUID, path: Path, *, events: EventQuerySet | None = None, **more: object) -> Path:
        """Write the bundle as the application's role."""
        with self.from_django(), path.open("wb") as file:
            made = Bundle(workspace, asked_by="Auditor", now=datetime.now(UTC), events=events, **more)
            file.writelines(made.blocks())
        return path


def record(connection: psycopg.Connection, workspace: UUID, door: str = "record_event", **fields: object) -> UUID:
    event = {
        "workspace_id": str(workspace), "kind": "release.sealed", "outcome": "SUCCESS",
        "actor": {"type": "PERSON", "id": str(uuid4()), "label": "DevOps"}, "request_id": "", "source": {"via": "page"},
        "target": {"type": "release", "id": str(uuid4()), "label": "service 1.0"}, "summary": "Sealed release 1.0",
        "reason": "", "change": {}, "approval": {}, "causation": {},
    }  # fmt: skip
    connection.execute("SELECT set_config('app.workspaces', %s, false)", [str(workspace)])
    (event_id,) = connection.execute(f"SELECT {door}(%s::jsonb)", [json.dumps(event | fields)]).fetchone() or ()
    return event_id


def record_in_the_past(connection: psycopg.Connection, workspace: UUID, months: int) -> str:
    """Write an event of so many months ago into a partition of that month, as it would stand there; name the month."""
    (at,) = connection.execute(
        "SELECT date_trunc('month', now() AT TIME ZONE 'UTC') - make_interval(months => %s) + interval '10 days'",
        [months],
    ).fetchone() or (datetime.now(UTC),)
    first = at.replace(day=1, tzinfo=UTC)
    name = f"audit_event_{at:%Y_%m}"
    following = (first + timedelta(days=32)).replace(day=1)
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF audit_event"
        f" FOR VALUES FROM ('{first:%Y-%m-%d}Z') TO ('{following:%Y-%m-%d}Z')"
    )
    event = record(connection, workspace)
    connection.execute(
        """
        WITH told AS (DELETE FROM audit_event WHERE event_id = %(event)s RETURNING *),
        fresh AS (SELECT uuidv7(%(at)s::timestamptz - now()) AS id)
        INSERT INTO audit_event (event_id, workspace_id, recorded_at, kind, outcome, actor_type, actor_id, actor_label,
            target_type, target_id, target_label, request_id, summary, reason, actor, source, target, change, approval,
            causation, canonical)
        SELECT fresh.id, workspace_id, %(at)s, kind, outcome, actor_type, actor_id, actor_label, target_type, target_id,
            target_label, request_id, summary, reason, actor, source, target, change, approval, causation,
            convert_to((convert_from(canonical, 'UTF8')::jsonb || jsonb_build_object('event_id', fresh.id,
                'recorded_at', to_char(%(at)s AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')))::text, 'UTF8')
        FROM told, fresh
        """,
        {"event": event, "at": at.replace(tzinfo=UTC)},
    )
    return f"{at:%Y-%m}"


def disable_triggers(connection: psycopg.Connection) -> None:
    """What only who owns the tables can do."""
    for table in LEDGER:
        connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")


@dataclass(frozen=True)
class Told:
    code: int
    kind: str
    leaf: int | None
    event: str
    text: str


def verify(bundle: Path, *arguments: str) -> Told:
    """Run the client as an auditor does: a process without the portal's packages, in another folder."""
    command = [sys.executable, "-I", "-S", str(CLIENT), "verify", "--json", *arguments, str(bundle)]
    done = subprocess.run(command, cwd=bundle.parent, env={}, capture_output=True, text=True, check=False)
    assert not done.stderr, done.stderr
    told = json.loads(done.stdout)
    worst = told["findings"][0] if told["findings"] else {"kind": "", "leaf": None, "event": ""}
    return Told(done.returncode, worst["kind"], worst["leaf"], worst["event"], done.stdout)
