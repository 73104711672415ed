"""The states of an export of the trail: the only code that assigns one, and writes the event of it."""

from typing import Any
from uuid import UUID

from apps.audit import actions as audit
from apps.compliance.enums import ExportForm, ExportState
from apps.compliance.models import AuditExport
from apps.core.verdict import Conflict

ALLOWED: dict[ExportState, frozenset[ExportState]] = {
    ExportState.QUEUED: frozenset({ExportState.RUNNING, ExportState.CANCELLED}),
    ExportState.RUNNING: frozenset({ExportState.DONE, ExportState.FAILED, ExportState.CANCELLED}),
    ExportState.DONE: frozenset({ExportState.EXPIRED}),
    ExportState.FAILED: frozenset(),
    ExportState.CANCELLED: frozenset(),
    ExportState.EXPIRED: frozenset(),
}

# The kind of the event that coming to each state leaves.
KINDS: dict[ExportState, str] = {
    ExportState.RUNNING: "export.started",
    ExportState.DONE: "audit.exported",
    ExportState.FAILED: "export.failed",
    ExportState.CANCELLED: "export.cancelled",
    ExportState.EXPIRED: "export.expired",
}


class StaleExport(Conflict):
    code = "stale_export"


def advance(export: AuditExport, to: ExportState, *, by: object, summary: str, reason: str = "", **values: Any) -> None:
    """This function will bring a locked export to a state, set `values` with it, and tell each of its workspaces.

    Raises StaleExport: when its state does not lead there.
    """
    state = ExportState(export.state)
    if to not in ALLOWED[state]:
        raise StaleExport(f"This export is {state.label.lower()}, so it can't be {to.label.lower()}.")
    changed = AuditExport.objects.filter(pk=export.pk, state=state).update(state=to, **values)
    if not changed:
        raise StaleExport("This export has just changed.")
    export.refresh_from_db()
    told(export, KINDS[to], by=by, summary=summary, reason=reason)


def told(
    export: AuditExport, kind: str, *, by: object, summary: str, reason: str = "", **more: object
) -> tuple[UUID, ...]:
    """This function will write an event of an export into the trail of each workspace that it may hold entries of."""
    words = ", ".join(f"{name} = {value}" for name, value in export.asked.items()) or "everything"
    ended = {"rows": export.rows, "bytes": export.bytes, "sha256": export.sha256} if export.sha256 else {}
    after = {"format": ExportForm(export.form).suffix, **export.asked, **ended, **more}
    return tuple(
        audit.record(
            kind, by=by, target=export, workspace_id=workspace_id, summary=f"{summary}: {words}", after=after,
            reason=reason,
        )
        for workspace_id in export.workspaces
    )  # fmt: skip
