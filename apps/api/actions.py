from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db import IntegrityError, transaction

from apps.accounts.enums import Capability
from apps.api.bodies import field
from apps.api.models import IdempotentRequest
from apps.api.people import person_of
from apps.api.problems import FieldInvalid, KeyReused, UnknownService
from apps.audit.actors import Actor
from apps.changelogs import actions as changelog_actions
from apps.core.texts import one_line
from apps.releases import actions as release_actions
from apps.releases.enums import ReleaseSource
from apps.releases.models import Service
from apps.workspaces import rights
from apps.workspaces.models import ApiToken

KNOWN = {
    "service", "version", "manifest", "commit", "tag", "notes", "notes_source", "published_date", "author_email",
    "author", "kind", "changes",
}  # fmt: skip


@dataclass(frozen=True)
class Answer:
    status: int
    body: Mapping[str, Any]
    again: bool = False


@transaction.atomic
def create_release_once(
    token: ApiToken, *, key: str, digest: str, body: dict[str, Any], by: Actor, now: datetime
) -> Answer:
    """This function will create and seal a release for a program, once for each key; asked again, it answers again.

    Shapes: `body` as docs/reference/api.md says; `digest` is the SHA-256 (hex) of its bytes.
    Raises KeyReused: the key was used for another body. Raises UnknownService, FieldInvalid, and whatever
    `create_release` refuses.
    """
    rights.may(by, Capability.RELEASE_CREATE, token.workspace_id).require()
    request = _keep_key(token, key, digest, now) if key else None
    if request is not None and request.status:
        return Answer(request.status, request.answer, again=True)
    answer = _create_release(token, body, by=by, now=now)
    if request is not None:
        request.status, request.answer = answer.status, answer.body
        request.save(update_fields=["status", "answer"])
    return answer


def _keep_key(token: ApiToken, key: str, digest: str, now: datetime) -> IdempotentRequest:
    key = one_line(key, name="The header Idempotency-Key", limit=80)
    try:
        # Waits here for a request of the same key that is under way.
        with transaction.atomic():
            return IdempotentRequest.objects.create(
                workspace_id=token.workspace_id, token=token, key=key, body_digest=digest, requested_at=now
            )
    except IntegrityError:
        there = IdempotentRequest.objects.get(token=token, key=key)
    if there.body_digest != digest:
        raise KeyReused("This Idempotency-Key was used for another body.")
    return there


def _create_release(token: ApiToken, body: dict[str, Any], *, by: Actor, now: datetime) -> Answer:
    if unknown := sorted(set(body) - KNOWN):
        raise FieldInvalid(f"There is no field {', '.join(unknown)[:200]}. Fields: {', '.join(sorted(KNOWN))}.")
    service = Service.objects.filter(slug=field(body, "service", str), workspace_id=token.workspace_id).first()
    if service is None:
        raise UnknownService("There is no such service in the workspace of this token.")
    author = person_of(field(body, "author_email", str, ""))
    release = release_actions.create_release(
        service,
        version=field(body, "version", str),
        manifest=field(body, "manifest", dict),
        source=ReleaseSource.API,
        commit=field(body, "commit", str, ""),
        tag=field(body, "tag", str, ""),
        notes=field(body, "notes", str, ""),
        notes_source=field(body, "notes_source", str, ""),
        published_date=_date(field(body, "published_date", str, "")),
        author=author,
        author_label=field(body, "author", str, "") or str(author or ""),
        kind=field(body, "kind", str, "") or None,
        by=by,
        now=now,
    )
    changes = field(body, "changes", list, [])
    if changes:
        changelog_actions.write_changes(release, changes=changes, by=by, now=now)
    release = release_actions.seal_release(release, by=by, now=now)
    return Answer(
        201,
        {
            "id": str(release.pk),
            "service": service.slug,
            "version": release.version,
            "kind": release.kind,
            "state": release.state,
            "artifact_digest": release.artifact_digest,
            "content_hash": release.content_hash,
        },
    )


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise FieldInvalid("The field published_date must be a date such as 2026-11-18.") from error
