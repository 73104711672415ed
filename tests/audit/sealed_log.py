"""A sealed log made of Python alone, by the formulas of RFC 6962 as they stand there; and its bundle."""

import base64
import hashlib
import json
import random
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
ORIGIN = "eaip-operations/audit/"


def leaf_of(entry: bytes) -> bytes:
    return hashlib.sha256(b"\0" + entry).digest()


def root_of(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, 2.1."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + root_of(leaves[:split]) + root_of(leaves[split:])).digest()


def inclusion(index: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of RFC 6962, 2.1.1."""
    if len(leaves) == 1:
        return []
    split = 1 << (len(leaves) - 1).bit_length() - 1
    if index < split:
        return [*inclusion(index, leaves[:split]), root_of(leaves[split:])]
    return [*inclusion(index - split, leaves[split:]), root_of(leaves[:split])]


def consistency(old: int, leaves: list[bytes], *, whole: bool = True) -> list[bytes]:
    """SUBPROOF of RFC 6962, 2.1.2."""
    if old == len(leaves):
        return [] if whole else [root_of(leaves)]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    if old <= split:
        return [*consistency(old, leaves[:split], whole=whole), root_of(leaves[split:])]
    return [*consistency(old - split, leaves[split:], whole=False), root_of(leaves[:split])]


def text_of(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"


def vkey_of(name: str, algorithm: int, public: bytes) -> str:
    key_id = hashlib.sha256(name.encode() + b"\n" + bytes([algorithm]) + public).hexdigest()[:8]
    return f"{name}+{key_id}+{base64.b64encode(bytes([algorithm]) + public).decode()}"


@dataclass
class Log:
    workspace: UUID = field(default_factory=uuid4)
    now: datetime = START
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    entries: list[bytes] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    openings: list[dict[str, str]] = field(default_factory=list)
    proved: dict[str, list[int]] = field(default_factory=lambda: {"cuts.jsonl": [], "rotations.jsonl": []})

    def __post_init__(self) -> None:
        self.keys.append(self.vkey)
        self.first_key = self.key

    @property
    def origin(self) -> str:
        return f"{ORIGIN}{self.workspace}"

    @property
    def vkey(self) -> str:
        return vkey_of(self.origin, 1, self.key.public_key().public_bytes_raw())

    @property
    def leaves(self) -> list[bytes]:
        return [leaf_of(entry) for entry in self.entries]

    def add(self, number: int = 1, *, after: timedelta = timedelta(seconds=1), **fields: object) -> None:
        for _ in range(number):
            self.now += after
            self.entries.append(self.entry(self.now, **fields))

    def entry(self, at: datetime, **fields: object) -> bytes:
        milliseconds = int(at.timestamp() * 1000)
        event = UUID(int=milliseconds << 80 | 7 << 76 | random.getrandbits(74) | 1 << 63)
        entry = {
            "kind": "release.sealed", "event_id": str(event), "workspace_id": str(self.workspace),
            "recorded_at": text_of(at), "change": {}, "summary": f"Entry {len(self.entries)}",
        }  # fmt: skip
        return json.dumps(entry | fields).encode()

    def seal(self, *, after: timedelta = timedelta(seconds=5), size: int | None = None) -> str:
        self.now += after
        leaves = self.leaves[: len(self.entries) if size is None else size]
        self.notes.append(self.note(len(leaves), root_of(leaves), self.now))
        return self.notes[-1]

    def note(self, size: int, root: bytes, at: datetime) -> str:
        body = f"{self.origin}\n{size}\n{base64.b64encode(root).decode()}\ntime {text_of(at)}\n"
        key_id = bytes.fromhex(self.vkey.split("+")[1])
        blob = base64.b64encode(key_id + self.key.sign(body.encode())).decode()
        return f"{body}\n— {self.origin} {blob}\n"

    def rotate(self) -> None:
        """The old key signs the entry that names the new one."""
        old, new = self.vkey, Ed25519PrivateKey.generate()
        named = vkey_of(self.origin, 1, new.public_key().public_bytes_raw())
        self.proved["rotations.jsonl"].append(len(self.entries))
        self.add(kind="audit.key_rotated", change={"key": {"before": old, "after": named}})
        self.seal()
        self.key = new
        self.keys.append(named)

    def cut(self, first: int, last: int) -> None:
        root = root_of(self.leaves[first : last + 1]).hex()
        said = {"first_leaf": first, "last_leaf": last, "root": root}
        self.proved["cuts.jsonl"].append(len(self.entries))
        self.add(kind="retention.cut", change={name: {"before": None, "after": value} for name, value in said.items()})

    def person(self, label: str, *, opened: bool = True) -> dict[str, str]:
        subject, salt, text = str(uuid4()), random.randbytes(16), json.dumps({"label": label})
        if opened:
            self.openings.append({"subject": subject, "salt": salt.hex(), "opening": text})
        return {"subject": subject, "commitment": hashlib.sha256(salt + text.encode()).hexdigest()}

    def parts(self, held: list[int] | None = None, *, size: int | None = None) -> dict[str, bytes]:
        """Return the files of a bundle: with every entry, or with those of some leaves."""
        size = int(self.notes[-1].split("\n")[1]) if size is None else size
        whole = held is None
        held = list(range(size)) if held is None else held
        made = text_of(self.now + timedelta(seconds=1))
        manifest = {
            "format": "eaip-audit-bundle/1", "workspace_id": str(self.workspace), "origin": self.origin,
            "tree_size": size, "whole": whole, "made_at": made, "asked_by": "Auditor", "criteria": {},
        }  # fmt: skip
        proved = {
            name: _lines({"leaf_index": n, "entry": self.entries[n].decode()} for n in places if n < size)
            for name, places in self.proved.items()
        }
        return {
            "manifest.json": json.dumps(manifest).encode(),
            "entries.jsonl": b"".join(self.entries[n] + b"\n" for n in held),
            "positions.txt": "".join(f"{first}-{last}\n" for first, last in runs_of(held)).encode(),
            "leaves.bin": b"".join(self.leaves[:size]),
            "checkpoints.txt": "--\n".join(self.notes).encode(),
            "keys.txt": "".join(f"{vkey} 2026-01-01T00:00:00.000000Z\n" for vkey in self.keys).encode(),
            "subjects.jsonl": _lines(self.openings),
            **proved,
        }


def _lines(rows: object) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()  # type: ignore[attr-defined]


def runs_of(held: list[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for place in held:
        if runs and runs[-1][1] == place - 1:
            runs[-1] = (runs[-1][0], place)
        else:
            runs.append((place, place))
    return runs


def write(parts: dict[str, bytes], path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path
