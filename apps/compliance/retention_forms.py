"""What people write about what is kept of the trail."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.utils import timezone

from apps.accounts.models import User
from apps.compliance.enums import HoldScope, LegalBasis
from apps.compliance.models.retention import LEAST_DAYS, USUAL_ARCHIVE_YEARS, USUAL_DAYS
from apps.core.form_fields import DayField, LineField
from apps.workspaces.models import Workspace


class _Day(forms.DateInput):
    def __init__(self) -> None:
        super().__init__(attrs={"type": "date"}, format="%Y-%m-%d")


class _Month(forms.DateField):
    """The first day of a month, as a browser's month field sends it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            input_formats=["%Y-%m", "%Y-%m-%d"], widget=forms.DateInput(attrs={"type": "month"}, format="%Y-%m"),
            **options,
        )  # fmt: skip


def _reason(**options: Any) -> LineField:
    return LineField(
        label="Reason", max_length=300, widget=forms.TextInput(attrs={"autocomplete": "off"}), **options
    )  # fmt: skip


class _OfWorkspace(forms.Form):
    workspace = forms.ModelChoiceField(Workspace.objects.none(), label="Workspace", empty_label=None)

    def __init__(self, *args: Any, workspaces: tuple[UUID, ...], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["workspace"].queryset = Workspace.objects.visible_in(workspaces)  # type: ignore[attr-defined]


class RetentionForm(_OfWorkspace):
    online_days = forms.IntegerField(
        label="Days online", min_value=LEAST_DAYS, max_value=3650, initial=USUAL_DAYS,
        help_text=f"{LEAST_DAYS} at least.",
    )  # fmt: skip
    archive_years = forms.IntegerField(
        label="Years in an archive", min_value=1, max_value=30, initial=USUAL_ARCHIVE_YEARS,
        help_text="PCI DSS asks for 1, HIPAA for 6, SOX for 7.",
    )  # fmt: skip
    reason = _reason()


class CutForm(_OfWorkspace):
    until = _Month(label="Entries before the month")
    legal_basis = forms.ChoiceField(
        label="Legal basis", choices=LegalBasis.choices, initial=LegalBasis.STORAGE_LIMIT.value
    )
    reason = _reason()


class HoldForm(_OfWorkspace):
    scope = forms.ChoiceField(label="On", choices=HoldScope.choices)
    target_type = LineField(label="Kind of object", max_length=40, required=False)
    target_id = LineField(label="Id of the object", max_length=64, required=False)
    actor_id = LineField(label="Id of the person", max_length=64, required=False)
    since = DayField(label="From", required=False, widget=_Day())
    until = DayField(label="Before", required=False, widget=_Day())
    reason = _reason()

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        needed = {HoldScope.OBJECT: ("target_type", "target_id"), HoldScope.ACTOR: ("actor_id",)}
        wanted = needed.get(cleaned.get("scope", ""), ())
        for name in ("target_type", "target_id", "actor_id"):
            if name not in wanted:
                cleaned[name] = ""
            elif not cleaned.get(name):
                self.add_error(name, "Name it: an entry's page shows it in its history's address.")
        since, until = (_begin(cleaned.get(name)) for name in ("since", "until"))
        if since and until and until <= since:
            self.add_error("until", "It ends after it begins.")
        return cleaned | {"since": since, "until": until}


class LiftForm(forms.Form):
    reason = _reason()


class ErasureForm(forms.Form):
    person = forms.ModelChoiceField(User.objects.none(), label="Person", empty_label="Choose a closed account")
    legal_basis = forms.ChoiceField(label="Legal basis", choices=LegalBasis.choices)
    reason = _reason(help_text="Stays in the trail: don't name the person here.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        closed = User.objects.filter(is_active=False).exclude(username__startswith="erased-")
        self.fields["person"].queryset = closed.order_by("display_name", "username")  # type: ignore[attr-defined]


class WishForm(forms.Form):
    choice = forms.ChoiceField(choices=[("CONFIRM", "Confirm it"), ("TURN_DOWN", "Turn it down")])
    comment = LineField(
        label="Comment", max_length=300, required=False, widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text="Kept in the audit trail. Turning it down needs one.",
    )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("choice") == "TURN_DOWN" and "comment" in cleaned and not cleaned["comment"]:
            self.add_error("comment", "Say why: whoever proposed it will want to know.")
        return cleaned


def _begin(day: Any) -> datetime | None:
    return timezone.make_aware(datetime(day.year, day.month, day.day)) if day else None  # noqa: DTZ001  made aware
