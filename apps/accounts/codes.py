"""Codes that people type: those of an authenticator app (RFC 6238) and recovery codes. No database, no clock."""

import hashlib
import secrets
from base64 import b32encode
from datetime import datetime
from hmac import compare_digest

import segno
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

ISSUER = "EAIP Operations"
SECRET_BYTES = 20
STEP_SECONDS = 30
DIGITS = 6
RECOVERY_CODES = 10
_RECOVERY_BYTES = 10


def new_secret() -> bytes:
    return secrets.token_bytes(SECRET_BYTES)


def step_of(code: str, secret: bytes, *, after: int, now: datetime) -> int | None:
    """This function will return the step (30 s) that a code is of: the one now or its neighbours, but none up to
    `after`, the last one that was used. None: it is of none of them.
    """
    typed, current = "".join(code.split()).encode(), int(now.timestamp()) // STEP_SECONDS
    matching = [step for step in (current - 1, current, current + 1) if compare_digest(_code(secret, step), typed)]
    return next((step for step in matching if step > after), None)


def typed_secret(secret: bytes) -> str:
    """This function will return the secret as people type it into an app that can't read the QR code."""
    return " ".join(_in_fours(b32encode(secret).decode()))


def qr_code(secret: bytes, account: str) -> str:
    """This function will return the picture that an authenticator app reads, as the address of an image (SVG)."""
    code = segno.make(_app(secret).get_provisioning_uri(account, ISSUER), micro=False, error="m")
    return code.svg_data_uri(scale=5, border=4, dark="#000", light="#fff", omitsize=False)


def new_recovery_codes() -> tuple[str, ...]:
    """This function will return codes of 80 random bits each, in groups of four characters."""
    texts = [b32encode(secrets.token_bytes(_RECOVERY_BYTES)).decode() for _ in range(RECOVERY_CODES)]
    return tuple("-".join(_in_fours(text)) for text in texts)


def digest_of(recovery_code: str) -> str:
    """This function will return the SHA-256 (hex) by which a recovery code is kept, however it was typed."""
    return hashlib.sha256("".join(filter(str.isalnum, recovery_code.upper())).encode()).hexdigest()


def _app(secret: bytes) -> TOTP:
    return TOTP(secret, DIGITS, SHA1(), STEP_SECONDS)  # noqa: S303  what authenticator apps know


def _code(secret: bytes, step: int) -> bytes:
    return _app(secret).generate(step * STEP_SECONDS)


def _in_fours(text: str) -> list[str]:
    return [text[start : start + 4] for start in range(0, len(text), 4)]
