from uuid import UUID

from django.http import HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.accounts.enums import Capability
from apps.accounts.requests import AuthedRequest
from apps.audit.filters import TrailFilter
from apps.compliance import actions
from apps.compliance.exports.download import file_response
from apps.compliance.exports.manifest import manifest_of
from apps.compliance.models import AuditExport
from apps.compliance.querysets import AuditExportQuerySet
from apps.core import live
from apps.core.keyset import page_of
from apps.core.pages import moved, render_page


@require_http_methods(["GET", "HEAD", "POST"])
def export_list(request: AuthedRequest) -> HttpResponse:
    """A person's own exports, newest first; the trail's page sends its filters here to begin one."""
    workspaces = request.rights.require_any(Capability.AUDIT_EXPORT)
    if request.method == "POST":
        trail = TrailFilter(request.POST, workspaces=workspaces)
        export = actions.ask_export(trail, form=request.POST.get("format", ""), by=request.user, now=timezone.now())
        return moved(request, "compliance:export-detail", export.pk)
    page = page_of(_mine(request), request.GET, moment="asked_at", size=20)
    return render_page(request, "compliance/export_list.html", {"page": page}, part="exports")


@require_safe
def export_detail(request: AuthedRequest, export_id: UUID) -> HttpResponse:
    stream = live.stream("export", subject=export_id)
    export = get_object_or_404(_mine(request), pk=export_id)
    return render_page(request, "compliance/export_detail.html", {"export": export, "stream": stream})


@require_POST
def export_cancel(request: AuthedRequest, export_id: UUID) -> HttpResponse:
    export = get_object_or_404(_mine(request), pk=export_id)
    actions.cancel_export(export, by=request.user, now=timezone.now())
    return moved(request, "compliance:export-detail", export.pk)


@require_safe
def export_download(request: AuthedRequest, export_id: UUID) -> HttpResponseBase:
    """The file, or the rest of it. Reading it is an event, so this GET writes one."""
    export = get_object_or_404(_mine(request), pk=export_id)
    for workspace_id in export.workspaces:
        request.rights.may(Capability.AUDIT_EXPORT, workspace_id).require()
    return file_response(request, export, by=request.user)


@require_safe
def export_manifest(request: AuthedRequest, export_id: UUID) -> HttpResponse:
    """What the file is: asked by whom, when, with which filters; how much, its hash, and the trees signed by then."""
    export = get_object_or_404(_mine(request), pk=export_id)
    response = JsonResponse(manifest_of(export), json_dumps_params={"indent": 2})
    response["Content-Disposition"] = f'attachment; filename="{export.file_name}.manifest.json"'
    return response


def _mine(request: AuthedRequest) -> AuditExportQuerySet:
    workspaces = request.rights.require_any(Capability.AUDIT_EXPORT)
    exports: AuditExportQuerySet = AuditExport.objects.visible_in(workspaces).asked_for_by(request.user.pk)
    return exports.select_related("asked_by", "token")
