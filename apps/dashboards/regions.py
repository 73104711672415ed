"""The live parts of the dashboard and of incidents, and the counts of the frame that every live page carries."""

from collections.abc import Callable
from itertools import groupby
from typing import Any
from uuid import UUID

from django.conf import settings
from django.template.loader import render_to_string

from apps.core import live
from apps.dashboards import attention, awaiting, catalogue, matrix, page, places
from apps.dashboards.matrix import Filters
from apps.dashboards.querysets import Changed, cells
from apps.deployments.models import Deployment
from apps.incidents.models import Call, Incident
from apps.incidents.querysets import IncidentQuerySet
from apps.releases.models import Service

LANES = ("lane:*", "deployment:*", "promotion:*")
SHAPE = ("service:*", "environment:*", "freeze", "freeze:*", "hold:*", "policyversion:*", "window:*")


def _matrix(ask: live.Ask) -> live.Answer:
    filters = Filters.read(ask.query)
    if ask.changed is not None and not filters.only and all(topic.startswith(_PREFIXES) for topic in ask.changed):
        return [live.Part("", _changed_cells(ask, ask.changed, filters))]
    freezes = places.frozen_now(ask.workspaces, ask.now)
    standing = places.load(ask.workspaces, freezes, now=ask.now, tier=filters.tier)
    return render_to_string("dashboards/_matrix.html", page.board(ask.workspaces, filters, standing, now=ask.now))


def _changed_cells(ask: live.Ask, topics: frozenset[str], filters: Filters) -> str:
    """The cells of the services that changed: a cell also says how far it is behind its neighbour."""
    touched = Changed(*(_ids(topics, prefix) for prefix in _PREFIXES))
    raws = cells(ask.workspaces, now=ask.now, q=filters.q, plane=filters.plane, tier=filters.tier, changed=touched)
    rows = [list(group) for _, group in groupby((raw for raw in raws if raw.lane_id), key=lambda raw: raw.slug)]
    shown = [cell for row in rows for cell in matrix.cells_of(row, now=ask.now)]
    return render_to_string("dashboards/_changed_cells.html", {"cells": shown}) if shown else ""


# In the order of the fields of `Changed`.
_PREFIXES = tuple(topic[:-1] for topic in LANES)


def _ids(topics: frozenset[str], prefix: str) -> tuple[UUID, ...]:
    found = [topic.removeprefix(prefix) for topic in topics if topic.startswith(prefix)]
    return tuple(UUID(text) for text in found if _is_id(text))


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _strip(ask: live.Ask) -> str:
    figures = attention.figures_of(ask.workspaces, now=ask.now)
    standing = page.standing_places(ask.workspaces, places.frozen_now(ask.workspaces, ask.now), now=ask.now)
    shown = page.strip(figures, page.failures(ask.workspaces), standing, now=ask.now)
    return render_to_string("dashboards/_strip.html", shown)


def _activity(ask: live.Ask) -> str:
    return render_to_string("dashboards/_activity.html", page.feed(ask.workspaces))


def _needs(ask: live.Ask) -> Callable[[live.Viewer], live.Answer]:
    awaited = awaiting.listed_for_everybody(ask.workspaces, now=ask.now)
    everybodys = {
        "incidents": attention.incidents(ask.workspaces),
        "failures": page.failures(ask.workspaces),
        "drifting": attention.drifting(ask.workspaces),
        "wanting": attention.wanting(page.standing_places(ask.workspaces, [], now=ask.now)),
        "debts": attention.debts(ask.workspaces, now=ask.now),
        "checklists": attention.checklists(ask.workspaces, now=ask.now),
        "reviews": attention.reviews(ask.workspaces, now=ask.now),
        "running_out": attention.running_out(ask.workspaces, now=ask.now),
    }

    nobodys = _needs_parts(awaiting.NOTHING, everybodys)
    parts = {user_id: _needs_parts(mine, everybodys) for user_id, mine in awaited.items()}
    return lambda viewer: parts.get(viewer.user_id, nobodys)


def _needs_parts(mine: awaiting.Awaiting, everybodys: dict[str, Any]) -> list[live.Part]:
    count = f'<span class="pill wait">{mine.count}</span>' if mine.count else ""
    listed = render_to_string("dashboards/_needs.html", {"awaiting": mine, **everybodys})
    return [live.Part("#needs", listed), live.Part("#needs-count", count)]


def _counts(ask: live.Ask) -> Callable[[live.Viewer], live.Answer]:
    awaited = awaiting.awaiting_everybody(ask.workspaces, now=ask.now)
    running = Deployment.objects.visible_in(ask.workspaces).open().count()

    def tell(viewer: live.Viewer) -> live.Answer:
        counts = {"approvals": awaiting.counted(len(awaited.get(viewer.user_id, []))), "deployments": running}
        return [live.Part(f"#nav-count-{name}", _count(name, count)) for name, count in counts.items()]

    return tell


def _count(name: str, count: int | str) -> str:
    shown: dict[str, Any] = {"name": name, "count": count}
    return render_to_string("components/nav_count.html", shown)


def _runs(ask: live.Ask) -> str:
    service = Service.objects.readable_in(ask.workspaces).get(pk=ask.subject)
    shown = catalogue.row(service, ask.workspaces, places.frozen_now(ask.workspaces, ask.now), now=ask.now)
    return render_to_string("dashboards/_runs.html", shown)


def _is_readable(ask: live.Ask) -> bool:
    return bool(ask.subject) and Service.objects.readable_in(ask.workspaces).filter(pk=ask.subject).exists()


def call_of(incident: Incident) -> dict[str, Any]:
    """This function will return what the page of an incident says of whether the on-call service was told."""
    return {
        "incident": incident,
        "call": Call.objects.with_lines().filter(incident=incident).first(),
        "has_on_call": incident.workspace.slug in settings.PAGERDUTY,
    }


def _incidents(ask: live.Ask) -> IncidentQuerySet:
    found: IncidentQuerySet = Incident.objects.visible_in(ask.workspaces).filter(pk=ask.subject)
    return found


def _call(ask: live.Ask) -> str:
    return render_to_string("incidents/_call.html", call_of(_incidents(ask).with_subject().get()))


def _is_deploying(ask: live.Ask) -> bool:
    return Deployment.objects.visible_in(ask.workspaces).active().exists()


PEOPLE = ("promotion:*", "deployment:*", "decision:*", "delegation:*", "membership:*")
live.frame.append(live.region("navigation", topics=PEOPLE, render=_counts, everywhere=True))

live.page(
    "dashboard",
    live.region("matrix", topics=(*LANES, *SHAPE), render=_matrix, is_moving=_is_deploying),
    live.region("strip", topics=(*LANES, *SHAPE, "decision:*"), render=_strip),
    live.region("needs", topics=(*PEOPLE, "lane:*", "incident:*", "environment:*", "policyversion:*"), render=_needs),
    live.region("activity", topics=("audit",), render=_activity),
)
live.page("navigation")
live.page("services", live.region("runs", topics=(*LANES, *SHAPE), render=_runs), may_watch=_is_readable)
live.page(
    "incident",
    live.region("call", topics=("incident:{subject}",), render=_call),
    may_watch=lambda ask: bool(ask.subject) and _incidents(ask).exists(),
)
