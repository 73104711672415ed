"""What the frame of every page needs. Counts and workspaces come from apps.dashboards, which may look at all apps."""

from dataclasses import dataclass
from functools import cache

from django.conf import settings
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone


@dataclass(frozen=True)
class Entry:
    label: str
    short: str
    icon: str
    view: str
    # Views whose pages belong under this entry: full names, or a beginning that ends in a colon or a dash.
    covers: tuple[str, ...]
    key: str = ""
    count: str = ""
    group: str = ""


ENTRIES = (
    Entry("Dashboard", "Status", "layout-grid", "dashboards:dashboard", ("dashboards:",), key="d"),
    Entry("Approvals", "Approve", "user-check", "approvals:inbox", ("approvals:",), key="a", count="approvals"),
    Entry("Releases", "Releases", "package", "releases:release-list", ("releases:release-", "changelogs:"), key="r"),
    Entry(
        "Deployments",
        "Deploys",
        "rocket",
        "deployments:deployment-list",
        ("deployments:",),
        key="p",
        count="deployments",
    ),
    Entry("Services", "Services", "boxes", "releases:service-list", ("releases:service-",), key="s"),
    Entry("Environments", "Places", "server", "environments:environment-list", ("environments:", "health:"), key="e"),
    Entry("Calendar", "Calendar", "calendar-clock", "calendar:calendar", ("calendar:",)),
    Entry("Incidents", "Incidents", "siren", "incidents:incident-list", ("incidents:",), key="i"),
    Entry("Policies", "Rules", "file-check", "policies:policy-list", ("policies:",), group="Govern"),
    Entry("Audit trail", "Audit", "scroll-text", "audit:event-list", ("audit:",), key="l", group="Govern"),
    Entry("Compliance", "Controls", "shield-check", "compliance:overview", ("compliance:",), group="Govern"),
)


@cache
def _address(view: str) -> str:
    try:
        return reverse(view)
    except NoReverseMatch:
        return ""


def frame(request: HttpRequest) -> dict[str, object]:
    match = getattr(request, "resolver_match", None)
    here = match.view_name if match else ""
    user = getattr(request, "user", None)
    return {
        "entries": [
            {"label": e.label, "short": e.short, "icon": e.icon, "url": url, "key": e.key, "count": e.count,
             "group": e.group, "current": here.startswith(e.covers)}
            for e in ENTRIES
            if getattr(user, "is_authenticated", False) and (url := _address(e.view))
        ],
        "theme": getattr(user, "theme", "AUTO").lower(),
        "shortcuts": getattr(user, "single_key_shortcuts", False),
        "zone_from": "profile" if getattr(user, "time_zone", "") else "browser",
        "zone": timezone.get_current_timezone_name(),
        "zone_label": timezone.localtime().tzname(),
        "current_time": timezone.now(),  # noqa: TID251 - the frame belongs to the view
        "demonstration": settings.DEMONSTRATION,
    }  # fmt: skip
