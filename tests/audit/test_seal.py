"""The sealer on a real database: what it seals, what it leaves for later, and what it refuses to sign."""

import base64
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from psycopg import Connection

from apps.audit import actions as audit
from apps.audit import merkle, sealing, seals
from apps.audit.actors import SYSTEM
from apps.audit.keys import KeyProblem, key_id, make_key, vkeys
from apps.audit.models import AuditEvent, Checkpoint
from apps.audit.notes import Note
from apps.audit.sealer import Clocks, Sealer
from apps.audit.sealing import Sealed
from apps.compliance.exports.run import see_to_exports
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.workspaces.scope import workspace_scope
from deploy.launcher.paths import ROOT
from tests.engines import renamed
from tests.processes import eventually

AT_ONCE = timedelta(0)
LATER = timedelta(days=1)


@pytest.fixture
def url(transactional_db: None, database: str) -> str:
    return renamed(os.environ["DATABASE_SEALER_URL"], database)


@pytest.fixture
def own(url: str) -> Iterator[Connection]:
    with psycopg.connect(url, autocommit=True) as connected:
        yield connected


@pytest.fixture
def sealer(url: str, tmp_path: Path) -> Sealer:
    return Sealer(url, tmp_path / "seal" / "signing.key", Clocks(AT_ONCE, AT_ONCE, LATER))


def write(count: int = 1, workspace_id: UUID = PLATFORM_WORKSPACE_ID) -> None:
    with workspace_scope([workspace_id]):
        for number in range(count):
            audit.record("release.sealed", by=SYSTEM, target=None, summary=f"A test wrote {number}")


def all_sealed(sealer: Sealer, own: Connection) -> Sealed:
    """Look until every entry has its leaf: transactions of other tests on this server hold the watermark back."""
    last = Sealed()

    def look() -> bool:
        nonlocal last
        last = sealer.look(own)
        row = own.execute("SELECT (SELECT count(*) FROM audit_event) = (SELECT count(*) FROM audit_leaf)").fetchone()
        return bool(row and row[0]) and not last.was_held

    eventually(look, within_seconds=60)
    return last


def newest() -> Checkpoint:
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        return Checkpoint.objects.first()


def leaves() -> list[bytes]:
    with workspace_scope([PLATFORM_WORKSPACE_ID]), connection.cursor() as cursor:
        cursor.execute("SELECT leaf_hash FROM audit_leaf ORDER BY leaf_index")
        return [bytes(row[0]) for row in cursor.fetchall()]


@contextmanager
def administrator(engines, database: str) -> Iterator[Connection]:
    """Somebody who may do anything, and whom no trigger stops."""
    with psycopg.connect(engines.postgres.url(database=database), autocommit=True) as connected:
        connected.execute("SET session_replication_role = replica")
        for table in ("audit_leaf", "audit_checkpoint"):
            connected.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        yield connected


def test_every_entry_becomes_a_leaf_of_a_signed_tree(sealer, own) -> None:
    write(600)
    all_sealed(sealer, own)
    write(3)
    all_sealed(sealer, own)

    kept, checkpoint = leaves(), newest()
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        entries = [merkle.leaf_hash(bytes(event.canonical)) for event in AuditEvent.objects.order_by("recorded_at")]
    key = sealer.key(own)
    assert sorted(kept) == sorted(entries)
    assert (checkpoint.tree_size, checkpoint.key_id) == (603, key_id(key.public))
    assert bytes(checkpoint.root_hash) == merkle.root_of(kept)
    assert Note.read(checkpoint.note).is_signed_by(vkeys([key.public], PLATFORM_WORKSPACE_ID))
    with own.cursor() as cursor:
        roots = sealing.roots_of(cursor, PLATFORM_WORKSPACE_ID)
        for index in (0, 255, 256, 511, 600, 602):
            proof = merkle.inclusion_proof(roots, index, 603)
            assert merkle.root_by_inclusion(kept[index], index, 603, proof) == bytes(checkpoint.root_hash)


def test_a_tree_that_did_not_grow_is_signed_when_its_hour_has_come(sealer, own) -> None:
    write()
    all_sealed(sealer, own)

    assert not sealer.look(own).signed
    sealer.clocks = Clocks(AT_ONCE, AT_ONCE, AT_ONCE)
    assert [checkpoint.size for checkpoint in sealer.look(own).signed] == [1]


def test_the_entries_of_a_slow_transaction_are_neither_skipped_nor_lost(sealer, own, database_url) -> None:
    sealer.look(own)  # the first look of all takes whatever is there
    with psycopg.connect(database_url) as slow:
        slow.execute("SELECT set_config('app.workspaces', %s, true)", [str(PLATFORM_WORKSPACE_ID)])
        with workspace_scope([PLATFORM_WORKSPACE_ID]):
            audit.record("release.sealed", by=SYSTEM, target=None, summary="Before")
            event = AuditEvent.objects.values_list("canonical", flat=True)[0]
        slow.execute("SELECT record_event(convert_from(%s, 'UTF8')::jsonb)", [bytes(event)])
        write(5)
        for _ in range(3):
            sealer.look(own)
        assert len(leaves()) <= 1  # what was written before it began, at the most
        slow.commit()

    all_sealed(sealer, own)
    assert len(leaves()) == 7


def test_two_sealers_at_once_make_one_tree(sealer, own, url) -> None:
    write(300)
    sealer.key(own)
    ready, done = threading.Barrier(2), []

    def work() -> None:
        with psycopg.connect(url, autocommit=True) as mine:
            ready.wait()
            done.append(sealer.look(mine))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    all_sealed(sealer, own)

    assert len(done) == 2
    assert len(leaves()) == 300
    assert bytes(newest().root_hash) == merkle.root_of(leaves())


def test_a_sealer_that_is_killed_leaves_nothing_half_done(sealer, own, url, engines, database, monkeypatch) -> None:
    write(10)
    sealer.key(own)
    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'eaip_sealer' AND datname = %s"

    def die(*_: object, **__: object) -> None:
        with psycopg.connect(engines.postgres.url(database=database), autocommit=True) as connected:
            connected.execute(kill, [database])

    with psycopg.connect(url, autocommit=True) as doomed, monkeypatch.context() as patch:
        patch.setattr(sealing, "_sign_all", die)
        with pytest.raises(psycopg.Error):
            sealer.look(doomed)
    assert leaves() == []

    with psycopg.connect(url, autocommit=True) as again:
        all_sealed(sealer, again)
    assert len(leaves()) == 10


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        ("UPDATE audit_leaf SET leaf_hash = sha256('x') WHERE leaf_index = 2", "not those that were signed"),
        ("UPDATE audit_tree SET size = 2, peaks = substring(peaks for 32)", "2 leaves; 5 were signed"),
        ("UPDATE audit_checkpoint SET note = replace(note, 'time 20', 'time 19')", "is not what its row says"),
        ("UPDATE audit_key SET public_key = sha256('x')", "not signed by a key of this log"),
        ("DELETE FROM audit_leaf WHERE leaf_index = 4", "not those that were signed"),
        (
            "INSERT INTO audit_leaf SELECT workspace_id, 9, uuidv7(), now(), leaf_hash FROM audit_leaf LIMIT 1",
            "leaves beyond its 5",
        ),
    ],
)
def test_what_was_tampered_with_is_not_signed_again(sealer, own, engines, database, harm, why) -> None:
    write(5)
    all_sealed(sealer, own)
    with administrator(engines, database) as connected:
        connected.execute(harm)
    sealer.clocks = Clocks(AT_ONCE, AT_ONCE, AT_ONCE)

    refused = sealer.look(own).refused
    again = sealer.look(own)

    assert why in refused[PLATFORM_WORKSPACE_ID]
    assert not again.signed
    assert not again.refused  # it is told once
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        told = AuditEvent.objects.get(kind="audit.seal_refused")
    assert why in told.reason
    assert own.execute("SELECT refused FROM audit_sealing").fetchone() == (1,)


def test_a_tree_that_takes_nothing_on_a_restored_server_hides_no_entry(sealer, own, engines, database) -> None:
    write()
    all_sealed(sealer, own)
    with administrator(engines, database) as connected:
        leaf = "workspace_id, 9, uuidv7(), now(), leaf_hash FROM audit_leaf LIMIT 1"
        connected.execute(f"INSERT INTO audit_leaf SELECT {leaf}")
        connected.execute("UPDATE audit_sealing SET server = 'another', next_xid = '999999999999'")
    write()

    for _ in range(2):
        assert not sealer.look(own).leaves
    with administrator(engines, database) as connected:
        connected.execute("DELETE FROM audit_leaf WHERE leaf_index = 9")
    all_sealed(sealer, own)

    assert bytes(newest().root_hash) == merkle.root_of(leaves())


def test_the_old_key_names_the_new_one_and_signs_no_more(sealer, own) -> None:
    write(2)
    all_sealed(sealer, own)
    old = sealer.key(own)
    new = make_key(sealer.key_file.with_name("signing.key.next"))

    eventually(lambda: sealer.look(own) and sealer.key(own).id == new.id, within_seconds=60)
    write()
    all_sealed(sealer, own)

    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        named = AuditEvent.objects.get(kind="audit.key_rotated")
        notes = list(Checkpoint.objects.order_by("signed_at"))
    leaf = own.execute("SELECT leaf_index FROM audit_leaf WHERE event_id = %s", [named.pk]).fetchone()[0]
    assert named.change["key"]["after"] == str(new.vkey(PLATFORM_WORKSPACE_ID))
    covering = [note for note in notes if note.tree_size > leaf]
    assert [note.key_id for note in covering] == [old.id, *[new.id] * (len(covering) - 1)]
    assert len(covering) > 1
    assert sealer.key_file.with_name(f"signing.key.{old.id}").exists()
    assert own.execute("SELECT key_id FROM audit_key WHERE valid_until IS NULL").fetchall() == [(new.id,)]


def test_a_key_that_the_log_does_not_know_signs_nothing(sealer, own) -> None:
    write()
    all_sealed(sealer, own)
    sealer.key_file.unlink()
    with pytest.raises(KeyProblem, match="can't be read"):
        sealer.look(own)

    make_key(sealer.key_file)
    with pytest.raises(KeyProblem, match="this log is signed by"):
        sealer.look(own)


FORBIDDEN_TO_THE_APPLICATION = [
    "INSERT INTO audit_leaf SELECT * FROM audit_leaf", "UPDATE audit_leaf SET leaf_index = 9", "DELETE FROM audit_leaf",
    "TRUNCATE audit_leaf", "UPDATE audit_checkpoint SET note = ''", "DELETE FROM audit_checkpoint",
    "TRUNCATE audit_checkpoint", "UPDATE audit_tree SET size = 0", "UPDATE audit_sealing SET next_xid = '1'",
    "INSERT INTO audit_key VALUES ('x', sha256('x'))", "UPDATE audit_node SET hash = sha256('x')",
    "ALTER TABLE audit_leaf DISABLE TRIGGER ALL",
]  # fmt: skip
FORBIDDEN_TO_THE_SEALER = [
    "UPDATE audit_leaf SET leaf_index = 9", "DELETE FROM audit_leaf", "TRUNCATE audit_leaf",
    "DELETE FROM audit_checkpoint", "UPDATE audit_event SET summary = ''", "SELECT * FROM accounts_user",
    "SELECT record_event('{}')", "ALTER TABLE audit_leaf DISABLE TRIGGER ALL", "SET ROLE eaip_owner",
]  # fmt: skip


def test_nobody_but_the_sealer_writes_seals_and_it_writes_nothing_else(sealer, own, database_url) -> None:
    write()
    all_sealed(sealer, own)
    with psycopg.connect(database_url, autocommit=True) as application:
        for by, statements in ((application, FORBIDDEN_TO_THE_APPLICATION), (own, FORBIDDEN_TO_THE_SEALER)):
            for statement in statements:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    by.execute(statement)


def test_pages_show_the_seal_and_hand_out_what_proves_an_entry(sealer, own, client, cast, tmp_path) -> None:
    write(3)
    all_sealed(sealer, own)
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        event = AuditEvent.objects.last()
    client.force_login(cast.auditor)

    page = client.get("/audit/seals/").content.decode()
    detail = client.get(f"/audit/{event.pk}/").content.decode()
    entry = client.get(f"/audit/{event.pk}/entry.json").content
    proof = client.get(f"/audit/{event.pk}/proof").content.decode()
    note = client.get(f"/audit/seals/{newest().pk}/note").content.decode()

    assert newest().root in page
    assert str(sealer.key(own).vkey(PLATFORM_WORKSPACE_ID)).replace("+", "&#x2B;") in page.replace("+", "&#x2B;")
    assert "Leaf" in detail
    assert entry == bytes(event.canonical)
    head, _, signed = proof.partition("\n\n")
    path = [base64.b64decode(line) for line in head.splitlines()[2:]]
    index, size = int(head.splitlines()[1].split()[1]), int(signed.splitlines()[1])
    root = base64.b64encode(merkle.root_by_inclusion(merkle.leaf_hash(entry), index, size, path)).decode()
    assert root == signed.splitlines()[2]
    assert Note.read(note).is_signed_by(vkeys([sealer.key(own).public], PLATFORM_WORKSPACE_ID))


def test_the_bundle_that_the_page_hands_out_is_verified_without_the_portal(
    sealer, own, client, cast, tmp_path, settings
) -> None:
    settings.EXPORT_DIR = tmp_path / "exports"
    write(5)
    all_sealed(sealer, own)
    client.force_login(cast.auditor)
    key = str(sealer.key(own).vkey(PLATFORM_WORKSPACE_ID))
    verify = [sys.executable, "-I", ROOT / "clients" / "verify_audit.py", "verify", tmp_path / "log.zip", "--key", key]

    for asked in ({}, {"q": "wrote"}):
        page = client.post(
            "/compliance/exports/", {"format": "BUNDLE", "workspace": str(PLATFORM_WORKSPACE_ID), **asked}
        ).url
        see_to_exports()
        answer = client.get(f"{page}file")
        (tmp_path / "log.zip").write_bytes(b"".join(answer.streaming_content))
        told = subprocess.run(verify, capture_output=True, text=True)
        assert (told.returncode, told.stderr) == (0, ""), told.stdout

    with zipfile.ZipFile(tmp_path / "log.zip") as bundle:
        assert len(bundle.read("entries.jsonl").splitlines()) == 5
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        exported = AuditEvent.objects.filter(kind="audit.exported").first()
    assert exported.change["format"]["after"] == "zip"


def test_a_stranger_gets_no_checkpoint(sealer, own, client, cast) -> None:
    write()
    all_sealed(sealer, own)
    client.force_login(cast.outsider)

    assert newest().root not in client.get("/audit/seals/").content.decode()
    assert client.get(f"/audit/seals/{newest().pk}/note").status_code == 404
    with workspace_scope([UUID(int=7)]):
        assert not Checkpoint.objects.exists()


def test_the_list_of_checkpoints_costs_the_same_for_one_and_many(sealer, own, client, cast) -> None:
    client.force_login(cast.auditor)
    write()
    all_sealed(sealer, own)
    client.get("/audit/seals/")
    with CaptureQueriesContext(connection) as few:
        client.get("/audit/seals/")
    for _ in range(3):
        write()
        all_sealed(sealer, own)
    with CaptureQueriesContext(connection) as many:
        client.get("/audit/seals/")

    assert len(many) == len(few)


def test_a_seal_that_stands_still_is_told(sealer, own) -> None:
    silence = timedelta(seconds=60)
    assert "does not run" in seals.problem(silence=silence)
    write()
    all_sealed(sealer, own)
    assert seals.problem(silence=silence) == ""
    assert "not been heard of since" in seals.problem(silence=timedelta(0))
