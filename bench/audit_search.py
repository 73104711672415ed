"""Search of a large ledger: p50 and p95 of each filter at the database and of the page, beside a read by primary key.

BENCH_EVENTS rows (10 million unless said otherwise) over 24 months and eight workspaces, which hold from seven tenths
of them to a few. A search that ends early is followed until it finds something or comes to the end: how many answers
that takes, and how long; beside it, how long one search takes that may take as long as it likes. Also what the indexes
cost an insert. It takes about 2 KB a row, and goes with the run unless BENCH_KEPT names a folder: then it is filled
once, month by month (BENCH_ROUNDS=0 does only that), and goes on where it was ended.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import django

django.setup()

import httpx2
import psycopg
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.http import QueryDict
from django.test import override_settings

from apps.accounts.models import User
from apps.audit import actions as audit
from apps.audit.actors import SYSTEM
from apps.audit.filters import TrailFilter
from apps.audit.models import AuditEvent
from apps.core.keyset import cursor_at
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.workspaces.scope import workspace_scope
from bench.table import print_table
from tests.processes import start_web

ROWS = int(os.environ.get("BENCH_EVENTS", "10000000"))
MONTHS = 24
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "40"))
INSERTS = 400
FILLED = f"{ROWS} entries"
PASSWORD = "bench-bench-bench"
WORKSPACES = [PLATFORM_WORKSPACE_ID, *(UUID(int=0xB0 << 100 | n) for n in range(1, 8))]
SMALL, TINY = WORKSPACES[6], WORKSPACES[7]
READERS = {"bench": WORKSPACES, "bench-small": [SMALL]}
ENVIRONMENT, RETIRED = "00000e00-0000-0000-0000-000000000003", "00000e00-0000-0000-0000-000000000099"
SERVICE = "00001000-0000-0000-0000-000000000007"
PERSON, LEFT = "person-7", "person-left"

# Workspace by a draw of 0..1; the eighth gets a handful of rows in all. Everything follows from the row's number, so
# that two runs hold the same; `retired` and the person who left are found in the oldest quarter alone. The portal
# starts no session, no session fails, waivers are the first workspace's, and each environment is of one stage.
FILL = """
INSERT INTO {} (event_id, workspace_id, recorded_at, kind, outcome, actor_type, actor_id, actor_label,
    target_type, target_id, target_label, environment_id, service_id, request_id, summary, reason, actor, source,
    target, change, approval, causation, canonical)
SELECT uuidv7(moment - clock_timestamp()),
    CASE WHEN n %% 50021 = 7 THEN %(tiny)s WHEN a < 700 THEN %(w0)s WHEN a < 900 THEN %(w1)s WHEN a < 950 THEN %(w2)s
        WHEN a < 970 THEN %(w3)s WHEN a < 985 THEN %(w4)s WHEN a < 995 THEN %(w5)s ELSE %(small)s END::uuid,
    moment, kind,
    CASE WHEN kind = 'session.started' THEN 'SUCCESS' WHEN b < 5 THEN 'FAILED' WHEN b < 15 THEN 'REFUSED'
        ELSE 'SUCCESS' END, actor_type, actor_id, actor_label,
    split_part(kind, '.', 1), md5((n / 8)::text)::uuid, name || ' ' || version,
    CASE WHEN b %% 3 = 0 THEN NULL WHEN %(old)s AND b %% 5 = 0 THEN %(retired)s::uuid
        ELSE ('00000e00-0000-0000-0000-' || lpad((a %% 12)::text, 12, '0'))::uuid END,
    ('00001000-0000-0000-0000-' || lpad((n %% 97)::text, 12, '0'))::uuid, md5((n / 3)::text)::uuid::text,
    format('Deployment #%%s (%%s %%s to %%s): %%s%%s', n / 20, name, version, stage, word,
        CASE WHEN n %% 999983 = 5 THEN ' zanzibar' WHEN n %% 1009 = 3 THEN ' flamingo' ELSE '' END),
    CASE WHEN b %% 10 = 0 THEN 'Asked for by the customer, see ticket OPS-' || n / 50 ELSE '' END,
    '{}', '{"ip": "192.0.2.17", "via": "page"}', jsonb_build_object('service', name, 'release', version),
    '{"state": {"before": "APPLYING", "after": "VERIFYING"}}', '{}', '{}',
    convert_to('{"kind": "' || kind || '", "n": ' || n || ', "rest": "' || repeat('canonical bytes ', 20) || '"}',
        'UTF8')
FROM (
    SELECT n, a, b, %(first)s + (n - %(low)s::bigint) * %(step)s::bigint * interval '1 microsecond' AS moment,
        CASE WHEN b < 550 THEN 'SYSTEM' ELSE 'PERSON' END AS actor_type,
        CASE WHEN b < 550 THEN 'system' WHEN %(old)s AND b < 560 THEN %(left)s ELSE 'person-' || a %% 300 END
            AS actor_id,
        CASE WHEN b < 550 THEN 'EAIP Operations' WHEN %(old)s AND b < 560 THEN 'Former Auditor'
            ELSE (ARRAY['A', 'B', 'C', 'D', 'E'])[1 + a %% 5] || ' Person' || a %% 300 END AS actor_label,
        CASE WHEN a < 700 AND n %% 1009 = 11 THEN 'waiver.granted'
            WHEN b < 550 AND (a * 7 + b) %% 12 = 8 THEN 'release.sealed'
            ELSE (ARRAY['deployment.applying', 'deployment.verifying', 'deployment.succeeded', 'deployment.starting',
            'promotion.requested', 'promotion.ready', 'promotion.completed', 'decision.approved', 'session.started',
            'evidence.received', 'release.sealed', 'check.health_changed'])[1 + (a * 7 + b) %% 12] END AS kind,
        'service-' || n %% 97 AS name, format('%%s.%%s.%%s', n / 400000, (n / 2000) %% 200, n %% 7) AS version,
        (ARRAY['DEV', 'QA', 'Staging', 'Production'])[1 + a %% 4] AS stage,
        (ARRAY['verifying', 'succeeded', 'applying', 'started', 'ready', 'approved'])[1 + b %% 6] AS word
    FROM (SELECT n, (hashint8(n) & 2147483647) %% 1000 AS a, (hashint8(n + 7919) & 2147483647) %% 1000 AS b
          FROM generate_series(%(low)s::bigint, %(high)s::bigint) n) drawn
) filled
"""

# Name, the query of the page.
FILTERS: list[tuple[str, dict[str, str]]] = [
    ("first page, no filter", {}),
    ("kind", {"kind": "decision.approved"}),
    ("noun", {"kind": "deployment"}),
    ("kind never seen", {"kind": "stream.removed"}),
    ("outcome done", {"outcome": "SUCCESS"}),
    ("outcome failed", {"outcome": "FAILED"}),
    ("actor: the portal", {"actor": "system"}),
    ("actor: one of 300, by name", {"actor": "person7"}),
    ("actor: by id", {"actor": PERSON}),
    ("actor: left 18 months ago", {"actor": "former auditor"}),
    ("actor: nobody", {"actor": "nobody"}),
    ("environment", {"environment": ENVIRONMENT}),
    ("environment: retired", {"environment": RETIRED}),
    ("service", {"service": SERVICE}),
    ("release", {"release": "3.100.3"}),
    ("release: none", {"release": "99.0.0"}),
    ("workspace: small", {"workspace": str(SMALL)}),
    ("workspace: a handful", {"workspace": str(TINY)}),
    ("object", {"object": "OBJECT"}),
    ("request id", {"q": "REQUEST"}),
    ("text: in every entry", {"q": "deployment"}),
    ("text: common", {"q": "succeeded production"}),
    ("text: 1 in 1,000", {"q": "flamingo"}),
    ("text: 1 in 1 M", {"q": "zanzibar"}),
    ("text: absent", {"q": "xylophone"}),
    ("text: beginning", {"q": "zanz*"}),
    ("text: common beginning", {"q": "succ*"}),
    ("text: common and absent", {"q": "deployment xylophone"}),
    ("text: a ticket", {"q": "OPS-12345"}),
    ("kind + environment", {"kind": "decision.approved", "environment": ENVIRONMENT}),
    ("kind + service", {"kind": "promotion.ready", "service": SERVICE}),
    ("actor + failed", {"actor": PERSON, "outcome": "FAILED"}),
    ("kind + retired environment", {"kind": "deployment.applying", "environment": RETIRED}),
    ("text + text, never both", {"q": "verifying ready"}),
    ("beginning + text, never both", {"q": "verif* ready"}),
    ("noun + text, never both", {"q": "verifying approved", "kind": "deployment"}),
    ("actor + kind, never both", {"actor": "system", "kind": "session.started"}),
    ("kind + failed, never both", {"kind": "session.started", "outcome": "FAILED"}),
    ("environment + text, never both", {"environment": ENVIRONMENT, "q": "staging"}),
    ("retired environment + text, never both", {"environment": RETIRED, "q": "started"}),
    ("workspace + rare kind, never both", {"workspace": str(WORKSPACES[1]), "kind": "waiver.granted"}),
    ("object + text, never both", {"object": "OBJECT", "q": "flamingo"}),
    ("four, never all", {"q": "staging", "environment": ENVIRONMENT, "actor": "system", "kind": "deployment"}),
    ("deep: text + text, never both", {"to": "OLD", "q": "verifying ready"}),
    ("deep: newer, text + text, never both", {"after": "OLD", "q": "verifying ready"}),
    ("text + service + failed", {"q": "flamingo", "service": SERVICE, "outcome": "FAILED"}),
    ("a day, 20 months ago", {"since": "OLD", "until": "OLD"}),
    ("kind in that day", {"since": "OLD", "until": "OLD", "kind": "release.sealed"}),
    ("deep: no filter", {"to": "OLD"}),
    ("deep: rare text", {"to": "OLD", "q": "flamingo"}),
    ("deep: newer pages of a common kind", {"after": "OLD", "kind": "decision.approved"}),
]

COLUMNS = (
    "filter", "search p50", "p95", "new connection", "page p50", "p95", "one workspace p50", "p95", "rows", "answers",
    "together", "in one",
)  # fmt: skip


def main() -> None:
    _fill()
    if not ROUNDS:
        return
    rows: list[tuple[object, ...]] = []
    with tempfile.TemporaryDirectory() as logs, start_web(Path(logs)) as server:
        every, small = (_signed_in(server.url, name) for name in READERS)
        facts = _facts()
        raw = _quantiles(lambda n: _primary_key(facts["keys"][n % len(facts["keys"])]))
        rows.append(("read by primary key", *raw, *[""] * 9))
        for name, template in FILTERS:
            query = {key: facts.get(value, value) for key, value in template.items()}
            if query.get("after"):
                query["after"] = facts["cursor"]
            found, search = _timed(query)
            page = _quantiles(lambda _, query=query: _page(every, query))
            is_theirs = query.get("workspace") in (None, str(SMALL))
            narrow = _quantiles(lambda _, query=query: _page(small, query)) if is_theirs else ("", "")
            rows.append((name, *search, _first(query), *page, *narrow, found, *_to_the_end(query), _in_one(query)))
            print("  ", *rows[-1], flush=True)
    print_table(
        f"Search of {ROWS:,} entries, ms (goal: p95 below 100): search and estimate at the database; the same on a new"
        " connection; the page, for who reads eight workspaces and for who reads one with 0.5 %",
        COLUMNS,
        rows,
    )
    print_table(
        f"One more audit entry beside {ROWS:,}, as `record` writes it, ms (goal: p95 below 5)",
        ("indexes", "p50", "p95"),
        [
            ("without search's two", *_insert_times(without="audit_event_terms, audit_event_moment")),
            ("all", *_insert_times()),
        ],
    )
    _sizes()


def _administrator() -> psycopg.Connection:
    return psycopg.connect(os.environ["DATABASE_OWNER_URL"].replace("eaip_owner", "postgres", 1), autocommit=True)


def _fill() -> None:
    """Fill the months that are not there yet: one is built beside the ledger, with its indexes, and then attached."""
    started = time.perf_counter()
    with _administrator() as owner:
        _places(owner)
        firsts = "SELECT date_trunc('month', now(), 'UTC') - make_interval(months => n) FROM generate_series(-1, %s) n"
        ends = [first for (first,) in owner.execute(firsts, [MONTHS - 1]).fetchall()]
        spans = list(enumerate((first, end) for end, first in pairwise(ends)))
        wanted = [(n, *span) for n, span in spans if not _is_filled(owner, span[0])]
        if not wanted:
            return
        for setting in ("fsync = off", "full_page_writes = off", "max_wal_size = '8GB'", "autovacuum = off"):
            owner.execute(f"ALTER SYSTEM SET {setting}")
        owner.execute("SELECT pg_reload_conf()")
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda month: _month(*month), wanted))
        owner.execute("ANALYZE audit_event")
        owner.execute("ALTER SYSTEM RESET ALL")
        owner.execute("SELECT pg_reload_conf()")
        owner.execute("CHECKPOINT")
    print(f"{len(wanted)} months filled, indexed and vacuumed in {time.perf_counter() - started:.0f} s", flush=True)


def _is_filled(owner: psycopg.Connection, first: Any) -> bool:
    comment = "SELECT obj_description(to_regclass(%s), 'pg_class')"
    return bool(owner.execute(comment, [f"audit_event_{first:%Y_%m}"]).fetchone()[0] == FILLED)


def _month(n: int, first: Any, end: Any) -> None:
    began = time.perf_counter()
    each, table = ROWS // MONTHS, f"audit_event_{first:%Y_%m}"
    low = (MONTHS - 1 - n) * each + 1
    with _administrator() as owner:
        owner.execute("SET maintenance_work_mem = '512MB'")
        owner.execute("SET max_parallel_maintenance_workers = 0")
        owner.execute(f"DROP TABLE IF EXISTS making_{table}")
        owner.execute(f"CREATE TABLE making_{table} (LIKE audit_event INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
        last = min(end, owner.execute("SELECT now()").fetchone()[0])
        step = max(int((last - first).total_seconds() * 1e6 / each), 1)
        places = {f"w{k}": WORKSPACES[k] for k in range(6)}
        owner.execute(
            FILL.replace("{}", f"making_{table}", 1),
            places | {"small": SMALL, "tiny": TINY, "first": first, "low": low, "high": low + each - 1,
                      "step": step,
                      "old": n >= MONTHS * 3 // 4, "retired": RETIRED, "left": LEFT},
        )  # fmt: skip
        definitions = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'audit_event'"
        for name, definition in owner.execute(definitions).fetchall():
            owner.execute(definition.replace(f"INDEX {name} ON ONLY public.audit_event ", f"INDEX ON making_{table} "))
        owner.execute(f"VACUUM (ANALYZE) making_{table}")
        with owner.transaction():
            owner.execute("LOCK audit_event")  # one after the other
            owner.execute(f"DROP TABLE IF EXISTS {table}")
            owner.execute(f"ALTER TABLE making_{table} RENAME TO {table}")
            owner.execute(f"ALTER TABLE audit_event ATTACH PARTITION {table} FOR VALUES FROM ('{first}') TO ('{end}')")
            owner.execute(f"COMMENT ON TABLE {table} IS '{FILLED}'")
    print(f"  {table}: {time.perf_counter() - began:.0f} s", flush=True)


def _places(owner: psycopg.Connection) -> None:
    """Make the workspaces, who reads all of them and who reads one, and what the filters offer; once."""
    for n, key in enumerate(WORKSPACES[1:], 1):
        owner.execute(
            "INSERT INTO workspaces_workspace (id, slug, name, deployment_model, created_at)"
            " VALUES (%s, %s, %s, 'BYOC', now()) ON CONFLICT DO NOTHING",
            [key, f"bench-{n}", f"Bench {n}"],
        )
    for name, workspaces in READERS.items():
        user = User(username=name, display_name="Bench")
        user.set_password(PASSWORD)
        owner.execute(
            "INSERT INTO accounts_user (id, username, password, display_name, theme, time_zone, single_key_shortcuts,"
            " is_superuser, is_staff, is_active, first_name, last_name, email, date_joined) VALUES"
            " (%s, %s, %s, 'Bench', 'AUTO', '', true, false, false, true, '', '', '', now()) ON CONFLICT DO NOTHING",
            [user.pk, name, user.password],
        )
        owner.execute(
            "INSERT INTO workspaces_membership (id, workspace_id, user_id, role_id, granted_at)"
            " SELECT gen_random_uuid(), w, u.id, 'AUDITOR', now() FROM unnest(%s::uuid[]) w, accounts_user u"
            " WHERE username = %s AND NOT EXISTS (SELECT FROM workspaces_membership WHERE user_id = u.id)",
            [list(workspaces), name],
        )
    for n, key in enumerate((ENVIRONMENT, RETIRED)):
        owner.execute(
            "INSERT INTO environments_environment (id, workspace_id, slug, name, tier, position, purpose, data_class,"
            " url_pattern, deployment_method, created_at)"
            " VALUES (%s, %s, %s, 'Bench', 'DEV', %s, '', 'SYNTHETIC', '', '', now()) ON CONFLICT DO NOTHING",
            [key, SMALL, f"bench-{n}", n],
        )
    owner.execute(
        "INSERT INTO releases_service (id, workspace_id, slug, name, summary, plane, owner_team, repository,"
        " artifact_kind, program, health_path, is_published, is_pinned, created_at) VALUES"
        " (%s, %s, 'bench', 'Bench', '', 'CONTROL', '', '', 'WHEEL', '', '', false, false, now())"
        " ON CONFLICT DO NOTHING",
        [SERVICE, SMALL],
    )


def _facts() -> dict[str, Any]:
    with workspace_scope(WORKSPACES):
        middle = AuditEvent.objects.visible_in((WORKSPACES[0],)).newest_first()
        event = middle[500]
        with connection.cursor() as cursor:
            cursor.execute("SELECT date_trunc('month', now(), 'UTC') - interval '20 months' + interval '9 days'")
            old = cursor.fetchone()[0]
        keys = list(middle.values_list("event_id", "recorded_at")[:200])
        return {
            "OBJECT": f"{event.target_type}:{event.target_id}", "REQUEST": event.request_id, "OLD": f"{old:%Y-%m-%d}",
            "cursor": cursor_at(old, event.pk), "keys": keys,
        }  # fmt: skip


def _primary_key(key: tuple[Any, Any]) -> float:
    with workspace_scope(WORKSPACES), connection.cursor() as cursor:
        started = time.perf_counter()
        cursor.execute("SELECT summary FROM audit_event WHERE event_id = %s AND recorded_at = %s", key)
        cursor.fetchall()
        return time.perf_counter() - started


def _trail(query: dict[str, str], workspaces: tuple[UUID, ...]) -> tuple[TrailFilter, QueryDict]:
    address = QueryDict(urlencode(query))
    trail = TrailFilter(address, workspaces=workspaces)
    for name in ("workspace", "environment", "service"):
        trail.fields[name].choices = [("", ""), *((query[name], "") for _ in (1,) if name in query)]
    assert trail.is_valid(), trail.errors
    return trail, address


def _search(query: dict[str, str]) -> tuple[int, float]:
    """Return how many rows the page has, and the seconds that its search and the estimate of all of them take."""
    with workspace_scope(WORKSPACES):
        trail, address = _trail(query, tuple(WORKSPACES))
        started = time.perf_counter()
        page = trail.page(address)
        trail.total(page, exactly=False)
        return len(page.rows), time.perf_counter() - started


def _timed(query: dict[str, str]) -> tuple[int, tuple[str, str]]:
    return _search(query)[0], _quantiles(lambda _: _search(query)[1])


def _first(query: dict[str, str]) -> str:
    """Return the median of the first search of connections, which know nothing of the tables yet."""
    times = []
    for _ in range(5):
        connection.close()
        connection.ensure_connection()
        times.append(_search(query)[1])
    return f"{median(times) * 1e3:.0f}"


def _to_the_end(query: dict[str, str]) -> tuple[int, str]:
    """Return how many answers it takes until something is found or all is looked at, and how many ms they take."""
    with workspace_scope(WORKSPACES):
        started, answers, looks = time.perf_counter(), 0, True
        while looks:
            trail, address = _trail(query, tuple(WORKSPACES))
            page = trail.page(address)
            answers, looks = answers + 1, page.reached and not page.rows
            further = {"after": page.newer} if page.goes_newer else {"before": page.older}
            query = {name: value for name, value in query.items() if name != "to"} | further
        return answers, f"{(time.perf_counter() - started) * 1e3:.0f}"


def _in_one(query: dict[str, str]) -> str:
    with workspace_scope(WORKSPACES), override_settings(AUDIT_SEARCH_PATIENCE=None):
        trail, address = _trail(query, tuple(WORKSPACES))
        started = time.perf_counter()
        trail.page(address)
        return f"{(time.perf_counter() - started) * 1e3:.0f}"


def _page(client: httpx2.Client, query: dict[str, str]) -> float:
    started = time.perf_counter()
    response = client.get("/audit/", params=query)
    assert response.status_code == 200, (query, response.status_code)
    return time.perf_counter() - started


def _quantiles(once: Callable[[int], float]) -> tuple[str, str]:
    times = [once(n) for n in range(ROUNDS)]
    return f"{quantiles(times, n=2)[0] * 1e3:.1f}", f"{quantiles(times, n=20)[18] * 1e3:.1f}"


def _insert_times(*, without: str = "") -> tuple[str, str]:
    """Return p50 and p95 of one entry; without some indexes, if need be. None of it is kept."""
    owner = connection.copy()
    owner.settings_dict = connection.settings_dict | {"USER": "postgres"}
    times = []
    with _undone(owner) as cursor:
        if without:
            cursor.execute(f"DROP INDEX {without}")
        for n in range(INSERTS):
            started = time.perf_counter()
            audit.record(
                "release.sealed", by=SYSTEM, target=None,
                summary=f"Deployment #{n} (service-{n} 1.2.{n} to QA): {n * 7919}",
                target_details={"type": "release", "id": str(n), "label": f"1.2.{n}"}, reason="Measured", own=owner,
            )  # fmt: skip
            times.append(time.perf_counter() - started)
    return f"{quantiles(times, n=2)[0] * 1e3:.2f}", f"{quantiles(times, n=20)[18] * 1e3:.2f}"


@contextmanager
def _undone(owner: BaseDatabaseWrapper) -> Iterator[Any]:
    owner.set_autocommit(False)
    try:
        with owner.cursor() as cursor:
            yield cursor
    finally:
        owner.rollback()
        owner.close()


def _sizes() -> None:
    with _administrator() as owner:
        rows = owner.execute(
            "SELECT regexp_replace(c.relname, '^making_|_?\\d{4}_\\d\\d_?', '', 'g'),"
            " pg_size_pretty(sum(pg_relation_size(c.oid)))"
            " FROM pg_class c WHERE c.relname LIKE '%audit\\_event%' AND c.relkind IN ('r', 'i')"
            " GROUP BY 1 ORDER BY sum(pg_relation_size(c.oid)) DESC LIMIT 14"
        ).fetchall()
    print_table("Sizes", ("of", "size"), rows)


def _signed_in(url: str, name: str) -> httpx2.Client:
    client = httpx2.Client(base_url=url, follow_redirects=True, timeout=120)
    client.get("/sign-in/")
    token = client.cookies["csrftoken"]
    form = {"username": name, "password": PASSWORD, "next": "/audit/", "csrfmiddlewaretoken": token}
    client.post("/sign-in/", data=form)
    return client


if __name__ == "__main__":
    main()
