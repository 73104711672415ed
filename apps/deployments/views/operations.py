"""Taking a deployment into one's hands. Each address shows what will happen, and does it when the form is sent."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.requests import AuthedRequest
from apps.approvals.models import Promotion
from apps.core import clock
from apps.core.pages import render_page
from apps.deployments import actions, permissions, reports
from apps.deployments.enums import Harm
from apps.deployments.forms import AbandonmentForm, ReasonForm, ReportForm, RollbackForm
from apps.deployments.page import rollback_offer
from apps.deployments.views.deployments import visible_deployment
from apps.environments import actions as environment_actions
from apps.environments import permissions as environment_permissions
from apps.environments.models import Hold
from apps.releases.models import Release

shown_or_sent = require_http_methods(["GET", "HEAD", "POST"])


@require_POST
def deployment_create(request: AuthedRequest, promotion_id: UUID) -> HttpResponse:
    # The engine reads all of it once the lane is its own; whoever comes late is told by the lane alone.
    promotions = Promotion.objects.visible_in(request.workspaces).select_related("lane__environment", "lane__service")
    promotion = get_object_or_404(promotions, pk=promotion_id)
    deployment = actions.start_deployment(promotion, by=request.user, now=clock.now())
    return redirect("deployments:deployment-detail", deployment.number)


@shown_or_sent
def cancellation(request: AuthedRequest, number: int) -> HttpResponse:
    deployment = visible_deployment(request, number)
    actions.may_cancel(request.user, deployment).require()
    form = ReasonForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        return render_page(request, "deployments/cancellation.html", {"deployment": deployment, "form": form})
    actions.cancel_deployment(deployment, by=request.user, now=clock.now(), **form.cleaned_data)
    messages.success(request, f"Deployment {deployment} is being cancelled.")
    return redirect("deployments:deployment-detail", number)


@shown_or_sent
def rollback(request: AuthedRequest, number: int) -> HttpResponse:
    deployment = visible_deployment(request, number)
    permissions.may_roll_back(request.user, deployment.lane).require()
    form = RollbackForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        context = {"deployment": deployment, "form": form, **rollback_offer(deployment.lane)}
        return render_page(request, "deployments/rollback.html", context)
    wanted = get_object_or_404(Release.objects.readable_in(request.workspaces), pk=form.cleaned_data["to"])
    begun = actions.roll_back(
        deployment.lane,
        to=wanted,
        reason=form.cleaned_data["reason"],
        is_restored=form.cleaned_data["restored"],
        by=request.user,
        now=clock.now(),
    )
    return redirect("deployments:deployment-detail", begun.number)


@shown_or_sent
def report(request: AuthedRequest, number: int) -> HttpResponse:
    deployment = visible_deployment(request, number)
    permissions.may_roll_back(request.user, deployment.lane).require()
    form = ReportForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        context = {"deployment": deployment, "form": form, **rollback_offer(deployment.lane)}
        return render_page(request, "deployments/report.html", context)
    harm, reason = Harm(form.cleaned_data["harm"]), form.cleaned_data["reason"]
    back = reports.report_problem(deployment, harm=harm, reason=reason, by=request.user, now=clock.now())
    messages.success(request, "Your report is kept in the audit trail.")
    return redirect("deployments:deployment-detail", back.number if back else number)


@require_POST
def look_again(request: AuthedRequest, number: int) -> HttpResponse:
    deployment = visible_deployment(request, number)
    actions.look_again(deployment, by=request.user)
    messages.success(request, f"The target of deployment {deployment} is asked now.")
    return redirect("deployments:deployment-detail", number)


@shown_or_sent
def abandonment(request: AuthedRequest, number: int) -> HttpResponse:
    deployment = visible_deployment(request, number)
    now = clock.now()
    may_abandon = permissions.may_abandon(request.user, deployment, now=now)
    if deployment.abandon_proposed_by_id != request.user.pk:
        may_abandon.require()
    form = AbandonmentForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        context = {"deployment": deployment, "form": form, "may_abandon": may_abandon}
        return render_page(request, "deployments/abandonment.html", context)
    reason = form.cleaned_data["reason"]
    if form.cleaned_data["choice"] == "DECLINE":
        actions.decline_abandonment(deployment, reason=reason, by=request.user)
        messages.success(request, f"Deployment {deployment} is not abandoned: its target is asked on.")
    elif actions.abandon_deployment(deployment, reason=reason, by=request.user, now=now).is_open:
        messages.warning(request, f"You proposed to abandon deployment {deployment}. Another person has to agree.")
    else:
        messages.warning(request, f"Deployment {deployment} is abandoned. Its lane is on hold until that is lifted.")
    return redirect("deployments:deployment-detail", number)


@shown_or_sent
def hold_lift(request: AuthedRequest, number: int) -> HttpResponse:
    deployment = visible_deployment(request, number)
    environment_permissions.may_lift_hold(request.user, deployment.lane).require()
    hold = get_object_or_404(Hold.objects.open(), lane=deployment.lane)
    form = ReasonForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        context = {"deployment": deployment, "hold": hold, "form": form}
        return render_page(request, "deployments/hold_lift.html", context)
    environment_actions.lift_hold(hold, by=request.user, now=clock.now(), **form.cleaned_data)
    messages.success(request, f"The hold is lifted: promotions may start in {deployment.lane.environment} again.")
    return redirect("deployments:deployment-detail", number)
