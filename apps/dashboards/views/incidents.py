from functools import partial
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.accounts.confirmation import Confirmation
from apps.accounts.enums import Capability
from apps.accounts.proving import refused_with, try_confirmed
from apps.accounts.requests import AuthedRequest
from apps.approvals import actions as approval_actions
from apps.core import live
from apps.core.keyset import page_of
from apps.core.pages import kept, render_page
from apps.dashboards.regions import call_of
from apps.deployments.enums import DeploymentKind
from apps.deployments.models import Deployment
from apps.incidents import actions, permissions
from apps.incidents.actions import Attempt
from apps.incidents.enums import DebtKind
from apps.incidents.filters import IncidentFilter
from apps.incidents.forms import DebtForm, IncidentForm, LinkForm, NoteForm, ResolutionForm, SeenForm, SeverityForm
from apps.incidents.models import Debt, Incident
from apps.policies.confirming import proof_for, step_up_of_production


@require_safe
def incident_list(request: AuthedRequest) -> HttpResponse:
    form = IncidentFilter(request.GET, workspaces=request.workspaces)
    context = {
        "form": form,
        "page": page_of(form.incidents(), request.GET, moment="declared_at"),
        "may_declare": request.rights.may_any(Capability.INCIDENT_HANDLE),
    }
    return render_page(request, "incidents/incident_list.html", context, part="incidents")


@require_http_methods(["GET", "HEAD", "POST"])
def incident_create(request: AuthedRequest) -> HttpResponse:
    workspaces = request.rights.require_any(Capability.INCIDENT_HANDLE)
    seen = SeenForm(request.GET if request.method != "POST" else request.POST).seen()
    deployment = get_object_or_404(_deployments(request), number=seen["deployment"]) if seen["deployment"] else None
    form = IncidentForm(
        request.POST or None, workspaces=workspaces, readable=request.workspaces, initial=_initial(seen, deployment)
    )
    if request.method != "POST" or not form.is_valid():
        return render_page(request, "incidents/incident_create.html", {"form": form, "deployment": deployment})
    attempt = _attempt(deployment) if deployment else None
    incident = actions.declare(**form.wanted(), attempt=attempt, by=request.user, now=timezone.now())
    messages.success(request, f"Incident {incident} is declared. Note here what happens.")
    return redirect("incidents:incident-detail", incident.number)


@require_safe
def incident_detail(request: AuthedRequest, number: int) -> HttpResponse:
    return _page(request, _visible(request, number))


@require_POST
def note_create(request: AuthedRequest, number: int) -> HttpResponse:
    incident, form = _visible(request, number), NoteForm(request.POST)
    if not form.is_valid():
        return _page(request, incident, note_form=form)
    actions.add_note(incident, **form.cleaned_data, by=request.user, now=timezone.now())
    messages.success(request, "The note is on the timeline.")
    return redirect("incidents:incident-detail", number)


@require_POST
def deployment_link(request: AuthedRequest, number: int) -> HttpResponse:
    incident, form = _visible(request, number), LinkForm(request.POST)
    permissions.may_add(request.user, incident).require()
    found = None
    if form.is_valid():
        wanted = form.cleaned_data["deployment"]
        found = _deployments(request).filter(workspace_id=incident.workspace_id, number=wanted).first()
        if found is None:
            form.add_error("deployment", f"There is no deployment #{wanted} in {incident.workspace}.")
    if found is None:
        return _page(request, incident, link_form=form)
    actions.link_deployment(incident, _attempt(found), by=request.user, now=timezone.now())
    messages.success(request, f"Deployment {found} is on the timeline.")
    return redirect("incidents:incident-detail", number)


@require_POST
def severity_change(request: AuthedRequest, number: int) -> HttpResponse:
    incident, form = _visible(request, number), SeverityForm(request.POST)
    if not form.is_valid():
        return _page(request, incident, severity_form=form)
    actions.change_severity(incident, **form.cleaned_data, by=request.user, now=timezone.now())
    messages.success(request, f"Incident {incident} is {form.cleaned_data['severity']} now.")
    return redirect("incidents:incident-detail", number)


@require_POST
def resolution(request: AuthedRequest, number: int) -> HttpResponse:
    incident, form = _visible(request, number), ResolutionForm(request.POST)
    if not form.is_valid():
        return _page(request, incident, resolution_form=form)
    actions.resolve(incident, **form.cleaned_data, by=request.user, now=timezone.now())
    messages.success(request, f"Incident {incident} is resolved. Its timeline stays open for notes.")
    return redirect("incidents:incident-detail", number)


@require_POST
def call_repeat(request: AuthedRequest, number: int) -> HttpResponse:
    actions.call_again(_visible(request, number), by=request.user)
    messages.success(request, "PagerDuty is told again within seconds.")
    return redirect("incidents:incident-detail", number)


@require_POST
def debt_pay(request: AuthedRequest, number: int, debt_id: UUID) -> HttpResponse:
    incident, form = _visible(request, number), DebtForm(request.POST)
    debt = get_object_or_404(incident.debts.with_subject(), pk=debt_id)
    if not form.is_valid():
        return _page(request, incident, debt_form=form)
    given: dict[str, Any] = {"words": form.cleaned_data["words"], "by": request.user, "now": timezone.now()}
    if debt.kind != DebtKind.APPROVAL:
        actions.pay(debt, **given)
    elif error := try_confirmed(request, partial(_approve, debt, given), now=given["now"]):
        proof = proof_for(request, step_up_of_production(), now=given["now"], error=error)
        context = {"incident": incident, "debt": debt, "form": form, "proof": proof}
        return kept(render_page(request, "incidents/debt_confirm.html", context, status=refused_with(request)))
    messages.success(request, f"{debt.what} is done.")
    return redirect("incidents:incident-detail", number)


def _approve(debt: Debt, given: dict[str, Any], confirmation: Confirmation | None) -> None:
    approval_actions.approve_afterwards(debt, confirmation=confirmation, **given)


def _page(request: AuthedRequest, incident: Incident, **bound: Any) -> HttpResponse:
    context = {
        "page": page_of(incident.entries.select_related("deployment"), request.GET, moment="at"),
        "stream": live.stream("incident", subject=incident.pk),
        **call_of(incident),
        "debts": _debts(request, incident),
        "debt_form": DebtForm(),
        "may_add": permissions.may_add(request.user, incident),
        "may_steer": permissions.may_steer(request.user, incident),
        "note_form": NoteForm(),
        "link_form": LinkForm(),
        "severity_form": SeverityForm(initial={"severity": incident.severity}),
        "resolution_form": ResolutionForm(),
        **bound,
        "form": next(iter(bound.values()), None),
    }
    return render_page(request, "incidents/incident_detail.html", context, part="timeline")


def _debts(request: AuthedRequest, incident: Incident) -> list[dict[str, Any]]:
    """Return what the incident leaves owed, and whether this person may pay it. Queries: four, or one for none."""
    debts, now = list(incident.debts.with_subject()), timezone.now()
    if not debts:
        return []
    roles = request.rights.roles.get(incident.workspace_id, frozenset())
    of_approvals = approval_actions.may_approve_afterwards(debts, by=request.user, roles=roles)
    of_documents = permissions.may_add(request.user, incident)
    return [
        {"debt": debt, "is_overdue": debt.is_overdue(now), "may_pay": of_approvals.get(debt.pk, of_documents)}
        for debt in debts
    ]


def _initial(seen: dict[str, Any], deployment: Deployment | None) -> dict[str, Any]:
    """Return what is known of the incident where somebody pressed the button."""
    if deployment is None:
        return seen
    lane = deployment.lane
    return {**seen, "workspace": lane.workspace_id, "environment": lane.environment_id, "service": lane.service_id}


def _deployments(request: AuthedRequest) -> "QuerySet[Deployment]":
    return Deployment.objects.visible_in(request.workspaces).with_subject()


def _attempt(deployment: Deployment) -> Attempt:
    back = "back " if deployment.kind == DeploymentKind.ROLLBACK else ""
    what = f"{deployment.release.service} {back}to {deployment.release} in {deployment.lane.environment}"
    return Attempt(deployment.pk, deployment.workspace_id, f"{deployment.get_kind_display()} {deployment}: {what}")


def _visible(request: AuthedRequest, number: int) -> Incident:
    return get_object_or_404(Incident.objects.visible_in(request.workspaces).with_subject(), number=number)
