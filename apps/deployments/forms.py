"""What people write when they take a deployment into their hands."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django import forms
from django.http import QueryDict

from apps.core.form_fields import LineField
from apps.deployments.enums import Harm, RolloutLaneState
from apps.deployments.log_window import Wanted
from apps.environments.models import Lane
from apps.workspaces.models import Workspace


class ReasonForm(forms.Form):
    reason = LineField(
        label="Reason",
        min_length=3,
        max_length=300,
        widget=forms.TextInput(attrs={"placeholder": "What did you see?", "autocomplete": "off"}),
        help_text="Kept in the audit trail.",
    )


class AbandonmentForm(ReasonForm):
    """`choice` is which button was pressed, where another person's proposal is on the page."""

    choice = forms.ChoiceField(choices=[("ABANDON", "Abandon"), ("DECLINE", "Decline")], required=False)


class ReportForm(ReasonForm):
    harm = forms.ChoiceField(label="What is it?", choices=Harm.choices, widget=forms.RadioSelect)


class RollbackForm(ReasonForm):
    """`to` is the release that the page named, so that nobody goes back to another one than they read."""

    to = forms.UUIDField(widget=forms.HiddenInput)
    restored = forms.BooleanField(label="The data was restored as the procedures say", required=False)


# Every environment offers them all: with a hundred of each, the page would be of ten thousand choices.
MOST_WAVES = 12


class RolloutForm(forms.Form):
    """One field for each lane that may take part: the wave it belongs to, or none."""

    pause = forms.ChoiceField(
        label="Watch each wave before the next one",
        choices=[("0", "Not at all"), ("10", "10 minutes"), ("60", "1 hour"), ("240", "4 hours"), ("1440", "1 day")],
        initial="60",
        help_text="A wave that turns faulty in this time stops the roll-out.",
    )
    reason = LineField(
        label="Reason",
        max_length=300,
        required=False,
        widget=forms.TextInput(attrs={"placeholder": "What is it for?", "autocomplete": "off"}),
        help_text="Approvers read it. Kept in the audit trail.",
    )

    def __init__(self, *args: Any, lanes: Sequence[Lane], owners: Sequence[Workspace], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lanes, self.owners = lanes, owners
        waves = [(str(wave), f"Wave {wave}") for wave in range(1, min(len(lanes), MOST_WAVES) + 1)]
        own = [lane for lane in lanes if lane.workspace_id == owners[0].pk] if owners else []
        for lane in lanes:
            self.fields[_field_of(lane)] = forms.ChoiceField(
                label=f"Wave of {lane.environment.name}{_where(lane, owners)}",
                choices=[("", "Not in it"), *waves],
                required=False,
                initial="1" if lane in own[:1] else "2" if lane in own else "",
            )
        for owner in owners if len(owners) > 1 else ():
            self.fields[_field_of(owner)] = forms.ChoiceField(
                label=f"Wave of all environments of {owner.name}",
                choices=[("", "Each as below"), *waves],
                required=False,
            )

    def groups(self) -> list[tuple[Workspace, forms.BoundField | None, list[tuple[Lane, forms.BoundField]]]]:
        """Return each workspace with the field for all of it, where there are several, and those of its lanes."""
        return [
            (
                owner,
                self[_field_of(owner)] if len(self.owners) > 1 else None,
                [(lane, self[_field_of(lane)]) for lane in self.lanes if lane.workspace_id == owner.pk],
            )
            for owner in self.owners
        ]

    def plan(self) -> dict[str, Any]:
        """Return what `start_rollout` is told; a wave that is chosen for a whole workspace goes before."""
        given = self.cleaned_data
        whole = {owner.pk: given.get(_field_of(owner), "") for owner in self.owners}
        waves = {lane: whole[lane.workspace_id] or given[_field_of(lane)] for lane in self.lanes}
        chosen = {lane: int(wave) for lane, wave in waves.items() if wave}
        return {"waves_of": chosen, "pause": timedelta(minutes=int(given["pause"])), "reason": given["reason"]}


def _where(lane: Lane, owners: Sequence[Workspace]) -> str:
    """Return the name of its workspace where there are several: environments of two may have one name."""
    return next((f" of {owner.name}" for owner in owners if len(owners) > 1 and owner.pk == lane.workspace_id), "")


def _field_of(row: Lane | Workspace) -> str:
    return f"{row._meta.model_name}-{row.pk}"


class PartForm(ReasonForm):
    """What a guest decides about its part in a roll-out; `choices` are what can be decided now."""

    to = forms.TypedChoiceField(label="What should it do?", coerce=RolloutLaneState, widget=forms.RadioSelect)

    field_order = ("to", "reason")

    def __init__(self, *args: Any, choices: Sequence[RolloutLaneState], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["to"].choices = [(state.value, _DECISIONS[state]) for state in choices]  # type: ignore[attr-defined]


_DECISIONS: dict[RolloutLaneState, str] = {
    RolloutLaneState.IN: "Go on: ask again for what was held",
    RolloutLaneState.HELD: "Hold: ask for nothing here until we go on",
    RolloutLaneState.LEFT: "Leave: it does not come here any more",
}


class WaveForm(forms.Form):
    """`wave` is the one that the page showed waiting, so that a late click releases no other."""

    wave = forms.IntegerField(min_value=1, max_value=1000, widget=forms.HiddenInput)


class LogForm(forms.Form):
    """Which lines of the log; an address that can't be read shows the newest ones."""

    q = forms.CharField(required=False, max_length=200)
    before = forms.IntegerField(required=False, min_value=2, max_value=2**31 - 1)
    after = forms.IntegerField(required=False, min_value=0, max_value=2**31 - 1)

    def __init__(self, data: QueryDict) -> None:
        super().__init__(data)
        # `from` is a word of Python, so it can't be an attribute of the class.
        for name in ("from", "to"):
            self.fields[name] = forms.IntegerField(required=False, min_value=1, max_value=2**31 - 1)

    def wanted(self) -> Wanted:
        self.is_valid()
        given = self.cleaned_data
        return Wanted(given.get("before"), given.get("after"), given.get("from"), given.get("to"), given.get("q", ""))
