"""The matrix of services and environments: one query, whatever its size."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from apps.dashboards.cells import Cell, cell_of, nothing
from apps.dashboards.places import Place
from apps.dashboards.querysets import with_cells
from apps.environments.enums import FreezeScope, Tier
from apps.environments.models import Freeze, Lane
from apps.releases.enums import Plane
from apps.releases.models import Service

# More rows than a person can look at; the filter is the way on.
MOST_SERVICES = 200


@dataclass(frozen=True)
class Filters:
    """What of the matrix is asked for; all empty is everything."""

    q: str = ""
    only: str = ""
    plane: str = ""
    tier: str = ""

    @classmethod
    def read(cls, query: Mapping[str, str]) -> "Filters":
        """Return what the address asks for; a word that there is not counts as none."""
        return cls(
            q=query.get("q", "").strip()[:80],
            only="exceptions" if query.get("only") == "exceptions" else "",
            plane=query.get("plane", "") if query.get("plane") in Plane.values else "",
            tier=query.get("tier", "") if query.get("tier") in Tier.values else "",
        )

    def __bool__(self) -> bool:
        return any((self.q, self.only, self.plane, self.tier))


@dataclass(frozen=True)
class Row:
    service: Service
    cells: Sequence[Cell]

    @cached_property
    def is_exception(self) -> bool:
        return any(cell.is_exception for cell in self.cells)


@dataclass(frozen=True)
class Matrix:
    """Rows by plane; `left_out` counts those past the limit."""

    places: Sequence[Place]
    groups: Sequence[tuple[str, Sequence[Row]]]
    count: int
    left_out: int

    @property
    def is_wide(self) -> bool:
        """More environments than fit side by side: the matrix scrolls."""
        return len(self.places) > 6

    @property
    def width(self) -> int:
        return len(self.places) + 1


def load(
    workspaces: tuple[UUID, ...],
    filters: Filters,
    places: Sequence[Place],
    freezes: Iterable[Freeze],
    *,
    now: datetime,
) -> Matrix:
    """Load the matrix of these workspaces and environments, in one query."""
    found = rows_of(_services(workspaces, filters), workspaces, places, freezes, now=now)
    shown = [row for row in found if row.is_exception] if filters.only else found
    ordered = sorted(shown, key=lambda row: (not row.service.is_pinned, not row.is_exception, row.service.name.lower()))
    kept = ordered[:MOST_SERVICES]
    groups = [(Plane(plane).label, [row for row in kept if row.service.plane == plane]) for plane in Plane.values]
    return Matrix(places, [group for group in groups if group[1]], len(kept), len(ordered) - len(kept))


def _services(workspaces: tuple[UUID, ...], filters: Filters) -> "QuerySet[Service]":
    services = Service.objects.readable_in(workspaces).filter(retired_at=None)
    if filters.q:
        named = Q(name__icontains=filters.q) | Q(slug__icontains=filters.q) | Q(owner_team__icontains=filters.q)
        services = services.filter(named)
    return services.filter(plane=filters.plane) if filters.plane else services


def rows_of(
    services: "QuerySet[Service]",
    workspaces: tuple[UUID, ...],
    places: Sequence[Place],
    freezes: Iterable[Freeze],
    *,
    now: datetime,
) -> list[Row]:
    """Return the rows of these services, in one query."""
    lanes = Lane.objects.visible_in(workspaces).filter(
        removed_at=None, environment_id__in=[place.id for place in places]
    )
    frozen = {str(freeze.lane_id) for freeze in freezes if freeze.scope == FreezeScope.LANE}
    return [_row(service, places, frozen, now) for service in with_cells(services, lanes.order_by())]


def _row(service: Service, places: Sequence[Place], frozen: set[str], now: datetime) -> Row:
    by_environment: dict[str, Any] = {raw["environment"]: raw for raw in service.cells}
    cells: list[Cell] = []
    # What runs one tier before is what may come here next; a Local environment is on nobody's way to production.
    tier, before, nearest = "", ("", None), ("", None)
    for place in places:
        if place.environment.tier != tier:
            tier, before = place.environment.tier, nearest
        if (raw := by_environment.get(str(place.id))) is None:
            cells.append(nothing(place.name))
            continue
        cell = cell_of(
            raw,
            service=service.slug,
            environment=place.name,
            now=now,
            before=before[0],
            ahead_of=before[1],
            is_frozen=raw["id"] in frozen,
        )
        cells.append(cell)
        if raw["version"] and tier != Tier.LOCAL:
            nearest = (place.name, raw["newer"])
    return Row(service, cells)
