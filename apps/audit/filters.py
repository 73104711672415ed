"""The one form that the trail's page, its fragments, its saved filters and its exports share."""

from datetime import date, datetime, time, timedelta
from typing import Any, NamedTuple, cast
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.conf import settings
from django.http import QueryDict
from django.utils import timezone

from apps.audit.kinds import KINDS
from apps.audit.models import AuditEvent
from apps.audit.offers import offered
from apps.audit.querysets import LAST_ID, EventQuerySet, FoundPage
from apps.core.form_fields import YEARS, DayField
from apps.core.keyset import cursor_at

OUTCOMES = [("", "Any outcome"), ("SUCCESS", "Done"), ("REFUSED", "Refused"), ("FAILED", "Failed")]
NOUNS = sorted({kind.split(".")[0] for kind in KINDS})
COUNT_SECONDS = 10
# Which fields a chip stands for, and takes away.
CHIPS = {
    "q": ("q",), "actor": ("actor",), "kind": ("kind",), "outcome": ("outcome",), "workspace": ("workspace",),
    "environment": ("environment",), "service": ("service",), "release": ("release",), "object": ("object",),
    "since": ("since", "since_time"), "until": ("until", "until_time"),
}  # fmt: skip


class Chip(NamedTuple):
    """A filter that is on: what it is called, what it says, and the query of the page without it."""

    label: str
    words: str
    without: str


def _date(label: str) -> DayField:
    return DayField(label=label, required=False, widget=forms.DateInput(attrs={"type": "date"}))


def _time(label: str) -> forms.TimeField:
    return forms.TimeField(label=label, required=False, widget=forms.TimeInput(attrs={"type": "time", "step": "1"}))


class TrailFilter(forms.Form):
    """Every field is optional; dates are days of the viewer's zone, `until` included, to the minute or second named."""

    q = forms.CharField(
        label="Words, or an id",
        required=False,
        max_length=100,
        widget=forms.TextInput(attrs={"placeholder": "deploy* for beginnings"}),
    )
    actor = forms.CharField(label="Who", required=False, max_length=150)
    kind = forms.ChoiceField(label="What", required=False)
    outcome = forms.ChoiceField(label="Outcome", required=False, choices=OUTCOMES)
    workspace = forms.ChoiceField(label="Workspace", required=False)
    environment = forms.ChoiceField(label="Environment", required=False)
    service = forms.ChoiceField(label="Service", required=False)
    release = forms.CharField(label="Release", required=False, max_length=100)
    since = _date("From")
    since_time = _time("From (time)")
    until = _date("Until")
    until_time = _time("Until (time)")
    object = forms.CharField(label="History of", required=False, max_length=110, widget=forms.HiddenInput)

    def __init__(self, data: Any, *, workspaces: tuple[UUID, ...]) -> None:
        super().__init__(data)
        self.workspaces = workspaces
        kinds = cast(forms.ChoiceField, self.fields["kind"])
        kinds.choices = [("", "Everything"), *((noun, f"{noun} (all)") for noun in NOUNS), *KINDS.items()]
        for name in ("workspace", "environment", "service"):
            cast(forms.ChoiceField, self.fields[name]).choices = [("", "Any"), *offered(name, workspaces)]

    def clean_q(self) -> str:
        return self._words("q")

    def clean_actor(self) -> str:
        return self._words("actor")

    def clean_object(self) -> tuple[str, str] | None:
        kind, _, key = self.cleaned_data["object"].partition(":")
        return (kind, key) if kind and key else None

    def clean(self) -> dict[str, Any]:
        for name in ("since", "until"):
            if self.cleaned_data.get(f"{name}_time") and not self.data.get(name):
                self.add_error(f"{name}_time", "A time needs its day.")
        return self.cleaned_data

    def events(self) -> EventQuerySet:
        """Return the events of the person's workspaces that match; none, while the form has an error."""
        events = AuditEvent.objects.visible_in(self.workspaces)
        return events.matching(**self.criteria()) if self.is_valid() else events.none()

    def page(self, query: QueryDict) -> FoundPage:
        """Return one page of them, newest first. `to` in the query is a day to jump to, where no cursor is."""
        if not self.is_valid():
            return FoundPage([], None, None)
        cursors = {name: str(query[name]) for name in ("after", "before") if query.get(name)}
        if not cursors and (day := _day_in(query.get("to", ""))):
            cursors["before"] = cursor_at(day + timedelta(days=1) - timedelta(microseconds=1), LAST_ID)
        return AuditEvent.objects.all().found_page(
            self.criteria(), self.workspaces, cursors, patience=settings.AUDIT_SEARCH_PATIENCE
        )

    def total(self, page: FoundPage, *, exactly: bool) -> str:
        """Return how many they are, in words: about, from statistics, unless they fill no page or it must be exact.

        Where the search has not come to the end, statistics are no answer: it tells what was found so far.
        """
        if page.newer is None and page.older is None:
            return _plural(len(page.rows))
        if exactly:
            counted = self.events().counted(within_seconds=COUNT_SECONDS)
            return _plural(counted) if counted is not None else f"too many to count in {COUNT_SECONDS} seconds"
        if page.reached:
            return f"{_plural(len(page.rows))} so far"
        if not page.rows:
            return "none here"
        patience = settings.AUDIT_SEARCH_PATIENCE and max(settings.AUDIT_SEARCH_PATIENCE - page.took, timedelta(0))
        number = AuditEvent.objects.all().estimated(self.criteria(), self.workspaces, patience=patience)
        return about(number) if number > len(page.rows) else f"more than {_plural(len(page.rows))}"

    def in_words(self) -> dict[str, str]:
        """Return what was asked for, as the export's own event records it."""
        return {name: str(self.data.get(name)) for name in self.fields if self.data.get(name)}

    def query(self, *, without: tuple[str, ...] = ()) -> str:
        """Return what was asked for as the query of an address: no cursor, nothing that is empty."""
        return urlencode({name: value for name, value in self.in_words().items() if name not in without})

    def chips(self) -> list[Chip]:
        """Return the filters that are on."""
        asked = self.in_words()
        return [
            Chip(str(self.fields[name].label), self._said(name, asked), self.query(without=names))
            for name, names in CHIPS.items()
            if name in asked
        ]

    def criteria(self) -> dict[str, Any]:
        """Return what was asked for as the arguments of `EventQuerySet.matching`; the form is valid."""
        criteria = {name: value for name, value in self.cleaned_data.items() if value}
        for name in ("since", "until"):
            moment = criteria.pop(f"{name}_time", None)
            if day := criteria.pop(name, None):
                criteria[name] = _end(day, moment) if name == "until" else _at(day, moment or time())
        return criteria

    def _words(self, name: str) -> str:
        value: str = self.cleaned_data[name]
        if value and not any(letter.isalnum() for letter in value):
            raise forms.ValidationError("Give at least one word or number: signs alone are not searched.")
        return value

    def _said(self, name: str, asked: dict[str, str]) -> str:
        value = asked[name]
        if name in ("since", "until"):
            return " ".join(filter(None, (value, asked.get(f"{name}_time"))))
        if name == "object":
            return value.partition(":")[0]
        choices = getattr(self.fields[name], "choices", ())
        return next((str(label) for key, label in choices if str(key) == value), value)


class SaveForm(forms.Form):
    """What a filter is called, and whom it is for: nobody else, or the readers of a workspace."""

    name = forms.CharField(label="Save these filters as", max_length=60)
    share = forms.ChoiceField(label="For", required=False)

    def __init__(self, data: Any = None, *, workspaces: tuple[UUID, ...]) -> None:
        super().__init__(data, auto_id="save_%s")
        shared = [(key, f"All who read the trail of {name}") for key, name in offered("workspace", workspaces)]
        cast(forms.ChoiceField, self.fields["share"]).choices = [("", "Only me"), *shared]


class RenameForm(forms.Form):
    name = forms.CharField(label="Name", max_length=60)

    def __init__(self, data: Any = None, *, initial: dict[str, str] | None = None) -> None:
        super().__init__(data, auto_id="rename_%s", initial=initial)


def about(number: int) -> str:
    """Return a number as an estimate deserves it: two digits, and the size in words."""
    for size, letter in ((1_000_000, " M"), (1_000, " k")):
        if number >= size:
            shown = number / size
            return f"about {shown:.1f}{letter}" if shown < 10 else f"about {float(f'{shown:.2g}'):.0f}{letter}"
    return f"about {float(f'{number:.2g}'):.0f}"


def _plural(number: int) -> str:
    return f"{number:,} event" if number == 1 else f"{number:,} events"


def _at(day: date, moment: time) -> datetime:
    return timezone.make_aware(datetime.combine(day, moment))


def _end(day: date, moment: time | None) -> datetime:
    """The first moment that is later than the day, or than the minute or second, that was named."""
    if moment is None:
        return _at(day + timedelta(days=1), time())
    return _at(day, moment) + (timedelta(seconds=1) if moment.second else timedelta(minutes=1))


def _day_in(text: str) -> datetime | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return _at(day, time()) if day.year in YEARS else None
