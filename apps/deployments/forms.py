"""What people write when they take a deployment into their hands."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django import forms
from django.http import QueryDict

from apps.core.form_fields import LineField
from apps.deployments.enums import Harm
from apps.deployments.log_window import Wanted
from apps.environments.models import Lane


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

    def __init__(self, *args: Any, lanes: Sequence[Lane], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lanes = lanes
        waves = [("", "Not in it"), *((str(wave), f"Wave {wave}") for wave in range(1, len(lanes) + 1))]
        for number, lane in enumerate(lanes):
            self.fields[_field_of(lane)] = forms.ChoiceField(
                label=f"Wave of {lane.environment.name}",
                choices=waves,
                required=False,
                initial="1" if number == 0 else "2",
            )

    def of_lanes(self) -> list[tuple[Lane, forms.BoundField]]:
        return [(lane, self[_field_of(lane)]) for lane in self.lanes]

    def plan(self) -> dict[str, Any]:
        """Return what `start_rollout` is told."""
        given = self.cleaned_data
        chosen = {lane: int(given[_field_of(lane)]) for lane in self.lanes if given[_field_of(lane)]}
        return {"waves_of": chosen, "pause": timedelta(minutes=int(given["pause"])), "reason": given["reason"]}


def _field_of(lane: Lane) -> str:
    return f"lane-{lane.pk}"


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
