"""What the list of incidents can be narrowed by; all of it stands in the address."""

from typing import Any
from uuid import UUID

from django import forms

from apps.incidents.enums import IncidentState
from apps.incidents.models import Incident
from apps.incidents.querysets import IncidentQuerySet


class IncidentFilter(forms.Form):
    state = forms.ChoiceField(label="State", required=False, choices=[("", "Any state"), *IncidentState.choices])

    def __init__(self, data: Any, *, workspaces: tuple[UUID, ...]) -> None:
        super().__init__(data)
        self._workspaces = workspaces

    def incidents(self) -> IncidentQuerySet:
        """Return the incidents that match; none, while the form has an error."""
        found = Incident.objects.visible_in(self._workspaces).with_subject()
        if not self.is_valid():
            return found.none()
        return found.filter(**{name: value for name, value in self.cleaned_data.items() if value})
