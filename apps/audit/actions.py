import json
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, models

from apps.audit.actors import actor_of, as_json
from apps.audit.fingerprints import without_secrets
from apps.audit.kinds import KINDS
from apps.audit.people import impersonal, names_of
from apps.audit.source import current_source
from apps.core import live
from apps.core.platform import PLATFORM_WORKSPACE_ID

Change = Mapping[str, Any]

# What an auditor judges the rest by is not for everybody to write: each kind of it has a function of the database.
DOORS = {"audit.key_rotated": "record_rotation", "retention.cut": "record_cut"}


class UnknownKind(ValueError):
    """Programming error: an event's kind is not in `apps.audit.kinds`."""


def record(
    kind: str,
    *,
    by: object,
    target: models.Model | None,
    summary: str,
    workspace_id: UUID | None = None,
    environment_id: UUID | None = None,
    service_id: UUID | None = None,
    before: Change | None = None,
    after: Change | None = None,
    reason: str = "",
    outcome: str = "SUCCESS",
    approval: Change | None = None,
    causation: Change | None = None,
    target_details: Change | None = None,
    people: Iterable[object] = (),
    own: Any = connection,
) -> UUID:
    """Write one event of the ledger in the caller's transaction and return its id.

    `workspace_id` defaults to the target's own, else the platform's. `before` and `after` map field names to plain
    values; `outcome` is SUCCESS, REFUSED or FAILED. Time and transaction id come from the database. What looks like a
    secret, in any field, is kept as a fingerprint (`fingerprints`). `people` are those, beside the actor and a person
    who is the target, whom the texts name: their names are shown, and are not among the sealed bytes (`people`).
    `own` is the connection of whoever has one of their own.
    Raises UnknownKind: when `kind` is not in `apps.audit.kinds`.
    """
    if kind not in KINDS:
        raise UnknownKind(kind)
    actor = actor_of(by)
    source = current_source()
    owner: UUID = workspace_id or getattr(target, "workspace_id", None) or PLATFORM_WORKSPACE_ID
    subject = {
        "type": str(target._meta.model_name) if target is not None else "",
        "id": str(target.pk) if target is not None else "",
        "label": str(target)[:200] if target is not None else "",
        **(target_details or {}),
    }
    event: dict[str, Any] = {
        "workspace_id": owner,
        "kind": kind,
        "outcome": outcome,
        "actor": as_json(actor, source),
        "target": without_secrets(subject),
        "environment_id": environment_id,
        "service_id": service_id,
        "request_id": source.request_id,
        "source": without_secrets(source.as_json()),
        "summary": without_secrets(summary)[:500],
        "reason": without_secrets(reason),
        "change": without_secrets(_change(before or {}, after or {})),
        "approval": without_secrets(approval or {}),
        "causation": {**source.causation, **(causation or {})},
    }
    usual = {actor.id: actor.label[:150]} if actor.type == "PERSON" else {}
    if subject["type"] == "user":
        usual[subject["id"]] = subject["label"]
    event |= impersonal(event, usual=usual, named=names_of(people))
    with own.cursor() as cursor:
        # A NUL can't be stored in PostgreSQL's text; it becomes the visible replacement character.
        text = json.dumps(event, cls=DjangoJSONEncoder, ensure_ascii=False).replace("\\u0000", "\ufffd")
        cursor.execute(f"SELECT {DOORS.get(kind, 'record_event')}(%s::jsonb)", [text])
        event_id: UUID = cursor.fetchone()[0]
    # Whatever the ledger learns, open pages show: no action has to remember it.
    live.hint(owner, "audit", f"{subject['type']}:{subject['id']}")
    return event_id


def _change(before: Change, after: Change) -> dict[str, dict[str, Any]]:
    fields = [*before, *(name for name in after if name not in before)]
    return {
        name: {"before": before.get(name), "after": after.get(name)}
        for name in fields
        if before.get(name) != after.get(name)
    }


def record_export(
    asked: Change,
    *,
    form: str,
    workspaces: tuple[UUID, ...],
    by: object,
    kind: str = "audit.exported",
    what: str = "the audit trail",
    target: models.Model | None = None,
    **more: object,
) -> None:
    """Record that somebody takes something out, once in each workspace that it may be about."""
    criteria = {name: str(value) for name, value in asked.items() if value}
    said = ", ".join(f"{name} = {value}" for name, value in criteria.items()) or "everything"
    for workspace_id in workspaces:
        record(
            kind,
            by=by,
            target=target,
            workspace_id=workspace_id,
            summary=f"Exported {what} as {form.upper()}: {said}",
            after={"format": form, **more, **criteria},
        )
