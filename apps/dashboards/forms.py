"""What people write on the pages of services and environments. The actions judge it; these only read it."""

from typing import Any
from uuid import UUID
from zoneinfo import available_timezones

from django import forms
from django.conf import settings
from django.db.models import QuerySet
from django.utils.text import slugify

from apps.core.form_fields import LineField, MomentField, set_choices
from apps.environments import addresses
from apps.environments.enums import DataClass, FreezeScope, ResourceKind, Tier, WindowKind
from apps.environments.models import Environment, Lane
from apps.releases.enums import ArtifactKind, Plane
from apps.releases.models import Service
from apps.workspaces.models import Workspace

WEEKDAYS = [(1, "Mon"), (2, "Tue"), (3, "Wed"), (4, "Thu"), (5, "Fri"), (6, "Sat"), (7, "Sun")]


def _lanes_of(environment: Environment) -> "QuerySet[Lane]":
    lanes = Lane.objects.filter(environment=environment, removed_at=None)
    return lanes.select_related("service").order_by("service__name")


class FreezeForm(forms.Form):
    lane = forms.ModelChoiceField(
        Lane.objects.none(), required=False, label="What", empty_label="The whole environment"
    )
    reason = LineField(
        label="Reason", max_length=300, min_length=3, help_text="Everybody who wants to deploy reads it."
    )
    ends_at = MomentField(
        required=False,
        label="Ends",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text="In your time zone. Empty: until somebody lifts it.",
    )

    def __init__(self, *args: Any, environment: Environment, **kwargs: Any) -> None:
        super().__init__(*args, **{"prefix": "freeze", **kwargs})
        field = self.fields["lane"]
        field.queryset = _lanes_of(environment)  # type: ignore[attr-defined]
        field.label_from_instance = lambda lane: f"Only {lane.service}"  # type: ignore[attr-defined]

    def wanted(self, environment: Environment) -> dict[str, Any]:
        """Return what `environments.actions.freeze` takes."""
        lane = self.cleaned_data["lane"]
        scope = (
            {"scope": FreezeScope.LANE, "lane": lane}
            if lane
            else {"scope": FreezeScope.ENVIRONMENT, "environment": environment}
        )
        return {**scope, "reason": self.cleaned_data["reason"], "ends_at": self.cleaned_data["ends_at"]}


class CloseWatchForm(forms.Form):
    lane = forms.ModelChoiceField(Lane.objects.none(), label="Service", empty_label=None)
    reason = LineField(label="Reason", max_length=300, min_length=3, help_text="Such as the emergency it follows.")
    hours = forms.TypedChoiceField(coerce=int, choices=[(1, "1 hour"), (4, "4 hours"), (24, "1 day"), (72, "3 days")],
                                   initial=24, label="For")  # fmt: skip

    def __init__(self, *args: Any, environment: Environment, **kwargs: Any) -> None:
        super().__init__(*args, **{"prefix": "watch", **kwargs})
        field = self.fields["lane"]
        field.queryset = _lanes_of(environment)  # type: ignore[attr-defined]
        field.label_from_instance = lambda lane: str(lane.service)  # type: ignore[attr-defined]


class ResourceForm(forms.Form):
    kind = forms.ChoiceField(choices=ResourceKind.choices, label="Kind")
    uri = LineField(
        label="Address", max_length=500, help_text="Such as postgresql://db.qa.internal:5432/orders. No password."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"prefix": "resource", **kwargs})


class LaneForm(forms.Form):
    """Where the settings know nothing else, a lane is one of this machine and nothing else is asked."""

    service = forms.ModelChoiceField(Service.objects.none(), label="Service")
    port = forms.IntegerField(
        required=False, min_value=1024, max_value=65_535, label="Port", help_text="Empty: the next free one."
    )
    cluster = forms.ChoiceField(
        required=False, label="Cluster", help_text="Kubernetes, by helm; none: this machine, behind its proxy."
    )
    namespace = LineField(
        required=False, label="Namespace", max_length=63, help_text="It must be there, and of this environment alone."
    )

    service_there = forms.ChoiceField(required=False, label="Deployed by", help_text="None: by the portal itself.")
    place = LineField(
        required=False,
        label="What it deploys there",
        max_length=addresses.LONGEST,
        help_text="As in " + ", ".join(addresses.EXAMPLES.values()) + ".",
    )
    revision = LineField(
        required=False,
        label="Its revision there",
        max_length=addresses.LONGEST,
        help_text="As in v{version}; for Argo CD also a Helm parameter, as in image.tag=. Empty: the version.",
    )

    def __init__(self, *args: Any, environment: Environment, workspaces: tuple[UUID, ...], **kwargs: Any) -> None:
        super().__init__(*args, **{"prefix": "lane", **kwargs})
        there = Lane.objects.filter(environment=environment, removed_at=None).values("service")
        services = Service.objects.readable_in(workspaces).filter(retired_at=None).exclude(pk__in=there)
        self.fields["service"].queryset = services.order_by("name")  # type: ignore[attr-defined]
        if settings.KUBECONFIGS:
            set_choices(self, "cluster", [("", "None"), *((name, name) for name in sorted(settings.KUBECONFIGS))])
        else:
            del self.fields["cluster"], self.fields["namespace"]
        if known := [(kind, name) for kind, servers in settings.CONNECTIONS.items() for name in sorted(servers)]:
            choices = [(f"{kind}/{name}", f"{addresses.WORDS[kind]}: {name}") for kind, name in known]
            set_choices(self, "service_there", [("", "None"), *choices])
        else:
            del self.fields["service_there"], self.fields["place"], self.fields["revision"]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        there, place, revision = (cleaned.pop(name, "") for name in ("service_there", "place", "revision"))
        if there:
            return self._elsewhere(cleaned, *there.split("/", 1), place=place, revision=revision)
        if place or revision:
            self.add_error("service_there", "Choose the service that deploys it there.")
        return self._here(cleaned)

    def _elsewhere(
        self, cleaned: dict[str, Any], kind: str, server: str, *, place: str, revision: str
    ) -> dict[str, Any]:
        if cleaned.get("port") is not None or cleaned.pop("cluster", "") or cleaned.pop("namespace", ""):
            self.add_error("service_there", "It is deployed there or here: leave port, cluster and namespace empty.")
        try:
            address = {"server": server} | addresses.parsed(kind, place, revision)
            cleaned["address"] = addresses.remote(kind, address, servers=settings.CONNECTIONS[kind])
        except addresses.AddressInvalid as error:
            self.add_error("place", str(error))
        return cleaned | {"executor": kind}

    def _here(self, cleaned: dict[str, Any]) -> dict[str, Any]:
        address = {name: cleaned.pop(name, "") for name in ("cluster", "namespace")}
        service = cleaned.get("service")
        if service and (service.artifact_kind == ArtifactKind.CHART) != bool(address["cluster"]):
            told = "is no chart, and only charts go to" if address["cluster"] else "is a chart and needs"
            self.add_error("service", f"{service} {told} a cluster.")
        if not any(address.values()):
            return cleaned
        if cleaned.get("port") is not None:
            self.add_error("port", "Only a lane of this machine has a port.")
        try:
            cleaned["address"] = addresses.kubernetes(address, clusters=settings.KUBECONFIGS)
        except addresses.AddressInvalid as error:
            self.add_error("namespace" if address["cluster"] else "cluster", str(error))
        return cleaned | {"executor": addresses.HELM}


class WindowForm(forms.Form):
    kind = forms.ChoiceField(choices=WindowKind.choices, label="In this span")
    weekdays = forms.TypedMultipleChoiceField(
        choices=WEEKDAYS, coerce=int, widget=forms.CheckboxSelectMultiple, label="Days on which it starts"
    )
    starts_at = forms.TimeField(label="From", widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"))
    ends_at = forms.TimeField(
        label="To",
        widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
        help_text="If it is not later than the start, the window ends on the next day.",
    )
    zone = forms.CharField(label="Time zone", initial="America/Los_Angeles", max_length=64)
    label = LineField(label="Name", max_length=80)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"prefix": "window", **kwargs})

    def clean_zone(self) -> str:
        zone: str = self.cleaned_data["zone"]
        if zone not in available_timezones():
            raise forms.ValidationError("This is not an IANA time zone, such as America/Los_Angeles.")
        return zone


class EnvironmentForm(forms.Form):
    workspace = forms.ModelChoiceField(Workspace.objects.none(), label="Workspace", empty_label=None)
    name = LineField(label="Name", max_length=60)
    slug = forms.SlugField(
        label="Short name", max_length=40, required=False, help_text="In addresses. Empty: made of the name."
    )
    tier = forms.ChoiceField(choices=Tier.choices, label="Tier", initial=Tier.LOCAL)
    purpose = LineField(label="Purpose", max_length=200)
    data_class = forms.ChoiceField(
        choices=DataClass.choices, label="Data", help_text="Real data belongs in Production only."
    )
    url_pattern = LineField(label="URL pattern", max_length=200, initial="*.localhost")
    deployment_method = LineField(label="Deployment method", max_length=80, initial="Manual or automated")

    def __init__(self, *args: Any, workspaces: tuple[UUID, ...], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["workspace"].queryset = Workspace.objects.visible_in(workspaces)  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        cleaned["slug"] = cleaned.get("slug") or slugify(cleaned.get("name", ""))[:40]
        return cleaned


class ServiceForm(forms.Form):
    workspace = forms.ModelChoiceField(Workspace.objects.none(), label="Workspace", empty_label=None)
    name = LineField(label="Name", max_length=80)
    slug = forms.SlugField(
        label="Short name", max_length=60, required=False, help_text="In addresses. Empty: made of the name."
    )
    summary = LineField(label="Summary", max_length=200, required=False)
    plane = forms.ChoiceField(choices=Plane.choices, label="Plane")
    owner_team = LineField(label="Owner team", max_length=80)
    program = LineField(label="Program", max_length=80, help_text="The name by which the executor starts it.")
    artifact_kind = forms.ChoiceField(choices=ArtifactKind.choices, label="Artifact")
    repository = LineField(label="Repository", max_length=300, required=False)
    health_path = LineField(
        label="Health path", max_length=200, initial="/", help_text="Asked after each start and regularly."
    )

    def __init__(self, *args: Any, workspaces: tuple[UUID, ...], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["workspace"].queryset = Workspace.objects.visible_in(workspaces)  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        cleaned["slug"] = cleaned.get("slug") or slugify(cleaned.get("name", ""))[:60]
        return cleaned


class ConfigurationForm(forms.Form):
    """All settings as lines of NAME=value: a version is always whole."""

    values = forms.CharField(
        label="Settings",
        required=False,
        strip=False,
        max_length=100_000,
        widget=forms.Textarea(attrs={"rows": 10, "class": "mono", "spellcheck": "false"}),
        help_text="One NAME=value in a line. Lines that begin with # are left out.",
    )
    reason = LineField(label="Reason", max_length=300, min_length=3)

    def clean_values(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for number, line in enumerate(self.cleaned_data["values"].splitlines(), 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            name, equals, value = line.partition("=")
            if not equals:
                raise forms.ValidationError(f"Line {number} is not NAME=value.")
            if name.strip() in found:
                raise forms.ValidationError(f"Line {number}: {name.strip()} stands there twice.")
            found[name.strip()] = value
        return found

    @staticmethod
    def lines_of(values: dict[str, str]) -> str:
        return "\n".join(f"{name}={value}" for name, value in sorted(values.items()))


class SearchForm(forms.Form):
    q = LineField(label="Search", max_length=80, required=False)
    plane = forms.ChoiceField(choices=[("", "Both"), *Plane.choices], label="Plane", required=False)


class ComparisonForm(forms.Form):
    """Two configuration versions by number."""

    before = forms.IntegerField(min_value=0, required=False)
    after = forms.IntegerField(min_value=1, required=False)
