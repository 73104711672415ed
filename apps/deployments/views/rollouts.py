from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.accounts.enums import Capability
from apps.accounts.requests import AuthedRequest
from apps.core import live
from apps.core.keyset import page_of
from apps.core.pages import render_page
from apps.core.verdict import Invalid
from apps.deployments import permissions, rollout_parts, rollouts
from apps.deployments.forms import PartForm, ReasonForm, RolloutForm, WaveForm
from apps.deployments.models import Rollout
from apps.deployments.rollout_page import lanes_for, owners_of, rollout_page, rows_of
from apps.releases.models import Release
from apps.workspaces.models import Workspace


@require_safe
def rollout_list(request: AuthedRequest) -> HttpResponse:
    found = Rollout.objects.visible_in(request.workspaces).with_subject()
    page = page_of(found, request.GET, moment="requested_at")
    context = {"page": page, "rows": rows_of(page.rows, request.workspaces)}
    return render_page(request, "deployments/rollout_list.html", context, part="rollouts")


@require_safe
def rollout_detail(request: AuthedRequest, number: int) -> HttpResponse:
    rollout = _visible(request, number)
    stream = live.stream("rollout", subject=rollout.pk) if rollout.is_open else None
    context = rollout_page(
        rollout, by=request.user, workspaces=request.workspaces, rights=request.rights, now=timezone.now()
    )
    return render_page(request, "deployments/rollout_detail.html", {**context, "stream": stream})


@require_http_methods(["GET", "HEAD", "POST"])
def rollout_create(request: AuthedRequest, release_id: UUID, workspace: str) -> HttpResponse:
    releases = Release.objects.readable_in(request.workspaces).select_related("service")
    release = get_object_or_404(releases, pk=release_id)
    owner = get_object_or_404(Workspace.objects.visible_in(request.workspaces), slug=workspace)
    request.rights.may(Capability.PROMOTION_REQUEST, owner.pk).require()
    lanes = lanes_for(release, owner.pk, workspaces=request.workspaces, rights=request.rights, now=timezone.now())
    form = RolloutForm(request.POST or None, lanes=lanes, owners=owners_of(lanes, owner.pk))
    context = {"release": release, "owner": owner, "form": form}
    if request.method != "POST" or not form.is_valid():
        return render_page(request, "deployments/rollout_create.html", context)
    try:
        rollout = rollouts.start_rollout(release, by=request.user, now=timezone.now(), **form.plan())
    except Invalid as refusal:
        request.refusal = refusal
        form.add_error(None, refusal.sentence)
        return render_page(request, "deployments/rollout_create.html", context, status=refusal.status)
    return redirect("deployments:rollout-detail", rollout.number)


@require_POST
def rollout_pause(request: AuthedRequest, number: int) -> HttpResponse:
    rollouts.pause_rollout(_visible(request, number), by=request.user, now=timezone.now())
    messages.success(request, "The roll-out is paused: what is under way goes on, no further wave begins.")
    return redirect("deployments:rollout-detail", number)


@require_POST
def rollout_resume(request: AuthedRequest, number: int) -> HttpResponse:
    rollouts.resume_rollout(_visible(request, number), by=request.user, now=timezone.now())
    return redirect("deployments:rollout-detail", number)


@require_POST
def wave_release(request: AuthedRequest, number: int) -> HttpResponse:
    rollout, form = _visible(request, number), WaveForm(request.POST)
    wave = form.cleaned_data["wave"] if form.is_valid() else 0
    rollouts.release_wave(rollout, wave=wave, by=request.user, now=timezone.now())
    return redirect("deployments:rollout-detail", number)


@require_http_methods(["GET", "HEAD", "POST"])
def rollout_stop(request: AuthedRequest, number: int) -> HttpResponse:
    rollout = _visible(request, number)
    permissions.may_steer(request.user, rollout).require()
    form = ReasonForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        return render_page(request, "deployments/rollout_stop.html", {"rollout": rollout, "form": form})
    rollouts.stop_rollout(rollout, by=request.user, now=timezone.now(), **form.cleaned_data)
    messages.warning(request, "The roll-out is stopped. What runs stays, and what is deploying goes on to its end.")
    return redirect("deployments:rollout-detail", number)


@require_http_methods(["GET", "HEAD", "POST"])
def rollout_part(request: AuthedRequest, number: int, workspace: str) -> HttpResponse:
    rollout = _visible(request, number)
    guests = Workspace.objects.visible_in(request.workspaces).filter(pk__in=rollout.guests)
    guest = get_object_or_404(guests, slug=workspace)
    permissions.may_decide_part(request.user, rollout, guest.pk).require()
    form = PartForm(request.POST or None, choices=rollout_parts.choices_of(rollout, guest.pk))
    if request.method != "POST" or not form.is_valid():
        context = {"rollout": rollout, "guest": guest, "form": form}
        return render_page(request, "deployments/rollout_part.html", context)
    rollout_parts.decide_part(rollout, workspace_id=guest.pk, by=request.user, now=timezone.now(), **form.cleaned_data)
    return redirect("deployments:rollout-detail", number)


def _visible(request: AuthedRequest, number: int) -> Rollout:
    return get_object_or_404(Rollout.objects.visible_in(request.workspaces).with_subject(), number=number)
