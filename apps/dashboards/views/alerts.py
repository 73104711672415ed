from typing import Any

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from apps.accounts.requests import AuthedRequest
from apps.core.keyset import page_of
from apps.core.pages import render_page
from apps.dashboards.filters import AlertFilter
from apps.dashboards.views.environments import visible_environment
from apps.environments.models import Environment
from apps.health import links
from apps.health.links import Link


@require_safe
def alert_list(request: AuthedRequest, workspace: str, slug: str) -> HttpResponse:
    environment = visible_environment(request, workspace, slug)
    form = AlertFilter(request.GET, environment=environment)
    page = page_of(form.alerts(), request.GET, moment="starts_at")
    for alert in page.rows:
        alert.links = _links(alert, environment)
    context = {"environment": environment, "form": form, "page": page}
    return render_page(request, "dashboards/alert_list.html", context, part="alerts")


def _links(alert: Any, environment: Environment) -> list[Link]:
    return links.links(
        service=alert.lane.service.slug,
        environment=environment.slug,
        workspace=environment.workspace.slug,
        since=alert.starts_at - links.AROUND,
        until=alert.starts_at + links.AROUND,
    )
