from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import FileResponse, Http404, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.requests import AuthedRequest
from apps.core.keyset import page_of
from apps.core.pages import render_page
from apps.core.verdict import Refusal
from apps.dashboards import places
from apps.dashboards.places import Place
from apps.dashboards.record_forms import EvidencedForm, RecoveryForm, RefreshForm, RemovalForm
from apps.dashboards.views.environments import visible_environment
from apps.environments import actions, permissions
from apps.environments.enums import DataKind
from apps.environments.models import DataRefresh, RecoveryRecord
from apps.integrations.artifact_store import ArtifactStore

# Two forms of one page: the fields of each have their own ids.
REMOVAL_IDS = "id_removal_%s"


@require_safe
def data_list(request: AuthedRequest, workspace: str, slug: str) -> HttpResponse:
    return _data(request, _place(request, workspace, slug))


@require_POST
def data_create(request: AuthedRequest, workspace: str, slug: str) -> HttpResponse:
    place = _place(request, workspace, slug)
    permissions.may_record(request.user, place.environment).require()
    rules = place.data_rules
    form = RefreshForm(request.POST, request.FILES, environment=place.environment, rules=rules)
    if not form.is_valid():
        return _data(request, place, form)
    try:
        actions.record_refresh(place.environment, rules=rules, **form.wanted(), by=request.user, now=timezone.now())
    except Refusal as refusal:
        return _data(request, place, form, status=_told(request, form, refusal))
    messages.success(request, "The refresh is on record.")
    return redirect("environments:data-list", workspace, slug)


@require_POST
def data_removal(request: AuthedRequest, workspace: str, slug: str) -> HttpResponse:
    place = _place(request, workspace, slug)
    permissions.may_record(request.user, place.environment).require()
    form = RemovalForm(request.POST, request.FILES, auto_id=REMOVAL_IDS)
    if not form.is_valid():
        return _data(request, place, removal=form, status=422)
    try:
        actions.record_removal(place.environment, **form.wanted(), by=request.user, now=timezone.now())
    except Refusal as refusal:
        return _data(request, place, removal=form, status=_told(request, form, refusal))
    messages.success(request, "The removal is on record.")
    return redirect("environments:data-list", workspace, slug)


@require_safe
def recovery_list(request: AuthedRequest, workspace: str, slug: str) -> HttpResponse:
    return _recovery(request, _place(request, workspace, slug), RecoveryForm())


@require_POST
def recovery_create(request: AuthedRequest, workspace: str, slug: str) -> HttpResponse:
    place = _place(request, workspace, slug)
    environment = place.environment
    permissions.may_record(request.user, environment).require()
    form = RecoveryForm(request.POST, request.FILES)
    if not form.is_valid():
        return _recovery(request, place, form)
    try:
        record, _is_new = actions.record_recovery(environment, **form.wanted(), by=request.user, now=timezone.now())
    except Refusal as refusal:
        return _recovery(request, place, form, status=_told(request, form, refusal))
    messages.success(request, f"{record}: on record. Deployments that waited for it start by themselves.")
    return redirect("environments:recovery-list", workspace, slug)


@require_safe
def evidence(request: AuthedRequest, workspace: str, slug: str, record_id: UUID) -> FileResponse:
    environment = visible_environment(request, workspace, slug)
    for model in (DataRefresh, RecoveryRecord):
        record = model.objects.filter(pk=record_id, environment=environment).exclude(evidence_name="").first()
        if record is not None:
            file = ArtifactStore(settings.ARTIFACT_DIR).path(record.evidence_sha256).open("rb")
            # Whatever somebody sent is never shown by a browser as a page of this portal.
            kind = "application/octet-stream"
            return FileResponse(file, as_attachment=True, filename=record.evidence_name, content_type=kind)
    raise Http404


def _told(request: AuthedRequest, form: EvidencedForm, refusal: Refusal) -> int:
    """What was written stays on the page, so a refusal is told beside it instead of on a page of its own."""
    request.refusal = refusal
    form.add_error(None, f"{refusal.sentence} {refusal.next_step}".strip())
    return refusal.status


def _place(request: AuthedRequest, workspace: str, slug: str) -> Place:
    return places.one(visible_environment(request, workspace, slug), [], now=timezone.now())


def _data(
    request: AuthedRequest,
    place: Place,
    form: RefreshForm | None = None,
    removal: RemovalForm | None = None,
    status: int = 200,
) -> HttpResponse:
    rules = place.data_rules
    refreshes = DataRefresh.objects.filter(environment=place.environment).select_related("source")
    context = {
        **_shown(request, place, form or RefreshForm(environment=place.environment, rules=rules)),
        "removal": removal or RemovalForm(auto_id=REMOVAL_IDS),
        "page": page_of(refreshes, request.GET, moment="refreshed_at"),
        "rules": rules,
        "allowed": [DataKind(kind).label for kind in rules.kinds],
    }
    return render_page(request, "dashboards/data.html", context, part="refreshes", status=status)


def _recovery(request: AuthedRequest, place: Place, form: RecoveryForm, status: int = 200) -> HttpResponse:
    records = RecoveryRecord.objects.filter(environment=place.environment)
    context = {
        **_shown(request, place, form),
        "page": page_of(records, request.GET, moment="done_at"),
    }
    return render_page(request, "dashboards/recovery.html", context, part="records", status=status)


def _shown(request: AuthedRequest, place: Place, form: EvidencedForm) -> dict[str, Any]:
    return {
        "environment": place.environment,
        "place": place,
        "may_record": permissions.may_record(request.user, place.environment),
        "form": form,
    }
