"""One way to write a value as bytes, so that equal values have equal digests."""

import hashlib
import json
from typing import Any


def canonical(value: Any) -> bytes:
    """Return JSON with sorted keys, no spaces, ASCII only. Floats and sets have no place in it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def sha256_of(value: Any) -> str:
    """Return the SHA-256 in hex over the canonical bytes of the value."""
    return hashlib.sha256(canonical(value)).hexdigest()
