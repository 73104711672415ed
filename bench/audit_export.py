"""Exports of the trail as jobs, beside a bare COPY TO STDOUT of the same query: speed, and memory of the process.

Each form is written in a process of its own, as a worker writes it. COPY's own is the yardstick for the two that it
writes; for Parquet it is the COPY of JSON Lines. `audit_verify` measures the bundle.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import django

django.setup()

import psutil
import psycopg
from django.db import connection
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.export import copy_statement
from apps.audit.filters import TrailFilter
from apps.audit.models import AuditEvent
from apps.compliance import actions
from apps.compliance.exports import files
from apps.compliance.exports.run import see_to_exports
from apps.compliance.models import AuditExport
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.workspaces.scope import workspace_scope
from bench.table import print_table

ROWS = int(os.environ.get("BENCH_EVENTS", "1000000"))
ROUNDS = 2
PASSWORD = "bench-bench-bench"
YARDSTICKS = {"CSV": "csv", "JSONL": "jsonl", "PARQUET": "jsonl"}

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
    if len(sys.argv) > 1:
        _one(sys.argv[1])
        return
    _fill()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for form, yardstick in YARDSTICKS.items():
            bare, _size = min(_bare(yardstick) for _ in range(ROUNDS))
            took, size, peak = min(_written(form, Path(folder)) for _ in range(ROUNDS))
            rows.append((form, f"{size / 1e6:.0f} MB", f"{bare:.2f} s", f"{took:.2f} s", f"{bare / took:.2f}",
                         f"{peak:.0f} MB"))  # fmt: skip
    print_table(
        f"Export of {ROWS:,} events (goals: CSV at 0.5 of COPY's speed or better, 200 MB)",
        ("format", "size", "bare COPY", "as a job", "speed ratio", "memory at its highest"),
        rows,
    )


def _written(form: str, folder: Path) -> tuple[float, int, float]:
    """Write one export in a process of its own; return seconds, bytes, and its memory in MB."""
    environment = os.environ | {"EAIP_EXPORT_DIR": str(folder)}
    child = subprocess.Popen(
        [sys.executable, "-m", "bench.audit_export", form], env=environment, stdout=subprocess.PIPE, text=True
    )
    peak, process = 0.0, psutil.Process(child.pid)
    while child.poll() is None:
        try:
            peak = max(peak, process.memory_info().rss / 1e6)
        except psutil.Error:
            break
        time.sleep(0.02)
    out, _ = child.communicate()
    assert child.returncode == 0, out
    took, size = out.split()[-2:]
    return float(took), int(size), peak


def _one(form: str) -> None:
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        trail = TrailFilter({}, workspaces=(PLATFORM_WORKSPACE_ID,))
        by = User.objects.get(username="bench")
        export = actions.ask_export(trail, form=form, by=by, now=timezone.now())
    started = time.perf_counter()
    see_to_exports(export.pk)
    took = time.perf_counter() - started
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        done = AuditExport.objects.get(pk=export.pk)
    assert done.state == "DONE", done.detail
    assert done.rows >= ROWS, done.rows
    place = files.place(export.pk)
    with place.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == done.sha256
    place.unlink()
    print(took, done.bytes)


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


if __name__ == "__main__":
    main()
