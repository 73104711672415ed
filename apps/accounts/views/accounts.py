from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import views as auth_views
from django.contrib.auth.forms import AuthenticationForm
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts import actions
from apps.accounts.forms import PreferencesForm, SignInForm, ThemeForm, TimeZoneForm
from apps.accounts.models import User
from apps.accounts.proving import keep_sign_in
from apps.accounts.requests import AuthedRequest
from apps.core.pages import render_page


class SignIn(auth_views.LoginView):
    template_name = "registration/login.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        accounts = (
            User.objects.filter(is_active=True).order_by("date_joined", "username")[:12]
            if settings.DEMONSTRATION
            else ()
        )
        password = settings.DEMONSTRATION_PASSWORD
        return super().get_context_data(demonstration_accounts=accounts, demonstration_password=password, **kwargs)

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        response = super().form_valid(form)
        keep_sign_in(self.request, method="password", now=timezone.now())
        actions.start_session(form.get_user(), by=form.get_user())
        return response

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        # The whole request is undone, so the ledger learns of the attempt from here (eaip/middleware.py).
        name = form.data.get("username", "")[:150]
        refusal = actions.SignInRefused(f"Sign-in as “{name}” refused.")
        self.request.refusal = refusal  # type: ignore[attr-defined]  # read by eaip/middleware.py
        return self.render_to_response(self.get_context_data(form=form), status=422)


@require_POST
def sign_out(request: AuthedRequest) -> HttpResponse:
    actions.end_session(request.user, by=request.user)
    return auth_views.LogoutView.as_view()(request)


@require_http_methods(["GET", "POST"])
def preferences(request: AuthedRequest) -> HttpResponse:
    if request.method == "GET":
        return _preferences(request, PreferencesForm.for_user(request.user))
    if not (form := PreferencesForm(request.POST)).is_valid():
        return _preferences(request, form)
    actions.change_preferences(request.user, by=request.user, **form.cleaned_data)
    messages.success(request, "Your preferences are saved.")
    return redirect("accounts:preferences")


@require_POST
def theme(request: AuthedRequest) -> HttpResponse:
    return _change(request, ThemeForm(request.POST))


@require_POST
def time_zone(request: AuthedRequest) -> HttpResponse:
    return _change(request, TimeZoneForm(request.POST))


def _change(request: AuthedRequest, form: ThemeForm | TimeZoneForm) -> HttpResponse:
    if not form.is_valid():
        return _preferences(request, PreferencesForm.for_user(request.user), refused=form)
    actions.change_preferences(request.user, by=request.user, **form.cleaned_data)
    return HttpResponseRedirect(_back(request))


def _preferences(
    request: AuthedRequest, form: PreferencesForm, refused: ThemeForm | TimeZoneForm | None = None
) -> HttpResponse:
    context = {"form": form, "refused": refused}
    return render_page(request, "accounts/preferences.html", context, status=422 if refused else 200)


def _back(request: AuthedRequest) -> str:
    url = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(url, allowed_hosts={request.get_host()}, require_https=request.is_secure())
    return url if safe else "/"
