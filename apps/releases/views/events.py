import json
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import OuterRef, Subquery
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.enums import Capability
from apps.accounts.requests import AuthedRequest
from apps.core.keyset import page_of
from apps.core.pages import render_page
from apps.releases import actions, permissions
from apps.releases.filters import EventFilter
from apps.releases.forms import OptInForm
from apps.releases.models import EventConsumer, EventSchema, EventVersion


@require_safe
def event_list(request: AuthedRequest) -> HttpResponse:
    form = EventFilter(request.GET)
    newest = EventSchema.objects.filter(version=OuterRef("pk")).order_by("-minor").values("minor")[:1]
    versions = EventVersion.objects.visible_in(request.workspaces).with_consumers().annotate(newest=Subquery(newest))
    page = page_of(form.matching(versions), request.GET, moment="published_at")
    return render_page(request, "releases/event_list.html", {"form": form, "page": page}, part="events")


@require_safe
def event_version(request: AuthedRequest, service: str, subject: str, number: int) -> HttpResponse:
    return _page(request, _visible(request, service, subject, number))


@require_safe
def event_schema(request: AuthedRequest, service: str, subject: str, number: int, minor: int) -> HttpResponse:
    version = _visible(request, service, subject, number)
    schema = get_object_or_404(EventSchema.objects.select_related("release__service"), version=version, minor=minor)
    names = ("beside", "place", "rule", "effect", "sentence")
    context = {
        "version": version,
        "schema": schema,
        "found": [dict(zip(names, row, strict=True)) for row in schema.found],
        "source": json.dumps(json.loads(schema.source), indent=2),
    }
    return render_page(request, "releases/event_schema.html", context)


@require_POST
def consumer_create(request: AuthedRequest, service: str, subject: str, number: int) -> HttpResponse:
    version = _visible(request, service, subject, number)
    form = OptInForm(request.POST, version=version)
    if not form.is_valid():
        return _page(request, version, form)
    consumer, is_new = actions.opt_in(version, form.cleaned_data["service"], by=request.user, now=timezone.now())
    told = f"{consumer.service} consumes {version}{'' if is_new else ' already'}."
    return _done(request, version, told)


@require_POST
def consumer_end(request: AuthedRequest, consumer_id: UUID) -> HttpResponse:
    found = EventConsumer.objects.visible_in(request.workspaces)
    found = found.select_related("service", "version__subject__service")
    consumer = actions.opt_out(get_object_or_404(found, pk=consumer_id), by=request.user, now=timezone.now())
    return _done(request, consumer.version, f"{consumer.service} consumes {consumer.version} no longer.")


@require_POST
def version_drop(request: AuthedRequest, service: str, subject: str, number: int) -> HttpResponse:
    version = _visible(request, service, subject, number)
    version = actions.drop_version(version, by=request.user, now=timezone.now())
    return _done(request, version, f"{version} is dropped: releases may leave it out.")


def _visible(request: AuthedRequest, service: str, subject: str, number: int) -> EventVersion:
    versions = EventVersion.objects.visible_in(request.workspaces).select_related("subject__service", "dropped_by")
    return get_object_or_404(versions, subject__service__slug=service, subject__name=subject, number=number)


def _page(request: AuthedRequest, version: EventVersion, form: OptInForm | None = None) -> HttpResponse:
    consumers = version.consumers.select_related("service", "version__subject")
    context: dict[str, Any] = {
        "version": version,
        "form": form or OptInForm(version=version),
        "schemas": version.schemas.select_related("release", "version").defer("source", "found"),
        "page": page_of(consumers, request.GET, moment="opted_in_at"),
        "is_consumed": version.consumers.standing().exists(),
        "may_consume": request.rights.may(Capability.RELEASE_CREATE, version.workspace_id),
        "may_drop": permissions.may_release(request.user, version.subject.service),
    }
    return render_page(request, "releases/event_version.html", context, part="consumers")


def _done(request: AuthedRequest, version: EventVersion, told: str) -> HttpResponse:
    messages.success(request, told)
    return redirect("releases:event-version", version.subject.service.slug, version.subject.name, version.number)
