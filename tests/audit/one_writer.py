"""Writes a row without an entry and one with it, in turn, and prints how many milliseconds each transaction took.

Run as a process of its own (`COMMAND`, then seconds and a workspace), it sees them as a process of the portal does.
"""

import json
import sys
import time
from uuid import UUID, uuid4

from django.db import connection

from apps.audit import actions as audit
from apps.audit.actors import Actor
from apps.workspaces.scope import workspace_scope

PLAIN = """
CREATE TABLE written (id uuid PRIMARY KEY DEFAULT uuidv7(), workspace_id uuid NOT NULL, what text NOT NULL);
GRANT INSERT ON written TO eaip_app;
"""
PERSON = Actor("PERSON", str(uuid4()), "Ann Lee")
PAUSE_SECONDS = 0.05
COMMAND = "import django; django.setup(); from tests.audit import one_writer; one_writer.main()"
WARMING = 10  # of each, not told


def main() -> None:
    seconds, workspace = float(sys.argv[1]), UUID(sys.argv[2])
    took: dict[str, list[float]] = {"plain": [], "with_entry": []}
    until, number = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        name = ("plain", "with_entry")[number % 2]
        began = time.perf_counter()
        with workspace_scope([workspace]):
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO written (workspace_id, what) VALUES (%s, 'x')", [workspace])
            if name == "with_entry":
                write_entry(workspace)
        took[name].append((time.perf_counter() - began) * 1000)
        number += 1
        time.sleep(PAUSE_SECONDS)
    print(json.dumps({name: times[WARMING:] for name, times in took.items()}))


def write_entry(workspace: UUID) -> UUID:
    """Record what somebody did, in the open transaction."""
    return audit.record(
        "release.sealed", by=PERSON, target=None, workspace_id=workspace, summary="Sealed release 1.0",
        before={"state": "DRAFT"}, after={"state": "SEALED", "notes": "x" * 300},
    )  # fmt: skip
