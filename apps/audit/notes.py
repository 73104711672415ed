"""Checkpoints as signed notes: the size and root of a log, in a text that anybody can keep and check.

Sources: C2SP signed-note, tlog-checkpoint and tlog-cosignature (c2sp.org); Ed25519 is RFC 8032.
"""

import base64
import binascii
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

LOG_KEY, WITNESS_KEY = 0x01, 0x04
DASH = "\u2014"
ORIGIN = "eaip-operations/audit/"


class BadNote(ValueError):
    """The text is no checkpoint, or not signed as it says."""


def origin_of(workspace_id: UUID) -> str:
    """Return the name of a workspace's log, which is also that of its key."""
    return f"{ORIGIN}{workspace_id}"


def rfc3339(moment: datetime) -> str:
    """Return a moment as the ledger writes it: UTC, with microseconds."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key and the name that it signs as. Shapes: 32 bytes; `algorithm` is LOG_KEY or WITNESS_KEY."""

    name: str
    public: bytes
    algorithm: int = LOG_KEY

    @property
    def id(self) -> bytes:
        """The four bytes that stand before each of its signatures."""
        return sha256(self.name.encode() + b"\n" + bytes([self.algorithm]) + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(bytes([self.algorithm]) + self.public).decode()}"

    @classmethod
    def read(cls, text: str) -> "VerifierKey":
        """Read `<name>+<id>+<key>`. Raises BadNote: it is not of that form, or its id is another key's."""
        name, _, rest = text.strip().partition("+")
        stated, _, encoded = rest.partition("+")
        try:
            blob = base64.b64decode(encoded, validate=True)
        except binascii.Error as error:
            raise BadNote("The key is not base64.") from error
        if not name or any(c.isspace() for c in name) or len(blob) != 33 or blob[0] not in (LOG_KEY, WITNESS_KEY):
            raise BadNote("This is not the Ed25519 key of a log or of a witness: <name>+<id>+<key>.")
        key = cls(name, blob[1:], blob[0])
        if key.id.hex() != stated:
            raise BadNote(f"The key says {stated}, but its bytes make {key.id.hex()}: a letter was lost.")
        return key

    def fits(self, message: bytes, signature: bytes) -> bool:
        """Say whether the signature is of this message by this key."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says of itself at one moment."""

    workspace_id: UUID
    size: int
    root: bytes
    at: datetime

    @property
    def body(self) -> str:
        root = base64.b64encode(self.root).decode()
        return f"{origin_of(self.workspace_id)}\n{self.size}\n{root}\ntime {rfc3339(self.at)}\n"

    def signed(self, key: Ed25519PrivateKey) -> str:
        """Return the note, signed by the log's key."""
        own = VerifierKey(origin_of(self.workspace_id), public_of(key))
        return f"{self.body}\n{signature_line(own, key.sign(self.body.encode()))}"


def public_of(key: Ed25519PrivateKey) -> bytes:
    """Return the 32 bytes of a key's public half."""
    return key.public_key().public_bytes_raw()


def signature_line(key: VerifierKey, signature: bytes) -> str:
    """Return the line that a signature is in a note."""
    return f"{DASH} {key.name} {base64.b64encode(key.id + signature).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A note as it was read: its text, which ends in a line break, and the signatures below the empty line."""

    body: str
    signatures: tuple[tuple[str, bytes, bytes], ...]

    @classmethod
    def read(cls, text: str) -> "Note":
        """Raises BadNote: no empty line, or a line below it that is no signature."""
        body, gap, below = text.rpartition("\n\n")
        if not gap:
            raise BadNote("A note has an empty line between its text and its signatures.")
        signatures = []
        for line in below.splitlines():
            dash, _, rest = line.partition(" ")
            name, _, encoded = rest.partition(" ")
            try:
                blob = base64.b64decode(encoded, validate=True)
            except binascii.Error as error:
                raise BadNote("A signature is not base64.") from error
            if dash != DASH or not name or len(blob) < 5:
                raise BadNote("A line below the empty line is no signature.")
            signatures.append((name, blob[:4], blob[4:]))
        return cls(f"{body}\n", tuple(signatures))

    def is_signed_by(self, keys: Iterable[VerifierKey]) -> bool:
        """Say whether one of these log keys signed this text."""
        return any(
            (name, key_id) == (key.name, key.id) and key.fits(self.body.encode(), blob)
            for key in keys
            for name, key_id, blob in self.signatures
        )


def cosigned_at(body: str, key: VerifierKey, line: str) -> datetime:
    """Return when a witness cosigned this text, by its signature line. Raises BadNote: it did not.

    The witness signs its own time along with the text: eight bytes of seconds before the signature.
    """
    signatures = Note.read(f"\n\n{line}").signatures
    if len(signatures) != 1:
        raise BadNote("One signature line of the witness is expected.")
    name, key_id, blob = signatures[0]
    if (name, key_id) != (key.name, key.id) or len(blob) != 72:
        raise BadNote(f"The signature is not one of {key.name}.")
    (seconds,) = struct.unpack(">Q", blob[:8])
    if not key.fits(f"cosignature/v1\ntime {seconds}\n{body}".encode(), blob[8:]):
        raise BadNote(f"The signature of {key.name} does not fit this checkpoint.")
    return datetime.fromtimestamp(seconds, UTC)
