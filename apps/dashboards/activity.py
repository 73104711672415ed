"""The feed of what happened: a few kinds of ledger events, told as they were recorded."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from apps.audit.models import AuditEvent

LENGTH = 8
# Icon and tone of the kinds that people follow; everything else is in the audit trail.
SHOWN = {
    "release.sealed": ("package-check", "ok"),
    "release.quarantined": ("octagon-alert", "bad"),
    "promotion.requested": ("user-check", "wait"),
    "promotion.rejected": ("x", "bad"),
    "decision.approved": ("check", "ok"),
    "decision.rejected": ("x", "bad"),
    "deployment.starting": ("rocket", "run"),
    "deployment.succeeded": ("rocket", "ok"),
    "deployment.failed": ("circle-x", "bad"),
    "deployment.abandoned": ("circle-x", "bad"),
    "deployment.cancelled": ("ban", "idle"),
    "freeze.set": ("snowflake", "bad"),
    "freeze.lifted": ("sun", "ok"),
    "hold.set": ("hand", "warn"),
    "hold.lifted": ("hand", "ok"),
    "configuration.written": ("settings-2", "idle"),
    "environment.created": ("server", "ok"),
    "environment.destroyed": ("server", "idle"),
    "service.registered": ("boxes", "ok"),
}


@dataclass(frozen=True)
class Happening:
    id: UUID
    icon: str
    tone: str
    summary: str
    at: datetime
    who: str


def latest(workspaces: tuple[UUID, ...]) -> list[Happening]:
    """Return the last events that people follow, newest first, in one query."""
    events = AuditEvent.objects.visible_in(workspaces).filter(kind__in=list(SHOWN)).newest_first()
    rows = events.values_list("event_id", "kind", "summary", "recorded_at", "actor_label")[:LENGTH]
    return [Happening(key, *SHOWN[kind], summary, at, who) for key, kind, summary, at, who in rows]
