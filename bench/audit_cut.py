"""A cut of a million old entries by retention, from the confirmed wish to its end, step by step.

Beside each step what it needs bare: a COPY of the same bytes to a file, a reading of the leaves, a DELETE from a copy
of the table without triggers. A cut of a tenth comes first, so that it shows whether memory grows with the number.
BENCH_EVENTS=100000 for a quick look.
"""

import hashlib
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import django

django.setup()

import psutil
import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.utils import timezone

from apps.audit.keys import SigningKey
from apps.audit.sealing import seal
from apps.compliance import actions, cutting
from apps.compliance.enums import CutState
from apps.compliance.models import Cut
from apps.compliance.models.retention import USUAL_DAYS, latest_until
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.workspaces.models import Workspace
from apps.workspaces.scope import workspace_scope
from bench.promotions import _person
from bench.table import print_table
from tests.accounts.factors import by_password
from tests.engines import Engines

EVENTS = int(os.environ.get("BENCH_EVENTS", "1000000"))
PLATFORM = (PLATFORM_WORKSPACE_ID,)
FILL = """
INSERT INTO audit_event (event_id, workspace_id, recorded_at, kind, outcome, actor_type, actor_id, actor_label,
    target_type, target_id, target_label, request_id, summary, reason, actor, source, target, change, approval,
    causation, schema_version, canonical)
SELECT id, %(workspace)s, at, 'release.sealed', 'SUCCESS', 'PERSON', md5(n::text), 'Release engineer', 'release',
    md5(n::text), 'service 1.' || n, md5(n::text), 'Sealed release 1.' || n, '', '{}', '{}', '{}', '{}', '{}', '{}', 2,
    convert_to(jsonb_build_object(
        'event_id', id, 'workspace_id', %(workspace)s::text, 'kind', 'release.sealed', 'outcome', 'SUCCESS',
        'recorded_at', to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'schema_version', 2,
        'actor', jsonb_build_object('type', 'PERSON', 'id', md5(n::text), 'subject', gen_random_uuid()),
        'source', jsonb_build_object('via', 'page', 'request_id', md5(n::text)),
        'target', jsonb_build_object('type', 'release', 'id', md5(n::text), 'label', 'service 1.' || n),
        'change', jsonb_build_object('state', jsonb_build_object('before', 'DRAFT', 'after', 'SEALED')),
        'summary', 'Sealed release 1.' || n, 'reason', repeat('x', 200))::text, 'UTF8')
FROM generate_series(1, %(rows)s) n,
LATERAL (SELECT %(since)s::timestamptz + n * interval '1 second' * (27.0 * 86400 / %(rows)s) AS at) t,
LATERAL (SELECT uuidv7(at - now()) AS id) i
"""
SUBJECTS = """
INSERT INTO audit_subject (workspace_id, month, person_id, commitment, salt, opening)
SELECT %s, %s, n::text, sha256('x'), '\\x00', '{"label": "' || n || '"}' FROM generate_series(1, %s) n
"""
COVERED = "workspace_id = %s AND recorded_at < %s"


def main() -> None:
    key = SigningKey(Ed25519PrivateKey.generate())
    last = latest_until(timezone.now(), USUAL_DAYS)
    middle = _month_before(last)
    database = os.environ["DATABASE_URL"].rpartition("/")[2].partition("?")[0]
    with psycopg.connect(Engines.joined().postgres.url(database=database), autocommit=True) as admin:
        admin.execute("INSERT INTO audit_key (key_id, public_key) VALUES (%s, %s)", [key.id, key.public])
        for until, rows in ((middle, EVENTS // 10), (last, EVENTS)):
            _fill(admin, _month_before(until), until, rows)
        _sealed(admin, key)
        admin.execute("ANALYZE")
        with workspace_scope(PLATFORM):
            people = _person("security", "SECURITY"), _person("manager", "ENGINEERING_MANAGER")
        for until, rows in ((middle, EVENTS // 10), (last, EVENTS)):
            _measure(admin, key, people, until, rows)


def _fill(admin: psycopg.Connection, since: date, until: date, rows: int) -> None:
    name = f"audit_event_{since:%Y_%m}"
    admin.execute(f"CREATE TABLE {name} PARTITION OF audit_event FOR VALUES FROM ('{since}Z') TO ('{until}Z')")
    admin.execute(f"ALTER TABLE {name} OWNER TO eaip_owner")
    admin.execute(FILL, {"workspace": PLATFORM_WORKSPACE_ID, "rows": rows, "since": f"{since}Z"})
    admin.execute(SUBJECTS, [PLATFORM_WORKSPACE_ID, since, rows // 10])


def _measure(admin: psycopg.Connection, key: SigningKey, people: Any, until: date, rows: int) -> None:
    cut = _confirmed(people, until)
    assert cut.leaves == rows
    covered = [PLATFORM_WORKSPACE_ID, datetime(until.year, until.month, 1, tzinfo=UTC)]
    bare = {
        "archive": _took(partial(_copy, admin, covered)),
        "root": _took(partial(_read, admin, cut)),
        "remove": _took(_delete(admin, covered)),
    }
    table = []
    for step, does, beside in (
        ("archive, hashed and on disk", partial(cutting.archive, cut, now=timezone.now()), "archive"),
        ("the entry that proves it, with the root", partial(_in_scope, cutting.tell, cut), "root"),
        ("seal it", partial(_sealed, admin, key), ""),
        ("remove, in one transaction", partial(_in_scope, cutting.remove, cut), "remove"),
        ("drop the month", cutting.drop_empty_months, ""),
    ):
        with _Memory() as memory:
            took = _took(does)
        against = f"{bare[beside]:.1f} s, {took / bare[beside]:.1f} times" if beside else ""
        table.append((step, f"{took:.1f} s", against, f"{memory.grown / 1e6:+.0f} MB"))
    with workspace_scope(PLATFORM):
        done = Cut.objects.get(pk=cut.pk)
    assert (done.state, done.entries) == (CutState.DONE, rows)
    print_table(
        f"A cut of {rows:,} entries; its archive has {done.archive_bytes / 1e6:.0f} MB",
        ("step", "time", "bare", "memory of the process at most"), table,
    )  # fmt: skip


def _confirmed(people: Any, until: date) -> Cut:
    security, manager = people
    now = timezone.now()
    with workspace_scope(PLATFORM):
        platform = Workspace.objects.get(pk=PLATFORM_WORKSPACE_ID)
        proposal = actions.propose_cut(
            platform, until=until, legal_basis="STORAGE_LIMIT", reason="Bench", by=security, now=now
        )
        actions.confirm_proposal(proposal, by=manager, now=now, confirmation=by_password(manager, now))
        return Cut.objects.get(proposal=proposal)


def _in_scope(step: Callable[..., None], cut: Cut) -> None:
    with workspace_scope(PLATFORM):
        step(cut, now=timezone.now())


def _sealed(admin: psycopg.Connection, key: SigningKey) -> None:
    seal(admin, key, each=timedelta(0), at_least=timedelta(hours=1))


def _copy(admin: psycopg.Connection, covered: list[Any]) -> None:
    path, digest = cutting.path_of("bare"), hashlib.sha256()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    statement = f"COPY (SELECT canonical FROM audit_event WHERE {COVERED}) TO STDOUT (FORMAT binary)"
    with path.open("wb") as file, admin.cursor().copy(statement, covered) as copy:
        for block in copy:
            digest.update(block)
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    path.unlink()


def _read(admin: psycopg.Connection, cut: Cut) -> None:
    statement = "SELECT leaf_hash FROM audit_leaf WHERE workspace_id = %s AND leaf_index BETWEEN %s AND %s"
    for _row in admin.cursor(binary=True).stream(statement, [cut.workspace_id, cut.first_leaf, cut.last_leaf]):
        pass


def _delete(admin: psycopg.Connection, covered: list[Any]) -> Callable[[], None]:
    """Make a table of the same rows with the same indexes; return what deletes them."""
    admin.execute("DROP TABLE IF EXISTS bench_bare")
    admin.execute("CREATE TABLE bench_bare (LIKE audit_event INCLUDING INDEXES)")
    admin.execute(f"INSERT INTO bench_bare SELECT * FROM audit_event WHERE {COVERED}", covered)
    admin.execute("ANALYZE bench_bare")
    return lambda: admin.execute("DELETE FROM bench_bare") and None


def _took(does: Callable[[], object]) -> float:
    started = time.perf_counter()
    does()
    return time.perf_counter() - started


def _month_before(month: date) -> date:
    return (month - timedelta(days=1)).replace(day=1)


class _Memory:
    """How much this process grows at most, looked at every twentieth of a second."""

    def __enter__(self) -> "_Memory":
        self._process, self._ended = psutil.Process(), threading.Event()
        self._idle, self.grown = self._process.memory_info().rss, 0
        self._watch = threading.Thread(target=self._look)
        self._watch.start()
        return self

    def _look(self) -> None:
        while not self._ended.wait(0.05):
            with suppress(psutil.Error):
                self.grown = max(self.grown, self._process.memory_info().rss - self._idle)

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watch.join()


if __name__ == "__main__":
    main()
