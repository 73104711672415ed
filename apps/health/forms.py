"""What people write about an endpoint check. The actions judge it again; these say it at the field."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from apps.core.form_fields import LineField, LinesField
from apps.environments.enums import Health
from apps.environments.models import Lane
from apps.health import measures, reach
from apps.health.actions import LIMITS
from apps.health.enums import TrafficSource
from apps.health.models import EndpointCheck
from apps.integrations.outbound_addresses import NotAllowed


def _number(name: str, label: str, help_text: str) -> forms.IntegerField:
    least, most = LIMITS[name]
    initial = getattr(EndpointCheck(), name)
    return forms.IntegerField(label=label, initial=initial, min_value=least, max_value=most, help_text=help_text)


class CheckForm(forms.Form):
    name = LineField(label="Name", max_length=80, help_text="Such as Front door or Certificate.")
    url = forms.CharField(
        label="Address",
        widget=forms.TextInput(attrs={"inputmode": "url", "autocomplete": "off", "spellcheck": "false"}),
        help_text="https://app.example.com/health asks for a page, tcp://app.example.com:8443 for a connection, "
        "tls://app.example.com for a certificate. No password and no token: all who see the environment read it.",
    )
    interval_seconds = _number(
        "interval_seconds", "Ask every, in seconds", "10 is the most often, 86400 is once a day."
    )
    timeout_seconds = _number("timeout_seconds", "Wait for an answer, in seconds", "Later than that counts as none.")
    expected_status = _number("expected_status", "Expected status", "Only for http:// and https://.")
    days_left = _number("days_left", "Days that a certificate must have left", "Only for tls://.")
    rolls_back = forms.BooleanField(
        label="Take back a release that makes it faulty",
        required=False,
        initial=True,
        help_text="By two bad answers in a row soon after its deployment, as an alert does. While it is faulty nothing "
        "soaks here, and no roll-out goes on. A certificate never does.",
    )

    def __init__(self, *args: Any, lane: Lane, check: EndpointCheck | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lane, self._check = lane, check

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        others = EndpointCheck.objects.filter(lane=self._lane, name=name)
        if self._check is not None:
            others = others.exclude(pk=self._check.pk)
        if others.exists():
            raise ValidationError(f"There is a check named {name} here already. Choose another name.")
        return name

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"]
        try:
            reach.judge(url, self._lane.environment.workspace.slug)
        except NotAllowed as error:
            raise ValidationError(str(error)) from error
        return url


class VerdictForm(forms.Form):
    verdict = forms.ChoiceField(choices=[("", "Any"), *Health.choices], required=False, label="Verdict")


def _query(label: str, help_text: str) -> LinesField:
    widget = forms.Textarea(attrs={"rows": 3, "class": "mono", "spellcheck": "false"})
    return LinesField(label=label, required=False, max_length=2000, widget=widget, help_text=help_text)


class QueriesForm(forms.Form):
    source = forms.ChoiceField(
        label="Who is asked",
        required=False,
        choices=[("", "Inherited, or else as the settings say"), *TrafficSource.choices],
        help_text="Prometheus is always asked where no proxy of the portal counts.",
    )
    requests = _query("Requests", "How many came in the window. Empty inherits.")
    error_ratio = _query("Error ratio", "Which part of them failed, 0 to 1. Empty inherits.")
    p95_ms = _query("p95", "95 of 100 answers within so many milliseconds. Empty inherits.")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for name in ("requests", "error_ratio", "p95_ms"):
            if problem := measures.problem_of(cleaned.get(name, "")):
                self.add_error(name, problem)
        return cleaned
