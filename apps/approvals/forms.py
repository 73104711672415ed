"""What people write when they ask for a promotion, decide on one or take it back."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator

from apps.accounts.models import User
from apps.approvals.actions.waivers import LONGEST_HOURS
from apps.approvals.enums import Choice
from apps.core.form_fields import LineField, LinesField, MomentField, set_choices
from apps.environments.models import Lane
from apps.incidents.models import Incident
from apps.releases.traits import DECLARABLE
from apps.workspaces.models import Membership
from apps.workspaces.querysets import MembershipQuerySet


class DecisionForm(forms.Form):
    """`plan_hash` is the plan that the page showed; a decision is bound to it."""

    requirement = forms.UUIDField(widget=forms.HiddenInput)
    plan_hash = forms.RegexField(regex=r"^[0-9a-f]{64}$", widget=forms.HiddenInput)
    choice = forms.ChoiceField(choices=Choice.choices, widget=forms.HiddenInput)
    comment = LinesField(
        label="Comment",
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 2, "placeholder": "What did you check?"}),
        help_text="Kept in the audit trail. A rejection needs one.",
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("choice") == Choice.REJECT and "comment" in cleaned and not cleaned["comment"]:
            self.add_error("comment", "Say why you reject it: the one who asked will want to know.")
        return cleaned


class PromotionForm(forms.Form):
    reason = LineField(
        label="Reason",
        max_length=300,
        required=False,
        widget=forms.TextInput(attrs={"placeholder": "What is it for?", "autocomplete": "off"}),
        help_text="Approvers read it. Kept in the audit trail.",
    )
    incident = forms.ModelChoiceField(
        Incident.objects.none(),
        label="As an emergency",
        required=False,
        empty_label="No, as usual",
        help_text="For an open incident, a patch of what Production runs passes freezes and windows. All see why.",
    )
    waits = forms.BooleanField(
        label="Wait for a person before it starts",
        required=False,
        help_text="Otherwise it starts by itself as soon as every gate lets it pass.",
    )

    def __init__(self, *args: Any, lane: Lane, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["incident"]
        field.queryset = Incident.objects.open().concerning(lane)  # type: ignore[attr-defined]
        field.label_from_instance = lambda found: f"{found} {found.severity}: {found.title}"  # type: ignore[attr-defined]
        if not field.queryset:  # type: ignore[attr-defined]
            del self.fields["incident"]

    def chosen_incident(self) -> Incident | None:
        """Return the incident that is chosen, or that the address names; what can't be chosen counts as none."""
        if "incident" not in self.fields:
            return None
        try:
            found: Incident | None = self.fields["incident"].clean(self["incident"].value())
        except ValidationError:
            return None
        return found


class _Moment(forms.DateTimeInput):
    def __init__(self) -> None:
        super().__init__(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")


class DelegationForm(forms.Form):
    """Offers the roles by which one decides, and the people of their workspaces."""

    membership = forms.ModelChoiceField(Membership.objects.none(), label="Role", empty_label=None)
    to = forms.ModelChoiceField(
        User.objects.none(), label="Delegate", empty_label="Choose a person", help_text="Needs no role that approves."
    )
    begins_at = MomentField(
        required=False, label="From", widget=_Moment(), help_text="In your time zone. Empty: from now."
    )
    ends_at = MomentField(label="Until", widget=_Moment(), help_text="At most 90 days. It ends by itself.")
    reason = LineField(
        label="Reason", min_length=3, max_length=300, widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text="Kept in the audit trail.",
    )  # fmt: skip

    def __init__(self, *args: Any, lendable: MembershipQuerySet, by: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        roles = self.fields["membership"]
        roles.queryset = lendable  # type: ignore[attr-defined]
        roles.label_from_instance = lambda held: f"{held.role} in {held.workspace}"  # type: ignore[attr-defined]
        members = Membership.objects.current().filter(workspace_id__in=lendable.values("workspace_id"))
        people = User.objects.filter(pk__in=members.values("user_id")).exclude(pk=by.pk)
        self.fields["to"].queryset = people.order_by("display_name", "username")  # type: ignore[attr-defined]


class AcceptanceForm(forms.Form):
    days = forms.IntegerField(label="For how many days", min_value=1)
    reason = LineField(
        label="Reason",
        max_length=300,
        widget=forms.TextInput(attrs={"placeholder": "Why can it stay that long?", "autocomplete": "off"}),
        help_text="Whoever approves a promotion reads it. Kept in the audit trail.",
    )

    def __init__(self, *args: Any, longest: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        days = self.fields["days"]
        days.initial = min(30, longest)
        days.validators.append(MaxValueValidator(longest, f"At most {longest} days."))
        days.widget.attrs["max"] = longest
        days.help_text = f"At most {longest}, as the policies in force say. Then it counts again."


class WaiverForm(forms.Form):
    """`plan_hash` is the plan that the page showed; a waiver is bound to it."""

    plan_hash = forms.RegexField(regex=r"^[0-9a-f]{64}$", widget=forms.HiddenInput)
    hours = forms.IntegerField(
        label="For how many hours", initial=24, min_value=1, max_value=LONGEST_HOURS,
        help_text=f"At most {LONGEST_HOURS}, and no longer than the promotion itself. Then the gate counts again.",
    )  # fmt: skip
    reason = LineField(
        label="Reason", min_length=3, max_length=300, widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text="Shown with the promotion and its deployments for ever.",
    )  # fmt: skip


class TraitForm(forms.Form):
    """Offers the traits that nobody has declared of the release yet."""

    trait = forms.ChoiceField(label="What it is")
    reason = LineField(
        label="Reason", min_length=3, max_length=300, widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text="Whoever approves it reads it. Kept in the audit trail.",
    )  # fmt: skip

    def __init__(self, *args: Any, declared: Iterable[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        left = [trait for trait in DECLARABLE if trait not in set(declared)]
        set_choices(self, "trait", [(trait.value, trait.label) for trait in left])


class TickForm(forms.Form):
    """`plan_hash` is the plan that the page showed; a tick is bound to it."""

    plan_hash = forms.RegexField(regex=r"^[0-9a-f]{64}$", widget=forms.HiddenInput)
    note = LineField(label="Note", max_length=500, required=False)


class WithdrawalForm(forms.Form):
    reason = LineField(
        label="Reason", min_length=3, max_length=300, widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text="Kept in the audit trail.",
    )  # fmt: skip
