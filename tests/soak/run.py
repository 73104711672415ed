"""R12: real workers on hundreds of lanes, a fault every 20 to 40 s, the invariants asked every second and at the end.

Everything that starts a process happens in the main thread: a child ends with the thread that made it.
"""

import os
import random
import signal
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import psycopg
import redis
from django.conf import settings

from deploy.launcher.paths import ROOT
from tests.engines import Engines
from tests.processes import Child, eventually, start_worker
from tests.soak.judgement import Judgement
from tests.soak.report import write_report
from tests.soak.traffic import Traffic

WORKERS = 2
PEOPLE = 2
REST_SECONDS = 180
# A soak of WHOLE_MINUTES with fewer has not tried enough.
WHOLE_MINUTES, ENOUGH = 30, 5_000
FAULTS = ("worker killed", "worker frozen", "broker flushed", "broker stopped", "database restarted at once")
REPORT = ROOT / "docs" / "reference" / "soak.md"


class Rig:
    """The processes that faults befall."""

    def __init__(self, engines: Engines, folder: Path) -> None:
        self.engines, self.folder = engines, folder
        self.workers: list[Child] = []
        self.started = 0
        self.faults: list[tuple[str, float]] = []

    def add_worker(self) -> None:
        self.started += 1
        self.workers.append(start_worker(self.folder, name=f"worker-{self.started}", concurrency=4, limit_seconds=120))

    def stop(self) -> None:
        for worker in self.workers:
            if worker.is_running():
                worker.thaw()
            worker.stop()

    def befall(self, fault: str) -> None:
        self.faults.append((fault, time.time()))
        match fault:
            case "worker killed":
                self.workers.pop(random.randrange(len(self.workers))).kill()
                self.add_worker()
            case "worker frozen":
                worker = random.choice(self.workers)
                worker.freeze()
                time.sleep(settings.ENGINE_LEASE.total_seconds() * random.uniform(0.5, 2))
                worker.thaw()
            case "broker flushed":
                with redis.Redis.from_url(settings.REDIS_URL) as broker:
                    broker.flushall()
            case "broker stopped":
                self._restart("valkey", signal.SIGKILL, away=random.uniform(2, 10))
            case _:
                self._restart("postgres", signal.SIGQUIT, away=random.uniform(0, 3))
        for dead in [worker for worker in self.workers if not worker.is_running()]:
            self.faults.append(("a worker ended by itself", time.time()))
            print(f"  !! {dead.program.name} ended by itself; see {dead.log}", flush=True)
            self.workers.remove(dead)
            self.add_worker()

    def _restart(self, name: str, how: signal.Signals, *, away: float) -> None:
        place = next(n for n, (program, _process) in enumerate(self.engines.running) if program.name == name)
        program, process = self.engines.running.pop(place)
        process.send_signal(how)
        process.wait(30)
        time.sleep(away)
        ready = self.engines.postgres.is_ready if name == "postgres" else self._broker_answers
        self.engines._run(program, ready)

    def _broker_answers(self) -> bool:
        try:
            with redis.Redis.from_url(settings.REDIS_URL) as broker:
                return bool(broker.ping())
        except redis.RedisError:
            return False


def soak(engines: Engines, folder: Path, *, minutes: float) -> bool:
    """Run for so long, then wait until all has ended, and judge.

    Return whether anything was violated, or too little tried.
    """
    seed = int(os.environ.get("SEED", str(time.time_ns() % 10**6)))
    random.seed(seed)
    traffic, rig = Traffic.make(), Rig(engines, folder)
    print(f"{len(traffic.lanes)} lanes, {minutes:g} minutes, SEED={seed}", flush=True)
    judge = Judgement(engines.postgres.url(database="eaip_soak"), settings.TARGET_DIR)
    watched = threading.Event()
    began = time.time()
    with ExitStack() as stack:
        stack.callback(rig.stop)
        for _ in range(WORKERS):
            rig.add_worker()
        threads = [threading.Thread(target=traffic.go_on) for _ in range(PEOPLE)]
        threads.append(threading.Thread(target=judge.watch, args=(watched,)))
        for thread in threads:
            thread.start()
        stack.callback(watched.set)
        stack.callback(traffic.over.set)
        until = time.monotonic() + minutes * 60
        for fault in _faults():
            pause = random.uniform(20, 40)
            if time.monotonic() + pause > until:
                break
            time.sleep(pause)
            rig.befall(fault)
            print(f"  {time.time() - began:5.0f} s  {fault}; {dict(traffic.counts)}", flush=True)
        time.sleep(max(0.0, until - time.monotonic()))
        traffic.over.set()
        lasted = time.time() - began
        try:
            eventually(lambda: not _open(judge.url), within_seconds=REST_SECONDS, every_seconds=0.5)
        except AssertionError:
            print(f"  !! not at rest after {REST_SECONDS} s", flush=True)
        watched.set()
        for thread in threads:
            thread.join(30)
        judge.finish()
    total = write_report(
        REPORT, judge, Counter(name for name, _at in rig.faults), traffic.counts, rig.faults,
        seconds=lasted, lanes=len(traffic.lanes), workers=WORKERS, seed=seed,
    )  # fmt: skip
    print(REPORT.read_text(), flush=True)
    if too_few := minutes >= WHOLE_MINUTES and total < ENOUGH:
        print(f"  !! {total:,} deployments are fewer than {ENOUGH:,}", flush=True)
    return bool(judge.violations) or too_few


def _faults():
    """Every kind in turn, in another order each time."""
    while True:
        yield from random.sample(FAULTS, len(FAULTS))


def _open(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM deployments_deployment WHERE ended_at IS NULL").fetchone()
        return int(row[0]) if row else 0
