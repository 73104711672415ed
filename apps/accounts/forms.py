from typing import Any, cast
from zoneinfo import available_timezones

from django import forms
from django.contrib.auth.forms import AuthenticationForm

from apps.accounts.enums import Theme
from apps.accounts.models import User, validate_time_zone


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
