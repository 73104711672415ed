"""Asks the endpoint checks that are due: on one event loop in a thread of its own, beside a thread for the database.

The database's thread claims, hands over, collects what came back and writes it, a workspace at a time. Nothing is kept
here that matters: what dies with this process is due again after its interval.
"""

import asyncio
import logging
import threading
import time
from datetime import datetime
from queue import Empty, SimpleQueue
from uuid import UUID

from django.db import Error, close_old_connections, connection

from apps.health import asking, endpoints, reach
from apps.health.endpoints import Finding
from apps.health.models import EndpointCheck
from apps.integrations.outbound import Resolver, system_resolver
from apps.workspaces.scope import workspace_scope

log = logging.getLogger(__name__)

AT_ONCE = 300
# How long what came back waits for company before it is written.
GATHER_SECONDS = 0.1
IDLE_SECONDS = 0.5


class Watcher:
    """`start` and `stop` belong to the worker's process. One in each worker; the database parts the work among them."""

    def __init__(self, *, at_once: int = AT_ONCE, resolver: Resolver = system_resolver) -> None:
        self._at_once, self._resolver = at_once, resolver
        self._over = threading.Event()
        self._found: SimpleQueue[tuple[UUID, Finding | None]] = SimpleQueue()
        self._under_way = 0  # the database's thread alone counts
        self._loop = asyncio.new_event_loop()
        self._asker = threading.Thread(target=self._serve, name="asker", daemon=True)
        self._keeper = threading.Thread(target=self._keep, name="checks", daemon=True)

    def start(self) -> None:
        self._asker.start()
        self._keeper.start()

    def stop(self) -> None:
        """End all that is under way here. What was asked and not written is due again after its interval."""
        self._over.set()
        self._keeper.join(timeout=5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._asker.join(timeout=5)

    def turn(self) -> None:
        """Write what came back, then hand over what is due; wait a little when there is neither."""
        self._hand_over()
        collected = self._collect(GATHER_SECONDS if self._under_way else IDLE_SECONDS)
        for workspace_id, findings in collected.items():
            with workspace_scope([workspace_id]):
                endpoints.write(findings)

    def _hand_over(self) -> None:
        claimed = endpoints.claim(room) if (room := self._at_once - self._under_way) > 0 else {}
        for workspace_id, leases in claimed.items():
            with workspace_scope([workspace_id]):
                checks = list(EndpointCheck.objects.select_related("workspace").filter(pk__in=leases))
            for check in checks:
                self._under_way += 1
                asyncio.run_coroutine_threadsafe(self._ask(check, leases), self._loop)

    async def _ask(self, check: EndpointCheck, leases: dict[UUID, datetime]) -> None:
        finding = None
        try:
            policy = reach.policy_of(check.workspace.slug)
            finding = await asking.ask(check, leases[check.pk], policy, resolver=self._resolver)
        except Exception:
            log.exception("the check %s could not be asked", check.pk)
        finally:
            self._found.put((check.workspace_id, finding))

    def _collect(self, seconds: float) -> dict[UUID, list[Finding]]:
        collected: dict[UUID, list[Finding]] = {}
        until = time.monotonic() + seconds
        try:
            while True:
                workspace_id, finding = self._found.get(timeout=max(0.0, until - time.monotonic()))
                self._under_way -= 1
                if finding is not None:
                    collected.setdefault(workspace_id, []).append(finding)
        except Empty:
            return collected

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        under_way = asyncio.all_tasks(self._loop)
        for task in under_way:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*under_way, return_exceptions=True))
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def _keep(self) -> None:
        while not self._over.is_set():
            try:
                close_old_connections()
                self.turn()
            except Error as error:
                log.warning("endpoint checks: the database does not answer: %s", error)
                connection.close()
                self._over.wait(IDLE_SECONDS)
            except Exception:
                log.exception("endpoint checks have failed")
                self._over.wait(IDLE_SECONDS)
        connection.close()
