"""The lifelines of the steps that run in this process, by their deployment.

They also know when each lease was renewed last while no step runs: a step that begins late, because the worker stood
still, begins with the age that the lease has.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from apps.deployments.executors.guard import Lifeline

MOMENTS_KEPT = 1000  # many times what one worker has at work, so that none of these is forgotten


class Lifelines:
    def __init__(self) -> None:
        self._known: dict[UUID, Lifeline] = {}
        self._renewed: dict[UUID, float] = {}
        self._lock = threading.Lock()

    @contextmanager
    def of(self, deployment_id: UUID) -> Iterator[Lifeline]:
        """Give a step a lifeline that `renew` and `cancel` find while it runs."""
        with self._lock:
            lifeline = self._known[deployment_id] = Lifeline(self._renewed.get(deployment_id))
        try:
            yield lifeline
        finally:
            with self._lock:
                if self._known.get(deployment_id) is lifeline:  # not that of a step which came after one given up
                    del self._known[deployment_id]

    def renew(self, deployment_id: UUID, at: float) -> None:
        with self._lock:
            self._renewed.pop(deployment_id, None)  # so that the oldest moment is the first
            self._renewed[deployment_id] = at
            if len(self._renewed) > MOMENTS_KEPT:
                del self._renewed[next(iter(self._renewed))]
            lifeline = self._known.get(deployment_id)
        if lifeline:
            lifeline.renew(at)

    def cancel(self, deployment_id: UUID) -> None:
        if lifeline := self._known.get(deployment_id):
            lifeline.cancel()
