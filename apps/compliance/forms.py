"""What people write about reviews, and by what they narrow what they look at."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.utils import timezone

from apps.accounts.enums import Capability
from apps.accounts.models import Role, User
from apps.compliance.access import Access
from apps.compliance.dossiers.period import Period
from apps.compliance.enums import ReviewKind, Standing, StreamKind, Way
from apps.compliance.models import Review
from apps.core.form_fields import DayField, LineField, LinesField, MomentField, set_choices
from apps.environments.models import Environment
from apps.workspaces.models import Membership, Workspace

SAMPLE = 25
DAYS = [("30", "30 days"), ("90", "90 days"), ("180", "180 days"), ("365", "One year")]


class _Day(forms.DateInput):
    def __init__(self) -> None:
        super().__init__(attrs={"type": "date"}, format="%Y-%m-%d")


class _Moment(forms.DateTimeInput):
    def __init__(self) -> None:
        super().__init__(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")


class PeriodForm(forms.Form):
    days = forms.ChoiceField(label="Period", choices=DAYS, required=False)

    def since(self, now: datetime) -> datetime:
        """Return the beginning of the period; of ninety days where it says none."""
        chosen = self.cleaned_data.get("days") if self.is_valid() else ""
        return now - timedelta(days=int(chosen or 90))


class ReviewForm(forms.Form):
    """`owner` is a role, or a person who is a member of one of the workspaces."""

    workspace = forms.ModelChoiceField(Workspace.objects.none(), label="Workspace", empty_label=None)
    kind = forms.ChoiceField(label="Kind", choices=ReviewKind.choices)
    title = LineField(label="Title", max_length=120)
    asks = LineField(label="What it asks", max_length=500)
    interval_months = forms.IntegerField(label="Every so many months", min_value=1, max_value=36)
    owner = forms.ChoiceField(label="Owner", help_text="Who holds the role, or one person.")
    next_due_date = DayField(label="First due", widget=_Day())

    def __init__(self, *args: Any, workspaces: tuple[UUID, ...], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["workspace"].queryset = Workspace.objects.visible_in(workspaces)  # type: ignore[attr-defined]
        people = Membership.objects.current().visible_in(workspaces).values("user_id")
        members = User.objects.filter(pk__in=people).order_by("display_name")
        roles = [(f"role:{role.code}", f"{role.label} (role)") for role in Role.objects.all()]
        set_choices(self, "owner", [*roles, *((f"person:{person.pk}", str(person)) for person in members)])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        what, _, key = cleaned.pop("owner", "").partition(":")
        if what == "role":
            cleaned["owner_role"] = Role.objects.get(code=key)
        elif what == "person":
            cleaned["owner"] = User.objects.get(pk=key)
            workspace = cleaned.get("workspace")
            member = Membership.objects.current().filter(user=key, workspace=workspace)
            if workspace and not member.exists():
                self.add_error("owner", f"{cleaned['owner']} holds no role in {workspace}.")
        return cleaned


class CompletionForm(forms.Form):
    """`due_date` is the day that the page showed: who comes second is told."""

    due_date = DayField(widget=forms.HiddenInput)
    note = LinesField(
        label="What was found", max_length=4000, widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Kept in the audit trail, and can't be changed afterwards.",
    )  # fmt: skip
    link = forms.URLField(
        label="Link to the report", required=False, max_length=500, assume_scheme="https",
        widget=forms.URLInput(attrs={"autocomplete": "off"}),
    )  # fmt: skip
    with_policies = forms.BooleanField(label="Keep which policies are in force now", required=False)

    def __init__(self, *args: Any, review: Review, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if review.kind != ReviewKind.POLICY:
            del self.fields["with_policies"]


class AccessForm(forms.Form):
    """At which moment, in the zone of who looks; `before` is another one to compare with."""

    at = MomentField(label="At", required=False, widget=_Moment())
    before = MomentField(label="Compared with", required=False, widget=_Moment())
    who = forms.CharField(label="Who", required=False, max_length=150)
    way = forms.ChoiceField(label="By", required=False, choices=[("", "Anything"), *Way.choices])
    what = forms.CharField(label="Role or grant", required=False, max_length=60)
    capability = forms.ChoiceField(label="Could", required=False, choices=[("", "Anything"), *Capability.choices])
    workspace = forms.ChoiceField(label="Workspace", required=False)
    environment = forms.ChoiceField(label="Environment", required=False)

    def __init__(self, *args: Any, workspaces: tuple[UUID, ...], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        owners = Workspace.objects.visible_in(workspaces).values_list("pk", "name")
        set_choices(self, "workspace", [("", "Any"), *((str(pk), name) for pk, name in owners)])
        self.environments = {str(each.pk): each for each in Environment.objects.visible_in(workspaces).standing()}
        set_choices(self, "environment", [("", "Any"), *((key, str(each)) for key, each in self.environments.items())])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        now = timezone.now()  # noqa: TID251  the form says what "now" means where no moment is named
        for name in ("at", "before"):
            if (moment := cleaned.get(name)) and moment > now:
                self.add_error(name, "That is to come. Choose a moment that is past.")
        return cleaned

    def matching(self, rows: Iterable[Access]) -> list[Access]:
        """Return the rows that meet what was chosen, in their order."""
        asked = self.cleaned_data
        place = self.environments.get(asked.get("environment") or "")
        return [
            row
            for row in rows
            if asked["who"].lower() in f"{row.who} {row.account}".lower()
            and asked["what"].lower() in row.what.lower()
            and asked["way"] in ("", row.way.value)
            and (not asked["capability"] or asked["capability"] in row.capabilities)
            and asked["workspace"] in ("", str(row.workspace_id))
            and (place is None or (row.workspace_id == place.workspace_id and row.place_id in ("", str(place.pk))))
        ]  # fmt: skip

    def in_words(self) -> dict[str, str]:
        """Return what was asked for, as the export's own event records it."""
        return {name: str(self.data.get(name)) for name in self.fields if self.data.get(name)}


class PopulationForm(forms.Form):
    standing = forms.ChoiceField(label="Standing", required=False, choices=[("", "Any"), *Standing.choices])
    environment = forms.ModelChoiceField(
        Environment.objects.none(), label="Environment", required=False, empty_label="Any"
    )

    def __init__(self, *args: Any, workspaces: tuple[UUID, ...], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["environment"].queryset = Environment.objects.visible_in(workspaces).standing()  # type: ignore[attr-defined]

    def criteria(self) -> dict[str, Any]:
        """Return what was chosen, as a filter of lanes; nothing while it has an error."""
        return {name: value for name, value in self.cleaned_data.items() if value} if self.is_valid() else {}


class StreamForm(forms.Form):
    """A receiver of the trail of one workspace."""

    workspace = forms.ModelChoiceField(Workspace.objects.none(), label="Workspace", empty_label=None)
    kind = forms.ChoiceField(label="Kind", choices=StreamKind.choices)
    name = LineField(label="Name", max_length=60)
    url = LineField(
        label="Address", max_length=500,
        help_text="tls://siem.example.com:6514 for syslog, https://… for a webhook.",
    )  # fmt: skip
    ca_pem = forms.CharField(
        label="Certificate authority", required=False, max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
        help_text="In PEM, where the receiver's certificate is of your own authority.",
    )  # fmt: skip
    since = MomentField(
        label="Begin with entries from", required=False, widget=_Moment(), help_text="Empty: from now on."
    )

    def __init__(self, *args: Any, workspaces: Sequence[Workspace], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        managed = Workspace.objects.filter(pk__in=[each.pk for each in workspaces])
        self.fields["workspace"].queryset = managed  # type: ignore[attr-defined]


class RewindForm(forms.Form):
    since = MomentField(label="Begin again from", widget=_Moment())


class DossierForm(forms.Form):
    """A period of a workspace, in days of UTC, `until` included; and which sample is drawn of its changes."""

    workspace = forms.ModelChoiceField(Workspace.objects.none(), label="Workspace", empty_label=None)
    environment = forms.ModelChoiceField(Environment.objects.none(), label="Environment", required=False,
                                         empty_label="All environments")  # fmt: skip
    since = DayField(label="From", widget=_Day())
    until = DayField(label="To", widget=_Day())
    seed = LineField(label="Seed of the sample", max_length=60, required=False)
    size = forms.IntegerField(label="Size of the sample", min_value=1, max_value=1000, required=False)

    def __init__(self, *args: Any, workspaces: tuple[UUID, ...], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["workspace"].queryset = Workspace.objects.visible_in(workspaces)  # type: ignore[attr-defined]
        places = Environment.objects.visible_in(workspaces).filter(destroyed_at=None)
        self.fields["environment"].queryset = places  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until and until < since:
            self.add_error("until", "It ends before it begins. Choose a later day.")
        place, workspace = cleaned.get("environment"), cleaned.get("workspace")
        if place and workspace and place.workspace_id != workspace.pk:
            self.add_error("environment", f"{place} is no environment of {workspace}.")
        return cleaned

    def period(self) -> Period:
        """Return what is asked for. Without a seed the period itself is one: who names none draws the same again."""
        given = self.cleaned_data
        since = datetime.combine(given["since"], time(), tzinfo=UTC)
        until = datetime.combine(given["until"], time(), tzinfo=UTC) + timedelta(days=1)
        seed = given["seed"] or f"{given['since']}/{given['until']}"
        return Period(given["workspace"], given["environment"], since, until, seed, given["size"] or SAMPLE)
