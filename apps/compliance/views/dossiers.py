"""Dossiers: a page to read, and copies to take away, of which the ledger tells."""

from datetime import timedelta
from uuid import UUID

from django.db import models
from django.http import Http404, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.requests import AuthedRequest
from apps.compliance.dossiers import find
from apps.compliance.dossiers.copies import Made, file_name, taken
from apps.compliance.dossiers.document import Dossier
from apps.compliance.dossiers.period import Period, period_dossier
from apps.compliance.forms import DossierForm
from apps.core.pages import attachment, render_page
from apps.core.verdict import Invalid
from apps.deployments.models import Deployment
from apps.releases.models import Release

SHOWN_ROWS = 500


@require_safe
def deployment_page(request: AuthedRequest, number: int) -> HttpResponse:
    workspaces = request.rights.require_any("AUDIT_READ")
    whole = request.GET.get("log") == "whole"
    _deployment_row, dossier = _deployment(workspaces, number, whole_log=whole)
    more = "" if whole else f"{request.path}?log=whole#log-h"
    return _page(request, dossier, copy=reverse("compliance:dossier-deployment-copy", args=[number]), whole_log=more)


@require_POST
def deployment_copy(request: AuthedRequest, number: int) -> HttpResponse:
    workspaces = request.rights.require_any("AUDIT_EXPORT")
    deployment, dossier = _deployment(workspaces, number, whole_log=request.POST.get("log") == "whole")
    return _copy(request, dossier, target=deployment, workspaces=(deployment.workspace_id,))


@require_safe
def release_page(request: AuthedRequest, service: str, version: str) -> HttpResponse:
    workspaces = request.rights.require_any("AUDIT_READ")
    copy = reverse("compliance:dossier-release-copy", args=[service, version])
    return _page(request, _release(workspaces, service, version)[1], copy=copy)


@require_POST
def release_copy(request: AuthedRequest, service: str, version: str) -> HttpResponse:
    workspaces = request.rights.require_any("AUDIT_EXPORT")
    release, dossier = _release(workspaces, service, version)
    return _copy(request, dossier, target=release, workspaces=workspaces)


@require_safe
def period_page(request: AuthedRequest) -> HttpResponse:
    workspaces, now = request.rights.require_any("AUDIT_READ"), timezone.now()
    today = now.date()
    first = {"since": (today - timedelta(days=90)).isoformat(), "until": today.isoformat()}
    form = DossierForm(request.GET if request.GET else None, workspaces=workspaces, initial=first)
    if not form.is_valid():
        return render_page(request, "compliance/dossier_period.html", {"form": form})
    dossier = period_dossier(form.period(), now=now)
    return _page(request, dossier, copy=reverse("compliance:dossier-period-copy"), form=form)


@require_POST
def period_copy(request: AuthedRequest) -> HttpResponse:
    workspaces, now = request.rights.require_any("AUDIT_EXPORT"), timezone.now()
    form = DossierForm(request.POST, workspaces=workspaces)
    if not form.is_valid():
        raise Invalid("This dossier can't be made: the period is not valid.", next_step="Correct it on its page.")
    period: Period = form.period()
    dossier = period_dossier(period, now=now)
    target = period.environment or period.workspace
    return _copy(request, dossier, target=target, workspaces=(period.workspace.pk,))


def _deployment(workspaces: tuple[UUID, ...], number: int, *, whole_log: bool) -> tuple[Deployment, Dossier]:
    try:
        return find.deployment(workspaces, number, whole_log=whole_log)
    except Deployment.DoesNotExist as error:
        raise Http404 from error


def _release(workspaces: tuple[UUID, ...], service: str, version: str) -> tuple[Release, Dossier]:
    try:
        return find.release(workspaces, service, version, now=timezone.now())
    except Release.DoesNotExist as error:
        raise Http404 from error


def _page(
    request: AuthedRequest, dossier: Dossier, *, copy: str, form: DossierForm | None = None, whole_log: str = ""
) -> HttpResponse:
    asked = [(name, value) for name, value in request.GET.items() if name in (*DossierForm.base_fields, "log")]
    context = {
        "dossier": dossier, "sections": dossier.facts["sections"], "numbers": dossier.numbers, "form": form,
        "copy": copy, "asked": asked, "whole_log": whole_log, "shown_rows": SHOWN_ROWS,
        "may_export": request.rights.may_any("AUDIT_EXPORT"),
    }  # fmt: skip
    return render_page(request, "compliance/dossier.html", context)


def _copy(
    request: AuthedRequest, dossier: Dossier, *, target: models.Model, workspaces: tuple[UUID, ...]
) -> HttpResponse:
    form = request.POST.get("format", "pdf")
    made = Made(str(request.user), timezone.now(), request.build_absolute_uri("/").rstrip("/"))
    content = taken(dossier, made, form=form, target=target, workspaces=workspaces, by=request.user)
    return attachment(content, f"application/{form}", f"{file_name(dossier)}.{form}")
