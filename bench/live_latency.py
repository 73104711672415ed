"""From commit to the screen with 1,000 open streams on one process, beside a raw fan-out of the same bytes.

999 plain clients and a real browser watch the dashboard; a lane changes once a second and a half. The latency of a
client is from the commit to the arrival of the message with the changed cell, that of the browser to the new text.
"""

import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path

import django

django.setup()

from django.conf import settings
from django.test import Client
from django.utils import timezone
from playwright.async_api import async_playwright

from apps.accounts.models import User
from apps.audit.actors import SYSTEM
from apps.core import live
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.dashboards.cells import cell_id
from apps.environments.enums import Health
from apps.environments.models import Lane
from apps.workspaces import actions
from apps.workspaces.models import Workspace
from apps.workspaces.scope import workspace_scope
from bench.table import print_table
from tests.chromium import FLAGS, find
from tests.dashboards.matrix import fill
from tests.processes import start_web

STREAMS = int(os.environ.get("BENCH_STREAMS", "1000"))
CHANGES = int(os.environ.get("BENCH_CHANGES", "20"))
PAUSE = 1.5


def main() -> None:
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        lane = fill(10, 6, now=timezone.now())[7]
        cookie = _cookie()
    limit = {"LIVE_STREAMS_PER_PERSON": str(STREAMS + 10)}
    with tempfile.TemporaryDirectory() as logs, start_web(Path(logs), environment=limit) as server:
        host, port = server.url.removeprefix("http://").split(":")
        latencies, screens = asyncio.run(_measured(host, int(port), cookie, lane))
    raw = asyncio.run(_raw_fan_out())
    figures = {"raw fan-out": raw, "message at the client": latencies, "text in the browser": screens}
    rows = [(name, *_told(values), len(values)) for name, values in figures.items()]
    print_table(
        f"From commit to screen, {STREAMS} streams on one process (goal: p95 at most 250 ms)",
        ("what", "p50", "p95", "worst", "samples"),
        rows,
    )


def _told(values: list[float]) -> tuple[str, str, str]:
    figures = (statistics.median(values), statistics.quantiles(values, n=20)[18], max(values))
    return tuple(f"{figure:.0f} ms" for figure in figures)


async def _measured(host: str, port: int, cookie: str, lane: Lane) -> tuple[list[float], list[float]]:
    latencies: list[float] = []
    committed = 0.0
    marker = b""

    async def client() -> None:
        reader, writer = await asyncio.open_connection(host, port)
        request = f"GET /live/dashboard/?since={since} HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {cookie}\r\n\r\n"
        writer.write(request.encode())
        try:
            while line := await reader.readline():
                if marker and marker in line:
                    latencies.append((time.perf_counter() - committed) * 1000)
        finally:
            writer.close()

    since = await asyncio.to_thread(_here)
    clients = []
    for _ in range(STREAMS - 1):
        clients.append(asyncio.create_task(client()))
        if len(clients) % 50 == 0:
            await asyncio.sleep(0.2)
    screens: list[float] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find(), args=list(FLAGS))
        context = await browser.new_context(base_url=f"http://{host}:{port}")
        name, value = cookie.split("=")
        await context.add_cookies([{"name": name, "value": value, "url": f"http://{host}:{port}"}])
        page = await context.new_page()
        await page.goto("/")
        await asyncio.sleep(5)
        for number in range(CHANGES):
            text = f"change-{number}-ends"
            marker = text.encode()
            seen = asyncio.create_task(
                page.wait_for_function(
                    "([id, text]) => document.getElementById(id).innerText.includes(text)",
                    arg=[cell_id(lane.pk), text],
                    polling="raf",
                )
            )
            await asyncio.sleep(PAUSE)
            committed = await asyncio.to_thread(_change, lane, text)
            await seen
            screens.append((time.perf_counter() - committed) * 1000)
            await asyncio.sleep(0.3)
        await browser.close()
    for task in clients:
        task.cancel()
    await asyncio.gather(*clients, return_exceptions=True)
    return latencies, screens


def _change(lane: Lane, text: str) -> float:
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        Lane.objects.filter(pk=lane.pk).update(health=Health.FAULTY, health_detail=text)
        live.hint(PLATFORM_WORKSPACE_ID, f"lane:{lane.pk}")
    return time.perf_counter()


async def _raw_fan_out() -> list[float]:
    """The same number of connections and messages through bare sockets: what the machine itself takes."""
    writers: list[asyncio.StreamWriter] = []
    latencies: list[float] = []
    sent = 0.0

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    async def client(port: int) -> None:
        reader, _ = await asyncio.open_connection("127.0.0.1", port)
        while await reader.readline():
            latencies.append((time.perf_counter() - sent) * 1000)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, backlog=STREAMS)
    port = server.sockets[0].getsockname()[1]
    clients = [asyncio.create_task(client(port)) for _ in range(STREAMS)]
    while len(writers) < STREAMS:
        await asyncio.sleep(0.05)
    for _ in range(CHANGES):
        await asyncio.sleep(0.2)
        sent = time.perf_counter()
        for writer in writers:
            writer.write(b"x" * 2000 + b"\n")
    await asyncio.sleep(0.5)
    for task in clients:
        task.cancel()
    await asyncio.gather(*clients, return_exceptions=True)
    server.close()
    return latencies


def _here() -> str:
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        return str(live.cursor_now())


def _cookie() -> str:
    person = User.objects.create(username="bench", display_name="Bench")
    platform = Workspace.objects.get(pk=PLATFORM_WORKSPACE_ID)
    actions.grant_role(person, role="DEVOPS", workspace=platform, by=SYSTEM, now=timezone.now())
    client = Client()
    client.force_login(person)
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


if __name__ == "__main__":
    main()
