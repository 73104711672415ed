"""`python -m apps.releases.contracts OLD NEW`: compares two kept descriptions and prints what `apart` reads.

Without arguments it reads event schemas to compare, as `apart.compare_schemas_apart` writes them.
"""

import json
import os
import resource
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from apps.releases.contracts import documents, events
from apps.releases.contracts.apart import CPU_SECONDS, KEPT, MEMORY, NAMED, TEXT
from apps.releases.contracts.changes import Change, last_to_end, worst_first
from apps.releases.contracts.openapi import compare


def main(*names: str) -> None:
    os.nice(10)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    changes = _of_descriptions(*names) if names else _of_events(json.load(sys.stdin))
    found = {
        "counts": Counter(change.effect for change in changes),
        "removed": [(_fit(change.operation), change.sunset) for change in last_to_end(changes)[:NAMED]],
        "changes": [{name: _fit(text) for name, text in asdict(row).items()} for row in worst_first(changes)[:KEPT]],
    }
    json.dump(found, sys.stdout)


def _of_descriptions(old: str, new: str) -> Sequence[Change]:
    return compare(*(documents.read(Path(name).read_bytes()) for name in (old, new)))


def _of_events(asked: dict[str, Any]) -> Sequence[Change]:
    lower = {version: json.loads(text) for version, text in asked["lower"].items()}
    return events.compare(lower, json.loads(asked["new"]), mode=asked["mode"], is_closed=asked["is_closed"])


def _fit(text: str) -> str:
    """Return what a database can keep of a text that somebody else wrote."""
    return text[:TEXT].encode(errors="replace").decode().replace("\0", "\ufffd")


if __name__ == "__main__":
    main(*sys.argv[1:])
