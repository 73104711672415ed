from uuid import UUID

from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from apps.audit import actions
from apps.audit.export import CONTENT_TYPES, stream
from apps.audit.filters import TrailFilter
from apps.audit.models import AuditEvent
from apps.core.keyset import page_of
from apps.core.pages import render_page
from apps.core.requests import ScopedRequest
from apps.core.verdict import Invalid


@require_safe
def event_list(request: ScopedRequest) -> HttpResponse:
    trail = TrailFilter(request.GET, workspaces=request.rights.require_any("AUDIT_READ"))
    page = page_of(trail.events(), request.GET, moment="recorded_at")
    may_export = request.rights.may_any("AUDIT_EXPORT")
    context = {"form": trail, "page": page, "may_export": may_export, "subject": _subject(trail, page.rows)}
    return render_page(request, "audit/event_list.html", context, part="events")


@require_safe
def event_detail(request: ScopedRequest, event_id: UUID) -> HttpResponse:
    workspaces = request.rights.require_any("AUDIT_READ")
    event = get_object_or_404(AuditEvent.objects.visible_in(workspaces), pk=event_id)
    return render_page(
        request, "audit/event_detail.html", {"event": event, "canonical": bytes(event.canonical).decode()}
    )


@require_POST
def export_create(request: ScopedRequest) -> StreamingHttpResponse:
    workspaces = request.rights.require_any("AUDIT_EXPORT")
    trail = TrailFilter(request.POST, workspaces=workspaces)
    form = request.POST.get("format", "csv")
    if form not in CONTENT_TYPES or not trail.is_valid():
        raise Invalid(
            "This export can't be made: a filter or the format is not valid.", next_step="Correct the filters."
        )
    actions.record_export(trail.in_words(), form=form, workspaces=workspaces, by=request.user)
    response = StreamingHttpResponse(
        stream(trail.events(), form, workspaces=workspaces), content_type=CONTENT_TYPES[form]
    )
    name = f"eaip-audit-{timezone.now():%Y%m%dT%H%M%SZ}.{form}"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["X-Accel-Buffering"] = "no"
    return response


def _subject(trail: TrailFilter, rows: list[AuditEvent]) -> str:
    """Return the name of the one object whose history this is, as its newest event knew it."""
    about = trail.is_valid() and trail.cleaned_data.get("object")
    return (rows[0].target_label or about[1]) if about and rows else ""
