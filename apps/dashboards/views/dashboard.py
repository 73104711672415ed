from django.http import Http404, HttpResponse
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from apps.accounts.requests import AuthedRequest
from apps.core import live
from apps.core.pages import render_page
from apps.dashboards import attention, awaiting, page
from apps.dashboards.matrix import Filters
from apps.dashboards.navigation import navigation_of
from apps.environments.enums import Tier
from apps.releases.enums import Plane


@require_safe
def dashboard(request: AuthedRequest) -> HttpResponse:
    now = timezone.now()
    frame = navigation_of(request)
    if request.GET.get("ws") and frame.chosen is None:
        raise Http404
    workspaces = (frame.chosen.pk,) if frame.chosen else request.workspaces
    filters = Filters.read(request.GET)
    stream = live.stream("dashboard", query={**filters.__dict__, "ws": request.GET.get("ws", "")})
    places = page.standing_places(workspaces, frame.freezes, now=now)
    figures, failures = attention.figures_of(workspaces, now=now), page.failures(workspaces)
    context = {
        **page.board(workspaces, filters, page.of_tier(places, filters.tier), now=now),
        **page.strip(figures, failures, places, now=now),
        **page.feed(workspaces),
        "awaiting": awaiting.listed_for(request.user, workspaces, frame.awaiting_me, now=now),
        "incidents": attention.incidents(workspaces) if figures.incidents else [],
        "debts": attention.debts(workspaces, now=now) if figures.owed else [],
        "checklists": attention.checklists(workspaces, now=now) if figures.unticked else [],
        "reviews": attention.reviews(workspaces, now=now) if figures.overdue else [],
        "wanting": attention.wanting(places),
        "drifting": attention.drifting(workspaces) if figures.drifting else [],
        "running_out": attention.running_out(workspaces, now=now) if figures.running_out else [],
        "coming": attention.coming_up(places),
        "filters": filters,
        "planes": Plane.choices,
        "tiers": Tier.choices,
        "ws": request.GET.get("ws", ""),
        "stream": stream,
        "new_release_url": _address("releases:release-create"),
        "environments_url": _address("environments:environment-list"),
        "services_url": _address("releases:service-create"),
    }
    return render_page(request, "dashboards/dashboard.html", context, part="board")


def _address(view: str) -> str:
    try:
        return reverse(view)
    except NoReverseMatch:
        return ""
