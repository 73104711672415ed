"""What people write about incidents. The actions judge it; these only read it."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django import forms

from apps.core.form_fields import LineField, LinesField
from apps.environments.models import Environment
from apps.incidents.enums import Severity
from apps.releases.models import Service
from apps.workspaces.models import Workspace

TEXT = 2000


def _lines(label: str, help_text: str, **options: Any) -> LinesField:
    return LinesField(
        label=label, max_length=TEXT, widget=forms.Textarea(attrs={"rows": 3}), help_text=help_text, **options
    )


class SeenForm(forms.Form):
    """What an address says of an incident that is to be declared; what can't be read counts as not said."""

    workspace = forms.UUIDField(required=False)
    environment = forms.UUIDField(required=False)
    service = forms.UUIDField(required=False)
    deployment = forms.IntegerField(required=False, min_value=1)

    def seen(self) -> dict[str, Any]:
        self.full_clean()
        return {name: self.cleaned_data.get(name) for name in self.fields}


class IncidentForm(forms.Form):
    """`workspaces` are those in which the person may declare one; the only one is not asked for."""

    title = LineField(
        label="What goes wrong", min_length=3, max_length=200,
        widget=forms.TextInput(attrs={"placeholder": "Sign-in fails for every second customer", "autocomplete": "off"}),
    )  # fmt: skip
    severity = forms.ChoiceField(label="Severity", choices=Severity.choices, initial=Severity.SEV2)
    workspace = forms.ModelChoiceField(Workspace.objects.none(), label="Workspace", empty_label=None)
    environment = forms.ModelChoiceField(
        Environment.objects.none(), label="Environment", required=False, empty_label="No single one"
    )
    service = forms.ModelChoiceField(
        Service.objects.none(), label="Service", required=False, empty_label="No single one"
    )
    deployment = forms.IntegerField(label="Deployment", required=False, min_value=1, widget=forms.HiddenInput)
    what = _lines("What is known so far", "The first line of the timeline.", required=False)

    def __init__(self, *args: Any, workspaces: Iterable[UUID], readable: tuple[UUID, ...], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        found = Workspace.objects.filter(pk__in=list(workspaces))
        environments = Environment.objects.filter(workspace__in=found).standing().select_related("workspace")
        self._set("workspace", found)
        self._set("environment", environments)
        self._set("service", Service.objects.readable_in(readable).filter(retired_at=None).order_by("name"))
        self.only = found[0] if len(found) == 1 else None
        if self.only:
            del self.fields["workspace"]
        else:
            field = self.fields["environment"]
            field.label_from_instance = lambda place: f"{place} ({place.workspace})"  # type: ignore[attr-defined]

    def _set(self, name: str, rows: Any) -> None:
        self.fields[name].queryset = rows  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        workspace = cleaned.setdefault("workspace", self.only)
        place = cleaned.get("environment")
        if workspace and place and place.workspace_id != workspace.pk:
            self.add_error("environment", f"{place} belongs to {place.workspace}: choose that workspace.")
        return cleaned

    def wanted(self) -> dict[str, Any]:
        """Return what `incidents.actions.declare` takes; the deployment is only a number here."""
        return {name: value for name, value in self.cleaned_data.items() if name != "deployment"}


class NoteForm(forms.Form):
    text = _lines("Note", "What was seen, tried or decided. It stays as it is written.")


class LinkForm(forms.Form):
    deployment = forms.IntegerField(
        label="Deployment", min_value=1, help_text="Its number, as on its page: the one that hurt, or that mended it."
    )


class SeverityForm(forms.Form):
    severity = forms.ChoiceField(label="Severity", choices=Severity.choices)


class DebtForm(forms.Form):
    words = _lines("What you found, or where it is", "Kept on the timeline.")


class ResolutionForm(forms.Form):
    resolution = _lines("What resolved it", "Everybody who looks back reads it first.")
