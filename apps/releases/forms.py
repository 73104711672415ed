"""What people write about releases. Rules that need the database are the actions'."""

import json
from collections.abc import Iterable
from datetime import date
from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError

from apps.core.form_fields import DayField, LineField, LinesField, set_choices
from apps.environments.models import Environment
from apps.releases import manifests, reports, versions
from apps.releases.contracts.notice import MONTHS, earliest_end
from apps.releases.enums import ArtifactKind, EvidenceKind, Suite
from apps.releases.models import EventVersion, Release, Service
from apps.releases.support import Line
from apps.releases.traits import DECLARABLE

MANIFEST_LIMIT = 500_000


class ReleaseForm(forms.Form):
    service = forms.ChoiceField(label="Service")
    version = LineField(
        label="Version",
        max_length=80,
        help_text="Semantic version, such as 2.14.0 or 3.0.0-rc.1. A version is never reused and never moved.",
    )
    tag = LineField(
        label="Git tag",
        max_length=100,
        required=False,
        help_text="Such as v2.14.0. The repository is asked for it where the portal holds it.",
    )
    commit = forms.RegexField(
        label="Commit",
        regex=r"^[0-9a-fA-F]{7,64}$",
        required=False,
        max_length=64,
        error_messages={"invalid": "A commit is named by 7 to 64 hexadecimal digits."},
    )
    manifest = forms.CharField(
        label="Manifest",
        max_length=MANIFEST_LIMIT,
        widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "false", "class": "mono"}),
        help_text='JSON: {"program": …, "wheels": [{"name", "version", "filename", "sha256", "size"}, …]}; for a Helm '
        'chart {"program": …, "chart": {"name", "version", "filename", "sha256", "size", "source"}}, from “store” or '
        "oci://…@sha256:…. Every file is verified against it before each deployment. Data migrations stand beside: "
        '"migrations": [{"id", "class", "sha256", "rollback", "path", "reason", "critical"}, …].',
    )
    digest = forms.RegexField(
        label="Digest",
        regex=r"^sha256:[0-9a-f]{64}$",
        required=False,
        help_text="What you expect the manifest to be. When it differs, nothing is created.",
        error_messages={"invalid": "A digest is sha256: and 64 hexadecimal digits."},
    )
    notes = LinesField(label="Notes", max_length=100_000, required=False, widget=forms.Textarea(attrs={"rows": 5}))
    traits = forms.MultipleChoiceField(
        label="What it is",
        required=False,
        choices=[(trait.value, trait.label) for trait in DECLARABLE],
        widget=forms.CheckboxSelectMultiple,
        help_text="Asks for more people where the policies say so, and can't be taken back. The version says by itself "
        "what is major, and the files that changed may say more.",
    )
    seal = forms.BooleanField(
        label="Seal it at once",
        required=False,
        help_text="A sealed release never changes again and can be promoted. A draft can't be deployed.",
    )

    def __init__(self, *args: Any, workspaces: tuple[UUID, ...], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        services = Service.objects.visible_in(workspaces).filter(retired_at=None).order_by("name")
        self.services = {service.slug: service for service in services}
        set_choices(self, "service", [("", "Choose one"), *((slug, str(of)) for slug, of in self.services.items())])

    def clean_service(self) -> Service:
        return self.services[self.cleaned_data["service"]]

    def clean_version(self) -> str:
        try:
            return str(versions.parse(self.cleaned_data["version"]))
        except versions.VersionInvalid as error:
            raise ValidationError(str(error), code="version_invalid") from error

    def clean_commit(self) -> str:
        return str(self.cleaned_data["commit"]).lower()

    def clean_manifest(self) -> dict[str, Any]:
        try:
            manifest = json.loads(self.cleaned_data["manifest"])
            service = self.cleaned_data.get("service")
            kind = ArtifactKind.CHART if "chart" in manifest else ArtifactKind.WHEELS
            program, kind = (service.program, service.artifact_kind) if service else (manifest.get("program", ""), kind)
            manifests.check(manifest, program=program, kind=kind)
        except (json.JSONDecodeError, RecursionError) as error:
            raise ValidationError(f"This is not JSON: {error}.", code="manifest_invalid") from error
        except (manifests.ManifestInvalid, AttributeError, TypeError) as error:
            raise ValidationError(str(error), code="manifest_invalid") from error
        return dict(manifest)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        expected, manifest = cleaned.pop("digest", ""), cleaned.get("manifest")
        if expected and manifest and (digest := manifests.digest_of(manifest)) != expected:
            self.add_error("digest", f"The manifest has the digest {digest}, not this one. Nothing was created.")
        return cleaned


class ReasonForm(forms.Form):
    reason = LineField(
        label="Reason",
        max_length=300,
        widget=forms.TextInput(attrs={"placeholder": "What did you see?", "autocomplete": "off"}),
        help_text="Kept in the audit trail.",
    )


class EndForm(forms.Form):
    line = forms.ChoiceField(label="Release line")
    ends_date = DayField(label="First day without support", widget=forms.DateInput(attrs={"type": "date"}))
    reason = LineField(label="Reason", max_length=300, help_text="Users read it, and it is kept in the audit trail.")

    def __init__(self, *args: Any, lines: Iterable[Line], today: date, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.earliest = earliest_end(today)
        self.fields["ends_date"].help_text = f"{self.earliest:%Y-%m-%d} at the earliest: {MONTHS} months ahead."
        self.fields["ends_date"].widget.attrs["min"] = f"{self.earliest:%Y-%m-%d}"
        set_choices(self, "line", [(f"{major}.{minor}",) * 2 for major, minor in lines])

    def clean_ends_date(self) -> date:
        day: date = self.cleaned_data["ends_date"]
        if day < self.earliest:
            raise ValidationError(
                f"An end is announced {MONTHS} months ahead: {self.earliest:%Y-%m-%d} at the earliest. Nothing was "
                "announced."
            )
        return day

    def wanted(self) -> dict[str, Any]:
        major, minor = self.cleaned_data["line"].split(".")
        return {**self.cleaned_data, "line": (int(major), int(minor))}


class EvidenceForm(forms.Form):
    # Lines of checklists are ticked by people on the promotion's page, and by jobs with their tokens.
    kind = forms.ChoiceField(
        label="Kind", choices=[choice for choice in EvidenceKind.choices if choice[0] != EvidenceKind.CHECKLIST]
    )
    suite = forms.ChoiceField(label="Tests", choices=[("", "No tests"), *Suite.choices], required=False)
    environment = forms.ModelChoiceField(
        Environment.objects.none(), label="Where it ran", required=False, empty_label="Elsewhere, such as a pipeline"
    )
    report = forms.FileField(
        label="Report",
        widget=forms.FileInput(attrs={"class": "form-control"}),
        help_text=f"The file as the tool wrote it, at most {reports.LIMIT >> 20} MB.",
    )

    def __init__(self, *args: Any, release: Release, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        here = Environment.objects.filter(workspace_id=release.workspace_id, destroyed_at=None)
        self.fields["environment"].queryset = here.order_by("name")  # type: ignore[attr-defined]

    def wanted(self) -> dict[str, Any]:
        given = dict(self.cleaned_data)
        return {**given, "report": given["report"].read()}


class OptInForm(forms.Form):
    service = forms.ModelChoiceField(
        Service.objects.none(), label="Service that reads it", empty_label="Choose one", to_field_name="slug"
    )

    def __init__(self, *args: Any, version: EventVersion, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        here = Service.objects.filter(workspace_id=version.workspace_id, retired_at=None)
        self.fields["service"].queryset = here.order_by("name")  # type: ignore[attr-defined]
