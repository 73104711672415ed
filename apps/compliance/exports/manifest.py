"""What an export is, beside its file: nothing of this stands in the rows."""

from typing import Any

from apps.audit.notes import rfc3339
from apps.compliance.enums import ExportForm
from apps.compliance.models import AuditExport

FORMAT = "eaip-audit-export/1"


def manifest_of(export: AuditExport) -> dict[str, Any]:
    """This function will describe an export, loaded with who asked for it."""
    return {
        "format": FORMAT,
        "id": str(export.pk),
        "form": ExportForm(export.form).suffix,
        "state": export.state,
        "asked_by": str(export.asked_by),
        "token": export.token.name if export.token else None,
        "asked_at": rfc3339(export.asked_at),
        "ended_at": rfc3339(export.ended_at) if export.ended_at else None,
        "expires_at": rfc3339(export.expires_at) if export.expires_at else None,
        "workspaces": [str(workspace_id) for workspace_id in export.workspaces],
        "criteria": export.asked,
        "file": export.file_name,
        "expected_rows": export.expected_rows,
        "rows": export.rows,
        "bytes": export.bytes,
        "sha256": export.sha256 or None,
        "detail": export.detail or None,
        "heads": export.heads,
    }
