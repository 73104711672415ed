"""Events as far as a test wants them: lists as a pipeline sends them, kept by the actions that people call."""

import json
from datetime import datetime
from typing import Any

from apps.releases import actions
from apps.releases.models import EventConsumer, EventVersion, Evidence, Release
from tests.cast import NOW
from tests.world import World

SUBJECT = "orders.placed"
ORDER: dict[str, Any] = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "total": {"type": "number"}},
    "required": ["id"],
}
# Readers of the first are not told of a currency; readers of the second refuse what has no total.
WITH_CURRENCY = {**ORDER, "properties": {**ORDER["properties"], "currency": {"type": "string"}}}
STRICTER = {**ORDER, "required": ["id", "total"]}


def event(version: str = "1.0", schema: Any = ORDER, **fields: Any) -> dict[str, Any]:
    return {"subject": SUBJECT, "version": version, "mode": "BACKWARD", "closed": True, "schema": schema, **fields}


def listed(*events: dict[str, Any]) -> bytes:
    return json.dumps({"events": events}).encode()


def publish(world: World, release: Release, *events: dict[str, Any], now: datetime = NOW) -> Evidence:
    by = world.cast.release_engineer
    return actions.keep_evidence(release, kind="EVENTS", report=listed(*events), by=by, now=now)[0]


def event_version(world: World) -> EventVersion:
    """Let the release of the world publish one event, and return its version."""
    publish(world, world.release, event())
    return EventVersion.objects.select_related("subject__service").get(subject__name=SUBJECT, number=1)


def consumer(world: World) -> EventConsumer:
    """Let a service consume that event."""
    by = world.cast.release_engineer
    return actions.opt_in(event_version(world), world.service, by=by, now=NOW)[0]
