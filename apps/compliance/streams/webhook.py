"""Entries as one JSON document, signed as Standard Webhooks has it (standardwebhooks.com, specification 1.0). Pure."""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from uuid import UUID

from apps.compliance.streams.entries import Entry

KIND = "audit.entries"


def body(entries: Sequence[Entry], *, workspace_id: UUID, moment: str) -> bytes:
    """This function will write a batch. Shapes: each entry's JSON stands in it as it was sealed, byte for byte."""
    rows = b",".join(
        b'{"event_id":"%s","leaf":%d,"entry":%s}' % (str(entry.event_id).encode(), entry.leaf_index, entry.canonical)
        for entry in entries
        if entry.canonical is not None
    )
    head = f'{{"type":"{KIND}","timestamp":"{moment}","data":{{"workspace":"{workspace_id}","entries":['
    return head.encode() + rows + b"]}}"


def headers(secret: bytes, *, message_id: str, timestamp: int, content: bytes) -> Mapping[str, str]:
    """This function will sign a batch. Shapes: the id is the same whenever the same entries are sent together."""
    signed = f"{message_id}.{timestamp}.".encode() + content
    signature = base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }
