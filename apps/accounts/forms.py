from base64 import b32decode, b32encode
from datetime import timedelta
from typing import Any, cast
from zoneinfo import available_timezones

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.core.signing import BadSignature, TimestampSigner

from apps.accounts import codes
from apps.accounts.enums import Theme
from apps.accounts.models import User, validate_time_zone
from apps.accounts.passkeys import LARGEST
from apps.core.form_fields import LineField


class SignInForm(AuthenticationForm):
    error_messages = {
        "invalid_login": "This name and password do not belong together. Both mind upper and lower case.",
        "inactive": "This account is closed. Ask the platform team.",
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].label = "User name"


class ThemeForm(forms.Form):
    theme = forms.ChoiceField(choices=Theme.choices)


class TimeZoneForm(forms.Form):
    time_zone = forms.CharField(required=False, max_length=64, validators=[validate_time_zone])
    clear = forms.BooleanField(required=False, widget=forms.HiddenInput)

    def clean(self) -> dict[str, object]:
        cleaned = super().clean() or {}
        if cleaned.pop("clear", False):
            cleaned["time_zone"] = ""
        return cleaned


class PreferencesForm(forms.Form):
    theme = forms.ChoiceField(choices=Theme.choices, widget=forms.RadioSelect, label="Theme")
    time_zone = forms.ChoiceField(
        required=False,
        label="Time zone",
        help_text="Times are stored in UTC and shown in this zone, with its name beside them.",
    )
    single_key_shortcuts = forms.BooleanField(
        required=False,
        label="Single-key shortcuts",
        help_text="Keys such as g d, / and ? act without Ctrl. Switch them off if you dictate or use a screen reader.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zones = sorted(available_timezones() - {"UTC", "localtime", "Factory"})
        field = cast(forms.ChoiceField, self.fields["time_zone"])
        field.choices = [("", "As the browser says"), ("UTC", "UTC"), *((zone, zone) for zone in zones)]

    @classmethod
    def for_user(cls, user: User) -> "PreferencesForm":
        return cls(initial={name: getattr(user, name) for name in cls.base_fields})


class AppForm(forms.Form):
    """Registers an authenticator app. The secret comes back signed: nothing is kept of it until the code is right."""

    LASTS = timedelta(minutes=30)

    name = LineField(label="Name", max_length=60, initial="Authenticator app", help_text="By which you know it again.")
    app_code = forms.CharField(
        label="Code that the app shows",
        max_length=12,
        widget=forms.TextInput(attrs={"autocomplete": "off", "inputmode": "numeric"}),
    )
    secret = forms.CharField(label="QR code", widget=forms.HiddenInput, max_length=200)

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user, self.signer = user, TimestampSigner(salt=f"app.{user.pk}")
        self.app_secret = self._sent_secret() or codes.new_secret()
        self.initial["secret"] = self.signer.sign(b32encode(self.app_secret).decode())

    @property
    def qr_code(self) -> str:
        return codes.qr_code(self.app_secret, self.user.username)

    @property
    def typed_secret(self) -> str:
        return codes.typed_secret(self.app_secret)

    @property
    def given(self) -> dict[str, Any]:
        return {
            "name": self.cleaned_data["name"], "code": self.cleaned_data["app_code"], "secret": self.app_secret
        }  # fmt: skip

    def clean_secret(self) -> str:
        if self._sent_secret() is None:
            raise forms.ValidationError("The QR code was shown too long ago: load this page anew and scan it again.")
        return ""

    def _sent_secret(self) -> bytes | None:
        try:
            return b32decode(self.signer.unsign(self.data.get("secret", ""), max_age=self.LASTS))
        except BadSignature:
            return None


class PasskeyForm(forms.Form):
    """Registers a passkey; `creation` is what the browser made, put there by static/js/passkeys.js."""

    name = LineField(
        label="Name", max_length=60, initial="Passkey", help_text="By which you know it again, such as the device."
    )
    creation = forms.CharField(
        label="Passkey",
        widget=forms.HiddenInput(attrs={"data-passkey": "creation"}),
        max_length=LARGEST,
        error_messages={"required": "The browser made no passkey. It needs JavaScript, and a secure connection."},
    )
