"""What people write when they ask for a promotion, decide on one or take it back."""

from typing import Any

from django import forms

from apps.approvals.enums import Choice
from apps.core.form_fields import LineField, LinesField


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
    waits = forms.BooleanField(
        label="Wait for a person before it starts",
        required=False,
        help_text="Otherwise it starts by itself as soon as every gate lets it pass.",
    )


class WithdrawalForm(forms.Form):
    reason = LineField(
        label="Reason", min_length=3, max_length=300, widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text="Kept in the audit trail.",
    )  # fmt: skip
