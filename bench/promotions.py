"""10,000 promotions: how fast their gates are judged, alone and with the facts read from the database, and their pages.

Beside reading the same promotions and judging nothing, and beside the sign-in page of the same server; each page with
100 promotions in the tables and with all of them.
"""

import os
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

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
from apps.approvals import actions as approval_actions
from apps.approvals.actions.facts import collect, open_case
from apps.approvals.actions.settling import standing_decisions
from apps.approvals.models import Decision, Promotion, Requirement
from apps.approvals.plan import hash_of, plan_of
from apps.audit.actors import SYSTEM
from apps.configuration.models import ConfigurationVersion
from apps.core import live
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.environments.enums import Tier
from apps.environments.models import Lane
from apps.policies.clauses import Gate, Owner
from apps.policies.gates import evaluate
from apps.policies.models import PolicyVersion
from apps.releases.models import Artifact, Release
from apps.workspaces import actions
from apps.workspaces.models import Workspace
from apps.workspaces.scope import workspace_scope
from bench.table import print_table
from tests.dashboards.matrix import fill
from tests.processes import start_web

PROMOTIONS = int(os.environ.get("BENCH_PROMOTIONS", "10000"))
FEW = 100
LOADED = int(os.environ.get("BENCH_LOADED", "2000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "60"))
TIERS = (Tier.PRODUCTION, Tier.STAGING, Tier.QA, Tier.DEV)
RELEASES = 5  # of each service
PLATFORM = (PLATFORM_WORKSPACE_ID,)


def main() -> None:
    now = timezone.now()
    with workspace_scope(PLATFORM):
        manager, devops = _person("manager", "ENGINEERING_MANAGER"), _person("devops", "DEVOPS")
        lanes = fill(-(-PROMOTIONS // (len(TIERS) * RELEASES)), 5, now=now - timedelta(days=30))
        pairs = _pairs(lanes)
        shown = _write(pairs[:FEW], devops, now)[0]
        approval_actions.settle(shown, now=now)
    _analyze()
    pages = {"promotion": f"/approvals/promotions/{_number(shown)}/", "inbox": "/approvals/", "dashboard": "/"}
    with tempfile.TemporaryDirectory() as logs, start_web(Path(logs)) as server:
        few, told_few = _visit(server.url, pages, manager), _tell(manager)
        with workspace_scope(PLATFORM):
            _write(pairs[FEW:PROMOTIONS], devops, now)
        _analyze()
        many, told_many = _visit(server.url, pages, manager), _tell(manager)
    _print_pages(few, many)
    _print_told(told_few, told_many)
    _judge(now)


def _pairs(lanes: Sequence[Lane]) -> list[tuple[Lane, Release]]:
    """Return what can be asked for, each once; those that are asked for first are of Production."""
    found = Lane.objects.with_cell().filter(pk__in=[lane.pk for lane in lanes], environment__tier__in=TIERS)
    of_tier = sorted(found, key=lambda lane: (TIERS.index(Tier(lane.environment.tier)), lane.target_key))
    releases: dict[Any, list[Release]] = {}
    for release in Release.objects.select_related("service"):
        releases.setdefault(release.service_id, []).append(release)
    Artifact.objects.bulk_create(
        Artifact(
            workspace_id=release.workspace_id, release=release, kind="WHEELS", digest=release.artifact_digest,
            manifest={"program": "greeter", "wheels": []}, size=1,
        )
        for of_service in releases.values() for release in of_service
    )  # fmt: skip
    return [(lane, release) for lane in of_tier for release in releases[lane.service_id]]


def _write(pairs: Iterable[tuple[Lane, Release]], devops: User, now: datetime) -> list[Promotion]:
    """Write promotions that wait, with who has to approve them; DevOps has approved those that ask for it."""
    policies = {
        version.tier: (version.number, version.rules.for_owner(Owner.PLATFORM).for_traits([]))
        for version in PolicyVersion.objects.filter(is_active=True)
    }
    configurations = {row.lane_id: row for row in ConfigurationVersion.objects.all()}
    promotions, requirements, decisions = [], [], []
    for lane, release in pairs:
        number, policy = policies[lane.environment.tier]
        promotion = Promotion(
            workspace_id=lane.workspace_id, release=release, lane=lane, configuration=configurations[lane.pk],
            policy_version=number, requested_at=now, requested_by_label="Release engineer",
            expires_at=now + policy.request_lasts,
        )  # fmt: skip
        promotion.plan = plan_of(promotion, policy)
        promotion.plan_hash = hash_of(promotion.plan)
        promotions.append(promotion)
        for position, clause in enumerate(policy.clauses_of(Gate.APPROVALS)):
            asked = Requirement(
                workspace_id=lane.workspace_id, promotion=promotion, role_id=clause.word("role"), position=position,
                clause=clause.id, reason=clause.text[:200], waits_since=now,
            )  # fmt: skip
            requirements.append(asked)
            if asked.role_id == "DEVOPS":
                decisions.append(
                    Decision(
                        workspace_id=lane.workspace_id, requirement=asked, promotion=promotion, choice="APPROVE",
                        plan_hash=promotion.plan_hash, decided_at=now, decided_by=devops,
                    )
                )  # fmt: skip
    for model, rows in ((Promotion, promotions), (Requirement, requirements), (Decision, decisions)):
        model.objects.bulk_create(rows, batch_size=1000)  # type: ignore[attr-defined]
    return promotions


def _judge(now: datetime) -> None:
    """What judging costs, beside reading the promotions alone."""
    with workspace_scope(PLATFORM):
        asked = Promotion.objects.with_subject().order_by("?")
        found = list(asked[:LOADED])
        keys = [promotion.pk for promotion in found]
        read = _rate(keys, lambda pk: Promotion.objects.with_subject().get(pk=pk))
        judged = []

        def load(promotion: Promotion) -> None:
            case = open_case(promotion)
            requirements = list(promotion.requirements.standing().select_related("role"))
            judged.append((case.policy, collect(case, requirements, standing_decisions(promotion), now=now)))

        loaded = _rate(keys, lambda pk: load(Promotion.objects.with_subject().get(pk=pk)))
        with CaptureQueriesContext(connection) as captured:
            load(found[0])
        everything = (judged * -(-PROMOTIONS // len(judged)))[:PROMOTIONS]
        pure = _rate(everything, lambda pair: evaluate(*pair))
    rows = [
        ("the promotion read, nothing judged", f"{len(keys):,}", f"{read:,.0f}", "1.0", "1"),
        ("facts read and judged", f"{len(keys):,}", f"{_both(loaded, pure):,.0f}", f"{read / _both(loaded, pure):.1f}",
         str(len(captured) + 1)),
        ("judged alone (pure)", f"{len(everything):,}", f"{pure:,.0f}", f"{read / pure:.2f}", "0"),
    ]  # fmt: skip
    print_table(
        f"Judging every gate, {PROMOTIONS:,} promotions in the tables",
        ("what", "promotions", "a second", "times the read", "queries each"),
        rows,
    )


def _both(loaded: float, pure: float) -> float:
    return 1 / (1 / loaded + 1 / pure)


def _rate(things: Sequence[Any], work: Callable[[Any], Any]) -> float:
    start = time.perf_counter()
    for thing in things:
        work(thing)
    return len(things) / (time.perf_counter() - start)


def _visit(url: str, pages: dict[str, str], person: User) -> dict[str, tuple[float, float, str]]:
    """Return p50 and p95 of each page and of the sign-in page, in milliseconds, and the number of queries."""
    client = Client()
    client.force_login(person)
    cookies = {settings.SESSION_COOKIE_NAME: client.cookies[settings.SESSION_COOKIE_NAME].value}
    found = {}
    with httpx2.Client(base_url=url, timeout=60) as browser:
        for name, path in {"sign-in": "/sign-in/", **pages}.items():
            shown = {} if name == "sign-in" else cookies
            for _ in range(5):
                browser.get(path, cookies=shown).raise_for_status()
            took = []
            for _ in range(ROUNDS):
                start = time.perf_counter()
                browser.get(path, cookies=shown)
                took.append((time.perf_counter() - start) * 1000)
            queries = "" if name == "sign-in" else _queries(client, path)
            found[name] = (statistics.median(took), statistics.quantiles(took, n=20)[18], queries)
    return found


def _queries(client: Client, path: str) -> str:
    client.get(path)
    with CaptureQueriesContext(connection) as captured:
        client.get(path)
    kept = [query for query in captured if not re.match(r"(SAVEPOINT|RELEASE|BEGIN|COMMIT|ROLLBACK)", query["sql"])]
    return str(len(kept))


def _tell(person: User) -> dict[str, tuple[float, float, int]]:
    """Return p50 and p95 of what a live page is told when a promotion changes, in milliseconds, and its bytes."""
    dashboard = next(region for region in live.pages["dashboard"].regions if region.name == "needs")
    found = {}
    for region in (dashboard, *live.frame):
        took, size = [], 0
        for _ in range(max(5, ROUNDS // 4)):
            start = time.perf_counter()
            with workspace_scope(PLATFORM):
                told = region.render(live.Ask(PLATFORM, "", {}, timezone.now()))
                parts = told(live.Viewer(person.pk, PLATFORM)) if callable(told) else told
            took.append((time.perf_counter() - start) * 1000)
            size = sum(len(part.html) for part in parts)
        found[region.name] = (statistics.median(took), statistics.quantiles(took, n=20)[18], size)
    return found


def _print_told(few: dict[str, tuple[float, float, int]], many: dict[str, tuple[float, float, int]]) -> None:
    rows = [
        (
            name,
            *(f"{of[name][0]:.1f}, {of[name][1]:.1f} ms" for of in (few, many)),
            f"{many[name][0] / few[name][0]:.2f}",
            f"{few[name][2]:,} and {many[name][2]:,}",
        )
        for name in few
    ]
    print_table(
        "Parts of live pages, rendered for all who watch and told to one, p50 and p95",
        ("part", f"{FEW}", f"{PROMOTIONS:,}", "growth", "bytes"),
        rows,
    )


def _print_pages(few: dict[str, tuple[float, float, str]], many: dict[str, tuple[float, float, str]]) -> None:
    rows = [
        (
            name,
            *(f"{of[name][0]:.1f}, {of[name][1]:.1f} ms" for of in (few, many)),
            f"{many[name][0] / few[name][0]:.2f}",
            f"{many[name][0] / many['sign-in'][0]:.1f}",
            " and ".join(dict.fromkeys(of[name][2] for of in (few, many))),
        )
        for name in few
    ]
    print_table(
        f"Pages over HTTP, p50 and p95, with {FEW} promotions that wait and with {PROMOTIONS:,}",
        ("page", f"{FEW}", f"{PROMOTIONS:,}", "growth", "times sign-in", "queries"),
        rows,
    )


def _person(name: str, role: str) -> User:
    person = User.objects.create(username=name, display_name=name.capitalize())
    platform = Workspace.objects.get(pk=PLATFORM_WORKSPACE_ID)
    actions.grant_role(person, role=role, workspace=platform, by=SYSTEM, now=timezone.now())
    return person


def _number(promotion: Promotion) -> int:
    with workspace_scope(PLATFORM):
        return int(Promotion.objects.values_list("number", flat=True).get(pk=promotion.pk))


def _analyze() -> None:
    """The application's role may not; without statistics the planner joins far more than it has to."""
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as owner:
        owner.execute("ANALYZE")


if __name__ == "__main__":
    main()
