from django.http import HttpResponse
from django.views.decorators.http import require_safe

from apps.accounts.requests import AuthedRequest
from apps.core.keyset import page_of
from apps.core.pages import render_page
from apps.dashboards.filters import AlertFilter
from apps.dashboards.views.environments import visible_environment


@require_safe
def alert_list(request: AuthedRequest, workspace: str, slug: str) -> HttpResponse:
    environment = visible_environment(request, workspace, slug)
    form = AlertFilter(request.GET, environment=environment)
    context = {
        "environment": environment,
        "form": form,
        "page": page_of(form.alerts(), request.GET, moment="starts_at"),
    }
    return render_page(request, "dashboards/alert_list.html", context, part="alerts")
