"""Taking the audit trail away: asked for, cancelled, downloaded. Workers write it (`apps.compliance.exports`)."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from apps.accounts.enums import Capability
from apps.accounts.models import User
from apps.audit.actors import Actor
from apps.audit.filters import TrailFilter
from apps.audit.models import AuditEvent
from apps.compliance.enums import ExportForm, ExportState
from apps.compliance.export_transitions import advance, told
from apps.compliance.exports import criteria, files
from apps.compliance.models import AuditExport
from apps.core import hints
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.core.verdict import Conflict, Invalid
from apps.workspaces import rights
from apps.workspaces.models import ApiToken

# So many at a time of one person's: each takes a worker's thread, and its file room on the disk.
OPEN_AT_ONCE = 3
WRITE_TASK = "compliance.write_export"


class TooManyExports(Conflict):
    code = "too_many_exports"
    next_step = "Wait until one of them is ready, or cancel one."


class NotReady(Conflict):
    """There is no file: not yet, or not any more."""

    code = "export_not_ready"


class ExportInvalid(Invalid):
    code = "export_invalid"
    safe = "Nothing was exported."


@transaction.atomic
def ask_export(trail: TrailFilter, *, form: str, by: User, now: datetime, token: ApiToken | None = None) -> AuditExport:
    """This function will queue an export of what the filters choose, of the workspaces that they were given.

    Raises ExportInvalid: a filter or the form is not valid, or a bundle is to hold two logs. Raises TooManyExports.
    Raises Denied: somebody who may not export one of the workspaces.
    """
    if form not in ExportForm.values or not trail.is_valid():
        raise ExportInvalid("This export can't be made: a filter or the format is not valid.", next_step="Correct it.")
    actor = token.actor if token else by
    workspaces = _of(trail, form)
    for workspace_id in workspaces:
        rights.may(actor, Capability.AUDIT_EXPORT, workspace_id).require()
    # One question at a time of one person, so that two tabs together don't pass the limit.
    User.objects.select_for_update(no_key=True).get(pk=by.pk)
    if AuditExport.objects.asked_for_by(by.pk).filter(state__in=["QUEUED", "RUNNING"]).count() >= OPEN_AT_ONCE:
        raise TooManyExports(f"{OPEN_AT_ONCE} exports of yours are being written already.", safe="They go on.")
    asked = trail.criteria()
    export: AuditExport = AuditExport.objects.create(
        workspace_id=PLATFORM_WORKSPACE_ID if PLATFORM_WORKSPACE_ID in workspaces else workspaces[0],
        workspaces=list(workspaces),
        form=form,
        asked=trail.in_words(),
        criteria=criteria.kept(asked),
        asked_by=by,
        token=token,
        asked_at=now,
        expected_rows=AuditEvent.objects.all().estimated(asked, workspaces),
    )
    told(export, "export.asked", by=actor, summary=f"Asked for an export as {export.get_form_display()}")
    hints.wake(WRITE_TASK, export.pk)
    return export


@transaction.atomic
def cancel_export(export: AuditExport, *, by: User, now: datetime) -> AuditExport:
    """This function will end an export that is not ready; its worker notices within a beat. Raises StaleExport."""
    locked: AuditExport = AuditExport.objects.locked().get(pk=export.pk)
    advance(
        locked, ExportState.CANCELLED, by=by, summary=f"Cancelled the {export}", ended_at=now, lease_token=None,
        lease_until=None,
    )  # fmt: skip
    transaction.on_commit(lambda: files.remove(locked.pk))
    return locked


def downloaded(export: AuditExport, *, span: str, by: User | Actor) -> None:
    """This function will write down that somebody takes the file, or the rest of it, before a byte leaves."""
    told(export, "export.downloaded", by=by, summary="Downloaded an export", span=span)


def require_ready(export: AuditExport) -> None:
    """Raises NotReady: there is no file."""
    if export.state != ExportState.DONE:
        raise NotReady(f"There is no file: the export is {export.get_state_display().lower()}.")
    if not files.place(export.pk).exists():
        raise NotReady("The file is not where this server looks for it.", next_step="Ask for the export again.")


def _of(trail: TrailFilter, form: str) -> tuple[UUID, ...]:
    chosen = trail.cleaned_data["workspace"]
    workspaces = (UUID(str(chosen)),) if chosen else trail.workspaces
    if form == ExportForm.BUNDLE and len(workspaces) > 1:
        raise ExportInvalid(
            "A signed bundle holds the log of one workspace.",
            next_step="Choose a workspace in the filter, then export again.",
        )
    return workspaces
