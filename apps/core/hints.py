"""Hints for workers: which row is due, sent through Celery after commit, so that work starts at once.

A hint is no truth: what is lost, the sweeper finds in the database. A broker that is away costs a page at most one
second, and then nothing for a while.
"""

import logging
import time
from contextvars import copy_context
from functools import partial
from typing import Any
from uuid import UUID

from celery import current_app
from django.db import transaction
from kombu.exceptions import KombuError
from redis import RedisError

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 0.5
REST_SECONDS = 5.0
_PATIENT: dict[str, Any] = {
    "socket_connect_timeout": PATIENCE_SECONDS,
    "socket_timeout": PATIENCE_SECONDS,
    "max_retries": 0,
}

_resting_until = 0.0


def wake(task_name: str, id: UUID) -> None:
    """This function will tell the workers, once the transaction is committed, that a row is due."""
    transaction.on_commit(lambda: _send(task_name, id), robust=True)


def _send(task_name: str, id: UUID) -> None:
    global _resting_until
    if time.monotonic() < _resting_until:
        return
    try:
        # A connection of its own: the pooled ones are as patient as a consumer must be.
        with current_app.connection_for_write(connect_timeout=PATIENCE_SECONDS, transport_options=_PATIENT) as broker:
            send = partial(current_app.send_task, task_name, kwargs={"id": str(id)}, connection=broker, retry=False)
            # Of a hint that can't be sent, OpenTelemetry leaves its span behind as the current one: it ends in here.
            copy_context().run(send)
    except (KombuError, RedisError, OSError) as error:
        _resting_until = time.monotonic() + REST_SECONDS
        log.warning("workers are not told for %s s, the sweeper will find what is due: %s", REST_SECONDS, error)
