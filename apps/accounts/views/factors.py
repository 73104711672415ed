"""The pages of a person's second factors. Each change asks them to confirm that it is them, in the same form."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from apps.accounts import actions, passkeys, permissions
from apps.accounts.forms import AppForm, PasskeyForm
from apps.accounts.passkeys import PasskeyRefused
from apps.accounts.proving import keep_proof, place_of, proof_ask, proof_of
from apps.accounts.requests import AuthedRequest
from apps.core.pages import kept, render_page
from apps.core.verdict import Refusal


@require_safe
def factor_list(request: AuthedRequest) -> HttpResponse:
    context = {
        "factors": request.user.second_factors.all(),
        "codes_left": request.user.recovery_codes.filter(used_at=None).count(),
    }
    return render_page(request, "accounts/factor_list.html", context)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def app_create(request: AuthedRequest) -> HttpResponse:
    form = AppForm(request.POST or None, user=request.user)
    if request.method != "POST" or not form.is_valid():
        return _page(request, "accounts/app_create.html", {"form": form})
    return _registered(request, form, "accounts/app_create.html", actions.register_app, **form.given)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def passkey_create(request: AuthedRequest) -> HttpResponse:
    form = PasskeyForm(request.POST or None)
    template = "accounts/passkey_create.html"
    if request.method != "POST" or not form.is_valid():
        return _page(request, template, {"form": form})
    try:
        response, now = form.cleaned_data["creation"], timezone.now()
        answer = passkeys.read_creation(place_of(request), request.user, response, now=now)
    except PasskeyRefused as refusal:
        form.add_error(None, str(refusal))
        return _page(request, template, {"form": form})
    name = form.cleaned_data["name"]
    return _registered(request, form, template, actions.register_passkey, name=name, answer=answer)


@never_cache
@require_safe
def passkey_options(request: AuthedRequest, purpose: str) -> JsonResponse:
    make = {passkeys.CREATION: passkeys.creation_options, passkeys.REQUEST: passkeys.request_options}.get(purpose)
    if make is None:
        raise Http404
    rows = request.user.second_factors.exclude(credential=None).values_list("credential", flat=True)
    known = [bytes(row) for row in rows if row is not None]
    return JsonResponse(make(place_of(request), request.user, known, now=timezone.now()))


@require_http_methods(["GET", "HEAD", "POST"])
def factor_removal(request: AuthedRequest, factor_id: UUID) -> HttpResponse:
    factor = get_object_or_404(request.user.second_factors, pk=factor_id)
    template, context, now = "accounts/factor_removal.html", {"factor": factor}, timezone.now()
    if request.method != "POST":
        return _page(request, template, context)
    attempt = proof_of(request, now=now)
    if attempt.error:
        return kept(_page(request, template, context, error=attempt.error))
    actions.remove_factor(factor, by=request.user, confirmation=attempt.confirmation, now=now)
    keep_proof(request, attempt.confirmation)
    messages.success(request, f"“{factor}” is removed.")
    return redirect("accounts:factor-list")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def recovery_code_create(request: AuthedRequest) -> HttpResponse:
    template, now = "accounts/recovery_code_create.html", timezone.now()
    if request.method != "POST":
        return _page(request, template, {})
    attempt = proof_of(request, now=now)
    if attempt.error:
        return kept(_page(request, template, {}, error=attempt.error))
    made = actions.renew_recovery_codes(request.user, confirmation=attempt.confirmation, now=now)
    keep_proof(request, attempt.confirmation)
    return render_page(request, "accounts/recovery_codes.html", {"recovery_codes": made})


def _registered(
    request: AuthedRequest, form: AppForm | PasskeyForm, template: str, register: Any, **given: Any
) -> HttpResponse:
    now = timezone.now()
    attempt = proof_of(request, now=now)
    if attempt.error:
        return kept(_page(request, template, {"form": form}, error=attempt.error))
    try:
        registered = register(request.user, confirmation=attempt.confirmation, now=now, **given)
    except permissions.NotConfirmed as refusal:
        return _page(request, template, {"form": form}, error=refusal.sentence)
    except Refusal as refusal:
        form.add_error(None, f"{refusal.sentence} {refusal.next_step}".strip())
        return _page(request, template, {"form": form})
    keep_proof(request, attempt.confirmation)
    messages.success(request, f"“{registered.factor}” is registered.")
    if not registered.recovery_codes:
        return redirect("accounts:factor-list")
    return render_page(request, "accounts/recovery_codes.html", {"recovery_codes": registered.recovery_codes})


def _page(request: AuthedRequest, template: str, context: dict[str, Any], *, error: str = "") -> HttpResponse:
    ask = proof_ask(request, now=timezone.now(), error=error)
    return render_page(request, template, {**context, "proof": ask}, status=422 if error else 200)
