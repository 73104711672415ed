"""What people tell of an environment's data and backups; jobs tell the same to the API."""

from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile

from apps.core.form_fields import LineField, MomentField, set_choices
from apps.environments.actions import Evidence
from apps.environments.actions.records import BACKUP_FIGURES, LIMIT, LONGEST_FIGURE, MOST_KEPT, TEST_FIGURES
from apps.environments.data_rules import DataRules
from apps.environments.enums import DataKind, RecordKind
from apps.environments.models import Environment


def _moment(label: str) -> MomentField:
    return MomentField(
        label=label,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text="In your time zone.",
    )


def _figure(label: str, most: int, help_text: str) -> forms.IntegerField:
    return forms.IntegerField(required=False, min_value=0, max_value=most, label=label, help_text=help_text)


class EvidencedForm(forms.Form):
    report = forms.FileField(
        required=False,
        label="Report",
        widget=forms.FileInput(attrs={"class": "form-control"}),
        help_text=f"The file, at most {LIMIT >> 20} MB. Or:",
    )
    link = LineField(required=False, label="Address of the report", max_length=500)
    sha256 = LineField(required=False, label="Its SHA-256", max_length=64, help_text="64 digits in hex.")

    def evidence(self) -> Evidence:
        """Return what was given as evidence; the action judges it."""
        file: UploadedFile | None = self.cleaned_data["report"]
        given = {"link": self.cleaned_data["link"], "sha256": self.cleaned_data["sha256"]}
        return Evidence(report=file.read(), name=(file.name or "report")[-150:], **given) if file else Evidence(**given)


class RefreshForm(EvidencedForm):
    kind = forms.ChoiceField(label="Data")
    source = forms.ModelChoiceField(
        Environment.objects.none(), required=False, label="Taken from", empty_label="Nowhere: they were made up"
    )
    refreshed_at = _moment("Refreshed")
    field_order = ("kind", "source", "refreshed_at", "report", "link", "sha256")

    def __init__(self, *args: Any, environment: Environment, rules: DataRules, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        others = Environment.objects.standing().filter(workspace_id=environment.workspace_id)
        self.fields["source"].queryset = others.exclude(pk=environment.pk)  # type: ignore[attr-defined]
        set_choices(self, "kind", [(kind, DataKind(kind).label) for kind in rules.kinds])

    def wanted(self) -> dict[str, Any]:
        names = ("kind", "source", "refreshed_at")
        return {**{name: self.cleaned_data[name] for name in names}, "evidence": self.evidence()}


class RemovalForm(EvidencedForm):
    removed_at = _moment("Removed")
    field_order = ("removed_at", "report", "link", "sha256")

    def wanted(self) -> dict[str, Any]:
        return {"removed_at": self.cleaned_data["removed_at"], "evidence": self.evidence()}


class RecoveryForm(EvidencedForm):
    kind = forms.ChoiceField(choices=RecordKind.choices, label="What was done")
    done_at = _moment("Done")
    succeeded = forms.TypedChoiceField(
        choices=[("yes", "It succeeded"), ("no", "It failed")], coerce=lambda word: word == "yes", label="How it went"
    )
    point_in_time = forms.BooleanField(required=False, label="Point-in-time recovery is on")
    reach_hours = _figure("It reaches back", LONGEST_FIGURE, "Hours. Of a backup, where it is on.")
    kept_daily = _figure("Daily backups kept", MOST_KEPT, "Of a backup.")
    kept_monthly = _figure("Monthly backups kept", MOST_KEPT, "Of a backup.")
    rpo_minutes = _figure("Measured RPO", LONGEST_FIGURE, "Minutes of data that were lost. Of a test.")
    rto_minutes = _figure("Measured RTO", LONGEST_FIGURE, "Minutes until it served again. Of a test.")
    field_order = ("kind", "done_at", "succeeded", *BACKUP_FIGURES, *TEST_FIGURES, "report", "link", "sha256")

    def wanted(self) -> dict[str, Any]:
        said = self.cleaned_data
        figures = {name: said[name] for name in (*BACKUP_FIGURES, *TEST_FIGURES)}
        names = ("kind", "done_at", "succeeded")
        return {**{name: said[name] for name in names}, "figures": figures, "evidence": self.evidence()}
