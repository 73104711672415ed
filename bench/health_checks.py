"""Endpoint checks that one worker asks: claimed, asked and written by its Watcher, beside a bare client's loop.

Both ask the same server on this machine, 300 at a time, each over a connection of its own. It may be asked because the
settings give the workspace this network, as an operator gives one; the quota is raised the same way.
"""

import asyncio
import os
import subprocess
import sys
import time

CHECKS = int(os.environ.get("BENCH_CHECKS", "10000"))
AT_ONCE = 300
LONGEST_SECONDS = 240
os.environ |= {
    "OUTBOUND_INTERNAL": "platform=127.0.0.0/8", "CHECKS_AT_ONCE": str(AT_ONCE), "CHECKS_PER_MINUTE": "1000000",
}  # fmt: skip

import django

django.setup()

import httpx2
from django.utils import timezone

from apps.audit.actors import SYSTEM
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.environments.enums import Health, Tier
from apps.environments.models import Lane
from apps.health import actions
from apps.health.models import EndpointCheck, EndpointSample
from apps.health.watcher import Watcher
from apps.workspaces.models import Workspace
from apps.workspaces.scope import workspace_scope
from bench.table import print_table
from tests.world import make_environment, make_lane, make_service

PLATFORM = (PLATFORM_WORKSPACE_ID,)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


def main() -> None:
    with subprocess.Popen([sys.executable, "-m", "bench.health_checks", "serve"], stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            url = f"http://127.0.0.1:{int(server.stdout.readline())}/health"
            bare = _bare(url)
            _set(url)
            watched = _watched()
            again = _bare(url)
        finally:
            server.terminate()
    least = min(bare, again)
    rows = [
        (name, f"{seconds:.1f}", f"{CHECKS / seconds * 60:,.0f}", f"{least / seconds:.2f}")
        for name, seconds in (
            ("a bare httpx2 loop, before", bare), ("one worker's Watcher, all written", watched),
            ("a bare httpx2 loop, after", again),
        )
    ]  # fmt: skip
    print_table(
        f"{CHECKS:,} endpoint checks that are due (goal: 10,000 a minute from one worker)",
        ("what asks", "seconds", "a minute", "to the faster bare loop"), rows,
    )  # fmt: skip


def _bare(url: str) -> float:
    async def ask_all() -> None:
        limits = httpx2.Limits(max_connections=AT_ONCE, max_keepalive_connections=0)
        async with httpx2.AsyncClient(limits=limits, trust_env=False, timeout=60) as client:
            waiting = iter(range(CHECKS))

            async def ask() -> None:
                for _ in waiting:
                    assert (await client.get(url)).status_code == 200

            await asyncio.gather(*(ask() for _ in range(AT_ONCE)))

    began = time.monotonic()
    asyncio.run(ask_all())
    return time.monotonic() - began


def _set(url: str) -> None:
    """The first check by the product's own action, which judges the address; the others are copies of it."""
    with workspace_scope(PLATFORM):
        platform = Workspace.objects.get(pk=PLATFORM_WORKSPACE_ID)
        lane = make_lane(make_environment(platform, "Bench", Tier.DEV), make_service(platform))
        check = _first(lane, url)
        EndpointCheck.objects.bulk_create(
            EndpointCheck(
                workspace=platform, lane=lane, name=f"Check {number}", url=url, interval_seconds=check.interval_seconds,
                created_at=check.created_at, next_check_at=check.next_check_at,
            )
            for number in range(1, CHECKS)
        )  # fmt: skip


def _first(lane: Lane, url: str) -> EndpointCheck:
    return actions.create_check(lane, name="Check 0", url=url, by=SYSTEM, now=timezone.now(), interval_seconds=86_400)


def _watched() -> float:
    watcher = Watcher(at_once=AT_ONCE)
    began = time.monotonic()
    watcher.start()
    try:
        while _unasked():
            if time.monotonic() - began > LONGEST_SECONDS:
                raise TimeoutError("The checks were not asked to their end.")
            time.sleep(0.2)
    finally:
        took = time.monotonic() - began
        watcher.stop()
    with workspace_scope(PLATFORM):
        assert EndpointCheck.objects.filter(verdict=Health.HEALTHY).count() == CHECKS
        assert EndpointSample.objects.count() == CHECKS
    return took


def _unasked() -> bool:
    with workspace_scope(PLATFORM):
        return EndpointCheck.objects.filter(checked_at=None).exists()


def _serve() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        await writer.drain()
        writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    asyncio.run(serve())


if __name__ == "__main__":
    _serve() if sys.argv[1:] == ["serve"] else main()
