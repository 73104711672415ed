"""The calendar: windows as they occur in the weeks to come, what freezes leave of them, and who waits for one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from itertools import groupby
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from apps.approvals.models import Promotion
from apps.dashboards import places
from apps.dashboards.band import TO
from apps.dashboards.places import Place, is_frozen_by
from apps.environments.models import Freeze
from apps.environments.occurrences import Occurrence, first_start, left_of, occurrences
from apps.environments.windows import Stretch, open_stretches
from apps.policies.clauses import Gate
from apps.policies.enums import Outcome

AHEAD = timedelta(weeks=4)
# More of them wait than anybody reads; the inbox has all.
WAITING = 50


@dataclass(frozen=True)
class Entry:
    """One occurrence of a window in an environment. `left` is what freezes leave of it from now on."""

    place: Place
    occurrence: Occurrence
    left: Sequence[Stretch]
    freezes: Sequence[Freeze]
    viewers: tzinfo
    now: datetime

    @property
    def is_frozen(self) -> bool:
        return self.occurrence.allows and not self.left

    @property
    def tone(self) -> str:
        if not self.occurrence.allows:
            return "idle"
        if self.freezes:
            return "bad" if self.is_frozen else "warn"
        return "ok" if self.occurrence.starts_at <= self.now else ""

    @property
    def word(self) -> str:
        if not self.occurrence.allows:
            return "Closed"
        if self.freezes:
            return "Frozen" if self.is_frozen else "Partly frozen"
        return "Open now" if self.occurrence.starts_at <= self.now else "Opens"

    @property
    def day(self) -> datetime:
        return max(self.occurrence.starts_at, self.now).astimezone(self.viewers)

    @property
    def yours(self) -> str:
        return span_in(self.occurrence, self.viewers)

    @property
    def theirs(self) -> str:
        """The same in the zone in which the window is written; empty where the viewer's clock says the same."""
        zone = ZoneInfo(self.occurrence.rule.zone)
        said = span_in(self.occurrence, zone)
        return "" if said == self.yours else f"{said} ({zone})"

    @property
    def reasons(self) -> str:
        return "; ".join(f"{freeze.reason} ({freeze.frozen_by})" for freeze in self.freezes)


@dataclass(frozen=True)
class Waiting:
    """A promotion that only a window, or a freeze, keeps from starting. `starts_at` is None: in none of these weeks."""

    promotion: Promotion
    starts_at: datetime | None

    @property
    def conflict(self) -> str:
        if self.starts_at is None:
            return "No window of the next four weeks is long enough and not frozen."
        if self.starts_at >= self.promotion.expires_at:
            return "It expires before that."
        return ""


@dataclass(frozen=True)
class Calendar:
    entries: Sequence[Entry]
    waiting: Sequence[Waiting]
    any_time: Sequence[Place]
    freezes: Sequence[Freeze]

    @property
    def days(self) -> list[tuple[datetime, list[Entry]]]:
        """The entries by the days of the viewer; what holds already stands under today."""
        days = (list(found) for _, found in groupby(self.entries, lambda entry: entry.day.date()))
        return [(found[0].day, found) for found in days]

    @property
    def frozen(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.is_frozen]

    @property
    def held_up(self) -> list[Waiting]:
        return [each for each in self.waiting if each.conflict]


def load(workspaces: tuple[UUID, ...], *, now: datetime, zone: tzinfo) -> Calendar:
    """This function will look up the calendar of these workspaces. Queries: the same number for every calendar."""
    frozen = places.frozen_now(workspaces, now)
    standing = places.load(workspaces, frozen, now=now)
    return calendar_of(standing, frozen, waiting_for_windows(workspaces), now=now, zone=zone)


def calendar_of(
    standing: Sequence[Place],
    freezes: Sequence[Freeze],
    promotions: Iterable[Promotion],
    *,
    now: datetime,
    zone: tzinfo,
) -> Calendar:
    """This function will lay the windows of environments, their freezes and what waits over the weeks to come."""
    entries = [entry for place in standing for entry in _entries(place, freezes, now, zone)]
    entries.sort(key=lambda entry: (max(entry.occurrence.starts_at, now), entry.place.name))
    at = {place.id: place for place in standing}
    waiting = [
        _waiting(promotion, place, freezes, now)
        for promotion in promotions
        if (place := at.get(promotion.lane.environment_id))
    ]
    return Calendar(entries, waiting, [place for place in standing if not place.windows], freezes)


def waiting_for_windows(workspaces: tuple[UUID, ...]) -> list[Promotion]:
    """This function will find promotions of which all is said but by a closed window or a freeze."""
    closed = [{"name": Gate.WINDOW.value, "outcome": Outcome.WAITING.value}]
    found = Promotion.objects.visible_in(workspaces).waiting().with_subject().filter(gates__contains=closed)
    return [each for each in found.order_by("number")[:WAITING] if _waits_for_time_alone(each)]


def span_in(occurrence: Occurrence, zone: tzinfo) -> str:
    """This function will say an occurrence by the clock of a zone, with the offset of its own dates."""
    if occurrence.ends_at is None:  # rules repeat weekly: what never ends never begins
        return "at all hours"
    starts_at = occurrence.starts_at.astimezone(zone)
    begins = f"{starts_at:%a} {starts_at.day} {starts_at:%b %H:%M}"
    ends_at = occurrence.ends_at.astimezone(zone)
    day = "" if ends_at.date() == starts_at.date() else f"{ends_at:%a} {ends_at.day} {ends_at:%b} "
    before = "" if ends_at.utcoffset() == starts_at.utcoffset() else f" {starts_at:%Z}"
    return f"{begins}{before}{TO}{day}{ends_at:%H:%M %Z}"


def _entries(place: Place, freezes: Sequence[Freeze], now: datetime, zone: tzinfo) -> Iterable[Entry]:
    over = [freeze for freeze in freezes if is_frozen_by(freeze, place.environment)]
    for occurrence in occurrences(place.windows, now, now + AHEAD):
        ahead = [(max(occurrence.starts_at, now), occurrence.ends_at)]
        mine = [freeze for freeze in over if occurrence.allows and left_of(ahead, [_span(freeze)]) != ahead]
        yield Entry(place, occurrence, left_of(ahead, map(_span, mine)), mine, zone, now)


def _waiting(promotion: Promotion, place: Place, freezes: Sequence[Freeze], now: datetime) -> Waiting:
    over = [
        _span(freeze)
        for freeze in freezes
        if freeze.lane_id == promotion.lane_id or is_frozen_by(freeze, place.environment)
    ]
    spans = left_of(open_stretches(place.windows, now, now + AHEAD), over)
    return Waiting(promotion, first_start(spans, lasting=_lasting(place.document)))


def _span(freeze: Freeze) -> Stretch:
    return freeze.frozen_at, freeze.ends_at


def _lasting(document: Mapping[str, Any] | None) -> timedelta:
    clauses = (clause for clause in (document or {}).get("clauses", ()) if clause["gate"] == Gate.WINDOW)
    return timedelta(minutes=next((clause["settings"]["lasting_minutes"] for clause in clauses), 0))


def _waits_for_time_alone(promotion: Promotion) -> bool:
    return all(
        Outcome(row["outcome"]).lets_pass for row in promotion.gates if row["name"] not in (Gate.WINDOW, Gate.FREEZE)
    )
