"""Links out to where metrics, logs and traces are looked at: of the same service, environment and time.

The settings hold a template for each (docs/runbooks/monitoring.md); a page shows nothing for one that is not set.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from string import Template
from typing import Any
from urllib.parse import quote, urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error

NAMES = frozenset({"service", "environment", "workspace", "version", "from", "until", "from_iso", "until_iso"})
# How much is looked at: of a deployment from before its start, of a lane until now, of an alert around its start.
BEFORE, LATELY, AROUND = timedelta(minutes=5), timedelta(hours=1), timedelta(minutes=15)


@dataclass(frozen=True)
class Link:
    label: str
    url: str


def links(
    *, service: str, environment: str, workspace: str, since: datetime, until: datetime, version: str = ""
) -> list[Link]:
    """This function will return the links that the settings know, filled in.

    Shapes: short names (slugs); `version` is empty where none is known. A template with a mistake is left out.
    """
    values = {
        "service": service,
        "environment": environment,
        "workspace": workspace,
        "version": version,
        "from": _milliseconds(since),
        "until": _milliseconds(until),
        "from_iso": _iso(since),
        "until_iso": _iso(until),
    }
    encoded = {name: quote(value, safe="") for name, value in values.items()}
    return [
        Link(label, Template(template).substitute(encoded))
        for label, template in settings.LINKS.items()
        if template and not problem_of(template)
    ]


def problem_of(template: str) -> str:
    """This function will say what is wrong with a template; an empty text: nothing is."""
    return _problem_of_address(template) or _problem_of_placeholders(template)


def check(app_configs: Any, **_more: Any) -> list[CheckMessage]:
    """This function will be Django's system check of the templates."""
    return list(_errors())


def _errors() -> Iterator[Error]:
    for label, template in settings.LINKS.items():
        if template and (problem := problem_of(template)):
            yield Error(f"LINK_{label.upper()} can't be used: {problem}", id="health.E001")


def _problem_of_address(template: str) -> str:
    try:
        parts = urlsplit(template)
    except ValueError:
        return "It is no address."
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "It must begin with http:// or https:// and the name of a host."
    if "@" in parts.netloc:
        return "It must not hold a name or a password: everybody who sees the page would."
    if not template.isprintable() or " " in template:
        return "It must not hold a space or a control character: encode them, as in %20."
    return "A placeholder may stand only behind the host." if "$" in parts.netloc else ""


def _problem_of_placeholders(template: str) -> str:
    if not Template(template).is_valid():
        return "A $ must begin a placeholder; $$ is a $ itself."
    unknown = sorted(set(Template(template).get_identifiers()) - NAMES)
    return f"It has no placeholder ${unknown[0]}; there are ${', $'.join(sorted(NAMES))}." if unknown else ""


def _milliseconds(at: datetime) -> str:
    return str(round(at.timestamp() * 1000))


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
