"""A thread in every worker that finds in the database what is due and sees to it, in a bounded pool of its own.

With the broker gone, also from the start, this alone keeps everything going, some seconds later.
"""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from uuid import UUID, uuid4

from django.conf import settings
from django.db import Error, close_old_connections, connection

from apps.core.timings import timings
from apps.deployments import runner
from apps.deployments.engine import answers, lease, reconciliation, sweep_lease
from apps.environments import actions as environment_actions
from apps.health import alerts
from apps.health import checks as health_checks
from apps.health import runner as health

log = logging.getLogger(__name__)

# Lanes that are asked for their health at the same time, by one worker.
CHECKS_AT_ONCE = 8
# Whoever is due after these is asked in the next turn, which follows at once.
CHECKS_A_TURN = 1000
# Registries and services that wait long are not to hold up those that answer.
ARTIFACTS_AT_ONCE = 4
# What was found is looked at more often than anything is due, so that a check is never a whole sweep late.
TICK_SECONDS = 0.5
# While the pool is full, there is room again after about so long.
FULL_SECONDS = 0.05
# A turn lasts nine tenths of ENGINE_SWEEP and each worker tries to take it every tenth: so no two sweeps are further
# apart than ENGINE_SWEEP, also when the worker whose turn it was dies.
TURN, TRY_EVERY = 0.9, 0.1
PRUNE_EVERY = timedelta(minutes=10)


def longest_delay() -> timedelta:
    """This function will say how late what is due is taken at most while one worker lives, with every hint lost."""
    return settings.ENGINE_UNCLAIMED + settings.ENGINE_SWEEP * (TURN + TRY_EVERY)


class Pool:
    """Runs each row at most once at a time in this process, and takes no more than it has threads for."""

    def __init__(self, size: int, name: str) -> None:
        self._size, self._name = size, name
        self._threads = ThreadPoolExecutor(size, thread_name_prefix=name)
        self._busy: set[UUID] = set()
        self._lock = threading.Lock()

    @property
    def room(self) -> int:
        with self._lock:
            return self._size - len(self._busy)

    def submit(self, key: UUID, work: Callable[[], object]) -> bool:
        with self._lock:
            if key in self._busy or len(self._busy) >= self._size:
                return False
            self._busy.add(key)
        self._threads.submit(self._do, key, work)
        return True

    def stop(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _do(self, key: UUID, work: Callable[[], object]) -> None:
        try:
            close_old_connections()
            with timings.timed("task", f"{self._name}.row"):
                work()
        except Exception:
            log.exception("work on %s has failed", key)
            connection.close()
        finally:
            with self._lock:
                self._busy.discard(key)


class Sweeper:
    """`start` and `stop` belong to the worker's process; between them everything happens in threads of its own."""

    def __init__(self, *others: Callable[[], object]) -> None:
        """`others` is work of apps that stand above this one, looked after as often as a sweep."""
        self._token = uuid4()
        self._is_first = True
        self._over = threading.Event()
        self._deployments = Pool(settings.ENGINE_SWEEPER_THREADS, "sweeper")
        self._checks = Pool(CHECKS_AT_ONCE, "health")
        self._artifacts = Pool(ARTIFACTS_AT_ONCE, "artifacts")
        self._threads = [
            threading.Thread(target=self._every, args=(period, work), name=name, daemon=True)
            for name, period, work in (
                ("sweeper", settings.ENGINE_SWEEP.total_seconds() * TRY_EVERY, self.sweep),
                ("health", min(TICK_SECONDS, settings.HEALTH_INTERVAL.total_seconds()), self.check_health),
                ("reconciler", settings.ENGINE_RECONCILE.total_seconds(), self.reconcile),
                ("artifacts", settings.ENGINE_SWEEP.total_seconds(), self.ask_for_artifacts),
                *((other.__name__, settings.ENGINE_SWEEP.total_seconds(), other) for other in others),
            )
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End all that is under way here: another worker, or the next start, finds out how far it came."""
        self._over.set()
        lease.stop_all()
        for thread in self._threads:
            thread.join(timeout=2)
        self._deployments.stop()
        self._checks.stop()
        self._artifacts.stop()

    def sweep(self) -> None:
        """See to all that is due and that nobody took, if it is this worker's turn."""
        if not sweep_lease.take("sweep", self._token, settings.ENGINE_SWEEP * TURN):
            return
        left = False
        for due in runner.due_work(unclaimed=settings.ENGINE_UNCLAIMED):
            if due.kind == "SETTLE":
                runner.handle(due)
            elif not self._deployments.submit(due.id, partial(runner.handle, due)):
                left = left or not self._deployments.room
        runner.call_for_lost()
        runner.judge_watched()
        runner.roll_out()
        if left:  # another worker may have room now, or this one in a moment: none of it waits for a whole turn
            sweep_lease.give_back("sweep", self._token)
        self._prune()

    def check_health(self) -> None:
        """Ask the lanes that are due, as many at the same time as the pool takes."""
        for workspace_id, check_id in health.due(CHECKS_A_TURN):
            if not self._has_room(self._checks):
                return
            self._checks.submit(check_id, partial(health.sample, workspace_id, check_id))

    def ask_for_artifacts(self) -> None:
        """Ask for what lanes could go back to, where they take it from."""
        if not sweep_lease.take("artifacts", self._token, settings.ENGINE_SWEEP * TURN):
            return
        for workspace_id, lane_id in answers.due(CHECKS_A_TURN):
            if not self._has_room(self._artifacts):
                return
            self._artifacts.submit(lane_id, partial(answers.ask_for, workspace_id, lane_id))

    def _has_room(self, pool: Pool) -> bool:
        """Wait until the pool has room; False when the process ends."""
        while not pool.room:
            if self._over.wait(FULL_SECONDS):
                return False
        return True

    def reconcile(self) -> None:
        """Make the target match the rows: once when this worker starts, then whenever it is its turn."""
        first, self._is_first = self._is_first, False
        if sweep_lease.take("reconcile", self._token, settings.ENGINE_RECONCILE * 0.9) or first:
            reconciliation.reconcile_all()

    def _prune(self) -> None:
        if sweep_lease.take("prune", self._token, PRUNE_EVERY):
            health_checks.prune()
            alerts.prune()
            environment_actions.prune_denials()

    def _every(self, seconds: float, work: Callable[[], object]) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            try:
                close_old_connections()
                with timings.timed("task", work.__name__):
                    work()
            except Error as error:
                log.warning("%s: the database does not answer: %s", work.__name__, error)
                connection.close()
            except Exception:
                log.exception("%s has failed", work.__name__)
            self._over.wait(max(0.05, seconds - (time.monotonic() - began)))
        connection.close()
