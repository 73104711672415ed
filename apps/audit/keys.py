"""The key that signs checkpoints: a file that the sealer alone reads, and its public half, which everybody may know.

Custody and rotation: docs/runbooks/audit-keys.md.
"""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from apps.audit.notes import VerifierKey, origin_of, public_of


class KeyProblem(Exception):
    """The key can't be used; says why, and what to do."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """`id` is the first eight hex digits of the SHA-256 of its public half: what pages and commands call it."""

    private: Ed25519PrivateKey

    @property
    def public(self) -> bytes:
        return public_of(self.private)

    @property
    def id(self) -> str:
        return key_id(self.public)

    def vkey(self, workspace_id: UUID) -> VerifierKey:
        """Return its public half under the name that it signs as for a workspace."""
        return VerifierKey(origin_of(workspace_id), self.public)


def key_id(public: bytes) -> str:
    """Return what a key is called by."""
    return sha256(public).hexdigest()[:8]


def make_key(path: Path) -> SigningKey:
    """Make a key in a new file that its owner alone may read. Raises KeyProblem: the file is there already."""
    private = Ed25519PrivateKey.generate()
    text = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise KeyProblem(f"{path} is there already; a key is never written over. Name another file.") from error
    with os.fdopen(handle, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return SigningKey(private)


def read_key(path: Path) -> SigningKey:
    """Read the key of a file. Raises KeyProblem: it is missing, no Ed25519 key, or others may read it."""
    try:
        mode = path.stat().st_mode
        text = path.read_bytes()
    except OSError as error:
        raise KeyProblem(
            f"The signing key {path} can't be read: {error.strerror}. Nothing is signed meanwhile; no entry is lost."
        ) from error
    if stat.S_IMODE(mode) & 0o077:
        raise KeyProblem(f"Others than its owner may read {path}. Run: chmod 600 {path}")
    try:
        private = serialization.load_pem_private_key(text, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyProblem(f"{path} holds no private key in PEM without a password.") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise KeyProblem(f"{path} holds a key of another kind; Ed25519 is needed.")
    return SigningKey(private)


def vkeys(publics: Iterable[bytes], workspace_id: UUID) -> list[VerifierKey]:
    """Return public keys under a workspace's name, as a verifier is given them."""
    return [VerifierKey(origin_of(workspace_id), bytes(public)) for public in publics]
