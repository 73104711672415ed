"""One view, two renders: the whole page, or the fragment of it that HTMX asked for."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django_htmx.middleware import HtmxDetails

INVALID = 422


def render_page(
    request: HttpRequest,
    template: str,
    context: dict[str, Any] | None = None,
    *,
    part: str | None = None,
    status: int = 200,
) -> HttpResponse:
    """This function will answer with the page, or with its partial named `part` where HTMX asked for a fragment.

    Shapes: a context whose `form` is bound and invalid makes the status 422, in the page as in the fragment.
    """
    context = context or {}
    if status == 200 and _is_invalid(context.get("form")):
        status = INVALID
    if part and wants_fragment(request):
        template = f"{template}#{part}"
    response = render(request, template, context, status=status)
    patch_vary_headers(response, ["HX-Request"])
    return response


def attachment(content: str | bytes, content_type: str, name: str) -> HttpResponse:
    """This function will answer with a file for the browser to keep under this name."""
    response = HttpResponse(content, content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def kept(response: HttpResponse) -> HttpResponse:
    """This function will mark a refusal whose request is committed all the same: what was counted stays counted."""
    response.is_kept = True  # type: ignore[attr-defined]  # read by apps/workspaces/middleware.py
    return response


def moved(request: HttpRequest, view: str, *arguments: object) -> HttpResponse:
    """This function will send the browser to another page after a change, also when HTMX has sent the form."""
    if not wants_fragment(request):
        return redirect(view, *arguments)
    return HttpResponse(headers={"HX-Redirect": reverse(view, args=arguments)})


def wants_fragment(request: HttpRequest) -> bool:
    """This function will say whether HTMX replaces a part of a page; a boosted link or a step back wants all of it."""
    htmx: HtmxDetails | None = getattr(request, "htmx", None)
    return htmx is not None and bool(htmx) and not htmx.boosted and not htmx.history_restore_request


def _is_invalid(form: Any) -> bool:
    return bool(form is not None and form.is_bound and not form.is_valid())
