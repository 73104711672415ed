"""What it costs an entry that names, addresses and browsers are committed to, beside the same entry of version 1.

One call of `record_event` in a transaction of its own, through the application's role; the two take turns.
"""

import json
import os
import statistics
import time
from importlib import import_module
from typing import Any
from uuid import uuid4

import django

django.setup()

import psycopg

from apps.core.platform import PLATFORM_WORKSPACE_ID
from bench.table import print_table

ENTRIES = int(os.environ.get("BENCH_ENTRIES", "2000"))
KNOWN = int(os.environ.get("BENCH_SUBJECTS", "100000"))
BEFORE = "bench_record_event"
SUBJECTS = """
INSERT INTO audit_subject (workspace_id, month, person_id, commitment, salt, opening)
SELECT %s, date_trunc('month', now() AT TIME ZONE 'UTC'), n::text, sha256('x'), '\\x00', '{"label": "' || n || '"}'
FROM generate_series(1, %s) n
"""


def main() -> None:
    version_1 = import_module("apps.audit.migrations.0002_ledger").RECORD.replace("record_event", BEFORE)
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as owner:
        owner.execute("SELECT set_config('app.workspaces', %s, false)", [str(PLATFORM_WORKSPACE_ID)])
        owner.execute(SUBJECTS, [PLATFORM_WORKSPACE_ID, KNOWN])
        owner.execute("ANALYZE audit_subject")
        owner.execute(version_1)
        owner.execute(f"ALTER FUNCTION {BEFORE}(jsonb) OWNER TO eaip_gate")
        owner.execute(f"GRANT EXECUTE ON FUNCTION {BEFORE}(jsonb) TO eaip_app")
    rows = []
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as app:
        app.execute("SELECT set_config('app.workspaces', %s, false)", [str(PLATFORM_WORKSPACE_ID)])
        for label, made in (
            ("a person whose opening is known", lambda n: _event("Release engineer", "192.0.2.7")),
            (
                "a person seen for the first time this month",
                lambda n: _event(f"Engineer {n}", f"192.0.2.{n % 250}", uuid4()),
            ),
            (
                "another person named in the sentence",
                lambda n: _event("Release engineer", "192.0.2.7", names="Auditor"),
            ),
            ("the portal itself", lambda n: _event("", "")),
        ):
            before, after = _timed(app, made)
            rows.append((label, *(f"{ms:.2f} ms" for ms in (*before, *after)), f"{after[1] - before[1]:+.2f} ms"))
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as owner:
        owner.execute(f"DROP FUNCTION {BEFORE}(jsonb)")
    print_table(
        f"One entry of {ENTRIES:,}, {KNOWN:,} openings kept (goal: p95 well below 5 ms)",
        ("entry by", "version 1 p50", "p95", "version 2 p50", "p95", "more at p95"),
        rows,
    )


def _event(label: str, ip: str, person: object = "00000000-0000-4000-8000-000000000001", names: str = "") -> str:
    actor = {"type": "PERSON", "id": str(person), "label": label, "session": "hmac:1", "method": "password"}
    event: dict[str, Any] = {
        "workspace_id": str(PLATFORM_WORKSPACE_ID), "kind": "release.sealed", "outcome": "SUCCESS",
        "actor": actor if label else {"type": "SYSTEM", "id": "system", "label": "EAIP Operations"},
        "target": {"type": "release", "id": str(uuid4()), "label": "service 1.0"}, "request_id": str(uuid4()),
        "source": {"via": "page", "ip": ip, "user_agent": "Mozilla/5.0 (X11; Linux x86_64)"} if ip else {"via": "task"},
        "summary": f"Sealed release 1.0 {names}", "reason": "", "approval": {}, "causation": {},
        "change": {"state": {"before": "DRAFT", "after": "SEALED"}},
    }  # fmt: skip
    if names:
        other = "00000000-0000-4000-8000-000000000002"
        event |= {"sealed": {"summary": f"Sealed release 1.0 person:{other}"}, "people": {other: names}}
    return json.dumps(event)


def _timed(app: psycopg.Connection, made: Any) -> tuple[tuple[float, float], tuple[float, float]]:
    took: dict[str, list[float]] = {BEFORE: [], "record_event": []}
    for number in range(ENTRIES + 100):
        event = made(number)
        for function, times in took.items():
            began = time.perf_counter()
            app.execute(f"SELECT {function}(%s::jsonb)", [event])
            if number >= 100:
                times.append((time.perf_counter() - began) * 1e3)
    before, after = ((statistics.median(times), statistics.quantiles(times, n=20)[18]) for times in took.values())
    return before, after


if __name__ == "__main__":
    main()
