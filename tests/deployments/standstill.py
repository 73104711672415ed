"""Imported by a worker (`start_worker(modules=...)`): it stands still the first time it comes by the named place."""

import os
import signal
import threading

from apps.deployments.engine import claim, endings, resolve, run

_points = {os.environ["EAIP_TEST_STANDSTILL"]}


def stand_still(name: str) -> None:
    if name in _points:
        _points.clear()
        # To this thread, which takes it before it goes on; the others stop with it.
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


for module in (claim, endings, resolve, run):
    module.crashpoint = stand_still  # type: ignore[attr-defined]
