"""What people write when they take a deployment into their hands."""

from django import forms
from django.http import QueryDict

from apps.core.form_fields import LineField
from apps.deployments.log_window import Wanted


class ReasonForm(forms.Form):
    reason = LineField(
        label="Reason",
        min_length=3,
        max_length=300,
        widget=forms.TextInput(attrs={"placeholder": "What did you see?", "autocomplete": "off"}),
        help_text="Kept in the audit trail.",
    )


class RollbackForm(ReasonForm):
    """`to` is the release that the page named, so that nobody goes back to another one than they read."""

    to = forms.UUIDField(widget=forms.HiddenInput)


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
