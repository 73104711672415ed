"""The dashboard of 100 services x 6 environments beside the sign-in page of the same server; and one changed cell."""

import os
import re
import statistics
import tempfile
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import django

django.setup()

import httpx2
import psycopg
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.actors import SYSTEM
from apps.core import live
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.dashboards.templatetags.matrix import matrix_cell
from apps.workspaces import actions
from apps.workspaces.models import Workspace
from apps.workspaces.scope import workspace_scope
from bench.table import print_table
from eaip.live.hub import _rendered
from tests.dashboards.matrix import fill
from tests.processes import start_web

SERVICES = int(os.environ.get("BENCH_SERVICES", "100"))
ENVIRONMENTS = 6
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "60"))
PLATFORM = (PLATFORM_WORKSPACE_ID,)


def main() -> None:
    with workspace_scope(PLATFORM):
        lanes = fill(SERVICES, ENVIRONMENTS, now=timezone.now())
        person = _person()
    # The application's role may not; without statistics the planner joins a hundred times more than it has to.
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as owner:
        owner.execute("ANALYZE")
    cookies = _cookies(person)
    with (
        tempfile.TemporaryDirectory() as logs,
        start_web(Path(logs)) as server,
        httpx2.Client(base_url=server.url, timeout=60) as client,
    ):
        sign_in = _times(lambda: client.get("/sign-in/"))
        page = _times(lambda: client.get("/", cookies=cookies))
        response = client.get("/", cookies=cookies)
    base = sign_in["p95"]
    rows = [
        ("sign-in page", *_told(sign_in), "1.0", "", ""),
        (f"dashboard {SERVICES} x {ENVIRONMENTS}", *_told(page), f"{page['p95'] / base:.1f}",
         f"{len(response.content) / 1000:.0f} KB", _queries(person)),
    ]  # fmt: skip
    print_table(
        "Dashboard over HTTP (goals: p95 at most 30 times the sign-in page, 300 KB, 12 queries)",
        ("page", "p50", "p95", "times sign-in's p95", "size", "queries"),
        rows,
    )
    _changed_cell(str(lanes[7].pk))


def _changed_cell(lane: str) -> None:
    """What a changed lane costs the process that streams, beside a whole matrix and the sign-in page, without HTTP.

    No cell was drawn before: the worst that can happen.
    """
    region = next(region for region in live.pages["dashboard"].regions if region.name == "matrix")
    ask = partial(live.Ask, PLATFORM, "", {}, datetime.now(UTC))
    client = Client()
    in_process = _times(lambda: client.get("/sign-in/"))
    cell = _times(lambda: _rendered_anew(region, ask(changed=frozenset({f"lane:{lane}"}))))
    whole = _times(lambda: _rendered_anew(region, ask()))
    rows = [
        ("sign-in page", *_told(in_process), "1.0"),
        ("one changed cell", *_told(cell), f"{cell['p50'] / in_process['p50']:.1f}"),
        ("the whole matrix", *_told(whole), f"{whole['p50'] / in_process['p50']:.1f}"),
    ]
    print_table("One changed cell, in process (goal: at most twice the sign-in page)",
                ("what", "p50", "p95", "times sign-in's p50"), rows)  # fmt: skip


def _rendered_anew(region: live.Region, ask: live.Ask) -> object:
    matrix_cell.cache_clear()
    return _rendered(region, ask)


def _times(work: object) -> dict[str, float]:
    for _ in range(5):
        work()  # type: ignore[operator]
    took = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()  # type: ignore[operator]
        took.append((time.perf_counter() - start) * 1000)
    return {"p50": statistics.median(took), "p95": statistics.quantiles(took, n=20)[18]}


def _told(times: dict[str, float]) -> tuple[str, str]:
    return f"{times['p50']:.1f} ms", f"{times['p95']:.1f} ms"


def _queries(person: User) -> str:
    client = Client()
    client.force_login(person)
    client.get("/")
    with CaptureQueriesContext(connection) as captured:
        client.get("/")
    kept = [query for query in captured if not re.match(r"(SAVEPOINT|RELEASE|BEGIN|COMMIT|ROLLBACK)", query["sql"])]
    return str(len(kept))


def _person() -> User:
    person = User.objects.create(username="bench", display_name="Bench")
    platform = Workspace.objects.get(pk=PLATFORM_WORKSPACE_ID)
    actions.grant_role(person, role="ENGINEERING_MANAGER", workspace=platform, by=SYSTEM, now=timezone.now())
    return person


def _cookies(person: User) -> dict[str, str]:
    client = Client()
    client.force_login(person)
    return {settings.SESSION_COOKIE_NAME: client.cookies[settings.SESSION_COOKIE_NAME].value}


if __name__ == "__main__":
    main()
