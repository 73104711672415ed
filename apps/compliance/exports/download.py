"""The answer that hands an export out, to pages and programs alike."""

from django.http import HttpRequest, HttpResponseBase

from apps.accounts.models import User
from apps.audit.actors import Actor
from apps.compliance.actions import downloaded, require_ready
from apps.compliance.enums import ExportForm
from apps.compliance.exports import files
from apps.compliance.models import AuditExport
from apps.core import ranged_file


def file_response(request: HttpRequest, export: AuditExport, *, by: User | Actor) -> HttpResponseBase:
    """This function will answer with the bytes that are asked for, and write down who takes them.

    Raises NotReady: there is no file.
    """
    require_ready(export)
    etag = f'"{export.sha256}"'
    span = ranged_file.span_of(request, size=export.bytes, etag=etag)
    if request.method == "GET" and span is not None:
        downloaded(export, span=f"{span.first}-{span.last}", by=by)
    response = ranged_file.answer(
        request,
        files.place(export.pk),
        span,
        size=export.bytes,
        etag=etag,
        content_type=ExportForm(export.form).content_type,
    )
    response["Content-Disposition"] = f'attachment; filename="{export.file_name}"'
    return response
