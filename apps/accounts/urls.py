from django.urls import path

from apps.accounts.views import accounts, factors

app_name = "accounts"

urlpatterns = [
    path("sign-in/", accounts.SignIn.as_view(), name="sign-in"),
    path("sign-out/", accounts.sign_out, name="sign-out"),
    path("account/", accounts.preferences, name="preferences"),
    path("account/theme/", accounts.theme, name="theme"),
    path("account/time-zone/", accounts.time_zone, name="time-zone"),
    path("account/factors/", factors.factor_list, name="factor-list"),
    path("account/factors/app/", factors.app_create, name="app-create"),
    path("account/factors/passkey/", factors.passkey_create, name="passkey-create"),
    path("account/factors/passkey/<slug:purpose>/", factors.passkey_options, name="passkey-options"),
    path("account/factors/recovery-codes/", factors.recovery_code_create, name="recovery-code-create"),
    path("account/factors/<uuid:factor_id>/removal/", factors.factor_removal, name="factor-removal"),
]
