"""What people write when they change the rules."""

from typing import Any

from django import forms

from apps.core.form_fields import LineField
from apps.policies.sources import LARGEST_BYTES


class CommitForm(forms.Form):
    reason = LineField(
        label="Reason", min_length=3, max_length=300, widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text="Who decides on it reads this first. Kept in the audit trail.",
    )  # fmt: skip


class ProposalForm(CommitForm):
    source = forms.CharField(
        label="Policy",
        max_length=LARGEST_BYTES,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 30, "class": "mono", "spellcheck": "false", "autocomplete": "off"}),
        help_text="YAML. Editors that know its schema, in the first line, complete and check it.",
    )


class ProposalDecisionForm(forms.Form):
    choice = forms.ChoiceField(choices=[("ACTIVATE", "Put it in force"), ("TURN_DOWN", "Turn it down")])
    comment = LineField(
        label="Comment", max_length=300, required=False, widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text="Kept in the audit trail. Turning it down needs one.",
    )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("choice") == "TURN_DOWN" and "comment" in cleaned and not cleaned["comment"]:
            self.add_error("comment", "Say why: whoever wrote it will want to know.")
        return cleaned


class SinceForm(forms.Form):
    since = forms.IntegerField(min_value=1, max_value=1_000_000, required=False)
