"""Which keys sign what builders say, and whether one of them did (DSSE, github.com/secure-systems-lab/dsse)."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey

_PEM = re.compile(rb"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----", re.DOTALL)


def known_keys() -> Mapping[str, PublicKey]:
    """This function will return the public keys of builders by the first 16 hex digits of their SHA-256.

    Source: the file of PEM blocks that EAIP_PROVENANCE_KEYS names; none where it names none.
    Raises ImproperlyConfigured: the file can't be read, or a key in it is of another kind.
    """
    return _read(settings.PROVENANCE_KEYS) if settings.PROVENANCE_KEYS else {}


def check(**_: Any) -> list[CheckMessage]:
    """This function will say at the start that the keys can't be read, not once somebody sends what they signed."""
    try:
        known_keys()
    except ImproperlyConfigured as error:
        return [Error(str(error), id="eaip.E060")]
    return []


def key_of(payload: bytes, payload_type: str, signatures: Sequence[bytes]) -> str:
    """This function will name the key that made one of these signatures of a payload; empty where none of ours did."""
    signed = b"DSSEv1 %d %s %d %s" % (len(payload_type), payload_type.encode(), len(payload), payload)
    for name, key in known_keys().items():
        if any(_is_by(key, signature, signed) for signature in signatures):
            return name
    return ""


def _is_by(key: PublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, signed)
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
        else:
            key.verify(signature, signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


@cache
def _read(file: Path) -> Mapping[str, PublicKey]:
    try:
        blocks = _PEM.findall(file.read_bytes())
        keys = [serialization.load_pem_public_key(block) for block in blocks]
    except (OSError, ValueError) as error:
        raise ImproperlyConfigured(f"EAIP_PROVENANCE_KEYS: {file} holds no public keys in PEM: {error}.") from error
    found = {_name(key): key for key in keys if isinstance(key, PublicKey)}
    if not found or len(found) != len(blocks):
        raise ImproperlyConfigured(f"EAIP_PROVENANCE_KEYS: {file} must hold keys of ECDSA, Ed25519 or RSA, each once.")
    return found


def _name(key: object) -> str:
    if not isinstance(key, PublicKey):
        return ""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(key.public_bytes(serialization.Encoding.DER, form)).hexdigest()[:16]
