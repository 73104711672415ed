"""The offline verifier by itself: its arithmetic against the standards' vectors, and each finding on made-up logs.

What it finds in a real ledger is in `test_tampering.py`.
"""

import base64
import json
import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clients import verify_audit as client
from tests.audit.sealed_log import Log, consistency, inclusion, root_of, text_of, write

# RFC 8032, 7.1: public key, message, signature.
VECTORS = [
    ("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
    ("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
    ("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"),
]  # fmt: skip


@pytest.mark.parametrize(("public", "message", "signature"), VECTORS)
def test_signatures_of_the_standard_fit(public: str, message: str, signature: str) -> None:
    key, text, sign = (bytes.fromhex(value) for value in (public, message, signature))

    assert client.ed25519_fits(key, text, sign)
    assert not client.ed25519_fits(key, text + b"x", sign)


def test_own_arithmetic_agrees_with_cryptography() -> None:
    random.seed(8032)
    for length in range(12):
        key, message = Ed25519PrivateKey.generate(), random.randbytes(length * 11)
        public, signature = key.public_key().public_bytes_raw(), bytearray(key.sign(message))
        assert client.ed25519_fits(public, message, bytes(signature))
        signature[random.randrange(64)] ^= 1 << random.randrange(8)
        assert not client.ed25519_fits(public, message, bytes(signature))
        assert not client.signature_fits(public, message, bytes(signature))


def _number(little: bytes, more: int) -> bytes:
    return (int.from_bytes(little, "little") + more).to_bytes(32, "little")


@pytest.mark.parametrize(
    "spoiled",
    [
        lambda public, sign: (public, sign[:32] + _number(sign[32:], client.ORDER)),
        lambda public, sign: (public, sign[:63]),
        lambda public, sign: (public[:31], sign),
        lambda public, sign: (b"\xff" * 32, sign),
        lambda public, sign: ((1).to_bytes(31, "little") + b"\x80", sign),
    ],
    ids=["scalar too large", "short signature", "short key", "key out of the field", "negative zero"],
)  # fmt: skip
def test_what_is_not_a_signature_never_fits(spoiled: Callable[[bytes, bytes], tuple[bytes, bytes]]) -> None:
    key = Ed25519PrivateKey.generate()
    public, signature = spoiled(key.public_key().public_bytes_raw(), key.sign(b"words"))

    assert not client.ed25519_fits(public, b"words", signature)


def test_cosignature_of_the_specification_is_read() -> None:
    """The example of C2SP tlog-cosignature; its keys are not published, so only its form is checked."""
    blob = "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA=="
    text = (
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
        f"time 2026-03-01T00:00:00.000000Z\n\n— witness.example.com/w1 {blob}\n"
    )

    note = client.Note.read(text)

    assert note.signatures[0].key_id.hex() == "8d66cf3f"
    assert int.from_bytes(note.signatures[0].blob[:8], "big") == 1679315147


def test_trees_and_proofs_are_those_of_the_standard() -> None:
    log = Log()
    log.add(21)
    leaves, notes = log.leaves, [client.Note.read(log.seal(size=size)) for size in range(22)]
    for size in range(22):
        tree = client.Tree()
        for leaf in leaves[:size]:
            tree.add(leaf)
        assert tree.root() == root_of(leaves[:size])
        for index in range(size):
            path = inclusion(index, leaves[:size])
            assert client.root_by_inclusion(leaves[index], index, size, path) == tree.root()
            assert client.root_by_inclusion(leaves[index], index + 1, size, path) != tree.root()
            assert client.root_by_inclusion(leaves[index], index, size, [*path, leaves[0]]) is None
        for old in range(1, size):
            path = consistency(old, leaves[:size])
            assert client.is_consistent(notes[old], notes[size], path)
            assert not client.is_consistent(notes[old], notes[size], [*path, leaves[0]])
            assert not client.is_consistent(notes[old], notes[size], path[:-1])


# ---- Findings -----------------------------------------------------------------------------------------------------


@pytest.fixture
def log() -> Log:
    """Eighteen entries of two people, one of them erased, under six checkpoints of two keys."""
    log = Log()
    people = [log.person("DevOps"), log.person("Auditor", opened=False)]
    for number in range(16):
        log.add(actor=people[number % 2])
        if number in {3, 7, 12}:
            log.seal()
    log.rotate()
    log.add()
    log.seal()
    return log


Verify = Callable[..., tuple[int, dict]]


@pytest.fixture
def verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Verify:
    def run(parts: dict[str, bytes], *arguments: str, held: str = "") -> tuple[int, dict]:
        path = write(parts, tmp_path / "log.zip")
        if held:
            (tmp_path / "held.note").write_text(held)
            arguments = (*arguments, "--checkpoint", str(tmp_path / "held.note"))
        code = client.main(["verify", "--json", *arguments, str(path)])
        return code, json.loads(capsys.readouterr().out)

    return run


def test_log_that_nobody_touched_is_verified(log: Log, verify: Verify) -> None:
    code, told = verify(log.parts(), "--key", log.keys[0], held=log.notes[1])

    assert (code, told["findings"]) == (0, [])
    assert "8 times personal data fit their commitment, 8 times they are erased or left out" in told["passed"]


def test_newest_key_vouches_for_the_older_one(log: Log, verify: Verify) -> None:
    assert verify(log.parts(), "--key", log.keys[1])[0] == 0


def test_without_cryptography_the_same_is_found(log: Log, verify: Verify, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "fast", None)

    assert verify(log.parts(), "--key", log.keys[0])[0] == 0


def test_part_of_a_log_is_verified_and_says_what_it_can_not_show(log: Log, verify: Verify) -> None:
    code, told = verify(log.parts([2, 3, 9, 16]), "--key", log.keys[0])

    assert code == 0
    assert any("A part of the log" in notice for notice in told["notices"])


Tamper = Callable[[Log], dict[str, bytes]]


def _lines(log: Log, change: Callable[[list[bytes]], object]) -> dict[str, bytes]:
    parts = log.parts()
    lines = parts["entries.jsonl"].splitlines(keepends=True)
    change(lines)
    return parts | {"entries.jsonl": b"".join(lines)}


def _changed(log: Log, **fields: object) -> dict[str, bytes]:
    return _lines(log, lambda lines: lines.__setitem__(6, _entry(log, 6, **fields)))


def _entry(log: Log, place: int, **fields: object) -> bytes:
    return json.dumps(json.loads(log.entries[place]) | fields).encode() + b"\n"


def _resealed(log: Log, change: Callable[[list[bytes]], object], keep: int = 0) -> dict[str, bytes]:
    """What who may write every table, but has no key, can do: entries and leaves fit, old checkpoints stay."""
    other = Log(log.workspace, log.now, log.key, list(log.entries), list(log.notes), list(log.keys), log.openings)
    change(other.entries)
    other.proved = log.proved
    parts = other.parts(size=keep or min(len(log.entries), len(other.entries)))
    return parts | {"rotations.jsonl": log.parts()["rotations.jsonl"]}


def _swap(lines: list[bytes], one: int, other: int) -> None:
    lines[one], lines[other] = lines[other], lines[one]


def _manifest(log: Log, **fields: object) -> dict[str, bytes]:
    parts = log.parts()
    return parts | {"manifest.json": json.dumps(json.loads(parts["manifest.json"]) | fields).encode()}


def _spoil_signature(log: Log) -> dict[str, bytes]:
    parts = log.parts()
    return parts | {"checkpoints.txt": parts["checkpoints.txt"].replace(b"\n8\n", b"\n9\n")}


def _other_key(log: Log) -> dict[str, bytes]:
    log.key = Ed25519PrivateKey.generate()
    log.add()
    log.seal()
    return log.parts()


def _old_key(log: Log) -> dict[str, bytes]:
    """Whoever kept the key that was replaced signs once more."""
    log.add()
    log.key = log.first_key
    log.seal()
    return log.parts()


def _fork(log: Log) -> dict[str, bytes]:
    at = log.now + timedelta(seconds=1)
    log.notes.append(log.note(18, b"\7" * 32, at))
    return log.parts()


def _backwards(log: Log) -> dict[str, bytes]:
    log.now -= timedelta(hours=2)
    log.add()
    log.now += timedelta(hours=3)
    log.seal()
    return log.parts()


def _earlier_note(log: Log) -> dict[str, bytes]:
    log.add()
    log.seal(after=timedelta(seconds=-30))
    return log.parts()


def _other_tenant(log: Log) -> dict[str, bytes]:
    other = Log()
    other.add(3)
    other.seal()
    return log.parts() | {"checkpoints.txt": other.parts()["checkpoints.txt"], "keys.txt": other.parts()["keys.txt"]}


def _opening(log: Log) -> dict[str, bytes]:
    parts = log.parts()
    return parts | {"subjects.jsonl": parts["subjects.jsonl"].replace(b"DevOps", b"Editor")}


def _made_late(log: Log) -> dict[str, bytes]:
    return _manifest(log, made_at=text_of(log.now + timedelta(days=1)))


def _without_new_checkpoints(log: Log) -> dict[str, bytes]:
    return log.parts(size=18) | {"checkpoints.txt": log.notes[0].encode()}


def _leaf_spoiled(log: Log) -> dict[str, bytes]:
    leaves = bytearray(log.parts()["leaves.bin"])
    leaves[6 * 32] ^= 1
    return log.parts() | {"leaves.bin": bytes(leaves)}


def _claimed_whole(log: Log, held: list[int]) -> dict[str, bytes]:
    return log.parts(held) | {"manifest.json": log.parts()["manifest.json"]}


def _forgery(log: Log) -> bytes:
    return _entry(log, 6, summary="never happened")


TAMPERINGS: dict[str, tuple[str, int | None, Tamper]] = {
    "an entry": ("edited", 6, lambda log: _changed(log, summary="")),
    "a byte of a leaf": ("edited", 6, _leaf_spoiled),
    "an entry and its leaf": (
        "edited",
        4,
        lambda log: _resealed(log, lambda es: es.__setitem__(6, _forgery(log)[:-1])),
    ),
    "a line taken out": ("missing", 6, lambda log: _lines(log, lambda ls: ls.pop(6))),
    "an entry and its place": ("missing", 6, lambda log: _claimed_whole(log, [n for n in range(18) if n != 6])),
    "an entry and its leaf taken out": ("missing", 4, lambda log: _resealed(log, lambda es: es.pop(6))),
    "a line put in": ("inserted", 6, lambda log: _lines(log, lambda ls: ls.insert(6, _forgery(log)))),
    "a line twice": ("inserted", 7, lambda log: _lines(log, lambda ls: ls.insert(7, ls[6]))),
    "a line more at the end": ("inserted", 18, lambda log: _lines(log, lambda ls: ls.append(_forgery(log)))),
    "an entry and its leaf put in": (
        "inserted",
        6,
        lambda log: _resealed(log, lambda es: es.insert(6, _forgery(log)[:-1])),
    ),
    "two lines exchanged": ("reordered", 6, lambda log: _lines(log, lambda ls: _swap(ls, 6, 11))),
    "two entries exchanged with their leaves": ("reordered", 5, lambda log: _resealed(log, lambda es: _swap(es, 5, 7))),
    "the last lines": ("truncated", 15, lambda log: _lines(log, lambda ls: ls.__delitem__(slice(15, None)))),
    "the last entries and their places": ("truncated", 15, lambda log: _claimed_whole(log, list(range(15)))),
    "the last entries and leaves": ("truncated", 15, lambda log: log.parts(size=15)),
    "all entries": ("replaced", 0, lambda log: _claimed_whole(log, [])),
    "all entries and leaves": ("replaced", 0, lambda log: log.parts(size=0)),
    "a workspace in the manifest": ("tenant-swapped", None, lambda log: _manifest(log, workspace_id="0")),
    "checkpoints of another log": ("tenant-swapped", None, _other_tenant),
    "an entry of another workspace": ("tenant-swapped", 6, lambda log: _changed(log, workspace_id="0")),
    "a time": ("time-shifted", 6, lambda log: _changed(log, recorded_at=text_of(log.now))),
    "newer checkpoints left out": ("old-checkpoint", 4, _without_new_checkpoints),
    "a bundle a day after its last checkpoint": ("old-checkpoint", None, _made_late),
    "the size of a checkpoint": ("bad-signature", 8, _spoil_signature),
    "a checkpoint of another key": ("wrong-key", 18, _other_key),
    "a checkpoint of the key that was replaced": ("wrong-key", 18, _old_key),
    "two roots of one size": ("forked", 17, _fork),
    "an entry two hours before the one before": ("clock-backwards", 18, _backwards),
    "a checkpoint before the one before": ("clock-backwards", 18, _earlier_note),
    "a name": ("opening-altered", 0, _opening),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampering_is_found_with_its_kind_and_first_entry(name: str, log: Log, verify: Verify) -> None:
    kind, leaf, tamper = TAMPERINGS[name]
    key = log.keys[0]

    code, told = verify(tamper(log), "--key", key)

    worst = told["findings"][0]
    assert (worst["kind"], worst["leaf"], code) == (kind, leaf, client.KINDS[kind][0]), told


Held = Callable[[Log], tuple[dict[str, bytes], str]]


def _cut_off(log: Log) -> tuple[dict[str, bytes], str]:
    """The end is gone with the checkpoints that knew of it."""
    held = log.notes.pop()
    return log.parts(), held


def _restored(log: Log) -> tuple[dict[str, bytes], str]:
    """Back to the third checkpoint; then the log goes on."""
    held = log.notes[-1]
    del log.notes[3:], log.entries[13:]
    log.proved["rotations.jsonl"].clear()
    log.key = log.first_key
    log.add(2)
    log.seal()
    return log.parts(), held


def _restored_and_longer(log: Log) -> tuple[dict[str, bytes], str]:
    _, held = _restored(log)
    log.add(9)
    log.seal()
    return log.parts(), held


def _replaced(log: Log) -> tuple[dict[str, bytes], str]:
    other = Log(log.workspace, log.now, log.first_key)
    other.add(30)
    other.seal()
    return other.parts(), log.notes[1]


def _emptied(log: Log) -> tuple[dict[str, bytes], str]:
    held = log.notes[1]
    return Log(log.workspace, key=log.first_key, notes=[]).parts(size=0), held


def _forked_before(log: Log) -> tuple[dict[str, bytes], str]:
    """Somebody with the key writes another history of the same time."""
    held = log.notes[-1]
    other = Log(log.workspace, log.now, log.first_key, list(log.entries), openings=log.openings)
    other.entries[9] = _entry(log, 9, summary="another")[:-1]
    other.seal()
    return other.parts(), held


HELD: dict[str, tuple[str, int, Held]] = {
    "the end": ("truncated", 17, _cut_off),
    "an older backup": ("restored", 15, _restored),
    "an older backup that outgrew what was lost": ("restored", 0, _restored_and_longer),
    "another log": ("replaced", 0, _replaced),
    "nothing": ("replaced", 0, _emptied),
    "another history": ("forked", 0, _forked_before),
}


@pytest.mark.parametrize("name", HELD)
def test_what_only_a_checkpoint_in_the_auditors_hands_shows(name: str, log: Log, verify: Verify) -> None:
    kind, leaf, tamper = HELD[name]
    key = log.keys[0]
    parts, held = tamper(log)

    assert verify(parts, "--key", key)[0] == 0, "without it nothing can be seen"
    code, told = verify(parts, "--key", key, "--key", log.keys[-1], held=held)

    assert (told["findings"][0]["kind"], told["findings"][0]["leaf"]) == (kind, leaf), told
    assert code == client.KINDS[kind][0]


def test_held_checkpoint_of_an_unknown_key_is_found(log: Log, verify: Verify) -> None:
    other = Log(log.workspace, log.now)
    other.add(5)

    assert verify(log.parts(), "--key", log.keys[0], held=other.seal())[0] == client.KINDS["wrong-key"][0]


def test_entries_of_a_whole_month_are_named_by_the_month(verify: Verify) -> None:
    log = Log()
    for _ in range(3):
        log.add(4)
        log.now += timedelta(days=31)
    log.seal()
    parts = log.parts([*range(4), *range(8, 12)]) | {"manifest.json": log.parts()["manifest.json"]}

    code, told = verify(parts)

    assert (code, told["findings"][0]["leaf"]) == (client.KINDS["partition-dropped"][0], 4)
    assert "2026-04" in told["findings"][0]["text"]


def test_a_cut_is_no_gap_while_its_proof_fits(log: Log, verify: Verify) -> None:
    log.cut(0, 5)
    log.seal()
    whole = log.parts()
    parts = log.parts(list(range(6, 19))) | {"manifest.json": whole["manifest.json"]}
    changed = parts["cuts.jsonl"].replace(b'\\"after\\": 5', b'\\"after\\": 7')

    assert verify(parts, "--key", log.keys[0])[0] == 0
    assert verify(parts | {"cuts.jsonl": b""}, "--key", log.keys[0])[0] == client.KINDS["missing"][0]
    assert verify(parts | {"cuts.jsonl": changed}, "--key", log.keys[0])[0] == client.KINDS["missing"][0]


def test_what_is_no_bundle_is_damaged(log: Log, verify: Verify, tmp_path: Path, capsys: object) -> None:
    parts = log.parts()
    for name in ("manifest.json", "checkpoints.txt", "keys.txt", "leaves.bin", "positions.txt", "entries.jsonl"):
        assert verify({key: value for key, value in parts.items() if key != name})[0] == client.KINDS["damaged"][0]
        assert verify(parts | {name: parts[name][:-7] + b"\xff"})[0] != 0
    whole = write(parts, tmp_path / "log.zip").read_bytes()
    (tmp_path / "half.zip").write_bytes(whole[: len(whole) // 2])
    assert client.main(["verify", str(tmp_path / "half.zip")]) == client.KINDS["damaged"][0]
    assert client.main(["verify", str(tmp_path / "no.zip")]) == client.NOT_RUN


def test_one_entry_is_verified_by_its_proof_alone(log: Log, tmp_path: Path) -> None:
    path = inclusion(5, log.leaves)
    text = "c2sp.org/tlog-proof@v1\nindex 5\n"
    text += "".join(f"{base64.b64encode(step).decode()}\n" for step in path) + "\n" + log.notes[-1]
    (tmp_path / "proof").write_text(text)
    (tmp_path / "event").write_bytes(log.entries[5] + b"\n")
    (tmp_path / "other").write_bytes(log.entries[6])
    proof = ["proof", str(tmp_path / "event"), str(tmp_path / "proof")]

    assert client.main([*proof, "--key", log.keys[1]]) == 0
    assert client.main([*proof, "--key", log.keys[0]]) == client.KINDS["wrong-key"][0]
    proof[1] = str(tmp_path / "other")
    assert client.main([*proof, "--key", log.keys[1]]) == client.KINDS["edited"][0]


def test_show_says_that_it_checks_nothing(log: Log, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert client.main(["show", str(write(log.parts(), tmp_path / "log.zip"))]) == 0

    told = capsys.readouterr().out
    assert "nothing was checked" in told
    assert "Entry 3" in told


@pytest.mark.parametrize("seed", range(5))
def test_logs_that_nobody_touched_raise_no_alarm(seed: int, verify: Verify) -> None:
    chance = random.Random(seed)
    log = Log()
    for _ in range(chance.randrange(1, 8)):
        log.add(chance.randrange(1, 20), after=timedelta(seconds=chance.random() * 3))
        if chance.random() < 0.3:
            log.now -= timedelta(minutes=40)  # a slow transaction
            log.add()
            log.now += timedelta(minutes=40)
        if chance.random() < 0.3:
            log.rotate()
        log.seal()
    held = chance.choice(log.notes)
    part = sorted(chance.sample(range(len(log.entries)), len(log.entries) // 2)) if chance.random() < 0.5 else None

    code, told = verify(log.parts(part), "--key", chance.choice(log.keys), held=held)

    assert code == 0, told
