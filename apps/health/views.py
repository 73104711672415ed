"""Pages of endpoint checks: those of one service in one environment, and each with what was answered."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from apps.accounts.requests import AuthedRequest
from apps.core.keyset import page_of
from apps.core.pages import render_page
from apps.environments import permissions
from apps.environments.models import Lane
from apps.health import actions, measures, reach
from apps.health import permissions as health_permissions
from apps.health.forms import CheckForm, QueriesForm, VerdictForm
from apps.health.history import history_of
from apps.health.measures import Tried
from apps.health.models import EndpointCheck, EndpointSample

shown_or_sent = require_http_methods(["GET", "HEAD", "POST"])


@require_safe
def check_list(request: AuthedRequest, lane_id: UUID) -> HttpResponse:
    lane = _visible_lane(request, lane_id)
    wanted = VerdictForm(request.GET)
    checks = EndpointCheck.objects.filter(lane=lane)
    if wanted.is_valid() and (verdict := wanted.cleaned_data["verdict"]):
        checks = checks.filter(verdict=verdict)
    context = {
        "lane": lane,
        "wanted": wanted,
        "page": page_of(checks, request.GET, moment="created_at"),
        "may_manage": permissions.may_manage(request.user, lane.environment),
    }
    return render_page(request, "health/check_list.html", context, part="checks")


@shown_or_sent
def check_create(request: AuthedRequest, lane_id: UUID) -> HttpResponse:
    lane = _visible_lane(request, lane_id)
    permissions.may_manage(request.user, lane.environment).require()
    form = CheckForm(request.POST if request.method == "POST" else None, lane=lane)
    if not form.is_valid():
        return render_page(request, "health/check_form.html", {"lane": lane, "form": form, **_reach(lane)})
    check = actions.create_check(lane, **form.cleaned_data, by=request.user, now=timezone.now())
    messages.success(request, f"{check} is set and asked within seconds.{_told_later(check)}")
    return redirect("health:check-detail", check.pk)


@require_safe
def check_detail(request: AuthedRequest, check_id: UUID) -> HttpResponse:
    check = _visible(request, check_id)
    samples = EndpointSample.objects.filter(endpoint=check)
    context = {
        "check": check,
        "lane": check.lane,
        "is_name": reach.is_name(check.url),
        "history": history_of(check),
        "page": page_of(samples, request.GET, moment="checked_at", size=25),
        "may_manage": permissions.may_manage(request.user, check.lane.environment),
    }
    return render_page(request, "health/check_detail.html", context, part="found")


@shown_or_sent
def check_change(request: AuthedRequest, check_id: UUID) -> HttpResponse:
    check = _visible(request, check_id)
    lane = check.lane
    permissions.may_manage(request.user, lane.environment).require()
    sent = request.POST if request.method == "POST" else None
    form = CheckForm(sent, lane=lane, check=check, initial=actions.described(check))
    if not form.is_valid():
        context = {"check": check, "lane": lane, "form": form, **_reach(lane)}
        return render_page(request, "health/check_form.html", context)
    check = actions.change_check(check, **form.cleaned_data, by=request.user, now=timezone.now())
    messages.success(request, f"{check} is changed and asked within seconds.{_told_later(check)}")
    return redirect("health:check-detail", check.pk)


@shown_or_sent
def check_remove(request: AuthedRequest, check_id: UUID) -> HttpResponse:
    check = _visible(request, check_id)
    permissions.may_manage(request.user, check.lane.environment).require()
    if request.method != "POST":
        return render_page(request, "health/check_remove.html", {"check": check, "lane": check.lane})
    actions.remove_check(check, by=request.user, now=timezone.now())
    messages.success(request, f"{check} is removed. What it was stays in the audit trail.")
    return redirect("health:check-list", check.lane_id)


@shown_or_sent
def queries(request: AuthedRequest, lane_id: UUID, *, of_service: bool) -> HttpResponse:
    lane = _visible_lane(request, lane_id)
    may_measure = health_permissions.may_measure(request.user, lane, of_service=of_service)
    if request.method == "POST":
        may_measure.require()
    row = measures.stored(lane, of_service=of_service)
    # What was read when the form was first shown, also after a mistake or a try.
    seen, status = request.POST.get("seen", row.edition), 200
    sent = request.POST if request.method == "POST" else None
    form = QueriesForm(sent, initial={name: getattr(row, name) for name in measures.FIELDS})
    tried: list[Tried] = []
    if form.is_valid() and "try" in request.POST:
        for name, value in form.cleaned_data.items():
            setattr(row, name, value)
        tried = list(measures.tried(lane, measures.measure_of(lane, row).queries))
    elif form.is_valid():
        try:
            actions.set_queries(
                lane, of_service=of_service, seen=seen, **form.cleaned_data, by=request.user, now=timezone.now()
            )
        except actions.QueriesChanged as changed:  # told in the form, which keeps what was written
            form.add_error(None, f"{changed.sentence} {changed.next_step}")
            seen, status = row.edition, changed.status
        else:
            messages.success(request, "It is measured so from the next deployment on.")
            return redirect(request.path)
    context = {"lane": lane, "of_service": of_service, "form": form, "tried": tried, "may_measure": may_measure,
               "seen": seen,
               "measure": measures.measure_of(lane), "is_asked": bool(settings.PROMETHEUS_URL)}  # fmt: skip
    return render_page(request, "health/queries.html", context, status=status)


def _told_later(check: EndpointCheck) -> str:
    later = " Where its name leads is judged each time: the first answer says whether it may be asked."
    return later if reach.is_name(check.url) else ""


def _reach(lane: Lane) -> dict[str, Any]:
    policy = reach.policy_of(lane.environment.workspace.slug)
    return {"ports": sorted(policy.ports), "networks": policy.inside}


def _visible(request: AuthedRequest, check_id: UUID) -> EndpointCheck:
    checks = EndpointCheck.objects.visible_in(request.workspaces)
    standing = checks.filter(lane__removed_at=None, lane__environment__destroyed_at=None)
    related = ("lane__environment__workspace", "lane__service", "created_by")
    return get_object_or_404(standing.select_related(*related), pk=check_id)


def _visible_lane(request: AuthedRequest, lane_id: UUID) -> Lane:
    lanes = Lane.objects.visible_in(request.workspaces).standing()
    return get_object_or_404(lanes.select_related("environment__workspace", "service"), pk=lane_id)
