"""Secrets never reach the ledger: in their place stands a keyed fingerprint, which tells only whether two are equal."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any

from django.conf import settings

_NAMES = re.compile(
    r"(^|_)(password|passwd|passphrase|secret|secrets|digest_of_secret|token|api_?key|private_key|credential|credentials"
    r"|authorization|cookie|session_key|recovery_code|recovery_codes|webhook_secret|client_secret)$",
    re.IGNORECASE,
)
# What is a secret wherever it stands: one pattern each, and the group `secret` is what is replaced.
_SHAPES = re.compile(
    "|".join(
        (
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
            r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)",  # the name and the password in an address
            r"\beaip_[A-Za-z0-9_-]{16,}",
            r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
            r"\bgh[pousr]_[A-Za-z0-9]{20,}",
            r"\bglpat-[A-Za-z0-9_-]{16,}",
            r"\bxox[abprs]-[A-Za-z0-9-]{10,}",
            r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+",  # a signed web token
            r"(?<=[Bb]earer )[A-Za-z0-9._~+/=-]{12,}",
            r"(?i:(?<=password=)|(?<=passwd=)|(?<=secret=)|(?<=token=)|(?<=api_key=))[^\s&\"',;]+",
        )
    ),
    re.DOTALL,
)


def fingerprint(secret: str) -> str:
    """Return a keyed fingerprint of a secret: HMAC-SHA-256, shortened to 16 hexadecimal digits."""
    key = hmac.new(settings.SECRET_KEY.encode(), b"audit fingerprints", hashlib.sha256).digest()
    return f"hmac:{hmac.new(key, secret.encode('utf-8', 'surrogatepass'), hashlib.sha256).hexdigest()[:16]}"


def without_secrets(value: Any) -> Any:
    """Return a plain value with every secret in it replaced by its fingerprint: by its field's name, or its shape."""
    if isinstance(value, str):
        return _SHAPES.sub(lambda found: fingerprint(found[0]), value)
    if isinstance(value, Mapping):
        return {name: _guarded(name, inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(inner) for inner in value]
    return value


def _guarded(name: Any, value: Any) -> Any:
    if not _NAMES.search(str(name)):
        return without_secrets(value)
    if isinstance(value, Mapping) and value.keys() <= {"before", "after"}:
        return {side: _hidden(inner) for side, inner in value.items()}
    return _hidden(value)


def _hidden(value: Any) -> Any:
    return value if value is None or value == "" or isinstance(value, bool) else fingerprint(str(value))
