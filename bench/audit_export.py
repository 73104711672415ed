"""Export of the trail as CSV and JSON Lines over HTTP, beside a bare COPY TO STDOUT of the same query.

Also the memory of the web server at its highest while it streams, above what it had before.
"""

import os
import tempfile
import time
from pathlib import Path

import django

django.setup()

import httpx2
import psutil
import psycopg
from django.db import connection

from apps.accounts.models import User
from apps.audit.export import copy_statement
from apps.audit.models import AuditEvent
from apps.core.platform import PLATFORM_WORKSPACE_ID
from bench.table import print_table
from tests.processes import start_web

ROWS = int(os.environ.get("BENCH_EVENTS", "200000"))
ROUNDS = 3
PASSWORD = "bench-bench-bench"

FILL = """
INSERT INTO audit_event (workspace_id, recorded_at, kind, outcome, actor_type, actor_id, actor_label, target_type,
    target_id, target_label, request_id, summary, reason, actor, source, target, change, approval, causation, canonical)
SELECT %(workspace)s, now() - (n || ' seconds')::interval, 'release.sealed', 'SUCCESS', 'PERSON', md5(n::text),
    'Release engineer', 'release', md5(n::text), 'service 1.' || n, md5(n::text), 'Sealed release 1.' || n,
    '', '{}', '{"ip": "127.0.0.1", "via": "page"}', '{}',
    '{"state": {"before": "DRAFT", "after": "SEALED"}}', '{}', '{}',
    convert_to(jsonb_build_object('kind', 'release.sealed', 'n', n, 'summary', repeat('x', 300))::text, 'UTF8')
FROM generate_series(1, %(rows)s) n
"""
SCOPE = "SELECT set_config('app.workspaces', %s, true)"


def main() -> None:
    _fill()
    with tempfile.TemporaryDirectory() as logs, start_web(Path(logs)) as server:
        client = _signed_in(server.url)
        rows = []
        for form in ("csv", "jsonl"):
            bare, size = min(_bare(form) for _ in range(ROUNDS))
            idle = _memory(server.pid)
            took, peak = min(_over_http(client, server, form) for _ in range(ROUNDS))
            rows.append((form, f"{size / 1e6:.0f} MB", f"{bare:.2f} s", f"{took:.2f} s", f"{bare / took:.2f}",
                         f"{peak:.0f} MB", f"{peak - idle:+.0f} MB"))  # fmt: skip
    print_table(
        f"Export of {ROWS:,} events (goal: speed ratio 0.7 or better)",
        ("format", "size", "bare COPY", "over HTTP", "speed ratio", "server's memory", "above idle"),
        rows,
    )


def _fill() -> None:
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"]) as owner:
        owner.execute(SCOPE, [str(PLATFORM_WORKSPACE_ID)])
        owner.execute(FILL, {"workspace": PLATFORM_WORKSPACE_ID, "rows": ROWS})
        user = User(username="bench", display_name="Bench")
        user.set_password(PASSWORD)
        owner.execute(
            "INSERT INTO accounts_user (id, username, password, display_name, theme, time_zone, single_key_shortcuts,"
            " is_superuser, is_staff, is_active, first_name, last_name, email, date_joined)"
            " VALUES (%s, 'bench', %s, 'Bench', 'AUTO', '', true, false, false, true, '', '', '', now())",
            [user.pk, user.password],
        )
        owner.execute(
            "INSERT INTO workspaces_membership (id, workspace_id, user_id, role_id, granted_at)"
            " VALUES (gen_random_uuid(), %s, %s, 'AUDITOR', now())",
            [PLATFORM_WORKSPACE_ID, user.pk],
        )
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as owner:
        owner.execute("ANALYZE audit_event")


def _bare(form: str) -> tuple[float, int]:
    """Return seconds and bytes of the same statement through psycopg, to nowhere."""
    events = AuditEvent.objects.visible_in((PLATFORM_WORKSPACE_ID,))
    statement, parameters = copy_statement(events, form)
    connection.ensure_connection()
    with connection.connection.transaction(), connection.connection.cursor() as cursor:
        cursor.execute(SCOPE, [str(PLATFORM_WORKSPACE_ID)])
        started, size = time.perf_counter(), 0
        with cursor.copy(statement, parameters) as copy:
            for piece in copy:
                size += len(piece)
        return time.perf_counter() - started, size


def _signed_in(url: str) -> httpx2.Client:
    client = httpx2.Client(base_url=url, follow_redirects=True, timeout=120)
    client.get("/sign-in/")
    token = client.cookies["csrftoken"]
    form = {"username": "bench", "password": PASSWORD, "next": "/audit/", "csrfmiddlewaretoken": token}
    client.post("/sign-in/", data=form)
    return client


def _over_http(client: httpx2.Client, server: object, form: str) -> tuple[float, float]:
    data = {"format": form, "csrfmiddlewaretoken": client.cookies["csrftoken"]}
    peak, lines, started = 0.0, 0, time.perf_counter()
    with client.stream("POST", "/audit/exports/", data=data) as response:
        assert response.status_code == 200, response.read()[:500]
        for number, piece in enumerate(response.iter_raw(1 << 20)):
            lines += piece.count(b"\n")
            if number % 8 == 0:
                peak = max(peak, _memory(server.pid))
    took = time.perf_counter() - started
    assert lines >= ROWS, lines
    return took, peak


def _memory(pid: int) -> float:
    return psutil.Process(pid).memory_info().rss / 1e6


if __name__ == "__main__":
    main()
