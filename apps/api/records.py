"""What the jobs tell that refresh or remove an environment's data, back them up, and try to bring them back."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db import transaction

from apps.accounts.enums import Capability
from apps.api.actions import Answer
from apps.api.bodies import field
from apps.api.problems import FieldInvalid, UnknownEnvironment
from apps.audit.actors import Actor
from apps.environments import actions
from apps.environments.actions.records import BACKUP_FIGURES, TEST_FIGURES
from apps.environments.models import Environment
from apps.policies.records import rules_in_force
from apps.workspaces import rights
from apps.workspaces.models import ApiToken

Recorder = Callable[..., Answer]
REFRESH_KNOWN = {"kind", "refreshed_at", "source", "evidence"}
REMOVAL_KNOWN = {"removed_at", "evidence"}
RECOVERY_KNOWN = {"kind", "done_at", "succeeded", "evidence", *BACKUP_FIGURES, *TEST_FIGURES}
EVIDENCE_KNOWN = {"link", "sha256"}


@transaction.atomic
def refresh(token: ApiToken, slug: str, body: dict[str, Any], *, by: Actor, now: datetime) -> Answer:
    """This function will record a refresh of data. Shapes: `body` as docs/reference/api.md says.

    Raises FieldInvalid, UnknownEnvironment, and whatever `record_refresh` refuses.
    """
    environment = _environment(token, slug, by)
    _require_known(body, REFRESH_KNOWN)
    source = field(body, "source", str, "")
    row, is_new = actions.record_refresh(
        environment,
        rules=rules_in_force(environment.tier),
        kind=field(body, "kind", str),
        refreshed_at=_moment(body, "refreshed_at"),
        source=_named(token, source) if source else None,
        evidence=_evidence(body),
        by=by,
        now=now,
    )
    said = {"kind": row.kind, "source": source, "refreshed_at": row.refreshed_at.isoformat()}
    return Answer(201 if is_new else 200, {"id": str(row.pk), "environment": slug, **said})


@transaction.atomic
def removal(token: ApiToken, slug: str, body: dict[str, Any], *, by: Actor, now: datetime) -> Answer:
    """This function will record that data were removed. Shapes: `body` as docs/reference/api.md says.

    Raises FieldInvalid, UnknownEnvironment, and whatever `record_removal` refuses.
    """
    environment = _environment(token, slug, by)
    _require_known(body, REMOVAL_KNOWN)
    removed_at, evidence = _moment(body, "removed_at"), _evidence(body)
    row, is_new = actions.record_removal(environment, removed_at=removed_at, evidence=evidence, by=by, now=now)
    said = {"removed_at": row.refreshed_at.isoformat()}
    return Answer(201 if is_new else 200, {"id": str(row.pk), "environment": slug, **said})


@transaction.atomic
def recovery(token: ApiToken, slug: str, body: dict[str, Any], *, by: Actor, now: datetime) -> Answer:
    """This function will record a backup or a test of backups. Shapes: `body` as docs/reference/api.md says.

    Raises FieldInvalid, UnknownEnvironment, and whatever `record_recovery` refuses.
    """
    environment = _environment(token, slug, by)
    _require_known(body, RECOVERY_KNOWN)
    figures = {name: field(body, name, int) for name in (*BACKUP_FIGURES[1:], *TEST_FIGURES) if name in body}
    row, is_new = actions.record_recovery(
        environment,
        kind=field(body, "kind", str),
        done_at=_moment(body, "done_at"),
        succeeded=field(body, "succeeded", bool),
        figures=figures | {"point_in_time": field(body, "point_in_time", bool, False)},
        evidence=_evidence(body),
        by=by,
        now=now,
    )
    said = {"kind": row.kind, "succeeded": row.succeeded, "done_at": row.done_at.isoformat()}
    return Answer(201 if is_new else 200, {"id": str(row.pk), "environment": slug, **said})


def _environment(token: ApiToken, slug: str, by: Actor) -> Environment:
    rights.may(by, Capability.DEPLOYMENT_OPERATE, token.workspace_id).require()
    return _named(token, slug)


def _named(token: ApiToken, slug: str) -> Environment:
    found = Environment.objects.standing().filter(workspace_id=token.workspace_id, slug=slug).first()
    if found is None:
        raise UnknownEnvironment(f"There is no environment {slug[:40]} in the workspace of this token.")
    return found


def _require_known(body: dict[str, Any], known: set[str]) -> None:
    if unknown := sorted(set(body) - known):
        raise FieldInvalid(f"There is no field {', '.join(unknown)[:200]}. Fields: {', '.join(sorted(known))}.")


def _moment(body: dict[str, Any], name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(field(body, name, str))
    except ValueError as error:
        raise FieldInvalid(f"The field {name} must be a time such as 2026-11-18T02:10:00Z.") from error
    if moment.tzinfo is None or moment.year < 2000:
        raise FieldInvalid(f"The field {name} must be a time with a zone, such as 2026-11-18T02:10:00Z.")
    return moment


def _evidence(body: dict[str, Any]) -> actions.Evidence:
    given = field(body, "evidence", dict, {})
    _require_known(given, EVIDENCE_KNOWN)
    return actions.Evidence(link=field(given, "link", str, ""), sha256=field(given, "sha256", str, ""))
