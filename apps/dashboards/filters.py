"""What the list of an environment's alerts can be narrowed by; all of it stands in the address."""

from typing import Any

from django import forms

from apps.core.form_fields import set_choices
from apps.environments.models import Environment, Lane
from apps.health.models import Alert
from apps.health.querysets import AlertQuerySet


class AlertFilter(forms.Form):
    service = forms.ChoiceField(label="Service", required=False)
    state = forms.ChoiceField(label="State", required=False, choices=[("", "Any state"), ("FIRING", "Firing now")])

    def __init__(self, data: Any, *, environment: Environment) -> None:
        super().__init__(data)
        self.environment = environment
        lanes = Lane.objects.filter(environment=environment, removed_at=None).order_by("service__name")
        services = lanes.values_list("service__slug", "service__name")
        set_choices(self, "service", [("", "Any service"), *services])

    def alerts(self) -> AlertQuerySet:
        """Return the alerts of the environment that match; none, while the form has an error."""
        found = Alert.objects.filter(lane__environment=self.environment).select_related("lane__service")
        if not self.is_valid():
            return found.none()
        if self.cleaned_data["service"]:
            found = found.filter(lane__service__slug=self.cleaned_data["service"])
        return found.firing() if self.cleaned_data["state"] else found
