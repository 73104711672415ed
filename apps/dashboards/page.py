"""What the dashboard shows, part by part: the page, the stream and the poll take theirs from here."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from apps.dashboards import activity, attention, matrix, places
from apps.dashboards.attention import Figures
from apps.dashboards.band import band_of
from apps.dashboards.matrix import Filters
from apps.dashboards.places import Place
from apps.environments.models import Freeze

Shown = dict[str, Any]


def board(workspaces: tuple[UUID, ...], filters: Filters, standing: Sequence[Place], *, now: datetime) -> Shown:
    """Return the matrix. Queries: one."""
    loaded = matrix.load(workspaces, filters, standing, now=now)
    return {"matrix": loaded, "filtered": bool(filters)}


def strip(figures: Figures, failures: Sequence[object], standing: Sequence[Place], *, now: datetime) -> Shown:
    """Return the row of figures and the production window. Queries: none."""
    production = attention.production_of(standing)
    return {
        "figures": figures,
        "failures": failures,
        "production": production,
        "band": band_of(production.windows, name=production.name, now=now) if production else None,
        "open_words": f"{production.name} window open" if production else "",
        "closed_words": f"{production.name} window closed" if production else "",
    }


def failures(workspaces: tuple[UUID, ...]) -> list[Any]:
    """Return the failures that nobody dealt with, one more than is shown. Queries: one."""
    return list(attention.failures(workspaces)[: attention.MOST_FAILURES + 1])


def feed(workspaces: tuple[UUID, ...]) -> Shown:
    """Return the activity. Queries: one."""
    return {"activity": activity.latest(workspaces)}


def of_tier(standing: Sequence[Place], tier: str) -> list[Place]:
    return [place for place in standing if not tier or place.environment.tier == tier]


def standing_places(workspaces: tuple[UUID, ...], freezes: Sequence[Freeze], *, now: datetime) -> list[Place]:
    """Return the environments. Queries: one."""
    return places.load(workspaces, freezes, now=now)
