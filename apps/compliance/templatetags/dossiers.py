"""How a page draws what a dossier holds: the same words as on paper, with its entries as links."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import template
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.core.templatetags.portal import status
from apps.core.tones import TONES

register = template.Library()
NOTHING = SafeString("\N{EN DASH}")


@register.simple_tag
def told(value: Any, show: str, tone: str = "") -> SafeString:
    """A value of a dossier's data, as its column says."""
    if value is None or value in ("", []):
        return NOTHING
    if isinstance(value, list):
        return format_html_join("", '<span class="d-block">{}</span>', ((told(each, show),) for each in value))
    if show == "time":
        return format_html('<time class="num" datetime="{}">{} {} UTC</time>', value, value[:10], value[11:19])
    if show == "code":
        return format_html('<span class="mono xs">{}</span>', value)
    if show == "state" and tone in TONES:
        return status(tone, str(value))
    return format_html("{}", value)


@register.filter
def below_each_other(lines: Sequence[str]) -> str:
    """Lines as they stand in a file."""
    return "\n".join(lines)


@register.simple_tag
def proof(entries: Sequence[str], numbers: Mapping[str, int]) -> SafeString:
    """Links to the entries of the ledger that prove a line."""
    return format_html_join(
        " ", '<a class="num d-inline-block p-1" href="{}"><span class="visually-hidden">Entry </span>[{}]</a>',
        ((reverse("audit:event-detail", args=[key]), numbers[key]) for key in entries),
    )  # fmt: skip
