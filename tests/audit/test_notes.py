import base64
import struct
from datetime import UTC, datetime
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from apps.audit import keys, notes
from apps.audit.notes import BadNote, Checkpoint, Note, VerifierKey

LOG = UUID("0190a5c0-0000-7000-8000-000000000001")
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
CHECKPOINT = Checkpoint(LOG, 7, bytes(range(32)), datetime(2026, 11, 18, 9, 0, 0, 1, tzinfo=UTC))


def test_a_checkpoint_is_a_signed_note() -> None:
    text = CHECKPOINT.signed(KEY)
    own = keys.SigningKey(KEY).vkey(LOG)

    assert text.splitlines()[:5] == [
        f"eaip-operations/audit/{LOG}", "7", base64.b64encode(bytes(range(32))).decode(),
        "time 2026-11-18T09:00:00.000001Z", "",
    ]  # fmt: skip
    note = Note.read(text)
    assert note.is_signed_by([own])
    assert not note.is_signed_by([VerifierKey(own.name, bytes(32))])
    assert not Note.read(text.replace("\n7\n", "\n8\n")).is_signed_by([own])
    assert VerifierKey.read(str(own)) == own


def test_the_key_hash_of_the_specification() -> None:
    # c2sp.org/signed-note, the example's key.
    key = VerifierKey.read("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")

    assert key.id.hex() == "c74f20a3"


def test_a_witness_signs_the_note_and_its_time() -> None:
    witness = VerifierKey("north-bank/witness", notes.public_of(KEY), notes.WITNESS_KEY)
    message = f"cosignature/v1\ntime 1763456400\n{CHECKPOINT.body}".encode()
    line = notes.signature_line(witness, struct.pack(">Q", 1763456400) + KEY.sign(message))

    assert notes.cosigned_at(CHECKPOINT.body, witness, line) == datetime.fromtimestamp(1763456400, UTC)
    with pytest.raises(BadNote, match="does not fit"):
        notes.cosigned_at(CHECKPOINT.body.replace("\n7\n", "\n8\n"), witness, line)
    with pytest.raises(BadNote, match="is not one of"):
        notes.cosigned_at(CHECKPOINT.body, VerifierKey("another", witness.public, notes.WITNESS_KEY), line)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("no signature", "empty line"),
        ("a\n\nno AAAAAAAA AAAAAAAA\n", "no signature"),
        ("a\n\n\u2014 name !!!\n", "not base64"),
        ("a\n\n\u2014 name AAAA\n", "no signature"),
    ],
)
def test_what_is_no_note_is_told(text: str, why: str) -> None:
    with pytest.raises(BadNote, match=why):
        Note.read(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "Ed25519"),
        ("name+00000000+!!", "base64"),
        ("name+00000000+AQ==", "Ed25519"),
        (str(VerifierKey("name", bytes(32)))[:-44] + "B" + str(VerifierKey("name", bytes(32)))[-43:], "Ed25519"),
        (str(VerifierKey("name", bytes(32))).replace("name", "nome"), "a letter was lost"),
    ],
)
def test_what_is_no_key_is_told(text: str, why: str) -> None:
    with pytest.raises(BadNote, match=why):
        VerifierKey.read(text)


def test_a_key_file_is_for_its_owner_alone(tmp_path) -> None:
    path = tmp_path / "signing.key"
    made = keys.make_key(path)

    assert path.stat().st_mode & 0o777 == 0o600
    assert keys.read_key(path).id == made.id
    with pytest.raises(keys.KeyProblem, match="is there already"):
        keys.make_key(path)
    path.chmod(0o640)
    with pytest.raises(keys.KeyProblem, match="chmod 600"):
        keys.read_key(path)
    path.chmod(0o600)
    path.write_text("not a key")
    with pytest.raises(keys.KeyProblem, match="no private key"):
        keys.read_key(path)
    with pytest.raises(keys.KeyProblem, match="can't be read"):
        keys.read_key(tmp_path / "missing")
