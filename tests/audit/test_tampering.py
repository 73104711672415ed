"""A2: what somebody with all rights over the database, or over the file, does to a sealed log is found without us.

Each tampering has a workspace of its own in one ledger, of eleven entries under two checkpoints of six and of eleven.
The auditor holds the key, and the newest checkpoint from before.
"""

import os
import random
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pytest_django import DjangoDbBlocker

from apps.audit.keys import SigningKey
from apps.audit.merkle import Tree, leaf_hash
from apps.audit.models import AuditEvent
from apps.audit.notes import Checkpoint
from clients.verify_audit import KINDS
from tests.audit.real_ledger import Ledger, disable_triggers, record, record_in_the_past, verify
from tests.engines import Engines

LEAF = "SELECT event_id, recorded_at FROM audit_leaf WHERE workspace_id = %s AND leaf_index = %s"
CANONICAL = """
UPDATE audit_event SET canonical = convert_to(replace(convert_from(canonical, 'UTF8'), %s, %s), 'UTF8')
WHERE event_id = %s
"""
Tamper = Callable[[psycopg.Connection, UUID], None]


def event_at(admin: psycopg.Connection, workspace: UUID, leaf: int) -> UUID:
    return admin.execute(LEAF, [workspace, leaf]).fetchone()[0]


def edit(admin: psycopg.Connection, workspace: UUID) -> None:
    admin.execute(CANONICAL, ["release 1.0", "release 1.1", event_at(admin, workspace, 3)])


def edit_with_the_triggers_back(admin: psycopg.Connection, workspace: UUID) -> None:
    edit(admin, workspace)
    admin.execute("ALTER TABLE audit_event ENABLE ALWAYS TRIGGER audit_event_refuse_row")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        edit(admin, workspace)
    disable_triggers(admin)


def edit_with_its_leaf(admin: psycopg.Connection, workspace: UUID) -> None:
    edit(admin, workspace)
    event = event_at(admin, workspace, 3)
    (canonical,) = admin.execute("SELECT canonical FROM audit_event WHERE event_id = %s", [event]).fetchone()
    admin.execute("UPDATE audit_leaf SET leaf_hash = %s WHERE event_id = %s", [leaf_hash(canonical), event])


def delete(admin: psycopg.Connection, workspace: UUID) -> None:
    admin.execute("DELETE FROM audit_event WHERE event_id = %s", [event_at(admin, workspace, 3)])


def insert(admin: psycopg.Connection, workspace: UUID) -> None:
    """An entry that never was, with a leaf in the middle, all after it moved on by one."""
    event = record(admin, workspace, summary="Never happened")
    (canonical, at) = admin.execute(
        "SELECT canonical, recorded_at FROM audit_event WHERE event_id = %s", [event]
    ).fetchone()
    for step in (1000, -999):
        admin.execute(
            "UPDATE audit_leaf SET leaf_index = leaf_index + %s WHERE workspace_id = %s AND leaf_index >= 3",
            [step, workspace],
        )
    admin.execute("INSERT INTO audit_leaf VALUES (%s, 3, %s, %s, %s)", [workspace, event, at, leaf_hash(canonical)])


def reorder(admin: psycopg.Connection, workspace: UUID) -> None:
    for old, new in ((3, 1000), (5, 3), (1000, 5)):
        admin.execute(
            "UPDATE audit_leaf SET leaf_index = %s WHERE workspace_id = %s AND leaf_index = %s", [new, workspace, old]
        )


def cut_the_tail(admin: psycopg.Connection, workspace: UUID) -> None:
    """The last entries with all that knew of them."""
    admin.execute(
        "DELETE FROM audit_event USING audit_leaf leaf WHERE leaf.event_id = audit_event.event_id"
        " AND leaf.workspace_id = %s AND leaf_index >= 6",
        [workspace],
    )
    admin.execute("DELETE FROM audit_leaf WHERE workspace_id = %s AND leaf_index >= 6", [workspace])
    admin.execute("DELETE FROM audit_checkpoint WHERE workspace_id = %s AND tree_size > 6", [workspace])


def empty(admin: psycopg.Connection, workspace: UUID) -> None:
    for table in ("audit_event", "audit_leaf", "audit_node", "audit_checkpoint", "audit_tree"):
        admin.execute(f"DELETE FROM {table} WHERE workspace_id = %s", [workspace])  # noqa: S608  names above


def begin_anew(admin: psycopg.Connection, workspace: UUID) -> None:
    empty(admin, workspace)
    for _ in range(12):
        record(admin, workspace)


def drop_a_month(admin: psycopg.Connection, workspace: UUID) -> None:
    (month,) = admin.execute(
        "SELECT to_char(recorded_at AT TIME ZONE 'UTC', 'YYYY_MM') FROM audit_leaf"
        " WHERE workspace_id = %s AND leaf_index = 2",
        [workspace],
    ).fetchone()
    admin.execute(f"DROP TABLE audit_event_{month}")


def swap_the_tenant(admin: psycopg.Connection, workspace: UUID) -> None:
    """An entry of another workspace in the place of one of this."""
    other = record(admin, uuid4())
    admin.execute("UPDATE audit_event SET workspace_id = %s WHERE event_id = %s", [workspace, other])
    admin.execute(
        "UPDATE audit_leaf SET event_id = %s, recorded_at = (SELECT recorded_at FROM audit_event WHERE event_id = %s)"
        " WHERE workspace_id = %s AND leaf_index = 3",
        [other, other, workspace],
    )


def shift_the_time(admin: psycopg.Connection, workspace: UUID) -> None:
    event, at = admin.execute(LEAF, [workspace, 3]).fetchone()
    earlier = at - timedelta(minutes=20)
    admin.execute(CANONICAL, [f"{at:%Y-%m-%dT%H:%M:%S.%f}", f"{earlier:%Y-%m-%dT%H:%M:%S.%f}", event])
    admin.execute("UPDATE audit_event SET recorded_at = %s WHERE event_id = %s", [earlier, event])


def sign_with_another_key(admin: psycopg.Connection, workspace: UUID) -> None:
    """Change what happened, make a fitting tree, sign it with a key of one's own and publish that key."""
    key = SigningKey(Ed25519PrivateKey.generate())
    admin.execute("INSERT INTO audit_key (key_id, public_key) VALUES (%s, %s)", [key.id, key.public])
    rows = admin.execute(
        "SELECT tree_size, root_hash, signed_at, id FROM audit_checkpoint WHERE workspace_id = %s", [workspace]
    ).fetchall()
    for size, root, at, row in rows:
        note = Checkpoint(workspace, size, bytes(root), at).signed(key.private)
        admin.execute("UPDATE audit_checkpoint SET note = %s WHERE id = %s", [note, row])


def nothing(admin: psycopg.Connection, workspace: UUID) -> None:
    """What is done is done to the file, or was done to a copy of the database."""


def _replaced(bundle: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    with zipfile.ZipFile(bundle) as archive:
        parts = {member: archive.read(member) for member in archive.namelist()}
    with zipfile.ZipFile(bundle, "w") as archive:
        for member, content in parts.items():
            archive.writestr(member, change(content) if member == name else content)


def without_the_newest_checkpoint(bundle: Path) -> None:
    _replaced(bundle, "checkpoints.txt", lambda notes: notes.split(b"--\n")[0])


def with_a_spoiled_checkpoint(bundle: Path) -> None:
    _replaced(bundle, "checkpoints.txt", lambda notes: notes.replace(b"\ntime 20", b"\ntime 19", 1))


def with_an_edited_entry(bundle: Path) -> None:
    _replaced(bundle, "entries.jsonl", lambda entries: entries.replace(b"Sealed release", b"Saw a release", 1))


# kind, first bad leaf, what is done to the database, what to the file, whether the auditor needs the held checkpoint
TAMPERINGS: dict[str, tuple[str, int | None, Tamper, Callable[[Path], None] | None, bool]] = {
    "edit": ("edited", 3, edit, None, False),
    "delete": ("missing", 3, delete, None, False),
    "insert": ("inserted", 3, insert, None, False),
    "reorder": ("reordered", 3, reorder, None, False),
    "tail cut": ("truncated", 6, cut_the_tail, None, True),
    "whole log": ("replaced", 0, begin_anew, None, True),
    "partition drop": ("partition-dropped", 2, drop_a_month, None, False),
    "tenant swap": ("tenant-swapped", 3, swap_the_tenant, None, False),
    "time shift": ("time-shifted", 3, shift_the_time, None, False),
    "old checkpoint": ("old-checkpoint", 6, nothing, without_the_newest_checkpoint, False),
    "wrong key": ("wrong-key", 5, sign_with_another_key, None, False),
    "trigger disabled": ("edited", 3, edit_with_the_triggers_back, None, False),
    "older backup restored": ("restored", 0, nothing, None, True),
    "forked log": ("forked", 0, nothing, None, True),
    # Beyond the fourteen.
    "edit with its leaf": ("edited", 0, edit_with_its_leaf, None, False),
    "whole log emptied": ("replaced", 0, empty, None, True),
    "edit of the file": ("edited", 0, nothing, with_an_edited_entry, False),
    "checkpoint's time": ("bad-signature", 5, nothing, with_a_spoiled_checkpoint, False),
}
COPIED = {"older backup restored", "forked log"}
BEYOND = ("edit with its leaf", "whole log emptied", "edit of the file", "checkpoint's time")


@dataclass
class Tally:
    """What was found and what was not, over all tests of a run."""

    found: set[str] = field(default_factory=set)
    clean: int = 0
    alarms: int = 0

    def __str__(self) -> str:
        asked = TAMPERINGS.keys() - set(BEYOND)
        return (
            f"A2: {len(self.found & asked)} of {len(asked)} kinds of tampering found, and {len(self.found - asked)} of"
            f" {len(BEYOND)} more; {self.alarms} false alarms in {self.clean} logs that nobody touched"
        )


@pytest.fixture(scope="module")
def tally(request: pytest.FixtureRequest) -> Iterator[Tally]:
    kept = Tally()
    yield kept
    if os.environ.get("EAIP_TEST_CLOCKS") == "real":
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            print(f"\n{kept}", flush=True)


class Prepared:
    """The ledger, and a backup of it that was put back and written on."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.workspaces = {name: uuid4() for name in TAMPERINGS}
        ledger.begin()
        with ledger.superuser() as admin:
            disable_triggers(admin)
            for name, workspace in self.workspaces.items():
                for number in range(6):
                    if name == "partition drop":
                        record_in_the_past(admin, workspace, months=3 - number // 2)
                    else:
                        record(admin, workspace)
        ledger.seal()
        self.copy = ledger.copied_to(f"{ledger.database}_copy")
        self.copy.record(self.workspaces["forked log"], 5, summary="Another history")
        self.copy.seal()
        for workspace in self.workspaces.values():
            ledger.record(workspace, 5)
        ledger.seal()
        self.held = {name: ledger.newest_note(workspace) for name, workspace in self.workspaces.items()}
        self.copy.record(self.workspaces["older backup restored"], 9, summary="After the backup was put back")
        self.copy.seal()


@pytest.fixture(scope="module")
def prepared_logs(engines: Engines, django_db_blocker: DjangoDbBlocker) -> Iterator[Prepared]:
    ledger = Ledger(engines, django_db_blocker, f"eaip_tampering_{uuid4().hex[:8]}")
    yield Prepared(ledger)
    for database in (ledger.database, f"{ledger.database}_copy"):
        engines.drop(database)


@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampering_is_found_offline(name: str, prepared_logs: Prepared, tally: Tally, tmp_path: Path) -> None:
    kind, leaf, tamper, spoil, needs_held = TAMPERINGS[name]
    workspace, ledger = prepared_logs.workspaces[name], prepared_logs.ledger
    (tmp_path / "held.note").write_text(prepared_logs.held[name])
    holds = ["--key", ledger.vkey(workspace)]

    with ledger.superuser() as admin:
        tamper(admin, workspace)
        named = str((admin.execute(LEAF, [workspace, leaf or 0]).fetchone() or [""])[0])
    if tamper is begin_anew:
        ledger.seal()
    bundle = (prepared_logs.copy if name in COPIED else ledger).export(workspace, tmp_path / "log.zip")
    if spoil:
        spoil(bundle)
    alone = verify(bundle, *holds)
    told = verify(bundle, *holds, "--checkpoint", "held.note") if needs_held else alone

    assert (told.kind, told.leaf, told.code) == (kind, leaf, KINDS[kind][0]), told.text
    if kind in {"edited", "missing", "inserted", "reordered", "partition-dropped", "time-shifted"}:
        assert told.event == named, told.text
    if needs_held:
        assert alone.code == 0, alone.text
    tally.found.add(name)


CLEAN = [pytest.param(seed, marks=[] if seed < 2 else [pytest.mark.reliability]) for seed in range(100)]


@pytest.fixture(scope="module")
def clean_ledger(engines: Engines, django_db_blocker: DjangoDbBlocker) -> Iterator[Ledger]:
    ledger = Ledger(engines, django_db_blocker, f"eaip_clean_{uuid4().hex[:8]}")
    ledger.begin()
    with ledger.superuser() as admin:
        disable_triggers(admin)
    yield ledger
    engines.drop(ledger.database)


@pytest.mark.parametrize("seed", CLEAN)
def test_log_that_nobody_touched_raises_no_alarm(seed: int, clean_ledger: Ledger, tally: Tally, tmp_path: Path) -> None:
    chance, ledger, workspace = random.Random(seed), clean_ledger, uuid4()
    other, keys, notes = uuid4(), [], []
    with ledger.superuser() as slow:
        for _ in range(chance.randrange(2, 6)):
            if is_slow := chance.random() < 0.5:
                slow.execute("BEGIN")
                record(slow, workspace, summary="Committed late")
            for _ in range(chance.randrange(1, 25)):
                ledger.record(chance.choice([workspace, workspace, other]), kind=chance.choice(KINDS_USED))
            ledger.seal()
            if is_slow:
                slow.execute("COMMIT")
            if chance.random() < 0.3:
                ledger.rotate(tmp_path)
            ledger.record(workspace)
            ledger.seal()
            keys.append(ledger.vkey(workspace))
            notes.append(ledger.newest_note(workspace))
    if chance.random() < 0.4:
        cut(ledger, workspace, chance)
    (tmp_path / "held.note").write_text(chance.choice(notes))
    events = AuditEvent.objects.matching(kind=chance.choice(KINDS_USED)) if chance.random() < 0.4 else None

    bundle = ledger.export(workspace, tmp_path / "log.zip", events=events)
    told = verify(bundle, "--key", chance.choice(keys), "--checkpoint", "held.note")
    tally.clean += 1
    tally.alarms += told.code != 0

    assert told.code == 0, told.text


KINDS_USED = ("release.sealed", "decision.approved", "deployment.succeeded")


def cut(ledger: Ledger, workspace: UUID, chance: random.Random) -> None:
    """Take the oldest entries away with the entry that proves it, as retention does."""
    with ledger.superuser() as admin:
        rows = admin.execute(
            "SELECT leaf_hash, event_id FROM audit_leaf WHERE workspace_id = %s ORDER BY leaf_index", [workspace]
        ).fetchall()
        last = chance.randrange(len(rows) // 2)
        tree = Tree()
        for leaf, _ in rows[: last + 1]:
            tree.append(bytes(leaf))
        said = {"first_leaf": 0, "last_leaf": last, "root": tree.root.hex()}
        change = {name: {"before": None, "after": value} for name, value in said.items()}
        record(admin, workspace, "write_event", kind="retention.cut", change=change)
        admin.execute(
            "DELETE FROM audit_event WHERE event_id = ANY(%s) AND kind <> 'audit.key_rotated'",
            [[event for _, event in rows[: last + 1]]],
        )
    ledger.seal()
