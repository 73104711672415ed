"""One subscription per process to the hints in Redis, opened anew for as long as the process lives."""

import asyncio
import json
import logging
from collections.abc import Callable
from uuid import UUID

import redis.asyncio
from django.conf import settings

from apps.core import live
from eaip.live.hub import Hub

log = logging.getLogger(__name__)

LONGEST_PAUSE = 5.0

Hear = Callable[[UUID, frozenset[str]], None]


async def listen(hub: Hub, hear: Hear) -> None:
    """Pass on every hint, and tell the hub when hints stop and when they come again. Never returns."""
    pause = 0.2
    while True:
        try:
            async with (
                redis.asyncio.from_url(settings.REDIS_URL, socket_connect_timeout=1, health_check_interval=5) as client,
                client.pubsub() as subscription,
            ):
                await subscription.subscribe(live.channel())
                await subscription.get_message(timeout=2)
                hub.regain()
                pause = 0.2
                while True:
                    message = await subscription.get_message(ignore_subscribe_messages=True, timeout=2)
                    if message:
                        _read(message["data"], hear)
        except (redis.RedisError, OSError) as error:
            if hub.is_told:
                log.warning("no hints arrive, pages poll: %s", error)
            hub.lose()
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)


def _read(data: bytes, hear: Hear) -> None:
    try:
        hint = json.loads(data)
        workspace, topics = UUID(hint["workspace"]), frozenset(map(str, hint["topics"]))
    except (ValueError, TypeError, KeyError):
        log.warning("a hint that can't be read: %r", data[:200])
        return
    hear(workspace, topics)
