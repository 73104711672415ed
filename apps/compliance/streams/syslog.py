"""Entries as syslog messages (RFC 5424), counted by octets on the wire (RFC 5425). Pure."""

import re
from collections.abc import Iterable
from uuid import UUID

from apps.audit.notes import rfc3339
from apps.compliance.streams.entries import Entry

FACILITY = 13  # log audit
SEVERITIES = {"SUCCESS": 6, "REFUSED": 4, "FAILED": 3}
APP = "eaip-operations"
# 32473 is the number that IANA keeps for documentation and that nobody else's structured data carries (RFC 5612).
STRUCTURED = "eaip@32473"
_NOT_PRINTABLE = re.compile(r"[^!-~]")
_ESCAPED = re.compile(r'(["\\\]])')


def batch(entries: Iterable[Entry], *, workspace_id: UUID, host: str) -> bytes:
    """This function will write a batch as it goes through one connection: length, blank, message, and so on."""
    return b"".join(b"%d %s" % (len(each), each) for each in (message(entry, workspace_id, host) for entry in entries))


def message(entry: Entry, workspace_id: UUID, host: str) -> bytes:
    """This function will write one entry. Shapes: the text is the entry's canonical JSON, byte for byte."""
    priority = FACILITY * 8 + SEVERITIES.get(entry.outcome, 5)
    data = {"event_id": str(entry.event_id), "leaf": str(entry.leaf_index), "workspace": str(workspace_id)}
    elements = "".join(f' {name}="{_ESCAPED.sub(_escape, value)}"' for name, value in data.items())
    head = (
        f"<{priority}>1 {rfc3339(entry.recorded_at)} {_word(host, 255)} {APP} - {_word(entry.kind, 32)} "
        f"[{STRUCTURED}{elements}] "
    )
    return head.encode() + (entry.canonical or b"")


def _word(text: str, limit: int) -> str:
    return _NOT_PRINTABLE.sub("_", text)[:limit] or "-"


def _escape(found: re.Match[str]) -> str:
    return f"\\{found[1]}"
