"""What the frame of every page needs from all apps: counts beside the entries, workspaces, a freeze that holds."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from apps.dashboards.awaiting import counted
from apps.dashboards.navigation import Navigation, navigation_of
from apps.environments.actions.freezes import scope_in_words
from apps.environments.models import Freeze


def navigation(request: HttpRequest) -> dict[str, Any]:
    """Nothing for whoever is not signed in; otherwise one query, made when a template first asks."""
    if not getattr(request, "workspaces", ()):
        return {"counts": {}, "workspaces": []}
    shown = navigation_of(request)
    return {
        "counts": lambda: {
            "approvals": counted(sum(workspace.awaiting_me for workspace in shown.workspaces)),
            "deployments": sum(workspace.deploying for workspace in shown.workspaces),
        },
        "workspaces": lambda: _entries(shown),
        "current_workspace": lambda: shown.chosen.name if shown.chosen else _all(shown),
        "outages": lambda: shown.outages,
        "freezes": lambda: [_told(freeze) for freeze in shown.freezes],
    }


def _all(shown: Navigation) -> str:
    return shown.workspaces[0].name if len(shown.workspaces) == 1 else "All workspaces"


def _entries(shown: Navigation) -> list[dict[str, Any]]:
    home = reverse("dashboards:dashboard")
    each = [
        {"name": workspace.name, "url": f"{home}?ws={workspace.pk}", "current": workspace == shown.chosen}
        for workspace in shown.workspaces
    ]
    return [*each, {"name": "All workspaces", "url": home, "current": shown.chosen is None}] if len(each) > 1 else each


def _told(freeze: Freeze) -> dict[str, Any]:
    place = freeze.environment or (freeze.lane.environment if freeze.lane else None)
    until = f" until {freeze.ends_at:%a} {freeze.ends_at.day} {freeze.ends_at:%b %H:%M} UTC" if freeze.ends_at else ""
    what = scope_in_words(freeze)
    sentence = f"{what[0].upper()}{what[1:]} is frozen{until}: {freeze.reason} ({freeze.frozen_by})."
    slugs = (place.workspace.slug, place.slug) if place else ()
    return {"sentence": sentence, "url": reverse("environments:environment-detail", args=slugs) if slugs else ""}
