#!/usr/bin/env python3
"""Check the audit trail of EAIP Operations without EAIP Operations.

One file, Python 3.9 or newer, nothing to install, no network (but for `witness`), no database. It shares no code with
the portal: it is the check on it. What to get, what to hold yourself and what each finding means: README.md beside it.

    verify_audit.py verify BUNDLE [--checkpoint OLD.note]... [--key VKEY]...
    verify_audit.py dossier DOSSIER.json [--key VKEY]...
    verify_audit.py proof EVENT.json EVENT.tlog-proof [--key VKEY]...
    verify_audit.py show BUNDLE [--entries N]
    verify_audit.py witness --url ADDRESS --state FILE ...
"""

from __future__ import annotations

import argparse
import base64
import binascii
import bisect
import contextlib
import functools
import hashlib
import io
import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
import zipfile
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ed25519 as fast
except ImportError:
    fast = None  # type: ignore[assignment]

VERSION = "1.1"
FORMAT = "eaip-audit-bundle/1"
DOSSIER = "eaip-dossier/1"
ORIGIN = "eaip-operations/audit/"
LOG_KEY, WITNESS_KEY = 1, 4
MAX_LINE = 16 << 20
# A checkpoint is due each hour even when nothing happens; a bundle that ends long before it was made hides something.
STALE = timedelta(hours=2)
NO_LEAF = bytes(32)
# What reading a hostile or broken archive raises: wrong sums, an early end, encryption, nesting without end.
BROKEN = (zipfile.BadZipFile, EOFError, OSError, RuntimeError)
LISTED = 20

# The kinds of tampering, the gravest first: of several that are found, the exit code is that of the first.
KINDS = {
    "damaged": (26, "The file can't be read as what it is said to be."),
    "tenant-swapped": (17, "Something of another workspace stands in this log."),
    "wrong-key": (20, "Signed by a key that nothing you trust vouches for."),
    "bad-signature": (21, "A signature does not fit what it stands under."),
    "replaced": (15, "The whole log is gone, or another one stands in its place."),
    "forked": (22, "Two different histories were signed for the same entries."),
    "restored": (23, "The log went back to an older backup and on from there."),
    "partition-dropped": (16, "Every entry of a month is missing."),
    "truncated": (14, "The end of the log is missing."),
    "old-checkpoint": (19, "The newest checkpoint does not vouch for all that is here, or is too old."),
    "time-shifted": (18, "An entry was changed in what it says of when."),
    "reordered": (13, "Entries stand in another order than was sealed."),
    "inserted": (12, "An entry that was never sealed stands among those that were."),
    "missing": (11, "An entry that was sealed is not here."),
    "edited": (10, "An entry is not what was sealed."),
    "clock-backwards": (24, "Time went back further than allowed."),
    "opening-altered": (25, "Personal data do not fit the commitment in the entry."),
}
PRIORITY = {kind: place for place, kind in enumerate(KINDS)}
NOT_RUN, UNREACHABLE, UNSEALED = 1, 30, 31


class NotRun(Exception):
    """The check could not be made: a file is missing, an argument makes no sense, the portal does not answer."""

    code = NOT_RUN


class Unreachable(NotRun):
    code = UNREACHABLE


class Damaged(Exception):
    """A file of the bundle, or a note, is not of its form."""


class Finding(NamedTuple):
    kind: str
    text: str
    leaf: int | None = None
    event: str = ""
    at: str = ""

    def __str__(self) -> str:
        where = [f"leaf {self.leaf}"] if self.leaf is not None else []
        where += [f"event {self.event}"] if self.event else []
        where += [f"recorded {self.at}"] if self.at else []
        return f"{self.kind}: {', '.join(where)}{': ' if where else ''}{self.text}"


# ---- Ed25519, verification alone (RFC 8032, 5.1.7) ----------------------------------------------------------------

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
Point = tuple  # extended coordinates X, Y, Z, T


def _add(p: Point, q: Point) -> Point:
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def _point(encoded: bytes) -> Point | None:
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return (x, y, 1, x * y % P)


def _encoded(p: Point) -> bytes:
    inverse = pow(p[2], P - 2, P)
    x, y = p[0] * inverse % P, p[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


@functools.lru_cache(maxsize=32)
def _multiples(encoded: bytes) -> list[list[Point]] | None:
    """Return k * 16^n of the point for each k below 16 and n below 64: one key signs many checkpoints."""
    base, table = _point(encoded), []
    if base is None:
        return None
    for _ in range(64):
        row = [(0, 1, 1, 0)]
        for _ in range(15):
            row.append(_add(row[-1], base))
        table.append(row)
        base = _add(row[-1], base)
    return table


def _times(scalar: int, table: list[list[Point]]) -> Point:
    total = (0, 1, 1, 0)
    for row in table:
        if scalar & 15:
            total = _add(total, row[scalar & 15])
        scalar >>= 4
    return total


BASE = (4 * pow(5, P - 2, P) % P).to_bytes(32, "little")


def ed25519_fits(public: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether the signature is of this message by this key, by this file's own arithmetic."""
    table, base = _multiples(public), _multiples(BASE)
    scalar = int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or len(public) != 32 or table is None or base is None or scalar >= ORDER:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    challenge = int.from_bytes(digest, "little") % ORDER
    # s*B - h*A has to be R.
    x, y, z, t = _times(challenge, table)
    return _encoded(_add(_times(scalar, base), (-x % P, y, z, -t % P))) == signature[:32]


def signature_fits(public: bytes, message: bytes, signature: bytes) -> bool:
    if fast is None:
        return ed25519_fits(public, message, signature)
    try:
        fast.Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


# ---- Keys and checkpoints: C2SP signed notes ------------------------------------------------------------------------


class Key(NamedTuple):
    name: str
    algorithm: int
    public: bytes

    @property
    def id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.algorithm]) + self.public).digest()[:4]

    @property
    def vkey(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(bytes([self.algorithm]) + self.public).decode()}"

    @classmethod
    def read(cls, vkey: str) -> Key:
        name, _, rest = vkey.strip().partition("+")
        stated, _, encoded = rest.partition("+")
        blob = _base64(encoded, what=f"key {vkey[:80]!r}")
        if len(blob) != 33 or blob[0] not in (LOG_KEY, WITNESS_KEY):
            raise Damaged(f"{vkey[:80]!r} is not an Ed25519 key of a log or of a witness")
        key = cls(name, blob[0], blob[1:])
        if key.id.hex() != stated:
            raise Damaged(f"the key {name} says {stated}, but its bytes make {key.id.hex()}")
        return key


class Signature(NamedTuple):
    name: str
    key_id: bytes
    blob: bytes


@dataclass(frozen=True)
class Note:
    """A checkpoint: `body` are the signed bytes."""

    body: bytes
    origin: str
    size: int
    root: bytes
    at: datetime
    signatures: tuple[Signature, ...]
    source: str = "the bundle"

    @classmethod
    def read(cls, text: str, source: str = "the bundle") -> Note:
        body, blank, rest = text.rpartition("\n\n")
        lines = body.split("\n")
        if not blank or len(lines) < 4 or not re.fullmatch(r"0|[1-9][0-9]{0,18}", lines[1]):
            raise Damaged(f"a checkpoint of {source} is not a signed note")
        times = [line[5:] for line in lines[3:] if line.startswith("time ")]
        if len(times) != 1:
            raise Damaged(f"a checkpoint of {source} does not say when it was signed")
        root = _base64(lines[2], what="root")
        if len(root) != 32:
            raise Damaged(f"a checkpoint of {source} has a root of {len(root)} bytes")
        signatures = []
        for line in rest.rstrip("\n").split("\n"):
            mark, _, after = line.partition(" ")
            name, _, encoded = after.rpartition(" ")
            blob = _base64(encoded, what="signature")
            if mark != "\u2014" or not name or len(blob) < 5:
                raise Damaged(f"a checkpoint of {source} has a line that is no signature")
            signatures.append(Signature(name, blob[:4], blob[4:]))
        return cls((body + "\n").encode(), lines[0], int(lines[1]), root, moment(times[0]), tuple(signatures), source)

    @property
    def text(self) -> str:
        lines = (f"\u2014 {s.name} {base64.b64encode(s.key_id + s.blob).decode()}\n" for s in self.signatures)
        return self.body.decode() + "\n" + "".join(lines)

    def signed_by(self, keys: Iterable[Key]) -> list[tuple[Key, bool]]:
        """Return each of the keys that this note has a signature of, and whether it fits."""
        found = []
        for key in keys:
            for signature in self.signatures:
                if (signature.name, signature.key_id) == (key.name, key.id):
                    found.append((key, _fits(key, self.body, signature.blob)))
        return found

    def __str__(self) -> str:
        return f"the checkpoint of {stamp(self.at)} over {self.size} entries"


def _fits(key: Key, body: bytes, blob: bytes) -> bool:
    if key.algorithm == LOG_KEY:
        return signature_fits(key.public, body, blob)
    when = int.from_bytes(blob[:8], "big")
    return signature_fits(key.public, f"cosignature/v1\ntime {when}\n".encode() + body, blob[8:])


def read_notes(text: str, source: str) -> list[Note]:
    parts = re.split(r"^--\n", text.replace("\r\n", "\n"), flags=re.MULTILINE)
    return [Note.read(part, source) for part in parts if part.strip()]


def _base64(text: str, *, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise Damaged(f"the {what} is not base64") from None


def moment(text: str) -> datetime:
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", text):
        raise Damaged(f"{text[:40]!r} is not a time in UTC with microseconds")
    try:
        return datetime.fromisoformat(text[:-1] + "+00:00")
    except ValueError:
        raise Damaged(f"{text!r} is no time") from None


def stamp(at: datetime) -> str:
    """Return the one form of a time in the log: of the same width always, so that texts compare as times do."""
    return at.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


# ---- The tree of RFC 6962 -----------------------------------------------------------------------------------------


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


class Tree:
    """The tree over the leaves so far, as the roots of its whole parts alone."""

    def __init__(self) -> None:
        self.size = 0
        self.parts: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        size, parts = self.size, self.parts
        while size & 1:
            leaf = hashlib.sha256(b"\1" + parts.pop() + leaf).digest()
            size >>= 1
        parts.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        if not self.parts:
            return hashlib.sha256(b"").digest()
        return functools.reduce(lambda right, left: node_hash(left, right), reversed(self.parts))

    def copy(self) -> Tree:
        other = Tree()
        other.size, other.parts = self.size, list(self.parts)
        return other

    def root_with(self, leaves: Iterable[bytes]) -> bytes:
        tree = self.copy()
        for leaf in leaves:
            tree.add(leaf)
        return tree.root()


def root_by_inclusion(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes | None:
    """Return the root that the proof leads to; None where it has not the length of a proof (RFC 9162, 2.1.3.2)."""
    if index >= size:
        return None
    place, last, node = index, size - 1, leaf
    for step in path:
        if last == 0:
            return None
        if place & 1 or place == last:
            node = node_hash(step, node)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            node = node_hash(node, step)
        place, last = place >> 1, last >> 1
    return node if last == 0 else None


def is_consistent(old: Note, new: Note, path: list[bytes]) -> bool:
    """Say whether the proof shows that the tree of `new` begins with that of `old` (RFC 9162, 2.1.4.2)."""
    if old.size == new.size or old.size == 0:
        return not path and (old.size == 0 or old.root == new.root)
    is_whole = old.size & (old.size - 1) == 0
    steps = [old.root, *path] if is_whole else path
    return old.size < new.size and _roots_by_consistency(old.size, new.size, steps) == (old.root, new.root)


def _roots_by_consistency(old: int, new: int, steps: list[bytes]) -> tuple[bytes, bytes] | None:
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    if not steps:
        return None
    first = second = steps[0]
    for step in steps[1:]:
        if last == 0:
            return None
        if place & 1 or place == last:
            first, second = node_hash(step, first), node_hash(step, second)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            second = node_hash(second, step)
        place, last = place >> 1, last >> 1
    return (first, second) if last == 0 else None


# ---- The bundle ---------------------------------------------------------------------------------------------------


class Entry(NamedTuple):
    line: bytes
    hash: bytes


class Bundle:
    """The files of a bundle, read as streams. Nothing in it is believed before it is checked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.archive = zipfile.ZipFile(path)
        except FileNotFoundError:
            raise NotRun(f"There is no file {path}.") from None
        except (zipfile.BadZipFile, OSError) as error:
            raise Damaged(f"{path} is not a whole ZIP archive ({error})") from None
        members = self.archive.infolist()
        names = [member.filename for member in members]
        if len(set(names)) != len(names):
            raise Damaged("the archive holds two files of one name: readers would see different things")
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise Damaged("the archive is compressed; a bundle never is")
        self.names = set(names)
        self.manifest = self._manifest()
        self.origin = str(self.manifest.get("origin", ""))
        self.workspace = self.origin[len(ORIGIN) :] if self.origin.startswith(ORIGIN) else ""

    def _manifest(self) -> dict[str, Any]:
        manifest = _json(self.text("manifest.json"), what="manifest.json")
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            raise Damaged(f"manifest.json does not say {FORMAT}: an older or newer verifier may know this bundle")
        return manifest

    def number(self, name: str, default: int = 0) -> int:
        value = self.manifest.get(name, default)
        if not isinstance(value, int) or value < 0:
            raise Damaged(f"manifest.json says {name} = {value!r}")
        return value

    def open(self, name: str) -> io.BufferedReader:
        if name not in self.names:
            raise Damaged(f"the bundle has no {name}")
        return io.BufferedReader(self.archive.open(name), 1 << 20)  # type: ignore[arg-type]

    def text(self, name: str) -> str:
        with self.open(name) as file:
            try:
                return file.read(64 << 20).decode()
            except UnicodeDecodeError:
                raise Damaged(f"{name} is not UTF-8") from None

    def lines(self, name: str) -> Iterator[bytes]:
        """Yield each line without its end."""
        with self.open(name) as file:
            while line := file.readline(MAX_LINE):
                if not line.endswith(b"\n"):
                    raise Damaged(f"{name} ends within a line, or has one that is too long")
                yield line[:-1]

    def optional(self, name: str) -> Iterator[bytes]:
        return self.lines(name) if name in self.names else iter(())

    def leaves(self) -> Iterator[bytes]:
        with self.open("leaves.bin") as file:
            while block := file.read(32 << 10):
                if len(block) % 32:
                    raise Damaged("leaves.bin ends within a leaf")
                for start in range(0, len(block), 32):
                    yield block[start : start + 32]

    def runs(self) -> list[tuple[int, int]]:
        """Return the leaf indexes that entries.jsonl says it holds, as (first, last)."""
        found, after = [], 0
        for line in self.lines("positions.txt"):
            match = re.fullmatch(rb"(\d{1,19})-(\d{1,19})", line)
            first, last = (int(match[1]), int(match[2])) if match else (0, -1)
            if not after <= first <= last:
                raise Damaged(f"positions.txt has a line {line[:60]!r} that does not go on from the one before")
            found.append((first, last))
            after = last + 1
        return found

    def entries(self) -> Iterator[Entry]:
        sha256 = hashlib.sha256
        for line in self.lines("entries.jsonl"):
            yield Entry(line, sha256(b"\0" + line).digest())

    def expected(self, runs: list[tuple[int, int]]) -> Iterator[tuple[int, bytes]]:
        """Yield index and hash of each leaf that the bundle says it holds the entry of, as far as leaves.bin goes."""
        wanted = iter(runs)
        first, last = next(wanted, (sys.maxsize, sys.maxsize))
        for index, leaf in enumerate(self.leaves()):
            if index > last:
                first, last = next(wanted, (sys.maxsize, sys.maxsize))
            if index >= first:
                yield index, leaf


def _json(text: Any, *, what: str, once: bool = False) -> Any:
    """With `once`, a name that stands twice in an object is refused: readers would see different things."""
    try:
        return json.loads(text, object_pairs_hook=_each_once if once else None)
    except (ValueError, RecursionError):
        raise Damaged(f"{what} is not JSON") from None


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError
    return dict(pairs)


class Fact(NamedTuple):
    """What the check needs of an entry."""

    event: str
    at: str
    workspace: str
    whole: dict[str, Any]


def fact(line: bytes) -> Fact:
    try:
        whole = json.loads(line)
        event, at, workspace = whole["event_id"], whole["recorded_at"], whole["workspace_id"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return Fact("", "", "", {})
    return Fact(str(event), str(at), str(workspace), whole)


def born(event: str) -> datetime | None:
    """Return the time that an identifier of version 7 carries."""
    digits = event.replace("-", "")
    if len(digits) != 32 or digits[12] != "7":
        return None
    try:
        return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=int(digits[:12], 16))
    except (ValueError, OverflowError):
        return None


# ---- Personal data ------------------------------------------------------------------------------------------------


class Openings:
    """What subjects.jsonl opens: names, addresses and browsers, each with the salt of its commitment."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self.places: dict[bytes, int] = {}
        self.commitments = bytearray()
        for line in lines:
            opening = _json(line, what="a line of subjects.jsonl")
            try:
                subject, salt, text = opening["subject"], bytes.fromhex(opening["salt"]), opening["opening"]
                self.places[_uuid_bytes(subject)] = len(self.commitments) // 32
                self.commitments += hashlib.sha256(salt + text.encode()).digest()
            except (KeyError, TypeError, ValueError, AttributeError):
                raise Damaged("a line of subjects.jsonl has not the form of an opening") from None
        self.used = bytearray(len(self.commitments) // 32)

    def fit(self, subject: str, commitment: str) -> bool | None:
        """Say whether the opening makes the commitment; None where there is none: erased, or not given out."""
        place = self.places.get(_uuid_bytes(subject))
        if place is None:
            return None
        self.used[place] = 1
        return self.commitments[32 * place : 32 * place + 32] == bytes.fromhex(commitment)


def _uuid_bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("-", ""))


def commitments(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        subject, commitment = value.get("subject"), value.get("commitment")
        if isinstance(subject, str) and isinstance(commitment, str):
            yield subject, commitment
        for part in value.values():
            yield from commitments(part)


# ---- Verifying a bundle ------------------------------------------------------------------------------------------


@dataclass
class Differences:
    """Where entries and leaves differ, it has to be known of a hash whether it stands anywhere on the other side."""

    leaves: array[int]
    entries: array[int]

    @classmethod
    def of(cls, bundle: Bundle, runs: list[tuple[int, int]]) -> Differences:
        return cls(_sorted(leaf for _, leaf in bundle.expected(runs)), _sorted(e.hash for e in bundle.entries()))

    def is_leaf(self, value: bytes) -> bool:
        return _times_in(self.leaves, value) > 0

    def is_entry(self, value: bytes) -> bool:
        return _times_in(self.entries, value) > 0

    def is_extra(self, value: bytes) -> bool:
        """Say whether an entry is of no leaf, or there more often than its leaf."""
        return _times_in(self.entries, value) > _times_in(self.leaves, value)


def _sorted(hashes: Iterable[bytes]) -> array[int]:
    """Eight bytes of each hash are enough to tell what happened; that something did is known from all of them."""
    return array("Q", sorted(array("Q", (int.from_bytes(value[:8], "big") for value in hashes))))


def _times_in(numbers: array[int], value: bytes) -> int:
    number = int.from_bytes(value[:8], "big")
    return bisect.bisect_right(numbers, number) - bisect.bisect_left(numbers, number)


class Proved(NamedTuple):
    """An entry that the bundle gives beside the others, since what it says is needed to judge them."""

    leaf: int
    line: bytes
    changes: dict[str, Any]


def read_proved(lines: Iterable[bytes], *, kind: str, what: str) -> list[Proved]:
    return [_proved(_json(line, what=f"a line of {what}"), kind=kind, what=what) for line in lines]


def _proved(given: Any, *, kind: str, what: str) -> Proved:
    try:
        entry, leaf = given["entry"].encode(), int(given["leaf_index"])
        whole = fact(entry).whole
        changes = {name: change for name, change in whole["change"].items() if isinstance(change, dict)}
        is_of_kind = whole["kind"] == kind
    except (KeyError, TypeError, ValueError, AttributeError):
        is_of_kind = False
    if not is_of_kind:
        raise Damaged(f"a line of {what} is not an entry {kind} with its place")
    return Proved(leaf, entry, changes)


class Cut(NamedTuple):
    first: int
    last: int
    root: str

    @classmethod
    def read(cls, changes: dict[str, Any]) -> Cut:
        try:
            after = {name: change["after"] for name, change in changes.items()}
            return cls(int(after["first_leaf"]), int(after["last_leaf"]), str(after["root"]))
        except (KeyError, TypeError, ValueError):
            raise Damaged("an entry in cuts.jsonl does not say what was cut") from None


class Step(NamedTuple):
    """One key names the next in an entry of the log."""

    leaf: int
    old: Key
    new: Key


class Check:
    """One check of a bundle: checkpoints, leaves, who may sign, entries, and then what the auditor holds."""

    def __init__(
        self, bundle: Bundle, *, keys: list[Key], held: list[Note], allowed: timedelta = timedelta(hours=1)
    ) -> None:
        self.bundle, self.keys = bundle, keys
        self.held = sorted(held, key=lambda note: (note.size, note.at))
        self.allowed = allowed
        self.findings: list[Finding] = []
        self.counts: Counter[str] = Counter()
        self.notices: list[str] = []
        self.passed: list[str] = []
        self.notes: list[Note] = []
        self.roots: dict[int, bytes] = {}
        self.count = 0  # of leaves
        self.times: dict[int, tuple[str, str]] = {}  # event and time of entries that are asked for later
        self.months: set[str] = set()
        self.newest = ""
        self.covered: list[Cut] = []
        self.gone: list[int] = []  # leaves whose entries should stand where others do
        self.differences: Differences | None = None
        self.suspect: tuple[int, Note] | None = None  # up to where the leaves are sound, and who contradicts them then

    def find(self, kind: str, text: str, leaf: int | None = None, event: str = "", at: str = "") -> None:
        self.counts[kind] += 1
        if self.counts[kind] <= LISTED:
            self.findings.append(Finding(kind, text, leaf, event, at))

    def run(self) -> Check:
        try:
            self._read()
            self._follow_leaves()
            self._judge_signatures()
            self._judge_roots()
            self._follow_entries()
            self._judge_gaps()
            self._narrow_down()
            self._judge_held()
            self._judge_age()
        except Damaged as error:
            self.find("damaged", f"{error}.")
        except BROKEN as error:
            self.find("damaged", f"The archive can't be read to its end ({error}).")
        return self

    @property
    def worst(self) -> list[Finding]:
        return sorted(
            self.findings, key=lambda f: (PRIORITY[f.kind], sys.maxsize if f.leaf is None else f.leaf, f.event)
        )

    # What the bundle says

    def _read(self) -> None:
        bundle = self.bundle
        stated = str(bundle.manifest.get("workspace_id", ""))
        if not bundle.workspace or bundle.workspace != stated:
            self.find("tenant-swapped", f"The manifest says workspace {stated}, but the log is {bundle.origin!r}.")
        self.given = read_notes(bundle.text("checkpoints.txt"), "the bundle")
        for note in (*self.given, *self.held):
            if note.origin != bundle.origin:
                self.find("tenant-swapped", f"{note} in {note.source} is of {note.origin!r}, not of {bundle.origin!r}.")
        self.held = [note for note in self.held if note.origin == bundle.origin]
        self.offered = [Key.read(line.split()[0]) for line in bundle.text("keys.txt").splitlines() if line.strip()]
        self.cuts = read_proved(bundle.optional("cuts.jsonl"), kind="retention.cut", what="cuts.jsonl")
        named = bundle.optional("rotations.jsonl")
        self.steps = read_proved(named, kind="audit.key_rotated", what="rotations.jsonl")
        self.runs = bundle.runs()

    def _follow_leaves(self) -> None:
        """Compute the root at the size of each checkpoint, and of each range that was cut."""
        sizes = {note.size for note in (*self.given, *self.held)}
        wanted = {proved.leaf for proved in (*self.cuts, *self.steps)}
        cuts = [(Cut.read(proved.changes), Tree()) for proved in self.cuts]
        tree = Tree()
        leaves: dict[int, bytes] = {}
        self.roots[0] = tree.root()
        for index, leaf in enumerate(self.bundle.leaves()):
            tree.add(leaf)
            if tree.size in sizes:
                self.roots[tree.size] = tree.root()
            if index in wanted:
                leaves[index] = leaf
            for cut, part in cuts:
                if cut.first <= index <= cut.last:
                    part.add(leaf)
            if leaf == NO_LEAF:
                self.find("missing", "The portal has no leaf for this entry any more.", index)
        self.count = tree.size
        self._judge_proved(leaves, cuts)

    def _judge_proved(self, leaves: dict[int, bytes], cuts: list[tuple[Cut, Tree]]) -> None:
        for proved in (*self.cuts, *self.steps):
            if leaves.get(proved.leaf) != leaf_hash(proved.line):
                self.find("edited", "The entry that says so in the bundle is not what was sealed.", proved.leaf)
        for proved, (cut, part) in zip(self.cuts, cuts):
            if part.root().hex() != cut.root or part.size != cut.last - cut.first + 1:
                text = f"What was cut, {cut.first} to {cut.last}, has not the root that the entry says."
                self.find("edited", text, proved.leaf)
            elif leaves.get(proved.leaf) == leaf_hash(proved.line):
                self.covered.append(cut)
                at = fact(proved.line).at
                self.passed.append(f"leaves {cut.first} to {cut.last} were cut, as leaf {proved.leaf} of {at} says")

    # Who signed

    def _judge_signatures(self) -> None:
        own = [key for key in self.keys if key.algorithm == LOG_KEY]
        known = [key for key in self.offered if key.algorithm == LOG_KEY and key not in own]
        signers = {id(note): note.signed_by([*own, *known]) for note in self.given}
        if not own and known:
            first = min(self.given, key=lambda note: (note.size, note.at), default=None)
            own = [*(key for key, fit in signers[id(first)] if fit), *known][:1] if first else known[:1]
            self.notices.append(f"No --key was given, so the bundle's own was believed. Compare it: {own[0].vkey}")
        trusted = self._trusted(own, known, signers)
        for note in self.given:
            fits = [key for key, fit in signers[id(note)] if fit]
            if any(not fit for _, fit in signers[id(note)]):
                self.find("bad-signature", f"{note} is not what {self._name(signers[id(note)])} signed.", _last(note))
            elif not self._is_vouched_for(note, fits, trusted):
                names = ", ".join(sorted({f"{s.name}+{s.key_id.hex()}" for s in note.signatures}))
                self.find("wrong-key", f"{note} is signed by {names}, which nothing vouches for.", _last(note))
            elif note.origin == self.bundle.origin:
                self.notes.append(note)
        self.notes.sort(key=lambda note: (note.size, note.at))
        if self.notes:
            self.passed.append(f"{len(self.notes)} checkpoints are signed by a key that is vouched for")
        self._count_witnesses()
        for note in self.held:
            signed = note.signed_by([*own, *known])
            if any(not fit for _, fit in signed):
                self.find("bad-signature", f"{note} in {note.source} is not what was signed.", _last(note))
            elif not signed:
                self.find("wrong-key", f"{note} in {note.source} was signed by a key that this log does not know.")

    def _is_vouched_for(self, note: Note, fits: list[Key], trusted: dict[Key, tuple[int, int]]) -> bool:
        if note.size > self.count and fits:
            return True  # more than there is was signed for: that is the finding, and what vouched may be gone with it
        return any(key in trusted and trusted[key][0] <= note.size <= trusted[key][1] for key in fits)

    @staticmethod
    def _name(signers: list[tuple[Key, bool]]) -> str:
        return next(f"the key {key.id.hex()}" for key, fit in signers if not fit)

    def _trusted(
        self, own: list[Key], known: list[Key], signers: dict[int, list[tuple[Key, bool]]]
    ) -> dict[Key, tuple[int, int]]:
        """Return the sizes of tree that each key may sign for, as a range, both ends included.

        Trust begins with the keys that the auditor holds. The entry that names a new key counts once a trusted key has
        signed a tree that holds it; it vouches for the key before as well as for the one after. Whether the leaves make
        that tree is judged apart: where they don't, that is the finding, not the key.
        """
        by_name = {key.vkey: key for key in (*own, *known)}
        steps = []
        for proved in self.steps:
            change = proved.changes.get("key", {})
            old, new = by_name.get(str(change.get("before"))), by_name.get(str(change.get("after")))
            if old and new:
                steps.append(Step(proved.leaf, old, new))
        signed = [(note.size, {key for key, fit in signers[id(note)] if fit}) for note in self.given]
        trusted = set(own)
        for _ in steps:
            for step in steps:
                pair = {step.old, step.new}
                if pair & trusted and any(size > step.leaf and keys & trusted for size, keys in signed):
                    trusted |= pair
        for step in steps:
            self.passed.append(f"the key {step.old.id.hex()} names {step.new.id.hex()} at leaf {step.leaf}")
        return {key: self._range(key, steps, signed) for key in trusted}

    @staticmethod
    def _range(key: Key, steps: list[Step], signed: list[tuple[int, set[Key]]]) -> tuple[int, int]:
        """From the entry that names a key until its successor signs; the old one signs what holds that entry."""
        began = [step.leaf + 1 for step in steps if step.new == key]
        ended = [size for step in steps if step.old == key for size, keys in signed if step.new in keys]
        return min(began, default=0), min(ended, default=sys.maxsize)

    def _count_witnesses(self) -> None:
        for key in [key for key in self.keys if key.algorithm == WITNESS_KEY]:
            signed = [note for note in self.notes if any(fit for _, fit in note.signed_by([key]))]
            spoiled = [note for note in self.notes if any(not fit for _, fit in note.signed_by([key]))]
            for note in spoiled:
                self.find("bad-signature", f"{note} is not what the witness {key.name} signed.", _last(note))
            if signed:
                self.passed.append(f"the witness {key.name} signed {len(signed)} of them, up to {signed[-1]}")
            else:
                self.notices.append(f"The witness {key.name} signed none of the checkpoints.")

    # Whether the leaves are those that were signed for

    @property
    def size(self) -> int:
        return self.notes[-1].size if self.notes else 0

    def _judge_roots(self) -> None:
        for before, after in zip(self.notes, self.notes[1:]):
            if before.size == after.size and before.root != after.root:
                self.find("forked", f"{before} and {after} have different roots.", _last(before))
            if after.at < before.at:
                self.find("clock-backwards", f"{after} is older than {before}.", _last(after))
        sound = [note for note in self.notes if self.roots.get(note.size) == note.root]
        broken = [note for note in self.notes if note.size in self.roots and self.roots[note.size] != note.root]
        if broken:
            first = broken[0]
            if any(note.size > first.size for note in sound):
                self.find("forked", f"{first} is of another history than the later ones.", _last(first))
            elif not self.counts["forked"]:
                self.suspect = (max((note.size for note in sound if note.size < first.size), default=0), first)
        elif sound:
            self.passed.append(f"{self.count} leaves make the root of every checkpoint")
        self._judge_size(is_sound=not broken)

    def _judge_size(self, *, is_sound: bool) -> None:
        if self.count == 0 and self.size:
            self.find("replaced", f"Nothing is left of {self.size} entries that were signed for.", 0)
        elif self.count < self.size and is_sound:
            self.find("truncated", f"{self.size} leaves were signed for, {self.count} are here.", self.count)
        claimed = max(self.count, self.bundle.number("tree_size"), self.runs[-1][1] + 1 if self.runs else 0)
        if claimed > self.size:
            self.find("old-checkpoint", f"{claimed} entries are claimed, {self.size} are signed for.", self.size)
        if not claimed:
            self.notices.append("The log is empty.")

    def _narrow_down(self) -> None:
        """Say what happened between the last checkpoint whose root fits and the first whose root does not."""
        if self.suspect is None:
            return
        first, note = self.suspect
        exact = {
            "edited",
            "inserted",
            "missing",
            "reordered",
            "time-shifted",
            "tenant-swapped",
            "truncated",
            "replaced",
        }
        if any(f.kind in exact and f.leaf is not None and first <= f.leaf < note.size for f in self.findings):
            return
        if self.count < self.size:
            self.find("missing", f"{self.size - self.count} leaves are missing, the first of them from leaf {first} to "
                      f"{note.size - 1}: the root of {note} does not fit any more.", first)  # fmt: skip
            return
        kind, leaf, text = self._supposed(first, note)
        self.find(kind, text, leaf, *self._named(leaf))

    def _supposed(self, first: int, note: Note) -> tuple[str, int, str]:
        """Try what one person can do without the key: an entry put in, two entries exchanged."""
        tree, part, after = Tree(), [], b""
        for index, leaf in enumerate(self.bundle.leaves()):
            if index < first:
                tree.add(leaf)
            elif index < note.size:
                part.append(leaf)
            else:
                after = leaf
                break
        tries = 3_000_000 // max(len(part), 1)
        for place in range(min(len(part), tries) if after else 0):
            if tree.root_with([*part[:place], *part[place + 1 :], after]) == note.root:
                return "inserted", first + place, f"Without this entry and its leaf the root of {note} fits."
        for apart in range(1, len(part)):
            for place in range(len(part) - apart):
                tries -= 1
                if tries < 0:
                    break
                other = [*part]
                other[place], other[place + apart] = other[place + apart], other[place]
                if tree.root_with(other) == note.root:
                    return "reordered", first + place, f"Exchanged with leaf {first + place + apart}."
        return "edited", first, (
            f"Leaves {first} to {note.size - 1} do not make the root of {note}: an entry in this range was changed"
            " together with its leaf. Which of them, the root can't tell."
        )  # fmt: skip

    def _named(self, leaf: int) -> tuple[str, str]:
        """Return event and time of the entry that stands at a leaf, by reading up to it."""
        for (index, _), entry in zip(self.bundle.expected(self.runs), self.bundle.entries()):
            if index == leaf:
                return fact(entry.line)[:2]
        return "", ""

    # Whether the entries are those of the leaves

    def _follow_entries(self) -> None:
        bundle = self.bundle
        self.openings = Openings(bundle.optional("subjects.jsonl"))
        self.bounds = self._bounds()
        self.bound = next(self.bounds)
        self.watched = {note.size - 1 for note in self.held} | {0}
        for first, last in self.runs[:10_000]:
            self.watched |= {first, last}
        expected, given = bundle.expected(self.runs), bundle.entries()
        want, have = next(expected, None), next(given, None)
        while want is not None or have is not None:
            if want is None or have is None or want[1] != have.hash:
                want, have = self._differ(want, have, expected, given)
                continue
            self._judge_entry(want[0], have.line)
            want, have = next(expected, None), next(given, None)
        opened, erased = self.counts["opened"], self.counts["erased"]
        if self.counts["entries"]:
            self.passed.append(f"{self.counts['entries']} entries are what was sealed")
        if opened or erased:
            text = f"{opened} times personal data fit their commitment, {erased} times they are erased or left out"
            self.passed.append(text)
        if idle := self.openings.used.count(0):
            self.notices.append(f"{idle} openings in subjects.jsonl belong to no entry of this bundle.")

    def _judge_entry(self, index: int, line: bytes) -> None:
        """Hold what a genuine entry says against the log that it stands in."""
        event, at, workspace, whole = fact(line)
        while index >= self.bound[0]:
            self.bound = next(self.bounds)
        _, low, high = self.bound
        if workspace != self.bundle.workspace:
            self.find("tenant-swapped", f"The entry is of workspace {workspace}.", index, event, at)
        if at >= self.newest:
            self.newest = at
        elif moment(self.newest) - moment(at) > self.allowed:
            self.find("clock-backwards", f"An entry before it is of {self.newest}.", index, event, at)
        if not low <= at <= high:
            self.find("clock-backwards", f"The checkpoints around it allow {low} to {high}.", index, event, at)
        if index in self.watched:
            self.times[index] = (event, at)
        self.months.add(at[:7])
        if b'"commitment"' in line:
            self._open(whole, index)
        self.counts["entries"] += 1

    def _bounds(self) -> Iterator[tuple[int, str, str]]:
        """Yield (size, earliest, latest): when an entry below that size may have been recorded."""
        low = ""
        for note in self.notes:
            yield note.size, low, stamp(note.at + self.allowed)
            low = stamp(note.at - self.allowed)
        yield sys.maxsize, low, "9999"

    def _open(self, whole: dict[str, Any], index: int) -> None:
        for subject, commitment in commitments(whole):
            try:
                fits = self.openings.fit(subject, commitment)
            except ValueError:
                raise Damaged(f"leaf {index} has a commitment that is none") from None
            self.counts["erased" if fits is None else "opened" if fits else "unfit"] += 1
            if fits is False:
                self.find("opening-altered", f"The opening of {subject} makes another commitment.",
                          index, str(whole.get("event_id")), str(whole.get("recorded_at")))  # fmt: skip

    def _differ(
        self, want: tuple[int, bytes] | None, have: Entry | None,
        expected: Iterator[tuple[int, bytes]], given: Iterator[Entry],
    ) -> tuple[tuple[int, bytes] | None, Entry | None]:  # fmt: skip
        """Say what differs where an entry is not that of its leaf, and go on behind it."""
        if self.differences is None:
            self.differences = Differences.of(self.bundle, self.runs)
        if want is not None and (have is None or (
            not self.differences.is_entry(want[1]) and self.differences.is_leaf(have.hash))):  # fmt: skip
            self.gone.append(want[0])
            return next(expected, None), have
        if have is None:
            return None, None
        event, at, workspace, _ = fact(have.line)
        if want is None or (self.differences.is_entry(want[1]) and self.differences.is_extra(have.hash)):
            if want is None and self.runs and self.count <= self.runs[-1][1]:
                return None, None  # no leaves are left to hold them against, which was found already
            leaf = want[0] if want is not None else self.runs[-1][1] + 1 if self.runs else 0
            self.find("inserted", "No leaf stands for this entry.", leaf, event, at)
            return want, next(given, None)
        index = want[0]
        if self.differences.is_entry(want[1]):
            self.find("reordered", "The entry of another leaf stands here.", index, event, at)
        elif workspace != self.bundle.workspace:
            self.find("tenant-swapped", f"An entry of workspace {workspace} stands here.", index, event, at)
        elif self._is_shifted(index, event, at):
            self.find("time-shifted", f"The identifier was made {_born(event)}.", index, event, at)
        else:
            self.find("edited", "The entry is not what was sealed.", index, event, at)
        return next(expected, None), next(given, None)

    def _is_shifted(self, index: int, event: str, at: str) -> bool:
        """Say whether an entry that was changed says another time than its identifier or the checkpoints around it."""
        try:
            recorded, made = moment(at), born(event)
        except Damaged:
            return True
        if made is not None and abs(recorded - made) > timedelta(seconds=2):
            return True
        _, low, high = next(bound for bound in self._bounds() if index < bound[0])
        return not low <= at <= high

    # Whether something is missing

    def _span(self) -> tuple[int, int] | None:
        span = self.bundle.manifest.get("span")
        if self.bundle.manifest.get("whole"):
            return 0, min(self.size, self.count) - 1
        if isinstance(span, list) and len(span) == 2 and all(isinstance(end, int) for end in span):
            return span[0], span[1]
        return None

    def _judge_gaps(self) -> None:
        for index in self.gone:
            is_end = not self.counts["missing"] and index + len(self.gone) - 1 == self.runs[-1][1] == self.size - 1
            self.find("truncated" if is_end else "missing", "It was sealed, and its line is not here.", index)
            if is_end:
                break
        span = self._span()
        if span is None:
            self.notices.append(
                "A part of the log: what is here was sealed; whether more meets the same criteria, it can't show."
            )
            return
        gaps = list(self._gaps(*span))
        if gaps and not self.runs:
            self.find("replaced", f"Not one of {span[1] - span[0] + 1} entries is here.", gaps[0][0])
            return
        known = {line["first"]: line for line in self._absent()}
        for first, last in gaps:
            self._judge_gap(first, last, known.get(first, {}))
        if not gaps and not self.gone:
            self.passed.append(f"no entry is missing from leaf {span[0]} to {span[1]}")

    def _gaps(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Yield the ranges without an entry that no cut covers."""
        here = sorted([*self.runs, *((cut.first, cut.last) for cut in self.covered), (last + 1, last + 1)])
        for start, end in here:
            if first > last:
                return
            if start > first:
                yield first, min(start - 1, last)
            first = max(first, end + 1)

    def _absent(self) -> Iterator[dict[str, Any]]:
        """What the portal itself says of entries that it has no longer; it names them, it proves nothing."""
        for line in self.bundle.optional("absent.jsonl"):
            absent = _json(line, what="a line of absent.jsonl")
            if isinstance(absent, dict) and isinstance(absent.get("first"), int):
                yield absent

    def _judge_gap(self, first: int, last: int, said: dict[str, Any]) -> None:
        event, at = str(said.get("event_id", "")), str(said.get("from", ""))
        low = at or self.times.get(first - 1, ("", ""))[1]
        high = str(said.get("until", "")) or self.times.get(last + 1, ("", ""))[1]
        dropped = [month for month in _months(low, high) if month not in self.months]
        many = f"{last - first + 1} entries, up to leaf {last}, were sealed and are not here"
        if dropped:
            self.find("partition-dropped", f"{many}; none of {', '.join(dropped)} is.", first, event, at)
        elif last >= self.size - 1:
            self.find("truncated", f"{many}; none is after them.", first, event, at)
        else:
            self.find("missing", f"{many}.", first, event, at)

    # What the auditor holds, and the time

    def _judge_held(self) -> None:
        sound = 0
        for note in self.held:
            if note.size <= self.count and self.roots.get(note.size) == note.root:
                sound = max(sound, note.size)
                self.passed.append(f"{note} that you hold is a part of this log")
                if note.size > self.size:
                    self.find("old-checkpoint", f"You hold {note}; the bundle's newest is older.", self.size)
                continue
            kind, leaf, text = self._departed(note, sound)
            self.find(kind, text, leaf, *self.times.get(leaf, ("", "")))
            break

    def _departed(self, note: Note, sound: int) -> tuple[str, int, str]:
        """Say how a log went another way than the checkpoint that the auditor holds."""
        hold = f"You hold {note} from {note.source}; "
        first = self.times.get(0, ("", ""))[1]
        oldest = min((known.at for known in self.notes), default=note.at)
        if not self.size or not self.count:
            return "replaced", 0, hold + "this log is empty."
        if first > stamp(note.at) or (not first and oldest > note.at):
            return "replaced", 0, hold + "all that is here is younger."
        if note.size > self.count:
            if self.notes[-1].at > note.at:
                return "restored", self.size, hold + f"the log went on later from {self.size} entries."
            return "truncated", self.size, hold + f"this log ends at {self.size}."
        last = self.times.get(note.size - 1, ("", ""))[1]
        if last > stamp(note.at):
            return "restored", sound, hold + f"the entry that now ends it is younger. Sound up to {sound} entries."
        return "forked", sound, hold + f"this log has another root for it. Sound up to {sound} entries."

    def _judge_age(self) -> None:
        made = moment(str(self.bundle.manifest.get("made_at", "")))
        if self.notes and made - self.notes[-1].at > STALE:
            text = f"The bundle was made {stamp(made)}, but {self.notes[-1]} is its newest; one is due each hour."
            self.find("old-checkpoint", text)


def _last(note: Note) -> int | None:
    return note.size - 1 if note.size else None


def _born(event: str) -> str:
    made = born(event)
    return stamp(made) if made else "at a time that it does not tell"


def _months(low: str, high: str) -> list[str]:
    """Return the months from one time to another, both included; none where one is unknown."""
    if not re.match(r"\d{4}-\d\d-", low) or not re.match(r"\d{4}-\d\d-", high):
        return []
    first, last = (int(text[:4]) * 12 + int(text[5:7]) - 1 for text in (low, high))
    return [f"{month // 12:04}-{month % 12 + 1:02}" for month in range(first, min(last, first + 1200) + 1)]


# ---- A dossier: facts about a change, each with the entries of the log that prove it ---------------------------------

ERASED = re.compile(r"Erased [0-9a-f]{8}-[0-9a-f-]{27}")
PERSON = re.compile(r"person:([0-9a-f]{8}-[0-9a-f-]{27})")


class DossierCheck:
    """One check of a dossier: its digest, the checkpoints that it names, and each entry that it cites."""

    def __init__(self, path: Path, *, keys: list[Key], allowed: timedelta = timedelta(hours=1)) -> None:
        whole = _json(_text_of(path), what=str(path), once=True)
        facts = whole.get("facts") if isinstance(whole, dict) else None
        if not isinstance(facts, dict) or facts.get("format") != DOSSIER:
            raise Damaged(f"{path} does not say {DOSSIER}: an older or newer verifier may know this file")
        if "proofs" not in whole:
            raise Damaged(f"{path} holds no proofs: take the dossier from the portal again")
        self.facts, self.whole, self.keys, self.allowed = facts, whole, keys, allowed
        self.findings: list[Finding] = []
        self.passed: list[str] = []
        self.notices: list[str] = []
        self.unsealed: list[str] = []
        self.notes: dict[str, Note] = {}
        self.proved: Counter[str] = Counter()

    def find(self, kind: str, text: str, leaf: int | None = None, event: str = "", at: str = "") -> None:
        self.findings.append(Finding(kind, text, leaf, event, at))

    def run(self) -> DossierCheck:
        try:
            self._judge_digest()
            self._judge_notes()
            self._judge_entries()
            self._judge_citations()
        except Damaged as error:
            self.find("damaged", f"{error}.")
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            self.find("damaged", f"It has not the form of a dossier ({type(error).__name__}: {error}).")
        return self

    def outcome(self) -> Outcome:
        made = self.whole["made"] if isinstance(self.whole.get("made"), dict) else {}
        head = [
            f"Dossier  {self.facts.get('title')}",
            f"Copy     made {made.get('at')} by {made.get('by')}",
            f"Facts    SHA-256 {made.get('sha256')}: compare it with the page, the paper or the entry dossier.made",
        ]
        worst = sorted(self.findings, key=lambda finding: PRIORITY[finding.kind])
        counts = dict(Counter(finding.kind for finding in worst))
        return Outcome(worst, str(self.facts.get("title")), head, self.passed, self.notices, counts, self.unsealed)

    def _judge_digest(self) -> None:
        text = json.dumps(self.facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
        digest, stated = hashlib.sha256(text.encode()).hexdigest(), self.whole["made"]["sha256"]
        if digest == stated:
            self.passed.append("the facts make the SHA-256 that the dossier names")
        else:
            self.find("edited", f"The facts make the SHA-256 {digest}, not {stated}, which the dossier names.")

    def _judge_notes(self) -> None:
        for given in self.whole["seal"]["checkpoints"]:
            note, workspace = Note.read(given["note"], "the dossier"), given["workspace"]
            if note.origin != ORIGIN + workspace:
                self.find("tenant-swapped", f"{note} is of {note.origin!r}, not of workspace {workspace}.")
            said = given["tree_size"], given["root"], given["signed_at"]
            if said != (note.size, note.root.hex(), stamp(note.at)) or workspace in self.notes:
                self.find("edited", f"The dossier names another checkpoint than {note}, whose text it holds.")
            self.notes[workspace] = note
            self._judge_signature(note)
            if moment(self.whole["made"]["at"]) - note.at > STALE:
                self.find("old-checkpoint", f"The dossier was made much later than {note}; one is due each hour.")

    def _judge_signature(self, note: Note) -> None:
        # One key signs the logs of all workspaces of a portal, in each under the name of that log.
        own = [Key(note.origin, LOG_KEY, key.public) for key in self.keys if key.algorithm == LOG_KEY]
        if not own:
            offered = [Key.read(text) for text in self.whole["proofs"]["keys"]]
            own = [key for key in offered if key.name == note.origin]
            seen = [key.vkey for key, _ in note.signed_by(own)]
            if seen:
                self.notices.append(f"No --key was given, so the dossier's own was believed. Compare it: {seen[0]}")
        fits = note.signed_by(own)
        if any(not fit for _, fit in fits):
            self.find("bad-signature", f"{note} is not what was signed.")
        elif not fits:
            self.find("wrong-key", f"{note} is signed by none of the keys that you gave.")

    def _judge_entries(self) -> None:
        proofs, cited = self.whole["proofs"]["entries"], self.facts["entries"]
        openings = [json.dumps(opening).encode() for opening in self.whole["proofs"]["openings"]]
        self.openings = Openings(openings)
        self.names = {each["subject"]: json.loads(each["opening"]) for each in self.whole["proofs"]["openings"]}
        for number, entry in enumerate(cited, 1):
            if entry["id"] in proofs:
                self._judge_entry(f"[{number}]", entry, proofs[entry["id"]])
            else:
                self.find("missing", f"[{number}] is cited, and is not here.", None, entry["id"], entry["at"])
        for event in sorted(proofs.keys() - {entry["id"] for entry in cited}):
            self.find("inserted", "It is here, and is not cited.", None, event)
        for workspace, count in self.proved.items():
            self.passed.append(f"{count} of {len(cited)} entries are held by {self.notes[workspace]}")

    def _judge_entry(self, number: str, cited: dict[str, Any], given: dict[str, Any]) -> None:
        line, path, leaf = given["entry"].encode(), given["path"], self.whole["seal"]["leaves"][cited["id"]]
        where = leaf, cited["id"], cited["at"]
        about, note = fact(line), self.notes.get(cited["workspace"])
        if about.workspace != cited["workspace"]:
            self.find("tenant-swapped", f"{number} is an entry of workspace {about.workspace}.", *where)
        self._judge_words(number, cited, about, where)
        for subject, commitment in commitments(about.whole):
            if self.openings.fit(subject, commitment) is False:
                self.find("opening-altered", f"{number}: the opening of {subject} makes another commitment.", *where)
        if path is None or leaf is None:
            if note is not None and moment(about.at) < note.at - self.allowed:
                self.find("inserted", f"{number} was never sealed, though {note} is much younger.", *where)
            self.unsealed.append(f"{number} event {cited['id']} of {cited['at']} ({cited['kind']}) is not sealed yet")
        elif note is None:
            self.find("old-checkpoint", f"{number} names no checkpoint that holds it.", *where)
        elif root_by_inclusion(leaf_hash(line), leaf, note.size, [_base64(n, what="proof") for n in path]) != note.root:
            self.find("edited", f"{number} is not what was sealed there, or the proof is of another: it does not lead "
                      f"to {note}.", *where)  # fmt: skip
        else:
            self.proved[cited["workspace"]] += 1

    def _judge_words(self, number: str, cited: dict[str, Any], about: Fact, where: tuple[int | None, str, str]) -> None:
        """Hold what the dossier says of an entry against what the entry says."""
        actor, summary = shown(about.whole, self.names)
        sealed = {
            "id": about.event, "at": about.at, "kind": about.whole.get("kind"), "actor": actor, "summary": summary,
        }  # fmt: skip
        for name, value in sealed.items():
            if not _says(cited[name], str(value)):
                text = f"{number}: the dossier says {name} {cited[name][:80]!r}, the entry {str(value)[:80]!r}."
                self.find("edited", text, *where)

    def _judge_citations(self) -> None:
        known = {entry["id"] for entry in self.facts["entries"]}
        for section in self.facts["sections"]:
            cited = {event for told in (*section["facts"], *section["rows"]) for event in told["entries"]}
            for event in sorted(cited - known):
                self.find("missing", f"{section['title']} cites it, and the dossier does not list it.", None, event)


def shown(whole: dict[str, Any], names: dict[str, Any]) -> tuple[str, str]:
    """Return who did it and the sentence, as the portal shows them; whose name can't be opened is called erased."""
    actor, target = whole.get("actor", {}), whole.get("target", {})
    people = {str(part.get("id")): part for part in (target, actor)} | whole.get("people", {})
    named = {key: _label(key, part, names) for key, part in people.items()}
    summary = PERSON.sub(lambda token: named.get(token[1], token[0]), str(whole.get("summary")))
    return _label(str(actor.get("id")), actor, names), summary


def _label(key: str, part: dict[str, Any], names: dict[str, Any]) -> str:
    known = part if "label" in part else names.get(str(part.get("subject")), {})
    return str(known.get("label", f"Erased {key}"))


def _says(told: str, sealed: str) -> bool:
    """Say whether two texts are one, but for names that were erased in the first."""
    return told == sealed or bool(re.fullmatch(".+".join(map(re.escape, ERASED.split(told))), sealed, re.DOTALL))


# ---- The commands -------------------------------------------------------------------------------------------------


@dataclass
class Outcome:
    findings: list[Finding]
    log: str = ""
    head: list[str] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    unsealed: list[str] = field(default_factory=list)  # what no checkpoint shows, for good or ill

    @property
    def code(self) -> int:
        if self.findings:
            return KINDS[self.findings[0].kind][0]
        return UNSEALED if self.unsealed else 0

    def say(self, took: str) -> None:
        for text in self.head:
            say(text)
        told = [*(("fits ", text) for text in self.passed), *(("note ", text) for text in self.notices)]
        told += [("OPEN ", text) for text in self.unsealed]
        for mark, text in (*told, *(("FOUND", str(finding)) for finding in self.findings)):
            say(f"  {mark}  {text}")
        for kind, count in self.counts.items():
            if count > LISTED:
                say(f"  FOUND  {kind}: {count - LISTED} more")
        if self.findings:
            kind = self.findings[0].kind
            say(f"NOT VERIFIED ({kind}, exit code {self.code}): {KINDS[kind][1]} [{took}]")
        elif self.unsealed:
            many = len(self.unsealed)
            say(f"VERIFIED but for {many} entries that are not sealed yet (exit code {self.code}) [{took}]")
        else:
            say(f"VERIFIED [{took}]")

    def as_json(self) -> str:
        told = {
            "verified": self.code == 0, "code": self.code, "log": self.log, "counts": self.counts,
            "findings": [finding._asdict() for finding in self.findings],
            "passed": self.passed, "notices": self.notices, "unsealed": self.unsealed,
        }  # fmt: skip
        return json.dumps(told, indent=2)


def say(text: str) -> None:
    """Print what may come from a hostile file: nothing of it reaches the terminal as a command."""
    print("".join(letter if letter.isprintable() else "\ufffd" for letter in text), flush=True)


def verify(arguments: argparse.Namespace) -> int:
    keys, held = read_keys(arguments.key), read_held(arguments.checkpoint)
    began = time.monotonic()
    try:
        check = Check(Bundle(arguments.bundle), keys=keys, held=held, allowed=timedelta(seconds=arguments.clock_back))
    except (Damaged, *BROKEN) as error:
        outcome = Outcome([Finding("damaged", f"{error}.")])
    else:
        outcome = _outcome(check.run())
        if arguments.save and not outcome.findings and check.notes:
            arguments.save.write_text(check.notes[-1].text, encoding="utf-8")
    if arguments.json:
        print(outcome.as_json())
    else:
        outcome.say(f"{time.monotonic() - began:.1f} s, signatures by {'cryptography' if fast else 'this file'}")
    return outcome.code


def dossier(arguments: argparse.Namespace) -> int:
    """The entries that a dossier cites, by their proofs of inclusion: the rest of the log is not needed."""
    keys, began = read_keys(arguments.key), time.monotonic()
    outcome = DossierCheck(arguments.dossier, keys=keys).run().outcome()
    if arguments.json:
        print(outcome.as_json())
    else:
        outcome.say(f"{time.monotonic() - began:.1f} s, signatures by {'cryptography' if fast else 'this file'}")
    return outcome.code


def _outcome(check: Check) -> Outcome:
    manifest = check.bundle.manifest
    head = [
        f"Log      {check.bundle.origin}",
        f"Bundle   made {manifest.get('made_at')} for {manifest.get('asked_by') or 'nobody named'}",
    ]
    if check.notes:
        head.append(f"Newest   {check.notes[-1]}, root {base64.b64encode(check.notes[-1].root).decode()}")
    notices = list(check.notices)
    if not check.held:
        notices.append(
            "No --checkpoint was given. That the end is missing, or that the whole log was exchanged, shows only "
            "against one that you hold: keep the one that --save writes."
        )
    counts = {kind: check.counts[kind] for kind in KINDS if check.counts[kind]}
    return Outcome(check.worst, check.bundle.origin, head, check.passed, notices, counts)


def read_keys(given: list[str]) -> list[Key]:
    """Return the keys: each argument is a vkey, or a file with one in each line."""
    keys = []
    for text in given:
        lines = [text] if "+" in text else _text_of(Path(text)).splitlines()
        with _own_words(f"--key {text[:60]}"):
            keys += [Key.read(line.split()[0]) for line in lines if line.strip()]
    return keys


def read_held(paths: list[Path]) -> list[Note]:
    notes = []
    for path in paths:
        with _own_words(str(path)):
            notes += read_notes(_text_of(path), str(path))
    return notes


@contextlib.contextmanager
def _own_words(where: str) -> Iterator[None]:
    """A mistake in what the auditor gives is no finding about the log."""
    try:
        yield
    except Damaged as error:
        raise NotRun(f"{where} can't be used: {error}.") from None


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NotRun(f"{path} can't be read: {error}.") from None


PROOF = "c2sp.org/tlog-proof@v1"


def proof(arguments: argparse.Namespace) -> int:
    """One entry, by a proof of inclusion in the form of C2SP tlog-proof: the rest of the log is not needed."""
    try:
        event = arguments.event.read_bytes().rstrip(b"\n")
    except OSError as error:
        raise NotRun(f"{arguments.event} can't be read: {error}.") from None
    head, blank, text = _text_of(arguments.proof).partition("\n\n")
    lines = [line for line in head.split("\n") if not line.startswith("extra ")]
    if not blank or lines[0] != PROOF or len(lines) < 2 or not re.fullmatch(r"index (0|[1-9]\d{0,18})", lines[1]):
        raise Damaged(f"{arguments.proof} does not begin as {PROOF} does")
    index, path = int(lines[1][6:]), [_base64(line, what="proof") for line in lines[2:]]
    note = Note.read(text, str(arguments.proof))
    about = fact(event)
    findings = []
    if note.origin != ORIGIN + about.workspace:
        findings.append(Finding("tenant-swapped", f"{note} is of {note.origin}.", index, about.event, about.at))
    if root_by_inclusion(leaf_hash(event), index, note.size, path) != note.root:
        findings.append(Finding("edited", f"The proof does not lead from it to {note}.", index, about.event, about.at))
    fits = note.signed_by(read_keys(arguments.key))
    if any(not fit for _, fit in fits):
        findings.append(Finding("bad-signature", f"{note} is not what was signed."))
    elif not any(key.algorithm == LOG_KEY for key, _ in fits):
        findings.append(Finding("wrong-key", f"{note} is signed by none of the keys that you gave."))
    findings.sort(key=lambda finding: PRIORITY[finding.kind])
    for finding in findings:
        say(f"  FOUND  {finding}")
    if findings:
        return KINDS[findings[0].kind][0]
    say(f"VERIFIED: event {about.event} of {about.at} is leaf {index} of {note}")
    return 0


def show(arguments: argparse.Namespace) -> int:
    try:
        bundle = Bundle(arguments.bundle)
        notes = read_notes(bundle.text("checkpoints.txt"), "the bundle")
        runs, keys = bundle.runs(), bundle.text("keys.txt")
        print(json.dumps(bundle.manifest, indent=2))
        print("\nKeys")
        for line in keys.splitlines():
            say(line)
        newest = f", the newest is {max(notes, key=lambda note: note.size)}" if notes else ""
        print(f"\n{len(notes)} checkpoints{newest}")
        print(f"{sum(last - first + 1 for first, last in runs)} entries in {len(runs)} runs of leaves")
        rows = bundle.lines("entries.jsonl")
        places = (index for first, last in runs for index in range(first, last + 1))
        for index, row in zip(places, rows):
            if arguments.entries <= 0:
                break
            arguments.entries -= 1
            whole = fact(row).whole
            say(f"{index:>9}  {whole.get('recorded_at')}  {whole.get('kind')}  {whole.get('summary')}")
    except Damaged as error:
        say(f"  FOUND  damaged: {error}.")
        return KINDS["damaged"][0]
    print("\nShown as it says; nothing was checked. `verify` checks.")
    return 0


# ---- A witness: remembers the last checkpoint, signs the next only if the log goes on from it ----------------------


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """A redirect would take the token to another address."""
        return


class Portal:
    def __init__(self, url: str, token: str) -> None:
        host = urllib.request.Request(url).host.rpartition("@")[2].rsplit(":", 1)[0]
        if not url.startswith("https://") and not (url.startswith("http://") and host in ("127.0.0.1", "localhost")):
            raise NotRun(f"{url} is not an https address: the token would be readable on the way.")
        self.url, self.token = url.rstrip("/"), token
        self.opener = urllib.request.build_opener(_NoRedirect)

    def ask(self, path: str, sent: bytes | None = None) -> str:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "text/plain; charset=utf-8"}
        request = urllib.request.Request(self.url + path, data=sent, headers=headers)
        try:
            with self.opener.open(request, timeout=30) as answer:
                return answer.read(1 << 20).decode()
        except urllib.error.HTTPError as error:
            text = error.read(500).decode(errors="replace")
            raise Unreachable(f"{self.url}{path} answered {error.code}: {text}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise Unreachable(f"{self.url}{path} can't be reached: {error}") from None


def witness(arguments: argparse.Namespace) -> int:
    """Ask once, or every so many seconds; a finding ends it at once, with both checkpoints kept beside the state."""
    if fast is None:
        raise NotRun("Signing needs the package cryptography.")
    if arguments.new_key:
        return _new_key(arguments)
    if not (arguments.url and arguments.state and arguments.key and arguments.key_file and arguments.token_file):
        raise NotRun("A witness needs --url, --token-file, --state, --key and --key-file.")
    portal = Portal(arguments.url, _text_of(arguments.token_file).strip())
    keys, signer = read_keys(arguments.key), _signer(arguments.key_file)
    while True:
        try:
            code = _witness_once(portal, arguments, keys, signer)
        except Unreachable as error:
            if not arguments.every:
                raise
            print(f"  note   {error}", file=sys.stderr, flush=True)
            code = 0
        if code or not arguments.every:
            return code
        time.sleep(arguments.every)


def _witness_once(portal: Portal, arguments: argparse.Namespace, keys: list[Key], signer: Any) -> int:
    text = portal.ask("/checkpoint")
    new = Note.read(text, "the portal")
    known = read_notes(_text_of(arguments.state), str(arguments.state)) if arguments.state.exists() else []
    old = known[0] if known else None
    finding = _refusal(portal, old, new, keys)
    if finding is not None:
        evidence = arguments.state.with_name(arguments.state.name + ".alarm")
        kept = [_text_of(arguments.state)] if old else []
        evidence.write_text("--\n".join([*kept, text]), encoding="utf-8")
        say(f"  FOUND  {finding}")
        say(f"NOT SIGNED ({finding.kind}): both checkpoints are kept in {evidence}")
        return KINDS[finding.kind][0]
    # Kept before it is signed: a witness that forgot what it signed could sign another history.
    _replace(arguments.state, text)
    when = int(time.time())
    signature = signer.sign(f"cosignature/v1\ntime {when}\n".encode() + new.body)
    key = Key(arguments.name, WITNESS_KEY, _public(signer))
    blob = base64.b64encode(key.id + when.to_bytes(8, "big") + signature).decode()
    portal.ask("/cosignatures", new.body + f"\n\u2014 {key.name} {blob}\n".encode())
    say(f"SIGNED: {new}")
    return 0


def _refusal(portal: Portal, old: Note | None, new: Note, keys: list[Key]) -> Finding | None:
    fits = new.signed_by(keys)
    if any(not fit for _, fit in fits):
        return Finding("bad-signature", f"{new} is not what was signed.")
    if not any(key.algorithm == LOG_KEY for key, _ in fits):
        return Finding("wrong-key", f"{new} is signed by none of the keys that you gave.")
    return None if old is None else _departure(portal, old, new)


def _departure(portal: Portal, old: Note, new: Note) -> Finding | None:
    """Say how a log does not go on from the checkpoint that the witness holds."""
    if new.origin != old.origin:
        return Finding("tenant-swapped", f"{new} is of {new.origin}, until now it was {old.origin}.")
    if new.size < old.size:
        return Finding("restored", f"{new} is shorter than {old}.", new.size)
    if new.at < old.at:
        return Finding("clock-backwards", f"{new} is older than {old}.")
    path = []
    if new.size > old.size > 0:
        lines = portal.ask(f"/consistency?old={old.size}&new={new.size}").split()
        path = [_base64(line, what="proof") for line in lines]
    return None if is_consistent(old, new, path) else Finding("forked", f"{new} does not go on from {old}.", old.size)


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(path.name + ".new")
    with beside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _signer(path: Path) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        signer = load_pem_private_key(_text_of(path).encode(), password=None)
    except ValueError as error:
        raise NotRun(f"{path} holds no private key: {error}.") from None
    if not isinstance(signer, fast.Ed25519PrivateKey):
        raise NotRun(f"{path} holds a key that is not Ed25519.")
    return signer


def _public(signer: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return signer.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def _new_key(arguments: argparse.Namespace) -> int:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    signer = fast.Ed25519PrivateKey.generate()
    pem = signer.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        with os.fdopen(os.open(arguments.new_key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
    except OSError as error:
        raise NotRun(f"{arguments.new_key} can't be written: {error}.") from None
    print(Key(arguments.name, WITNESS_KEY, _public(signer)).vkey)
    return 0


def parser() -> argparse.ArgumentParser:
    codes = "\n".join(
        f"  {code:>2}  {kind}: {text}" for kind, (code, text) in sorted(KINDS.items(), key=lambda k: k[1])
    )
    made = argparse.ArgumentParser(
        description="Check the audit trail of EAIP Operations without EAIP Operations.",
        epilog=f"exit codes:\n   0  verified\n   1  the check could not be made\n   2  wrong arguments\n{codes}\n"
        f"  {UNREACHABLE}  witness: the portal can't be reached\n"
        f"  {UNSEALED}  dossier: all that is sealed fits; some entries are not sealed yet",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action="version", version=VERSION)
    commands = made.add_subparsers(required=True, metavar="COMMAND")
    key = argparse.ArgumentParser(add_help=False)
    key.add_argument(
        "--key", action="append", default=[], metavar="VKEY", help="a key that you trust, or a file of them"
    )

    command = commands.add_parser("verify", parents=[key], help="check a bundle")
    command.add_argument("bundle", type=Path)
    command.add_argument(
        "--checkpoint", action="append", default=[], type=Path, metavar="NOTE", help="one that you hold"
    )
    command.add_argument("--save", type=Path, metavar="NOTE", help="write the newest checkpoint, to hold it")
    command.add_argument("--clock-back", type=int, default=3600, metavar="SECONDS", help="how far time may go back")
    command.add_argument("--json", action="store_true", help="for programs")
    command.set_defaults(run=verify)

    command = commands.add_parser("dossier", parents=[key], help="check the entries that a dossier cites")
    command.add_argument("dossier", type=Path, help="as JSON; to a PDF it is attached")
    command.add_argument("--json", action="store_true", help="for programs")
    command.set_defaults(run=dossier)

    command = commands.add_parser("proof", parents=[key], help="check one entry by its proof of inclusion")
    command.add_argument("event", type=Path, help="the entry, byte for byte")
    command.add_argument("proof", type=Path, help="index, hashes and checkpoint (C2SP tlog-proof)")
    command.set_defaults(run=proof)

    command = commands.add_parser("show", help="say what a bundle holds, without checking")
    command.add_argument("bundle", type=Path)
    command.add_argument("--entries", type=int, default=20, metavar="N")
    command.set_defaults(run=show)

    command = commands.add_parser("witness", parents=[key], help="countersign checkpoints while the log only grows")
    command.add_argument("--url", help="of the log, as the portal's page names it")
    command.add_argument("--token-file", type=Path)
    command.add_argument("--state", type=Path, help="the last checkpoint that was signed")
    command.add_argument("--key-file", type=Path, help="the witness's own key")
    command.add_argument("--name", default="witness.local", help="of the witness, like a host name")
    command.add_argument("--every", type=int, default=0, metavar="SECONDS", help="go on for ever")
    command.add_argument("--new-key", type=Path, metavar="FILE", help="make a key, print its public part, and end")
    command.set_defaults(run=witness)
    return made


def main(given: list[str] | None = None) -> int:
    arguments = parser().parse_args(given)
    try:
        return arguments.run(arguments)
    except NotRun as error:
        print(f"The check could not be made: {error}", file=sys.stderr)
        return error.code
    except Damaged as error:
        say(f"  FOUND  damaged: {error}.")
        return KINDS["damaged"][0]
    except BrokenPipeError:
        with contextlib.suppress(OSError):
            sys.stdout.close()
        return NOT_RUN


if __name__ == "__main__":
    sys.exit(main())
