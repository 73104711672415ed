"""The one form that the trail's page, its fragments and its exports share."""

from datetime import timedelta
from typing import Any, cast
from uuid import UUID

from django import forms
from django.utils import timezone

from apps.audit.kinds import KINDS
from apps.audit.models import AuditEvent
from apps.audit.offers import offered
from apps.audit.querysets import EventQuerySet

OUTCOMES = [("", "Any outcome"), ("SUCCESS", "Done"), ("REFUSED", "Refused"), ("FAILED", "Failed")]
NOUNS = sorted({kind.split(".")[0] for kind in KINDS})


class TrailFilter(forms.Form):
    """Every field is optional; dates are days of the viewer's zone, `until` included."""

    q = forms.CharField(label="Text", required=False, max_length=100)
    actor = forms.CharField(label="Who", required=False, max_length=150)
    kind = forms.ChoiceField(label="What", required=False)
    outcome = forms.ChoiceField(label="Outcome", required=False, choices=OUTCOMES)
    workspace = forms.ChoiceField(label="Workspace", required=False)
    environment = forms.ChoiceField(label="Environment", required=False)
    service = forms.ChoiceField(label="Service", required=False)
    since = forms.DateField(label="From", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label="Until", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    object = forms.CharField(required=False, max_length=110, widget=forms.HiddenInput)

    def __init__(self, data: Any, *, workspaces: tuple[UUID, ...]) -> None:
        super().__init__(data)
        self.workspaces = workspaces
        kinds = cast(forms.ChoiceField, self.fields["kind"])
        kinds.choices = [("", "Everything"), *((noun, f"{noun} (all)") for noun in NOUNS), *KINDS.items()]
        for name in ("workspace", "environment", "service"):
            cast(forms.ChoiceField, self.fields[name]).choices = [("", "Any"), *offered(name, workspaces)]

    def clean_object(self) -> tuple[str, str] | None:
        kind, _, key = self.cleaned_data["object"].partition(":")
        return (kind, key) if kind and key else None

    def events(self) -> EventQuerySet:
        """Return the events of the person's workspaces that match; none, while the form has an error."""
        events = AuditEvent.objects.visible_in(self.workspaces)
        return events.matching(**self._criteria()) if self.is_valid() else events.none()

    def in_words(self) -> dict[str, str]:
        """Return what was asked for, as the export's own event records it."""
        return {name: str(self.data.get(name)) for name in self.fields if self.data.get(name)}

    def _criteria(self) -> dict[str, Any]:
        criteria = {name: value for name, value in self.cleaned_data.items() if value}
        until = criteria.pop("until", None)
        start = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
        day = {"since": criteria.pop("since", None), "until": until and until + timedelta(days=1)}
        for name, date in day.items():
            if date:
                criteria[name] = start.replace(year=date.year, month=date.month, day=date.day)
        return criteria
