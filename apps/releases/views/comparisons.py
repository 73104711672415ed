from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_safe

from apps.accounts.requests import AuthedRequest
from apps.core.keyset import page_of
from apps.core.pages import render_page
from apps.releases import comparisons
from apps.releases.filters import ApiChangeFilter
from apps.releases.models import Release, Service


@require_safe
def api_comparison(request: AuthedRequest, service: str, version: str) -> HttpResponse:
    # Who only reads a published release of another workspace does not see what was reported of it, nor this.
    releases = Release.objects.filter(workspace_id__in=request.workspaces).select_related("service")
    release = get_object_or_404(releases, service__slug=service, version=version)
    form = ApiChangeFilter(request.GET, compared=comparisons.of_release(release))
    context: dict[str, Any] = {"release": release, "form": form}
    if chosen := form.chosen():
        context["against"], context["comparison"] = chosen
        context["page"] = page_of(form.changes(chosen[1]), request.GET, moment="rank")
    else:
        context.update(_awaited(release))
    return render_page(request, "releases/api_comparison.html", context, part="changes")


@require_safe
def api_promise_list(request: AuthedRequest, service: str) -> HttpResponse:
    of = get_object_or_404(Service.objects.visible_in(request.workspaces), slug=service)
    page, today = page_of(of.api_promises.all(), request.GET, moment="since"), timezone.now().date()
    context = {
        "service": of,
        "page": page,
        "promises": [(promise, promise.support_on(today)) for promise in page.rows],
    }
    return render_page(request, "releases/api_promise_list.html", context, part="promises")


def _awaited(release: Release) -> dict[str, Any]:
    beside = comparisons.beside(release.pk)
    if beside is None:
        return {}
    is_newer = (release.major, release.minor, release.patch, release.precedence) > beside.order
    is_awaited = is_newer and beside.new_sha256 and beside.old_sha256 and not beside.is_compared
    return {"beside": beside, "is_newer": is_newer, "is_awaited": is_awaited}
