"""The log of a deployment: writing 100,000 lines with masking, searching them, following them live with 50 viewers.

Each beside what the machine itself takes: a COPY of the same lines, one reading of what is stored, bare sockets with
the same bytes.
"""

import asyncio
import base64
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import django
import psycopg

django.setup()

from django.conf import settings
from django.test import Client
from django.utils import timezone

from apps.approvals import actions as approval_actions
from apps.approvals.enums import PromotionState
from apps.audit.actors import SYSTEM
from apps.core import live
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.deployments import actions, transitions
from apps.deployments import log as deployment_log
from apps.deployments.enums import DeploymentState
from apps.deployments.log import LogWriter
from apps.deployments.log_window import Wanted, lines_between, window_of
from apps.deployments.masking import Masker
from apps.deployments.models import Deployment
from apps.workspaces.scope import workspace_scope
from bench.table import print_table
from tests.cast import make_cast
from tests.processes import start_web
from tests.world import World, make_world

LINES = int(os.environ.get("BENCH_LOG_LINES", "100000"))
VIEWERS = int(os.environ.get("BENCH_LOG_VIEWERS", "50"))
SECONDS = int(os.environ.get("BENCH_LOG_SECONDS", "15"))
PER_SECOND = 5_000
SECRETS = {f"SECRET_{n}": base64.b85encode(bytes(range(n, n + 20))).decode() for n in range(10)}
STAMP = re.compile(rb"at=(\d+\.\d{3})")
SCOPE = [PLATFORM_WORKSPACE_ID]


def main() -> None:
    with workspace_scope(SCOPE):
        people = make_cast()
    with workspace_scope([workspace.pk for workspace in people.workspaces]):
        world = make_world(people)
        deployment = _running(world)
    _write(deployment)
    _search(deployment)
    _follow(world, deployment)


def _running(world: World) -> Deployment:
    now, by = timezone.now(), world.cast.release_engineer
    lane = world.lane(world.dev)
    promotion = approval_actions.request_promotion(world.release, lane=lane, by=by, now=now, starts_by_itself=False)
    deployment = actions.start_deployment(promotion, by=by, now=now)
    approval_actions.mark(deployment.promotion, PromotionState.DEPLOYING, by=SYSTEM, now=now)
    transitions.advance(
        deployment, DeploymentState.STARTING, by=SYSTEM, now=now, changes={"started_at": now, "fence": 1}
    )
    return Deployment.objects.with_subject().get(pk=deployment.pk)


def _writer(deployment: Deployment) -> LogWriter:
    deployment.configuration.values = SECRETS
    return LogWriter(deployment, deployment.fence)


def _line(number: int) -> str:
    """One line in fifty holds a secret, one in ten a colour."""
    told = f"token {SECRETS['SECRET_3']}" if number % 50 == 0 else "items/200 in 12.3 ms"
    level = "\x1b[33mWARN\x1b[0m" if number % 10 == 0 else "INFO"
    return f"at={time.time():.3f} {level} worker.module-{number % 37} step {number} handled {told}"


def _write(deployment: Deployment) -> None:
    lines = [_line(number) for number in range(LINES)]
    copied = _timed(lambda: _copy(lines))
    masker = Masker(SECRETS.values())
    masked = _timed(lambda: [masker.masked(lines[n : n + 1000]) for n in range(0, LINES, 1000)])
    log = _writer(deployment)
    written = _timed(lambda: ([log.write(line) for line in lines], log.flush()))
    print_table(
        f"{LINES:,} lines into the log of one deployment (goal: {PER_SECOND:,} lines a second)",
        ("what", "seconds", "lines a second"),
        [
            (name, f"{seconds:.2f}", f"{LINES / seconds:,.0f}")
            for name, seconds in (
                ("COPY of the same lines, in one transaction", copied),
                ("masking alone, 10 secrets", masked),
                ("write() line by line, masked and stored", written),
            )
        ],
    )


def _copy(lines: list[str]) -> None:
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"]) as owner, owner.cursor() as cursor:
        cursor.execute("CREATE TABLE bench_line (number integer, at_ms integer, text text)")
        with cursor.copy("COPY bench_line FROM STDIN") as copy:
            for number, line in enumerate(lines, 1):
                copy.write_row((number, number, line))


def _search(deployment: Deployment) -> None:
    with workspace_scope(SCOPE):
        deployment.refresh_from_db(fields=["log_lines", "log_bytes"])
        read = _timed(lambda: sum(1 for _ in lines_between(deployment, 1, deployment.log_lines)))
        rows = []
        for query in ("worker.module-36 step 99", "WARN", "in no line at all"):
            seconds = _timed(lambda query=query: window_of(deployment, Wanted(query=query)))
            found = window_of(deployment, Wanted(query=query)).found
            rows.append((f"“{query}”, {found:,} found", f"{seconds * 1000:.0f} ms", f"{seconds / read:.1f}"))
    print_table(
        f"Search over {deployment.log_lines:,} lines, {deployment.log_bytes / 1e6:.1f} MB",
        ("what", "time", "to reading the lines"),
        [("reading all lines", f"{read * 1000:.0f} ms", "1.0"), *rows],
    )


def _follow(world: World, deployment: Deployment) -> None:
    limit = {"LIVE_STREAMS_PER_PERSON": str(VIEWERS + 10)}
    with workspace_scope(SCOPE):
        deployment.refresh_from_db(fields=["log_lines"])
        address = live.stream("deployment", subject=deployment.pk, marks={"log": str(deployment.log_lines)}).url
        before = deployment.log_lines
    client = Client()
    client.force_login(world.cast.devops)
    cookie = f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"
    with tempfile.TemporaryDirectory() as logs, start_web(Path(logs), environment=limit) as server:
        host, port = server.url.removeprefix("http://").split(":")
        newest, oldest, sizes = asyncio.run(_watched(host, int(port), address, cookie, deployment))
    raw = asyncio.run(_raw_fan_out(int(statistics.mean(sizes))))
    with workspace_scope(SCOPE):
        deployment.refresh_from_db(fields=["log_lines"])
    pace = (deployment.log_lines - before) / SECONDS
    print_table(
        f"{VIEWERS} viewers of one log, {pace:,.0f} lines a second for {SECONDS} s (goal: no line later than 2 s)",
        ("from write() to the viewer", "p50", "p95", "worst", "messages"),
        [
            ("bare sockets, messages of the same size", *_told(raw), len(raw)),
            ("the newest line of each message", *_told(newest), len(newest)),
            ("the oldest line of each message", *_told(oldest), len(oldest)),
        ],
    )


def _told(values: list[float]) -> tuple[str, str, str]:
    figures = (statistics.median(values), statistics.quantiles(values, n=20)[18], max(values))
    return tuple(f"{figure * 1000:.0f} ms" for figure in figures)


async def _watched(
    host: str, port: int, address: str, cookie: str, deployment: Deployment
) -> tuple[list[float], list[float], list[int]]:
    """Return the seconds that the newest and the oldest line of each message took, and the sizes of messages."""
    newest: list[float] = []
    oldest: list[float] = []
    sizes: list[int] = []

    async def client() -> None:
        reader, writer = await asyncio.open_connection(host, port, limit=2**24)
        writer.write(f"GET {address} HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {cookie}\r\n\r\n".encode())
        try:
            while line := await reader.readline():
                if first := STAMP.search(line):
                    now, last = time.time(), STAMP.search(line, line.rfind(b"at="))
                    oldest.append(now - float(first[1]))
                    newest.append(now - float((last or first)[1]))
                    sizes.append(len(line))
        finally:
            writer.close()

    clients = [asyncio.create_task(client()) for _ in range(VIEWERS)]
    await asyncio.sleep(3)
    writing = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.log", str(deployment.pk))
    assert await writing.wait() == 0
    await asyncio.sleep(2)
    for task in clients:
        task.cancel()
    await asyncio.gather(*clients, return_exceptions=True)
    return newest, oldest, sizes


def _write_steadily(deployment_id: str) -> None:
    """In a process of its own, as a worker is. The cap is lifted, since the log is long already."""
    deployment_log.LIMIT_BYTES = 2**30
    with workspace_scope(SCOPE):
        deployment = Deployment.objects.with_subject().get(pk=deployment_id)
    log, began = _writer(deployment), time.monotonic()
    for number in range(PER_SECOND * SECONDS):
        ahead = began + number / PER_SECOND - time.monotonic()
        if ahead > 0.005:
            time.sleep(ahead)
        log.write(_line(number))
    log.flush()


async def _raw_fan_out(size: int) -> list[float]:
    """The same number of connections and bytes through bare sockets."""
    writers: list[asyncio.StreamWriter] = []
    latencies: list[float] = []
    sent = 0.0

    async def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    async def client(port: int) -> None:
        reader, _ = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
        while await reader.readline():
            latencies.append(time.perf_counter() - sent)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, backlog=VIEWERS)
    clients = [asyncio.create_task(client(server.sockets[0].getsockname()[1])) for _ in range(VIEWERS)]
    while len(writers) < VIEWERS:
        await asyncio.sleep(0.05)
    for _ in range(SECONDS):
        await asyncio.sleep(0.5)
        sent = time.perf_counter()
        for writer in writers:
            writer.write(b"x" * size + b"\n")
    await asyncio.sleep(0.5)
    for task in clients:
        task.cancel()
    await asyncio.gather(*clients, return_exceptions=True)
    server.close()
    return latencies


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    _write_steadily(sys.argv[1]) if len(sys.argv) > 1 else main()
