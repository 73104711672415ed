"""What the list of releases can be narrowed by; all of it stands in the address, so a list can be shared."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django import forms
from django.db.models import Prefetch, Q, QuerySet

from apps.core.form_fields import set_choices
from apps.environments.models import Lane
from apps.releases.enums import ChangeEffect, ReleaseKind, ReleaseState, Severity
from apps.releases.models import ApiChange, ApiComparison, Evidence, Finding, Part, Release, Service
from apps.releases.querysets import EventVersionQuerySet, ReleaseQuerySet


class ReleaseFilter(forms.Form):
    q = forms.CharField(label="Search", required=False, max_length=100)
    service = forms.ChoiceField(label="Service", required=False)
    state = forms.ChoiceField(label="State", required=False, choices=[("", "Any state"), *ReleaseState.choices])
    kind = forms.ChoiceField(label="Kind", required=False, choices=[("", "Any kind"), *ReleaseKind.choices])

    def __init__(self, data: Any, *, workspaces: tuple[UUID, ...]) -> None:
        super().__init__(data)
        self.workspaces = workspaces
        self.fields["q"].widget = forms.TextInput(attrs={"type": "search", "data-find": True})
        services = Service.objects.readable_in(workspaces).order_by("name").values_list("slug", "name")
        set_choices(self, "service", [("", "Any service"), *services])

    def releases(self) -> ReleaseQuerySet:
        """Return the readable releases that match, with where they run; none, while the form has an error."""
        lanes = Lane.objects.visible_in(self.workspaces).standing().select_related("environment")
        found = Release.objects.readable_in(self.workspaces).select_related("service")
        found = found.prefetch_related(Prefetch("live_in", lanes.order_by("environment__position"), to_attr="runs_in"))
        if not self.is_valid():
            return found.none()
        wanted = self.cleaned_data
        if wanted["service"]:
            found = found.filter(service__slug=wanted["service"])
        for name in ("state", "kind"):
            if wanted[name]:
                found = found.filter(**{name: wanted[name]})
        return found.filter(_about(wanted["q"])) if wanted["q"] else found


class FindingFilter(forms.Form):
    severity = forms.TypedChoiceField(
        label="Severity",
        required=False,
        coerce=int,
        choices=[("", "Any severity"), *((severity.value, severity.label) for severity in reversed(Severity))],
    )

    def findings(self, reports: Iterable[Evidence]) -> QuerySet[Finding]:
        """Return the findings of these reports that match; none, while the form has an error."""
        found = Finding.objects.filter(evidence__in=reports).select_related("evidence")
        if not self.is_valid():
            return found.none()
        severity = self.cleaned_data["severity"]
        return found.filter(severity=severity) if severity else found


class PartFilter(forms.Form):
    """`kind` names the format of the list, where there are several; the first one, unless said."""

    q = forms.CharField(label="Search", required=False, max_length=100)
    kind = forms.ChoiceField(label="List", required=False)

    def __init__(self, data: Any, *, lists: list[Evidence]) -> None:
        super().__init__(data)
        self.lists = {found.kind: found for found in lists}
        self.fields["q"].widget = forms.TextInput(attrs={"type": "search", "data-find": True})
        set_choices(self, "kind", [(kind, found.label) for kind, found in self.lists.items()])

    def chosen(self) -> Evidence | None:
        """Return the list that is shown; None where there is none."""
        first = next(iter(self.lists.values()), None)
        return self.lists.get(self.cleaned_data["kind"], first) if self.is_valid() else first

    def parts(self, shown: Evidence) -> QuerySet[Part]:
        """Return the components that match; none, while the form has an error in its search."""
        if "q" in self.errors:
            return shown.parts.none()
        found, text = shown.parts.all(), self.cleaned_data["q"]
        about = Q(name__icontains=text) | Q(key__icontains=text) | Q(licence__icontains=text) | Q(version=text)
        return found.filter(about) if text else found


def _about(text: str) -> Q:
    about = Q(version__icontains=text) | Q(tag__icontains=text) | Q(notes__icontains=text)
    return about | Q(commit__startswith=text.lower()) | Q(artifact_digest__icontains=text.lower())


class EventFilter(forms.Form):
    q = forms.CharField(
        label="Event or service", required=False, max_length=100,
        widget=forms.TextInput(attrs={"type": "search", "data-find": True}),
    )  # fmt: skip

    def matching(self, versions: EventVersionQuerySet) -> EventVersionQuerySet:
        """Return the versions that match; none, while the form has an error."""
        if not self.is_valid():
            return versions.none()
        text = self.cleaned_data["q"]
        about = Q(subject__name__icontains=text) | Q(subject__service__name__icontains=text)
        return versions.filter(about) if text else versions


class ApiChangeFilter(forms.Form):
    """`against` names the version beside which the release is seen; the one it was compared with last, unless said."""

    q = forms.CharField(label="Search", required=False, max_length=100)
    effect = forms.ChoiceField(label="Class", required=False, choices=[("", "Any class"), *ChangeEffect.choices])
    against = forms.ChoiceField(label="Beside", required=False)

    def __init__(self, data: Any, *, compared: list[tuple[Release, ApiComparison]]) -> None:
        super().__init__(data)
        self.compared: dict[str, tuple[Release, ApiComparison]] = {}
        for release, comparison in compared:
            self.compared.setdefault(release.version, (release, comparison))
        self.fields["q"].widget = forms.TextInput(attrs={"type": "search", "data-find": True})
        set_choices(self, "against", [(version, version) for version in self.compared])

    def chosen(self) -> tuple[Release, ApiComparison] | None:
        """Return the version and its comparison; None where there is none."""
        first = next(iter(self.compared.values()), None)
        return self.compared.get(self.cleaned_data["against"], first) if self.is_valid() else first

    def changes(self, comparison: ApiComparison) -> QuerySet[ApiChange]:
        """Return the changes that match; none, while the form has an error in its search or its class."""
        if self.errors.keys() & {"q", "effect"}:
            return comparison.changes.none()
        found, text = comparison.changes.all(), self.cleaned_data["q"]
        if effect := self.cleaned_data["effect"]:
            found = found.filter(effect=effect)
        about = Q(operation__icontains=text) | Q(place__icontains=text) | Q(rule__icontains=text)
        return found.filter(about | Q(sentence__icontains=text)) if text else found
