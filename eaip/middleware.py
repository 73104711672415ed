"""The outermost doors of the pages: how long an answer took, from where a request comes, and what was refused.

They stand in the composition root, above all apps: what was refused is written after everything below was rolled back.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse

from apps.accounts.proving import identity_of
from apps.audit import actions as audit
from apps.audit.actors import NOBODY
from apps.audit.models import AuditEvent
from apps.audit.source import Identity, Source, coming_from, current_source
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.core.requests import FOR_PROGRAMS, SAFE_METHODS, ScopedRequest
from apps.core.timings import timings
from apps.core.verdict import Refusal
from apps.workspaces.scope import workspace_scope
from eaip.proxies import address_of, request_id_of

METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
# Put into the request's scope by eaip/asgi.py, so that waiting for a thread counts.
ARRIVED = "eaip.arrived"


class TimingMiddleware:
    """Counts how long each answer took, by the name of its route: addresses and strangers' words name nothing."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began = request.META.get("asgi.scope", {}).get(ARRIVED) or time.monotonic()
        response = self.get_response(request)
        route = request.resolver_match.view_name if request.resolver_match else "none"
        method = request.method if request.method in METHODS else "OTHER"
        status = f"{response.status_code // 100}xx"
        timings.count("http_request", route, method, status, seconds=time.monotonic() - began)
        return response


class RefusalMiddleware:
    """Gives each request an id and a source; a refused one leaves an event in a transaction of its own."""

    def __init__(self, get_response: Callable[[ScopedRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: ScopedRequest) -> HttpResponse:
        request.request_id = request_id_of(request)
        source = Source(
            via="api" if request.path.startswith(FOR_PROGRAMS) else "page",
            ip=address_of(request),
            user_agent=request.headers.get("User-Agent", "")[:300],
            request_id=request.request_id,
            identify=partial(_identity, request),
        )
        with coming_from(source):
            response = self.get_response(request)
            refusal = getattr(request, "refusal", None) or _unsaid(request, response)
            if refusal is not None:
                self._record(request, refusal)
        response["X-Request-ID"] = request.request_id
        return response

    def _record(self, request: ScopedRequest, refusal: Exception) -> None:
        user = getattr(request, "user", AnonymousUser())
        by = getattr(request, "actor", None) or (user if user.is_authenticated else NOBODY)
        workspace_id = _owner(getattr(request, "workspaces", ()))
        kind, summary = getattr(refusal, "kind", "access.refused"), f"{request.method} {request.path}: {refusal}"
        with workspace_scope([workspace_id]):
            if _is_told(refusal, kind, summary):
                return
            audit.record(
                kind,
                by=by,
                target=None,
                workspace_id=workspace_id,
                summary=summary,
                outcome="REFUSED",
                after={"code": getattr(refusal, "code", ""), "status": getattr(refusal, "status", 0)},
            )


class NothingThere(Refusal):
    """A change of something that is not there, or in a workspace that is not theirs."""

    status = 404
    code = "not_found"


class NotFromHere(Refusal):
    """A change that no page of the portal asked for: the form's token is missing or another's."""

    status = 403
    code = "form_token"


def _unsaid(request: HttpRequest, response: HttpResponse) -> Refusal | None:
    """Return why a change was refused before any action could say so; people who read, and strangers, leave nothing."""
    user = getattr(request, "user", None)
    if request.method in SAFE_METHODS or user is None or not user.is_authenticated:
        return None
    if response.status_code == NothingThere.status:
        return NothingThere("There is nothing at this address for them.")
    if response.status_code == NotFromHere.status:
        return NotFromHere("The request did not come from a page of theirs.")
    return None


def _is_told(refusal: Exception, kind: str, summary: str) -> bool:
    """Say whether the trail has the same from the same address already, where once in a while is enough."""
    every: timedelta | None = getattr(refusal, "told_every", None)
    if every is None:
        return False
    lately = AuditEvent.objects.filter(kind=kind, recorded_at__gt=Now() - every)
    return lately.filter(source__ip=current_source().ip, summary=summary).exists()


def _owner(workspaces: tuple[UUID, ...]) -> UUID:
    if PLATFORM_WORKSPACE_ID in workspaces or not workspaces:
        return PLATFORM_WORKSPACE_ID
    return workspaces[0]


def _identity(request: HttpRequest) -> Identity:
    """Return how whoever asks proved who they are: a program's door says so itself, a person's session knows."""
    said: Identity | None = getattr(request, "identity", None)
    return said if said is not None else identity_of(request)
