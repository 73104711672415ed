"""The live parts of the dashboard, and the counts of the frame that every live page carries."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.template.loader import render_to_string

from apps.approvals.models import Promotion
from apps.core import live
from apps.dashboards import attention, catalogue, matrix, page, places
from apps.dashboards.matrix import Filters, Row
from apps.deployments.models import Deployment
from apps.releases.models import Service

LANES = ("lane:*", "deployment:*", "promotion:*")
SHAPE = ("service:*", "environment:*", "freeze", "freeze:*", "hold:*", "policyversion:*", "window:*")


def _matrix(ask: live.Ask) -> live.Answer:
    filters = Filters.read(ask.query)
    freezes = places.frozen_now(ask.workspaces, ask.now)
    standing = page.of_tier(places.load(ask.workspaces, freezes, now=ask.now, tier=filters.tier), filters.tier)
    if ask.changed is None or filters.only or any(not topic.startswith(_PREFIXES) for topic in ask.changed):
        shown = page.board(ask.workspaces, filters, standing, freezes, now=ask.now)
        return render_to_string("dashboards/_matrix.html", shown)
    services = Service.objects.filter(_concerned(ask.changed))
    rows = matrix.rows_of(services, ask.workspaces, standing, freezes, now=ask.now)
    return [part for row in rows for part in _cells(row)]


_PREFIXES = tuple(topic[:-1] for topic in LANES)


def _concerned(topics: frozenset[str]) -> Q:
    """Services of the changed lanes: a cell also says how far it is behind its neighbour."""
    ids = {prefix: _ids(topics, prefix) for prefix in _PREFIXES}
    deployments = Deployment.objects.filter(pk__in=ids["deployment:"]).values("lane__service")
    promotions = Promotion.objects.filter(pk__in=ids["promotion:"]).values("lane__service")
    wanted = Q(lanes__in=ids["lane:"]) if ids["lane:"] else Q()
    if ids["deployment:"]:
        wanted |= Q(pk__in=deployments)
    return wanted | Q(pk__in=promotions) if ids["promotion:"] else wanted


def _ids(topics: frozenset[str], prefix: str) -> list[UUID]:
    found = [topic.removeprefix(prefix) for topic in topics if topic.startswith(prefix)]
    return [UUID(text) for text in found if _is_id(text)]


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _cells(row: Row) -> list[live.Part]:
    return [
        live.Part(f"#{cell.id}", render_to_string("dashboards/_cells.html", {"cells": [cell]}), "outerMorph")
        for cell in row.cells
        if cell.id
    ]


def _strip(ask: live.Ask) -> str:
    figures = attention.figures_of(list(attention.workspaces_with_figures(ask.workspaces)))
    standing = page.standing_places(ask.workspaces, places.frozen_now(ask.workspaces, ask.now), now=ask.now)
    shown = page.strip(figures, page.failures(ask.workspaces), standing, now=ask.now)
    return render_to_string("dashboards/_strip.html", shown)


def _activity(ask: live.Ask) -> str:
    return render_to_string("dashboards/_activity.html", page.feed(ask.workspaces))


def _needs(ask: live.Ask) -> Callable[[live.Viewer], live.Answer]:
    awaited = attention.deciders(ask.workspaces)
    failures = page.failures(ask.workspaces)

    nobodys = _needs_parts([], failures)
    parts = {user_id: _needs_parts(mine, failures) for user_id, mine in awaited.items()}
    return lambda viewer: parts.get(viewer.user_id, nobodys)


def _needs_parts(awaiting: list[Promotion], failures: list[Any]) -> list[live.Part]:
    count = f'<span class="pill wait">{len(awaiting)}</span>' if awaiting else ""
    listed = render_to_string("dashboards/_needs.html", {"awaiting": awaiting, "failures": failures})
    return [live.Part("#needs", listed), live.Part("#needs-count", count)]


def _counts(ask: live.Ask) -> Callable[[live.Viewer], live.Answer]:
    awaited = attention.deciders(ask.workspaces)
    running = Deployment.objects.visible_in(ask.workspaces).open().count()

    def tell(viewer: live.Viewer) -> live.Answer:
        counts = {"approvals": len(awaited.get(viewer.user_id, [])), "deployments": running}
        return [live.Part(f"#nav-count-{name}", _count(name, count)) for name, count in counts.items()]

    return tell


def _count(name: str, count: int) -> str:
    shown: dict[str, Any] = {"name": name, "count": count}
    return render_to_string("components/nav_count.html", shown)


def _runs(ask: live.Ask) -> str:
    service = Service.objects.readable_in(ask.workspaces).get(pk=ask.subject)
    shown = catalogue.row(service, ask.workspaces, places.frozen_now(ask.workspaces, ask.now), now=ask.now)
    return render_to_string("dashboards/_runs.html", shown)


def _is_readable(ask: live.Ask) -> bool:
    return bool(ask.subject) and Service.objects.readable_in(ask.workspaces).filter(pk=ask.subject).exists()


def _is_deploying(ask: live.Ask) -> bool:
    return Deployment.objects.visible_in(ask.workspaces).active().exists()


PEOPLE = ("promotion:*", "deployment:*", "decision:*", "membership:*")
live.frame.append(live.region("navigation", topics=PEOPLE, render=_counts, everywhere=True))

live.page(
    "dashboard",
    live.region("matrix", topics=(*LANES, *SHAPE), render=_matrix, is_moving=_is_deploying),
    live.region("strip", topics=(*LANES, *SHAPE, "decision:*"), render=_strip),
    live.region("needs", topics=PEOPLE, render=_needs),
    live.region("activity", topics=("audit",), render=_activity),
)
live.page("navigation")
live.page("services", live.region("runs", topics=(*LANES, *SHAPE), render=_runs), may_watch=_is_readable)
