"""What the list of deployments can be narrowed by; all of it stands in the address, so a list can be shared."""

from typing import Any
from uuid import UUID

from django import forms
from django.db.models import Q

from apps.core.form_fields import set_choices
from apps.deployments.enums import OPEN, DeploymentKind, DeploymentState
from apps.deployments.models import Deployment
from apps.deployments.querysets import DeploymentQuerySet
from apps.environments.models import Environment
from apps.releases.models import Service

RUNNING = "OPEN"
STATES = [("", "Any state"), (RUNNING, "Running now"), *DeploymentState.choices]


class DeploymentFilter(forms.Form):
    q = forms.CharField(label="Search", required=False, max_length=100)
    service = forms.ChoiceField(label="Service", required=False)
    environment = forms.ChoiceField(label="Environment", required=False)
    state = forms.ChoiceField(label="State", required=False, choices=STATES)
    kind = forms.ChoiceField(label="Kind", required=False, choices=[("", "Any kind"), *DeploymentKind.choices])

    def __init__(self, data: Any, *, workspaces: tuple[UUID, ...]) -> None:
        super().__init__(data)
        self.workspaces = workspaces
        self.fields["q"].widget = forms.TextInput(attrs={"type": "search", "data-find": True})
        set_choices(self, "service", [("", "Any service"), *_services(workspaces)])
        set_choices(self, "environment", [("", "Any environment"), *_environments(workspaces)])

    def deployments(self) -> DeploymentQuerySet:
        """Return the deployments of the person's workspaces that match; none, while the form has an error."""
        found = Deployment.objects.visible_in(self.workspaces).with_subject()
        if not self.is_valid():
            return found.none()
        wanted = self.cleaned_data
        if wanted["service"]:
            found = found.filter(lane__service__slug=wanted["service"])
        if wanted["environment"]:
            found = found.filter(lane__environment__slug=wanted["environment"])
        if wanted["state"]:
            found = found.filter(state__in=OPEN if wanted["state"] == RUNNING else [wanted["state"]])
        if wanted["kind"]:
            found = found.filter(kind=wanted["kind"])
        return found.filter(_about(wanted["q"])) if wanted["q"] else found


def _about(text: str) -> Q:
    number = text.removeprefix("#")
    about = Q(release__version__icontains=text) | Q(requested_by_label__icontains=text)
    about |= Q(reason__icontains=text) | Q(outcome__icontains=text)
    return about | Q(number=int(number)) if number.isascii() and number.isdigit() and len(number) < 18 else about


def _services(workspaces: tuple[UUID, ...]) -> list[tuple[str, str]]:
    return list(Service.objects.readable_in(workspaces).order_by("name").values_list("slug", "name"))


def _environments(workspaces: tuple[UUID, ...]) -> list[tuple[str, str]]:
    standing = Environment.objects.visible_in(workspaces).standing()
    return list(dict(standing.values_list("slug", "name")).items())
