"""Fields for what people write: refused with a sentence next to the field when it could not be kept as it is."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from apps.core.texts import TextInvalid, many_lines, one_line


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


def _kept(read: Any) -> str:
    try:
        return str(read())
    except TextInvalid as refusal:
        raise ValidationError(refusal.sentence, code=refusal.code) from refusal
