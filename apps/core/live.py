"""Hints for open pages: what changed, told after commit through Redis, so that live regions are rendered anew.

A hint is no truth and may be lost, late or repeated. A dead Redis costs nobody more than a second, and then nothing
for a while: pages fall back to polling.
"""

import json
import logging
import time
from functools import cache
from urllib.parse import urlsplit
from uuid import UUID

import redis
from django.conf import settings
from django.db import transaction

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 0.5
REST_SECONDS = 5.0

_resting_until = 0.0


def channel() -> str:
    """Return the name of this installation's channel: Redis itself does not part channels by database number."""
    return f"eaip:{urlsplit(settings.REDIS_URL).path.strip('/') or '0'}:live"


def hint(workspace_id: UUID, *topics: str) -> None:
    """Tell open pages, once the transaction is committed, that these topics of the workspace changed.

    Topics: "lane:<id>", "deployment:<id>", "promotion:<id>", "release:<id>", "environment:<id>", "session:<user id>",
    "freeze", "audit".
    """
    message = json.dumps({"workspace": str(workspace_id), "topics": topics})
    transaction.on_commit(lambda: _publish(message), robust=True)


def _publish(message: str) -> None:
    global _resting_until
    if time.monotonic() < _resting_until:
        return
    try:
        _client().publish(channel(), message)
    except (redis.RedisError, OSError) as error:
        _resting_until = time.monotonic() + REST_SECONDS
        log.warning("open pages are not told of changes for %s s: %s", REST_SECONDS, error)


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_connect_timeout=PATIENCE_SECONDS, socket_timeout=PATIENCE_SECONDS
    )
