"""Secrets that must be read again, such as an authenticator app's, are sealed before they are stored."""

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.utils.encoding import force_bytes

_NONCE_BYTES = 12


class SealBroken(ValueError):
    """It was sealed for another owner or purpose, by another SECRET_KEY, or was changed."""


def seal(secret: bytes, *, purpose: str, owner: str) -> bytes:
    """This function will encrypt a secret (AES-256-GCM) so that it opens for this purpose and owner alone."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(_key(settings.SECRET_KEY, purpose)).encrypt(nonce, secret, owner.encode())


def unseal(sealed: bytes, *, purpose: str, owner: str) -> bytes:
    """This function will return what was sealed, also by a key that SECRET_KEY_FALLBACKS still names.

    Raises SealBroken: none of the keys opens it for this purpose and owner.
    """
    for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        try:
            return AESGCM(_key(key, purpose)).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], owner.encode())
        except InvalidTag:
            continue
    raise SealBroken(f"What was sealed for {purpose} does not open.")


def _key(secret_key: str | bytes, purpose: str) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=f"eaip.seal.{purpose}".encode()).derive(force_bytes(secret_key))
