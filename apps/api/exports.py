"""Exports of the trail for programs: asked for, looked at and downloaded with one token, in its workspace alone."""

from datetime import datetime
from typing import Any
from uuid import UUID

from apps.api.identities import require_export
from apps.api.problems import FieldInvalid, UnknownExport
from apps.audit.filters import TrailFilter
from apps.compliance import actions
from apps.compliance.exports.manifest import manifest_of
from apps.compliance.models import AuditExport
from apps.workspaces.models import ApiToken

KNOWN = {"form", "filters"}
# The newest of a token; what is older is asked for by its id.
LISTED = 100


def ask(token: ApiToken, body: dict[str, Any], *, now: datetime) -> AuditExport:
    """This function will queue an export of the token's workspace on behalf of who made the token.

    Raises FieldInvalid, and whatever `compliance.actions.ask_export` refuses.
    """
    require_export(token)
    if unknown := sorted(set(body) - KNOWN):
        raise FieldInvalid(f"There is no {', '.join(unknown)[:200]}. There are: {', '.join(sorted(KNOWN))}.")
    filters, form = body.get("filters", {}), body.get("form", "")
    if not isinstance(filters, dict) or not all(isinstance(value, str) for value in filters.values()):
        raise FieldInvalid("The field filters is an object of texts.")
    trail = TrailFilter(filters, workspaces=(token.workspace_id,))
    if unknown := sorted(set(filters) - trail.fields.keys()):
        raise FieldInvalid(f"There is no filter {', '.join(unknown)[:200]}. There are: {', '.join(trail.fields)}.")
    if not trail.is_valid():
        name, errors = next(iter(trail.errors.items()))
        raise FieldInvalid(f"The filter {name} is not valid: {errors[0]}")
    if not isinstance(form, str):
        raise FieldInvalid("The field form is a text.")
    return actions.ask_export(trail, form=form.upper(), by=token.created_by, now=now, token=token)


def of_token(token: ApiToken) -> list[dict[str, Any]]:
    """This function will describe the newest exports that were asked for with this token."""
    require_export(token)
    found = AuditExport.objects.filter(token=token).select_related("asked_by", "token")
    return [manifest_of(export) for export in found.order_by("-asked_at", "-pk")[:LISTED]]


def named(token: ApiToken, export_id: UUID) -> AuditExport:
    """This function will return an export that was asked for with this token. Raises UnknownExport."""
    require_export(token)
    export: AuditExport | None = (
        AuditExport.objects.filter(token=token, pk=export_id).select_related("asked_by", "token").first()
    )
    if export is None:
        raise UnknownExport("There is no such export of this token.")
    return export
