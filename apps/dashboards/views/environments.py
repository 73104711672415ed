from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.accounts.enums import Capability
from apps.accounts.requests import AuthedRequest
from apps.configuration import actions as configuration_actions
from apps.core.pages import render_page
from apps.dashboards import estate, needs, places
from apps.dashboards.comparison import compared
from apps.dashboards.forms import (
    CloseWatchForm,
    ComparisonForm,
    ConfigurationForm,
    EnvironmentForm,
    FreezeForm,
    LaneForm,
    ResourceForm,
    WindowForm,
)
from apps.dashboards.navigation import navigation_of
from apps.environments import actions
from apps.environments.models import Environment, Freeze, Lane, Resource, Window
from apps.health import actions as health_actions

Forms = dict[str, Any]


@require_safe
def environment_list(request: AuthedRequest) -> HttpResponse:
    context = {
        "lines": estate.table(request.workspaces, navigation_of(request).freezes, now=timezone.now()),
        "may_create": request.rights.may_any(Capability.PROMOTION_REQUEST),
    }
    return render_page(request, "dashboards/environment_list.html", context)


@require_http_methods(["GET", "POST"])
def environment_create(request: AuthedRequest) -> HttpResponse:
    form = EnvironmentForm(request.POST or None, workspaces=request.workspaces)
    if request.method == "POST" and form.is_valid():
        values = dict(form.cleaned_data)
        workspace = values.pop("workspace")
        environment = actions.create_environment(workspace, **values, by=request.user, now=timezone.now())
        messages.success(request, f"{environment} is created. Prepare services in it.")
        return _to(environment)
    return render_page(request, "dashboards/environment_create.html", {"form": form})


@require_safe
def environment_detail(request: AuthedRequest, workspace: str, slug: str) -> HttpResponse:
    return _page(request, visible_environment(request, workspace, slug), {})


@require_safe
def environment_requirements(request: AuthedRequest, workspace: str, slug: str) -> HttpResponse:
    environment = visible_environment(request, workspace, slug)
    place = places.one(environment, navigation_of(request).freezes, now=timezone.now())
    context = {"environment": environment, "place": place, **needs.page(place)}
    return render_page(request, "dashboards/environment_requirements.html", context)


def _page(request: AuthedRequest, environment: Environment, bound: Forms) -> HttpResponse:
    now = timezone.now()
    freezes = estate.freezes_of(environment, navigation_of(request).freezes)
    forms: Forms = {
        "freeze_form": FreezeForm(environment=environment),
        "watch_form": CloseWatchForm(environment=environment),
        "resource_form": ResourceForm(),
        "lane_form": LaneForm(environment=environment, workspaces=request.workspaces),
        "window_form": WindowForm(),
        **bound,
    }
    place = places.one(environment, freezes, now=now)
    context = {
        "environment": environment,
        "place": place,
        "approval": estate.approval_of(place, estate.role_labels()),
        "needs": needs.tallies([place]).get(environment.pk),
        "lanes": estate.lanes(environment, now=now),
        "windows": estate.windows(environment, now=now, zone=timezone.get_current_timezone()),
        "standing_freezes": freezes,
        "incidents": estate.open_incidents(environment),
        "resources": environment.resources.filter(released_at=None),
        **estate.verdicts(request.user, environment),
        **forms,
        "form": next(iter(bound.values()), None),
        "destroy_words": f"Destroy {environment.name}",
    }
    return render_page(request, "dashboards/environment_detail.html", context)


@require_POST
def freeze_create(request: AuthedRequest, workspace: str, slug: str) -> HttpResponse:
    environment = visible_environment(request, workspace, slug)
    form = FreezeForm(request.POST, environment=environment)
    if not form.is_valid():
        return _page(request, environment, {"freeze_form": form})
    wanted = form.wanted(environment)
    actions.freeze(**wanted, workspace_id=environment.workspace_id, by=request.user, now=timezone.now())
    messages.success(request, "Frozen: no deployment starts there until the freeze ends. Rollbacks still pass.")
    return _to(environment)


@require_POST
def freeze_lift(request: AuthedRequest, freeze_id: UUID) -> HttpResponse:
    freezes = Freeze.objects.visible_in(request.workspaces)
    freeze = get_object_or_404(
        freezes.select_related("environment__workspace", "lane__environment__workspace"), pk=freeze_id
    )
    actions.lift_freeze(freeze, by=request.user, now=timezone.now())
    messages.success(request, "The freeze is lifted. What was ready starts by itself.")
    place = freeze.environment or (freeze.lane.environment if freeze.lane else None)
    return _to(place) if place else redirect("environments:environment-list")


@require_POST
def close_watch_create(request: AuthedRequest, workspace: str, slug: str) -> HttpResponse:
    environment = visible_environment(request, workspace, slug)
    form = CloseWatchForm(request.POST, environment=environment)
    if not form.is_valid():
        return _page(request, environment, {"watch_form": form})
    now, wanted = timezone.now(), form.cleaned_data
    until = now + timedelta(hours=wanted["hours"])
    lane = health_actions.watch_closely(wanted["lane"], until=until, reason=wanted["reason"], by=request.user, now=now)
    messages.success(request, f"{lane.service} is watched closely here: its checks are asked at once, and more often.")
    return _to(environment)


@require_POST
def close_watch_end(request: AuthedRequest, lane_id: UUID) -> HttpResponse:
    lane = _visible_lane(request, lane_id)
    actions.end_close_watch(lane, by=request.user, now=timezone.now())
    messages.success(request, f"The close watch of {lane.service} is over.")
    return _to(lane.environment)


@require_POST
def resource_create(request: AuthedRequest, workspace: str, slug: str) -> HttpResponse:
    environment = visible_environment(request, workspace, slug)
    form = ResourceForm(request.POST)
    if not form.is_valid():
        return _page(request, environment, {"resource_form": form})
    resource = actions.claim_resource(environment, **form.cleaned_data, by=request.user, now=timezone.now())
    messages.success(request, f"{resource.uri} belongs to {environment} alone now.")
    return _to(environment)


@require_POST
def resource_release(request: AuthedRequest, resource_id: UUID) -> HttpResponse:
    resources = Resource.objects.visible_in(request.workspaces).select_related("environment__workspace")
    resource = get_object_or_404(resources, pk=resource_id)
    actions.release_resource(resource, by=request.user, now=timezone.now())
    messages.success(request, f"{resource.uri} is given back.")
    return _to(resource.environment)


@require_POST
def lane_create(request: AuthedRequest, workspace: str, slug: str) -> HttpResponse:
    environment = visible_environment(request, workspace, slug)
    form = LaneForm(request.POST, environment=environment, workspaces=request.workspaces)
    if not form.is_valid():
        return _page(request, environment, {"lane_form": form})
    lane = actions.create_lane(environment, **form.cleaned_data, by=request.user, now=timezone.now())
    configuration_actions.write_version(lane, values={}, reason="First, empty", by=request.user, now=timezone.now())
    messages.success(request, f"{lane.service} is prepared in {environment}. Promote a release to it.")
    return _to(environment)


@require_POST
def lane_remove(request: AuthedRequest, lane_id: UUID) -> HttpResponse:
    lane = _visible_lane(request, lane_id)
    actions.remove_lane(lane, by=request.user, now=timezone.now())
    messages.success(request, f"{lane.service} is taken out of {lane.environment}.")
    return _to(lane.environment)


@require_POST
def window_create(request: AuthedRequest, workspace: str, slug: str) -> HttpResponse:
    environment = visible_environment(request, workspace, slug)
    form = WindowForm(request.POST)
    if not form.is_valid():
        return _page(request, environment, {"window_form": form})
    actions.set_window(environment, **form.cleaned_data, by=request.user, now=timezone.now())
    messages.success(request, "The window is set.")
    return _to(environment)


@require_POST
def window_remove(request: AuthedRequest, window_id: UUID) -> HttpResponse:
    windows = Window.objects.visible_in(request.workspaces).select_related("environment__workspace")
    window = get_object_or_404(windows, pk=window_id)
    actions.remove_window(window, by=request.user, now=timezone.now())
    messages.success(request, "The window is removed.")
    return _to(window.environment)


@require_POST
def environment_destroy(request: AuthedRequest, workspace: str, slug: str) -> HttpResponse:
    environment = visible_environment(request, workspace, slug)
    actions.destroy_environment(environment, by=request.user, now=timezone.now())
    messages.success(request, f"{environment} is destroyed. Its history stays in the audit trail.")
    return redirect("environments:environment-list")


@require_POST
def environment_recreate(request: AuthedRequest, workspace: str, slug: str) -> HttpResponse:
    environment = visible_environment(request, workspace, slug)
    again = actions.recreate_environment(environment, by=request.user, now=timezone.now())
    messages.success(request, f"{again} is made anew, with the same services and nothing running.")
    return _to(again)


@require_safe
def configuration_list(request: AuthedRequest, lane_id: UUID) -> HttpResponse:
    return _configuration(request, _visible_lane(request, lane_id), None)


@require_POST
def configuration_create(request: AuthedRequest, lane_id: UUID) -> HttpResponse:
    lane = _visible_lane(request, lane_id)
    form = ConfigurationForm(request.POST)
    if not form.is_valid():
        return _configuration(request, lane, form)
    version = configuration_actions.write_version(lane, **form.cleaned_data, by=request.user, now=timezone.now())
    messages.success(request, f"Version {version.number} is written. It has effect with the next deployment.")
    return redirect("environments:configuration-list", lane.pk)


def _configuration(request: AuthedRequest, lane: Lane, form: ConfigurationForm | None) -> HttpResponse:
    versions = list(estate.versions(lane))
    wanted = ComparisonForm(request.GET)
    chosen = wanted.cleaned_data if wanted.is_valid() else {"before": None, "after": None}
    newest = versions[0].values if versions else {}
    context = {
        "lane": lane,
        "versions": versions,
        "comparison": compared(versions, **chosen),
        "form": form or ConfigurationForm(initial={"values": ConfigurationForm.lines_of(newest)}),
        "may_configure": estate.may_configure(request.user, lane),
    }
    return render_page(request, "dashboards/configuration.html", context, part="comparison")


def visible_environment(request: AuthedRequest, workspace: str, slug: str) -> Environment:
    environments = Environment.objects.visible_in(request.workspaces).standing().select_related("workspace")
    return get_object_or_404(environments, workspace__slug=workspace, slug=slug)


def _visible_lane(request: AuthedRequest, lane_id: UUID) -> Lane:
    lanes = Lane.objects.visible_in(request.workspaces).filter(removed_at=None, environment__destroyed_at=None)
    related = ("environment__workspace", "service", "live_configuration", "live_release")
    return get_object_or_404(lanes.select_related(*related), pk=lane_id)


def _to(environment: Environment) -> HttpResponse:
    return redirect("environments:environment-detail", environment.workspace.slug, environment.slug)
