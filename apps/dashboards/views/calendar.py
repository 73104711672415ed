from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.requests import AuthedRequest
from apps.compliance.models import Review
from apps.core.pages import render_page
from apps.dashboards import ical
from apps.dashboards.calendar import load
from apps.dashboards.navigation import navigation_of
from apps.environments import actions
from apps.environments.models import CalendarFeed
from apps.workspaces.scope import workspace_scope, workspaces_of


@require_safe
def calendar(request: AuthedRequest) -> HttpResponse:
    return _page(request)


@require_POST
def feed_create(request: AuthedRequest) -> HttpResponse:
    """The answer is the page itself, since nobody can be shown the address again."""
    _, secret = actions.open_feed(by=request.user, now=timezone.now())
    return _page(request, address=request.build_absolute_uri(reverse("calendar:feed", args=[secret])))


@require_POST
def feed_end(request: AuthedRequest) -> HttpResponse:
    actions.end_feed(by=request.user, now=timezone.now())
    messages.success(request, "The address is ended: no calendar reads by it any more.")
    return redirect("calendar:calendar")


@login_not_required
@require_safe
def feed(request: HttpRequest, secret: str) -> HttpResponse:
    """What the person may see at this moment, to whoever knows the secret; no cookie is read."""
    reader = actions.reader_of(secret)
    if reader is None:
        raise Http404
    workspaces, now = workspaces_of(reader), timezone.now()
    with workspace_scope(workspaces), timezone.override("UTC"):
        reviews = Review.objects.visible_in(workspaces).standing().owned_by(reader.pk).with_owner()
        shown = load(workspaces, now=now, zone=timezone.get_current_timezone())
        written = ical.written(shown, now=now, reviews=reviews)
    response = HttpResponse(written, content_type="text/calendar; charset=utf-8")
    response["Cache-Control"] = "private, no-store"
    response["Content-Disposition"] = 'inline; filename="windows.ics"'
    return response


def _page(request: AuthedRequest, *, address: str = "") -> HttpResponse:
    chosen, now = navigation_of(request).chosen, timezone.now()
    workspaces = (chosen.pk,) if chosen else request.workspaces
    context = {
        "calendar": load(workspaces, now=now, zone=timezone.get_current_timezone()),
        "feed": CalendarFeed.objects.filter(user=request.user, ended_at=None).first(),
        "address": address,
        "zone_name": timezone.get_current_timezone_name(),
    }
    return render_page(request, "dashboards/calendar.html", context)
