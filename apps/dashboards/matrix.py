"""The matrix of services and environments: one query, whatever its size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import groupby
from uuid import UUID

from apps.dashboards.cells import Cell, cell_of, nothing
from apps.dashboards.places import Place
from apps.dashboards.querysets import Raw, cells
from apps.environments.enums import Tier
from apps.releases.enums import Plane

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
    service: Raw
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


def load(workspaces: tuple[UUID, ...], filters: Filters, places: Sequence[Place], *, now: datetime) -> Matrix:
    """Load the matrix of these workspaces and environments, in one query."""
    raws = cells(workspaces, now=now, q=filters.q, plane=filters.plane, tier=filters.tier)
    found = [_row(list(group), places, now) for _, group in groupby(sorted(raws, key=_slug), key=_slug)]
    shown = [row for row in found if row.is_exception] if filters.only else found
    ordered = sorted(shown, key=lambda row: (not row.service.is_pinned, not row.is_exception, row.service.name.lower()))
    kept = ordered[:MOST_SERVICES]
    groups = [(Plane(plane).label, [row for row in kept if row.service.plane == plane]) for plane in Plane.values]
    return Matrix(places, [group for group in groups if group[1]], len(kept), len(ordered) - len(kept))


def _slug(raw: Raw) -> str:
    return raw.slug


def _row(raws: Sequence[Raw], places: Sequence[Place], now: datetime) -> Row:
    by_id = {raw.environment_id: raw for raw in raws if raw.lane_id}
    standing = [by_id[place.id] for place in places if place.id in by_id]
    made = dict(zip((raw.environment_id for raw in standing), cells_of(standing, now=now), strict=True))
    return Row(raws[0], [made.get(place.id) or nothing(place.name) for place in places])


def cells_of(raws: Sequence[Raw], *, now: datetime) -> list[Cell]:
    """Return the cells of one service's lanes, which come in promotion order.

    What runs one tier before is what may come here next; a Local environment is on nobody's way to production.
    """
    made: list[Cell] = []
    before: tuple[str, int | None] = ("", None)
    tier, nearest = "", before
    for raw in raws:
        if raw.tier != tier:
            tier, before = raw.tier, nearest
        made.append(cell_of(raw, before=before[0], ahead_of=before[1], now=now))
        if raw.version and tier != Tier.LOCAL:
            nearest = (raw.environment, raw.newer)
    return made


def row_of(slug: str, workspaces: tuple[UUID, ...], places: Sequence[Place], *, now: datetime) -> Sequence[Cell]:
    """Return the cells of one service, in one query."""
    raws = cells(workspaces, now=now, slug=slug)
    return _row(raws, places, now).cells if raws else []
