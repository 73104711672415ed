from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from apps.accounts.enums import Capability
from apps.accounts.requests import AuthedRequest
from apps.core import live
from apps.core.keyset import page_of
from apps.core.pages import render_page
from apps.dashboards import catalogue
from apps.dashboards.forms import SearchForm, ServiceForm
from apps.dashboards.navigation import navigation_of
from apps.releases import actions as release_actions
from apps.releases import support
from apps.releases.models import Service


@require_safe
def service_list(request: AuthedRequest) -> HttpResponse:
    form = SearchForm(request.GET)
    context = {
        "services": catalogue.services(request.workspaces, form.cleaned_data if form.is_valid() else {}),
        "search": form,
        "may_register": request.rights.may_any(Capability.RELEASE_CREATE),
    }
    return render_page(request, "dashboards/service_list.html", context, part="services")


@require_safe
def service_detail(request: AuthedRequest, slug: str) -> HttpResponse:
    service = _visible(request, slug)
    now = timezone.now()
    stream = live.stream("services", subject=service.pk)
    page = page_of(catalogue.releases(service, request.workspaces), request.GET, moment="created_at", size=20)
    context = {
        "service": service,
        **catalogue.row(service, request.workspaces, navigation_of(request).freezes, now=now),
        "page": page,
        "releases": support.of_releases(page.rows, today=now.date()),
        "watched": catalogue.watched(service, request.workspaces),
        "history": catalogue.history(service, request.workspaces),
        "stream": stream,
        "may_release": request.rights.may(Capability.RELEASE_CREATE, service.workspace_id),
    }
    return render_page(request, "dashboards/service_detail.html", context, part="releases")


@require_http_methods(["GET", "POST"])
def service_create(request: AuthedRequest) -> HttpResponse:
    workspaces = request.rights.require_any(Capability.RELEASE_CREATE)
    form = ServiceForm(request.POST or None, workspaces=workspaces)
    if request.method == "POST" and form.is_valid():
        values = dict(form.cleaned_data)
        service = release_actions.register_service(
            values.pop("workspace"), **values, by=request.user, now=timezone.now()
        )
        messages.success(
            request, f"{service} is registered. Prepare it in an environment, then create its first release."
        )
        return redirect("releases:service-detail", service.slug)
    return render_page(request, "dashboards/service_create.html", {"form": form})


def _visible(request: AuthedRequest, slug: str) -> Service:
    # Without its workspace: a customer sees a published service, and not the workspace that publishes it.
    return get_object_or_404(Service.objects.readable_in(request.workspaces), slug=slug)
