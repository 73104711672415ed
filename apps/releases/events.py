"""Which event schemas have to be checked, what was found, and what a release publishes beside another."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from apps.audit import actions as audit
from apps.audit.actors import SYSTEM
from apps.core import live
from apps.releases.contracts.apart import Found
from apps.releases.contracts.changes import Change, Effect
from apps.releases.models import EventSchema

# Longer than a check may take; a worker that dies in it is followed by another after that.
CLAIM = timedelta(minutes=3)
# Changes beyond these are counted only; the worst come first.
KEPT = 200
# Stands for "beside nothing" where None means "beside what runs in Production".
NOTHING = UUID(int=0)


@dataclass(frozen=True)
class Due:
    workspace_id: UUID
    schema_id: UUID


@dataclass(frozen=True)
class EventBeside:
    """A major version of an event, as one release publishes it and as another does; a minor is None where it doesn't.

    `is_checked`, the counts and `worst` are of the new schema; `worst` names path and rule of what is not compatible.
    """

    subject: str
    number: int
    old_minor: int | None
    new_minor: int | None
    is_dropped: bool
    consumers: tuple[str, ...]
    is_checked: bool
    breaking: int
    undecided: int
    compatible: int
    worst: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.subject} {self.number}"

    @property
    def differs(self) -> bool:
        return self.old_minor != self.new_minor

    @property
    def tone(self) -> str:
        if self.new_minor is None:
            return "bad" if self.consumers else "idle"
        return "bad" if self.breaking else "warn" if self.undecided else "ok"

    @property
    def sentence(self) -> str:
        """Say what changes for those who consume it."""
        if self.new_minor is None:
            told = f"is published no longer, and consumed by {', '.join(self.consumers)}"
            return told if self.consumers else "is published no longer; nobody consumes it"
        if self.old_minor is None:
            return f"is new, as {self.number}.{self.new_minor}"
        counts = ((self.breaking, "breaking"), (self.undecided, "undecided"), (self.compatible, "compatible"))
        told = ", ".join(f"{count} {word}" for count, word in counts if count) if self.is_checked else "being checked"
        if not self.differs:
            return f"stays {self.number}.{self.new_minor}"
        return f"goes from {self.number}.{self.old_minor} to {self.number}.{self.new_minor}: {told or 'all the same'}"


@dataclass(frozen=True)
class Beside:
    """The events of a release beside those of `version`, "" where nothing runs; whether each release lists its own."""

    version: str
    is_listed: bool
    is_version_listed: bool
    events: tuple[EventBeside, ...]


def beside(release_id: UUID, live_id: UUID | None = None) -> Beside | None:
    """This function will say what a release publishes beside another (past the scope, one query).

    Without `live_id` that is what runs in a Production of whoever owns the release, the one that came there last.
    None: it is no release that the asker may read.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_jsonb(beside)::text FROM events_beside(%s, %s) beside", [release_id, live_id])
        rows = [json.loads(row) for (row,) in cursor.fetchall()]
    if not rows:
        return None
    first = rows[0]
    events = tuple(_event(row) for row in rows if row["subject"] is not None)
    return Beside(first["version"] or "", first["is_listed"], first["is_version_listed"], events)


def changes(release_id: UUID, live_id: UUID | None) -> tuple[EventBeside, ...]:
    """This function will name the events that differ once a release runs where another does (one query)."""
    found = beside(release_id, live_id or NOTHING)
    # A release without a list says nothing of its events: not that they are gone.
    return tuple(event for event in found.events if event.differs) if found and found.is_listed else ()


def due() -> list[Due]:
    """This function will look for schemas that nobody has checked or is checking (past the scope, a bounded number)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM event_checks_due()")
        return [Due(*row) for row in cursor.fetchall()]


def claim(wanted: Due) -> EventSchema | None:
    """This function will take a schema to check it for a while; None when somebody else has it, or has checked it."""
    mine = EventSchema.objects.filter(pk=wanted.schema_id)
    return mine.select_related("version__subject__service").get() if mine.claim(CLAIM) else None


def lower(schema: EventSchema) -> dict[str, str]:
    """This function will return the schemas that this one must fit, by their versions: the lower ones of its version
    that broke nothing themselves.
    """
    standing = EventSchema.objects.filter(version_id=schema.version_id, minor__lt=schema.minor, breaking=0)
    number = schema.version.number
    return {f"{number}.{minor}": source for minor, source in standing.order_by("minor").values_list("minor", "source")}


@transaction.atomic
def finish(schema: EventSchema, found: Found, *, now: datetime) -> bool:
    """This function will keep what was found; False when somebody whose claim followed was quicker."""
    counts = {effect.lower(): found.count(effect) for effect in Effect}
    rows = [_row(change) for change in found.changes[:KEPT]]
    columns = {**counts, "is_whole": found.is_whole, "found": rows, "checked_at": now}
    if not EventSchema.objects.filter(pk=schema.pk, checked_at=None).update(**columns):
        return False
    told = ", ".join(f"{count:,} {word}" for word, count in counts.items())
    audit.record(
        "event_schema.checked",
        by=SYSTEM,
        target=schema,
        service_id=schema.version.subject.service_id,
        summary=f"The schema {schema} beside lower ones: {told}.",
        after={"digest": schema.digest, **counts},
    )
    live.hint(schema.workspace_id, f"release:{schema.release_id}")
    return True


def _row(change: Change) -> list[str]:
    return [change.operation, change.place, change.rule, change.effect.value, change.sentence]


def _event(row: Mapping[str, Any]) -> EventBeside:
    bad = [f"{place} {rule} ({told})" for told, place, rule, effect, _ in row["found"] or () if effect != "COMPATIBLE"]
    return EventBeside(
        subject=row["subject"],
        number=row["number"],
        old_minor=row["old_minor"],
        new_minor=row["new_minor"],
        is_dropped=row["is_dropped"],
        consumers=tuple(row["consumers"]),
        is_checked=bool(row["is_checked"]),
        breaking=row["breaking"] or 0,
        undecided=row["undecided"] or 0,
        compatible=row["compatible"] or 0,
        worst=tuple(bad),
    )
