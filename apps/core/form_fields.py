"""Fields for what people write: refused with a sentence next to the field when it could not be kept as it is."""

from collections.abc import Callable, Iterable
from datetime import date, datetime
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError

from apps.core.texts import TextInvalid, many_lines, one_line
from apps.core.verdict import Invalid


class NotOffered(Invalid):
    """A field that nobody writes by hand came with something that the page does not offer."""

    code = "not_offered"


class LineField(forms.CharField):
    """One line of text without anything invisible in it."""

    def clean(self, value: Any) -> str:
        text: str = super().clean(value)
        return _kept(lambda: one_line(text, name="This", limit=self.max_length or 300, required=False))


class LinesField(forms.CharField):
    """Text of several lines."""

    widget = forms.Textarea

    def clean(self, value: Any) -> str:
        text: str = super().clean(value)
        return _kept(lambda: many_lines(text, name="This", limit=self.max_length or 10_000))


# Far enough from the ends of the calendar that no zone, and no day added, leads past them.
YEARS = range(1970, 3000)


class DayField(forms.DateField):
    """A day that every page can show."""

    def to_python(self, value: Any) -> date | None:
        day: date | None = super().to_python(value)
        _require_year(day)
        return day


class MomentField(forms.DateTimeField):
    """A moment in the zone of who writes it, which every page can show to people in any other."""

    def to_python(self, value: Any) -> datetime | None:
        moment: datetime | None = super().to_python(value)
        _require_year(moment)
        return moment


def set_choices(form: forms.Form, name: str, choices: Iterable[tuple[str, str]]) -> None:
    """This function will offer choices that are known only when the form is made."""
    cast(forms.ChoiceField, form.fields[name]).choices = list(choices)


def not_offered(form: forms.Form, *names: str) -> NotOffered | None:
    """This function will say whether one of these fields, which the page fills, came with something else in it.

    The form tells it beside the field as any mistake; the trail learns of it by `request.refusal`.
    """
    wrong = [name for name in names if form.has_error(name) and not form.has_error(name, "required")]
    return NotOffered(f"This was not offered: {', '.join(wrong)}.") if wrong else None


def _require_year(day: date | None) -> None:
    if day is not None and day.year not in YEARS:
        raise ValidationError(f"Give a day between {YEARS[0]} and {YEARS[-1]}.", code="invalid")


def _kept(read: Callable[[], str]) -> str:
    try:
        return read()
    except TextInvalid as refusal:
        raise ValidationError(refusal.sentence, code=refusal.code) from refusal
