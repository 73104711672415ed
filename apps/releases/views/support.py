from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.requests import AuthedRequest
from apps.core.keyset import page_of
from apps.core.pages import render_page
from apps.releases import actions, permissions, support
from apps.releases.forms import EndForm
from apps.releases.models import EndOfLife, Service

# Older ones are under best effort, unless their end is in the list below.
LINES_SHOWN = 20


@require_safe
def support_list(request: AuthedRequest, service: str) -> HttpResponse:
    return _page(request, _readable(request, service))


@require_POST
def end_announce(request: AuthedRequest, service: str) -> HttpResponse:
    of, now = get_object_or_404(Service.objects.visible_in(request.workspaces), slug=service), timezone.now()
    permissions.may_announce_end(request.user, of).require()
    form = EndForm(request.POST, lines=support.lines_of([of.pk])[of.pk], today=now.date())
    if not form.is_valid():
        return _page(request, of, form)
    end = actions.announce_end(of, **form.wanted(), by=request.user, now=now)
    messages.success(request, f"It is announced that {end} ends on {end.ends_date:%Y-%m-%d}.")
    return redirect("releases:support-list", of.slug)


@require_POST
def end_withdraw(request: AuthedRequest, end_id: UUID) -> HttpResponse:
    ends = EndOfLife.objects.visible_in(request.workspaces).select_related("service")
    end = actions.withdraw_end(get_object_or_404(ends, pk=end_id), by=request.user, now=timezone.now())
    messages.success(request, f"{end} is supported again as before.")
    return redirect("releases:support-list", end.service.slug)


def _page(request: AuthedRequest, service: Service, form: EndForm | None = None) -> HttpResponse:
    today = timezone.now().date()
    lines = support.of_lines(service, today=today)
    ends = EndOfLife.objects.readable_in(request.workspaces).filter(service=service)
    context: dict[str, Any] = {
        "service": service,
        "lines": lines[:LINES_SHOWN],
        "more": max(len(lines) - LINES_SHOWN, 0),
        "page": page_of(ends.select_related("announced_by", "withdrawn_by"), request.GET, moment="announced_at"),
        "form": form or EndForm(lines=[line for line, _ in lines], today=today),
        "may_announce": permissions.may_announce_end(request.user, service),
        "today": today,
    }
    return render_page(request, "releases/support_list.html", context, part="ends")


def _readable(request: AuthedRequest, slug: str) -> Service:
    return get_object_or_404(Service.objects.readable_in(request.workspaces), slug=slug)
