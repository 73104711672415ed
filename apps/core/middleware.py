"""What every request passes: content security policy, sign-in, the person's time zone, the telling of refusals."""

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote
from zoneinfo import available_timezones

from django.conf import settings
from django.contrib.auth import middleware as auth
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from django.utils import timezone
from django_htmx.middleware import HtmxDetails

from apps.core.refusals import NOT_FOUND, Telling, tell, telling_of
from apps.core.requests import SAFE_METHODS
from apps.core.verdict import Denied, Refusal

GetResponse = Callable[[HttpRequest], HttpResponse]

# Written by the page's script, so that people without a zone in their profile see their own.
BROWSER_ZONE_COOKIE = "browser_zone"
ZONES = frozenset(available_timezones())


class ContentSecurityPolicyMiddleware:
    """Django 6 has this built in under the same setting; remove it then."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.policy = "; ".join(f"{name} {' '.join(sources)}" for name, sources in settings.SECURE_CSP.items())

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", self.policy)
        return response


class SignInFirst(Denied):
    """A change that somebody asked for who is not signed in: a session has ended, or a token was tried at a page."""

    status = 401
    code = "not_signed_in"


class LoginRequiredMiddleware(auth.LoginRequiredMiddleware):
    """A fragment can't show the sign-in page in the middle of another: HTMX is told to go there instead."""

    def handle_no_permission(  # type: ignore[override]  # a redirect that HTMX follows is not a redirect of HTTP
        self, request: HttpRequest, view_func: Callable[..., Any]
    ) -> HttpResponse:
        if request.method not in SAFE_METHODS:
            request.refusal = SignInFirst("Nobody was signed in.")  # type: ignore[attr-defined]  # for the trail
        htmx: HtmxDetails | None = getattr(request, "htmx", None)
        if htmx is None or not htmx:
            return super().handle_no_permission(request, view_func)
        back = htmx.current_url_abs_path or "/"
        sign_in = redirect_to_login(back, resolve_url(self.get_login_url(view_func)))
        return HttpResponse(status=401, headers={"HX-Redirect": sign_in.url})


class BodyLimitMiddleware:
    """A body that nobody would read is refused before its first byte is."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        promised = request.headers.get("Content-Length", "")
        if promised.isdecimal() and int(promised) > settings.BODY_LIMIT:
            limit = f"{settings.BODY_LIMIT / 1_000_000:.0f} MB"
            return tell(request, Telling(413, "body_too_large", f"At most {limit} are read at once."))
        return self.get_response(request)


class AddressMiddleware:
    """An address with a NUL, which no text of the database can hold or be compared with, names nothing."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "\0" in request.path or "%00" in request.META.get("QUERY_STRING", ""):
            return tell(request, Telling(400, "address_unreadable", "The address has a control character (U+0000)."))
        return self.get_response(request)


class TimeZoneMiddleware:
    """The zone of the profile, else of the browser, else UTC."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        zone = getattr(request.user, "time_zone", "") or unquote(request.COOKIES.get(BROWSER_ZONE_COOKIE, ""))
        with timezone.override(zone if zone in ZONES else "UTC"):
            return self.get_response(request)


class VerdictMiddleware:
    """Turns refusals into answers, so that views carry no try and except for them."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, Refusal | PermissionDenied):
            # Recorded by the outermost middleware, once all was rolled back.
            request.refusal = exception  # type: ignore[attr-defined]
        if isinstance(exception, Refusal):
            return tell(request, telling_of(exception))
        if isinstance(exception, Http404):
            return tell(request, NOT_FOUND)
        if isinstance(exception, PermissionDenied):
            return tell(request, Telling(403, "denied", str(exception) or "Your roles do not cover this."))
        return None
