"""The heartbeat of an attempt: a thread of its own, with its own connection to the database, outside the executor.

It renews the lease, feeds the guards of the children, brings the wish to cancel, and stores the log. When it can't
renew for ENGINE_GUARD_SILENCE it gives the attempt up by itself, well before the lease ends for others.
"""

import logging
import threading
import time
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import Error, connection

from apps.core.clock import clock_in
from apps.deployments.enums import ACTIVE
from apps.deployments.executors.contract import Cancelled, Executor, StaleFence
from apps.deployments.log import LogWriter
from apps.deployments.models import Deployment
from apps.workspaces.scope import workspace_scope

logger = logging.getLogger(__name__)

TICK_SECONDS = 1.0

_kept: dict[UUID, "Lease"] = {}
_kept_lock = threading.Lock()


class Lease:
    def __init__(self, deployment: Deployment, executor: Executor, log: LogWriter, claimed_at: float) -> None:
        """`claimed_at`, of time.monotonic(), is when the claim was asked for: the lease began no earlier."""
        self._id, self._workspace_id = deployment.pk, deployment.workspace_id
        self._fence, self._token = deployment.fence, deployment.lease_token
        self._executor, self._log = executor, log
        self._renewed_at = claimed_at
        self._limit_at = time.monotonic() + settings.ENGINE_APPLY_LIMIT.total_seconds()
        self._longest_silence = settings.ENGINE_GUARD_SILENCE.total_seconds()
        self._nudge, self._changed = threading.Event(), threading.Event()
        self._over = self._lost = False
        self.is_cancelled = self.is_stopped = self.is_late = False
        self._thread = threading.Thread(target=self._keep, name=f"lease-{self._id.hex[:8]}", daemon=True)

    def __enter__(self) -> "Lease":
        with _kept_lock:
            _kept[self._id] = self
        self._executor.renew(self._id, self._renewed_at)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        with _kept_lock:
            if _kept.get(self._id) is self:
                del _kept[self._id]
        self._over = True
        self._nudge.set()
        self._thread.join(timeout=TICK_SECONDS)

    @property
    def must_end(self) -> bool:
        """Did somebody ask for the end, the worker or the limit?"""
        return self.is_cancelled or self.is_stopped or self.is_late

    @property
    def wants_the_end(self) -> bool:
        """Is there a reason for a step to end, whoever gave it?"""
        return self.must_end or self._is_lost

    @property
    def _is_lost(self) -> bool:
        return self._lost or self._silence > self._longest_silence

    def require(self) -> None:
        """Raises StaleFence: the attempt is no longer ours, or nobody could tell for too long."""
        if self._is_lost:
            raise StaleFence(f"The lease with fence {self._fence} was lost.")

    def pause(self, seconds: float) -> None:
        """Wait, less long when something has to be looked at."""
        self._changed.wait(seconds)

    def end_within(self, length: timedelta) -> None:
        """Let the attempt end so soon, if not sooner. Raises Cancelled: that is now."""
        self._limit_at = min(self._limit_at, time.monotonic() + length.total_seconds())
        if length <= timedelta(0):
            self.is_late = True
            raise Cancelled("Its time was over before.")

    def look(self) -> None:
        """Renew now: somebody says that there is something new."""
        self._nudge.set()

    def stop(self) -> None:
        """End the attempt, because the worker ends: another one finds out how far it came."""
        self.is_stopped = True
        self._interrupt()

    @property
    def _silence(self) -> float:
        return time.monotonic() - self._renewed_at

    def _keep(self) -> None:
        beat = settings.ENGINE_BEAT.total_seconds()
        next_beat = time.monotonic() + beat
        try:
            while not self._over:
                nudged = self._nudge.wait(min(TICK_SECONDS, max(0.01, next_beat - time.monotonic())))
                self._nudge.clear()
                if self._over:
                    return
                if nudged or time.monotonic() >= next_beat:
                    next_beat = time.monotonic() + beat
                    self._beat()
                self._log.flush_if_due()
        except Exception:  # the attempt gives itself up, since nobody renews for it
            logger.exception("the heartbeat of %s has ended", self._id)
        finally:
            connection.close()

    def _beat(self) -> None:
        asked_at = time.monotonic()
        if self._silence > self._longest_silence:
            self._lose()  # frozen meanwhile: what was at work is killed by its guard, so nothing may go on
            return
        try:
            alive, cancelled = self._renew()
        except Error as error:
            logger.warning("the lease of %s could not be renewed: %s", self._id, error)
            connection.close()
            if self._silence > self._longest_silence:
                self._lose()
            return
        if not alive:
            self._lose()
            return
        self._renewed_at = asked_at
        self._executor.renew(self._id, asked_at)
        if cancelled and not self.is_cancelled:
            self.is_cancelled = True
            self._interrupt()
        if asked_at > self._limit_at and not self.is_late:
            self.is_late = True
            self._interrupt()

    def _renew(self) -> tuple[bool, bool]:
        with workspace_scope([self._workspace_id]):
            mine = Deployment.objects.filter(pk=self._id, fence=self._fence, lease_token=self._token, state__in=ACTIVE)
            if not mine.update(lease_until=clock_in(settings.ENGINE_LEASE)):
                return False, False
            return True, mine.filter(cancel_requested_at__isnull=False).exists()

    def _lose(self) -> None:
        # No warning: its owner may have ended the attempt this moment, and warns itself where it has not.
        logger.info("fence %s of %s is no longer ours", self._fence, self._id)
        self._lost = True
        self._interrupt()

    def _interrupt(self) -> None:
        self._changed.set()
        self._executor.cancel(self._id)


def look_at(deployment_id: UUID) -> None:
    """This function will make the owner of an attempt look at its row now, if the owner is in this process."""
    with _kept_lock:
        lease = _kept.get(deployment_id)
    if lease:
        lease.look()


def stop_all() -> int:
    """This function will end all attempts of this process, because it ends itself; return how many."""
    with _kept_lock:
        leases = list(_kept.values())
    for lease in leases:
        lease.stop()
    return len(leases)
