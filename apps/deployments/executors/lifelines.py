"""The lifelines of the steps that run in this process, by their deployment."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from apps.deployments.executors.guard import Lifeline


class Lifelines:
    def __init__(self) -> None:
        self._known: dict[UUID, Lifeline] = {}
        self._lock = threading.Lock()

    @contextmanager
    def of(self, deployment_id: UUID) -> Iterator[Lifeline]:
        """Give a step a lifeline that `renew` and `cancel` find while it runs."""
        lifeline = Lifeline()
        with self._lock:
            self._known[deployment_id] = lifeline
        try:
            yield lifeline
        finally:
            with self._lock:
                if self._known.get(deployment_id) is lifeline:  # not that of a step which came after one given up
                    del self._known[deployment_id]

    def renew(self, deployment_id: UUID) -> None:
        if lifeline := self._known.get(deployment_id):
            lifeline.renew()

    def cancel(self, deployment_id: UUID) -> None:
        if lifeline := self._known.get(deployment_id):
            lifeline.cancel()
