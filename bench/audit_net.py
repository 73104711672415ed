"""What the net under the ledger costs a statement of the application, beside the same statement without it.

On copies of the deployments' table: a lease that is renewed (not watched), a change with its event (covered when it
commits), a change without one (told of). One statement, or one and its event, in a transaction of its own.
"""

import os
import statistics
import time
from collections.abc import Callable, Sequence
from uuid import uuid4

import django

django.setup()

import psycopg

from apps.audit.net import govern
from apps.core.platform import PLATFORM_WORKSPACE_ID
from bench.table import print_table

STATEMENTS = int(os.environ.get("BENCH_STATEMENTS", "2000"))
UNWATCHED = ("fence", "lease_token", "lease_until", "log_bytes", "log_lines", "probe_after", "probed", "terms")
LEASE = "UPDATE {} SET lease_until = clock_timestamp() WHERE id = %s"
CHANGE = "UPDATE {} SET reason = md5(random()::text) WHERE id = %s"
EVENT = """
SELECT record_event(jsonb_build_object('workspace_id', workspace_id, 'kind', 'deployment.starting',
    'outcome', 'SUCCESS', 'actor', '{"type": "SYSTEM", "id": "system", "label": "EAIP Operations"}'::jsonb,
    'target', '{"type": "deployment", "id": "", "label": ""}'::jsonb, 'request_id', '', 'source', '{}'::jsonb,
    'summary', 'A deployment', 'reason', '', 'change', '{}'::jsonb, 'approval', '{}'::jsonb, 'causation', '{}'::jsonb))
FROM (VALUES (%s::uuid)) AS given(workspace_id)
"""
TABLES = {"bench_bare": False, "bench_netted": True}


def main() -> None:
    key = uuid4()
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as owner:
        for table, is_netted in TABLES.items():
            owner.execute(f"CREATE TABLE {table} (LIKE deployments_deployment)")
            for (name,) in owner.execute(
                "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnotnull AND attnum > 0", [table]
            ).fetchall():
                owner.execute(f"ALTER TABLE {table} ALTER {name} DROP NOT NULL")
            owner.execute(f"ALTER TABLE {table} ADD PRIMARY KEY (id)")
            owner.execute(
                f"INSERT INTO {table} (id, workspace_id, target_key, state, plan_hash, outcome, terms) "
                "VALUES (%s, %s, 'local:greeter', 'APPLYING', repeat('a', 64), repeat('b', 200), "
                "(SELECT jsonb_object_agg('term' || n, n) FROM generate_series(1, 40) n))",
                [key, PLATFORM_WORKSPACE_ID],
            )
            if is_netted:
                owner.execute(govern(table, unwatched=UNWATCHED).sql)
    rows = []
    with psycopg.connect(os.environ["DATABASE_URL"]) as app:
        for label, statement, has_event in (
            ("lease renewed, not watched", LEASE, False),
            ("change with its event", CHANGE, True),
            ("change without an event, told of", CHANGE, False),
        ):
            bare, netted = _timed([_work(app, statement.format(table), key, has_event) for table in TABLES])
            rows.append((label, f"{bare * 1e3:.3f} ms", f"{netted * 1e3:.3f} ms", f"{(netted - bare) * 1e3:+.3f} ms"))
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as owner:
        owner.execute("DROP TABLE bench_bare, bench_netted")
    print_table(
        f"The net under the ledger, medians of {STATEMENTS:,} transactions (goal: below 1 ms a statement)",
        ("transaction", "without", "with the net", "more"),
        rows,
    )


def _work(app: psycopg.Connection, statement: str, key: object, has_event: bool) -> Callable[[], None]:
    def work() -> None:
        with app.transaction():
            app.execute("SELECT set_config('app.workspaces', %s, true)", [str(PLATFORM_WORKSPACE_ID)])
            app.execute(statement, [key])
            if has_event:
                app.execute(EVENT, [PLATFORM_WORKSPACE_ID])

    return work


def _timed(works: Sequence[Callable[[], None]]) -> list[float]:
    """Take turns, so that what else the machine does meanwhile falls on all of them; the first turns warm up."""
    took: list[list[float]] = [[] for _ in works]
    for number in range(STATEMENTS + 100):
        for work, times in zip(works, took, strict=True):
            began = time.perf_counter()
            work()
            if number >= 100:
                times.append(time.perf_counter() - began)
    return [statistics.median(times) for times in took]


if __name__ == "__main__":
    main()
