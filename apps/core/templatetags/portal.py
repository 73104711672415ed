"""The components of the pages; docs/reference/components.md lists them, /styleguide/ shows them."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

from django import template
from django.forms import BoundField
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from apps.core import durations, tones
from apps.core.tones import Tone
from apps.core.verdict import ALLOWED, Verdict

register = template.Library()

BY_TIME = ("Newer", "Newest", "Older", "No older entries")
BY_NUMBER = ("Before", "First", "Further", "That is all")
NO_VALUE = format_html('<span class="t3">{}<span class="visually-hidden">none</span></span>', "\u2013")


@cache
def _sprite() -> str:
    return static("vendor/lucide-static@1.62.0/sprite.svg")


def _tone(name: str) -> Tone:
    """Raises KeyError: for a tone that is not in the vocabulary; a template with one is a defect."""
    return tones.TONES[name or ""]


@register.simple_tag
def icon(name: str, *, size: str = "", spin: bool = False, label: str = "") -> SafeString:
    classes = " ".join(filter(None, ("i", size, "spin" if spin else "")))
    shape = format_html('<use href="{}#{}"/>', _sprite(), name)
    if label:
        return format_html('<svg class="{}" role="img" aria-label="{}">{}</svg>', classes, label, shape)
    return format_html('<svg class="{}" aria-hidden="true">{}</svg>', classes, shape)


def _tone_icon(tone: Tone, name: str = "", size: str = "") -> SafeString:
    if not (name or tone.icon):
        return SafeString("")
    return icon(name or tone.icon, size=size, spin=tone.spins and not name)


@register.simple_tag
def status(tone: str, label: str, *, icon: str = "") -> SafeString:
    kind = _tone(tone)
    return format_html('<span class="st {}">{}{}</span>', kind.name or "idle", _tone_icon(kind, icon), label)


@register.simple_tag
def pill(tone: str, label: object, *, icon: str = "") -> SafeString:
    kind = _tone(tone)
    return format_html('<span class="{}">{}{}</span>', f"pill {kind.name}".strip(), _tone_icon(kind, icon), label)


@register.simple_tag
def mark(tone: str, *, icon: str = "", label: str = "") -> SafeString:
    """The bare icon in its colour, for the first column of lists; the row says the word."""
    kind = _tone(tone)
    hidden = format_html('<span class="visually-hidden">{}</span>', label) if label else ""
    return format_html('<span class="ico {}">{}{}</span>', kind.name or "idle", _tone_icon(kind, icon), hidden)


@register.simple_tag
def gate_mark(outcome: str) -> SafeString:
    kind, word = tones.GATES[str(outcome)]
    return format_html(
        '<span class="ico {}">{}<span class="visually-hidden">{}: </span></span>', kind.name, _tone_icon(kind), word
    )


@register.simple_tag
def time(value: datetime | None, *, form: str = "auto", zone: bool = True) -> SafeString:
    """A moment in the zone of the person who looks. Forms: auto (date left out today), full, clock, date."""
    if value is None:
        return NO_VALUE
    local = timezone.localtime(value)
    words = _moment(local, form, today=timezone.localdate())
    if zone and form != "date":
        words = f"{words} {local.tzname()}"
    return format_html(
        '<time class="num" datetime="{}" title="{}" data-form="{}" data-zone="{}"{}>{}</time>',
        _iso(value), _in_utc(value), form, timezone.get_current_timezone_name(),
        SafeString("") if zone else SafeString(" data-bare"), words,
    )  # fmt: skip


def _moment(local: datetime, form: str, *, today: date) -> str:
    clock = f"{local:%H:%M}"
    if form == "clock" or (form == "auto" and local.date() == today):
        return clock
    day = f"{local:%a} {local.day} {local:%b}" + (
        "" if local.year == today.year and form != "full" else f" {local.year}"
    )
    return {"date": day, "full": f"{day} {local:%H:%M:%S}"}.get(form, f"{day} {clock}")


def _iso(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _in_utc(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


@register.simple_tag
def age(value: datetime | None, *, suffix: bool = True) -> SafeString:
    """How long ago, or in how long; the page's script keeps it true while the page is open."""
    if value is None:
        return NO_VALUE
    ahead = value > (now := timezone.now())  # noqa: TID251 - a tag is a part of the view
    words = durations.in_words(abs(now - value), parts=1)
    if suffix:
        words = f"in {words}" if ahead else f"{words} ago"
    return format_html(
        '<time class="num nowrap" datetime="{}" title="{}" data-age{}>{}</time>',
        _iso(value), _in_utc(value), SafeString("") if suffix else SafeString('="bare"'), words,
    )  # fmt: skip


@register.simple_tag
def duration(value: timedelta | float | None) -> SafeString:
    return NO_VALUE if value is None else format_html('<span class="num nowrap">{}</span>', durations.in_words(value))


@register.simple_tag
def person(who: Any, *, avatar: bool = False) -> SafeString:
    """A user, or the label that the ledger kept; nobody is the portal itself."""
    name = str(getattr(who, "display_name", "") or who or "EAIP Operations")
    face = format_html('<span class="ava s" aria-hidden="true">{}</span>', _initials(name)) if avatar else ""
    return format_html('<span class="who">{}{}</span>', face, name)


@register.filter
def entry(mapping: Any, key: str) -> Any:
    """What a mapping holds under a key that is itself a value; nothing when either is missing."""
    return mapping.get(key) if mapping else None


@register.filter
def initials(who: Any) -> str:
    return _initials(str(getattr(who, "display_name", "") or who))


def _initials(name: str) -> str:
    words = [word for word in name.split() if word[0].isalnum()]
    return "".join(word[0] for word in (words[:1] + words[1:][-1:])).upper() or "?"


@register.simple_tag
def version(number: object) -> SafeString:
    return format_html('<span class="mono ver">{}</span>', number) if number else NO_VALUE


@register.simple_tag
def digest(value: str, *, length: int = 12) -> SafeString:
    """The first characters of a hash; the whole one in the title and, for whoever selects it, in the text."""
    if not value:
        return NO_VALUE
    short = str(value).removeprefix("sha256:")[:length]
    return format_html('<code class="digest" title="{}">{}</code>', value, short)


@register.simple_tag
def facts(rows: Iterable[tuple[str, object]]) -> SafeString:
    return format_html(
        '<dl class="facts">{}</dl>', format_html_join("", "<dt>{}</dt><dd>{}</dd>", ((k, v) for k, v in rows))
    )


@register.simple_tag
def progress(value: float, maximum: float, label: str, *, tone: str = "", bar: bool = False) -> SafeString:
    """A bar whose label says in words what it measures. `bar` is the thick, coloured one of budgets."""
    classes = " ".join(filter(None, ("pb" if bar else "", _tone(tone).name)))
    return format_html(
        '<progress class="{}" max="{}" value="{}" aria-label="{}">{}</progress>', classes, maximum, value, label, label
    )


@register.inclusion_tag("components/button.html")
def button(
    label: str, *, verdict: Verdict = ALLOWED, icon: str = "", kind: str = "", small: bool = False,
    name: str = "", value: str = "", opens: str = "",
) -> dict[str, Any]:  # fmt: skip
    """A button that says why it can't be pressed. `opens` names the dialog it shows instead of sending the form."""
    kinds = " ".join(filter(None, ("b", kind, "sm" if small else "")))
    return {
        "label": label, "verdict": verdict, "icon_name": icon, "classes": kinds, "name": name, "value": value,
        "opens": opens,
    }  # fmt: skip


@register.inclusion_tag("components/empty.html")
def empty(
    title: str, body: str = "", *, icon: str = "box", command: str = "", url: str = "", link: str = ""
) -> dict[str, Any]:
    """What would be here, and how to make it appear."""
    return {"title": title, "body": body, "icon_name": icon, "command": command, "url": url, "link": link}


@register.inclusion_tag("components/pager.html", takes_context=True)
def pager(context: template.Context, page: Any, *, region: str = "", numbered: bool = False) -> dict[str, Any]:
    """Newer and older, for a page of apps.core.keyset. `region` is the id that HTMX replaces; `numbered` rows have no
    age.
    """
    words = BY_NUMBER if numbered else BY_TIME
    return {"page": page, "region": region, "request": context["request"], "words": words}


@register.simple_tag
def field(bound: BoundField) -> SafeString:
    """Label, control, help and errors of one form field, as templates/forms/field.html draws them."""
    return bound.as_field_group()


@register.simple_tag(takes_context=True)
def url_with(context: template.Context, **changes: object) -> str:
    """This page's address with some of its query replaced; None takes a key away."""
    query = context["request"].GET.copy()
    for key, value in changes.items():
        if value is None or value == "":
            query.pop(key, None)
        else:
            query[key] = str(value)
    return f"?{urlencode(sorted(query.lists()), doseq=True)}"
