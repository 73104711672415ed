"""From the click on *deploy* to the executor's first effect, beside a bare round trip through Celery.

The click is a signed-in POST to the web server. The target is made of files: its first effect is the start of the new
slot, after two steps that only look (artifact, installation), each journaled before and after.
"""

import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from uuid import uuid4

ROUNDS = int(os.environ.get("BENCH_DEPLOYMENTS", "40"))
WARM_UP = 3
GOAL_MS = 500

TARGET = tempfile.mkdtemp(prefix="eaip-bench-target-")
os.environ |= {
    "EXECUTORS": "local=tests.deployments.file_target.executor",
    "EAIP_TARGET_DIR": TARGET,
    "ENGINE_VERIFY_INTERVAL_SECONDS": "0.01",
}

import django

django.setup()

import httpx2
import redis
from celery import current_app
from django.conf import settings
from django.utils import timezone

from apps.approvals import actions as approval_actions
from apps.approvals.models import Promotion
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.deployments.models import Deployment
from apps.releases.models import Release
from apps.workspaces.scope import workspace_scope
from bench.table import print_table
from tests.cast import PASSWORD, make_cast
from tests.processes import eventually, start_web, start_worker
from tests.world import World, make_world


def main() -> None:
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        people = make_cast()
    with workspace_scope([workspace.pk for workspace in people.workspaces]):
        world = make_world(people)
        releases = [world.next_release(f"1.1.{number}") for number in range(WARM_UP + ROUNDS)]
    with (
        tempfile.TemporaryDirectory() as logs,
        start_web(Path(logs)) as web,
        start_worker(Path(logs), modules=("bench.celery_echo",)),
    ):
        client = _signed_in(web.url)
        bare = [_echo() for _ in range(WARM_UP + ROUNDS)][WARM_UP:]
        clicked = [_deploy(client, world, release) for release in releases][WARM_UP:]
    answered, called, effects = ([row[column] for row in clicked] for column in range(3))
    print_table(
        f"From the click to the first effect, {ROUNDS} deployments (goal: p95 {GOAL_MS} ms or less)",
        ("what", "p50", "p95", "longest", "p95 to bare Celery"),
        [
            _row("bare Celery round trip", bare, bare),
            _row("the page's answer to the click", answered, bare),
            _row("executor called for the first step", called, bare),
            _row("first effect on the target", effects, bare),
        ],
    )


def _deploy(client: httpx2.Client, world: World, release: Release) -> tuple[float, float, float]:
    """Return the milliseconds until the answer, until the executor is called, and until the target changes."""
    promotion = _promotion(world, release)
    began = time.time()
    answer = client.post(
        f"/deployments/promotions/{promotion.pk}/start/",
        data={"csrfmiddlewaretoken": client.cookies["csrftoken"]},
        headers={"Referer": str(client.base_url)},
        follow_redirects=False,
    )
    answered = time.time()
    assert answer.status_code == 302, answer.text[:2000]
    with world.everything():
        deployment = Deployment.objects.get(promotion=promotion)
    eventually(lambda: _ended(world, deployment), within_seconds=60)
    effect = min(line["at"] for line in _ledger(world) if line["deployment"] == str(deployment.pk))
    return (answered - began) * 1000, (deployment.first_effect_at.timestamp() - began) * 1000, (effect - began) * 1000


def _promotion(world: World, release: Release) -> Promotion:
    with world.everything():
        return approval_actions.request_promotion(
            release,
            lane=world.lane(world.dev),
            by=world.cast.release_engineer,
            now=timezone.now(),
            starts_by_itself=False,
        )


def _ended(world: World, deployment: Deployment) -> bool:
    with world.everything():
        deployment.refresh_from_db()
    return not deployment.is_open


def _ledger(world: World) -> list[dict[str, object]]:
    path = Path(TARGET) / world.lane(world.dev).target_key / "ledger.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def _echo() -> float:
    name = str(uuid4())
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        began = time.perf_counter()
        current_app.send_task("bench.echo", kwargs={"id": name})
        assert client.blpop([f"echo:{name}"], timeout=30)
        return (time.perf_counter() - began) * 1000


def _signed_in(url: str) -> httpx2.Client:
    client = httpx2.Client(base_url=url, follow_redirects=True, timeout=60)
    client.get("/sign-in/")
    form = {
        "username": "release-engineer",
        "password": PASSWORD,
        "next": "/",
        "csrfmiddlewaretoken": client.cookies["csrftoken"],
    }
    client.post("/sign-in/", data=form)
    return client


def _row(what: str, took: list[float], bare: list[float]) -> tuple[str, ...]:
    p95 = _p95(took)
    return (
        what,
        f"{statistics.median(took):.0f} ms",
        f"{p95:.0f} ms",
        f"{max(took):.0f} ms",
        f"{p95 / _p95(bare):.1f} x",
    )


def _p95(took: list[float]) -> float:
    return sorted(took)[max(0, round(0.95 * len(took)) - 1)]


if __name__ == "__main__":
    main()
