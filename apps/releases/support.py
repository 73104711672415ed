"""What users of a release can count on: the latest minor line is supported, the one before it gets security updates,
older ones what effort allows, until a person's announcement ends a line.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from django.db.models import OuterRef, Subquery

from apps.releases.enums import ReleaseState, SupportLevel
from apps.releases.models import EndOfLife, Release, Service

Line = tuple[int, int]
# The lines that a quarantine takes a release of are still what they are.
COUNTED = (ReleaseState.SEALED, ReleaseState.QUARANTINED)


@dataclass(frozen=True)
class Supported:
    """How a release is supported, and the first day on which it is not; None where no end was announced."""

    level: SupportLevel
    ends_date: date | None = None

    @property
    def is_ending(self) -> bool:
        return self.ends_date is not None and self.level != SupportLevel.ENDED

    @property
    def tone(self) -> str:
        return "warn" if self.is_ending else self.level.tone

    @property
    def label(self) -> str:
        return str(self.level.label)

    @property
    def words(self) -> str:
        if self.ends_date is None:
            return self.label
        return f"{self.label}, {'since' if self.level == SupportLevel.ENDED else 'until'} {self.ends_date:%Y-%m-%d}"


def level_of(line: Line, latest: Sequence[Line], *, ends: date | None, today: date) -> Supported:
    """This function will say how a minor line is supported on a day. Pure.

    Shapes: `latest` are lines of the service, its highest two among them; `ends` the first day without support.
    """
    newer = sum(other > line for other in {*latest})
    levels = (SupportLevel.FULL, SupportLevel.SECURITY)
    level = levels[newer] if newer < len(levels) else SupportLevel.BEST_EFFORT
    return Supported(SupportLevel.ENDED if ends is not None and ends <= today else level, ends)


def of_releases(releases: Iterable[Release], *, today: date) -> list[tuple[Release, Supported]]:
    """This function will pair each release with how it is supported. Two queries for any number; none for none."""
    found = list(releases)
    services = {release.service_id for release in found}
    lines, ends = (lines_of(services), _ends_of(services)) if found else ({}, {})
    return [(release, _of_release(release, lines, ends, today)) for release in found]


def of_lines(service: Service, *, today: date) -> list[tuple[Line, Supported]]:
    """This function will return the minor lines of a service, the highest first, with how each is supported."""
    lines, ends = lines_of([service.pk])[service.pk], _ends_of([service.pk])
    return [(line, level_of(line, lines, ends=ends.get((service.pk, line)), today=today)) for line in lines]


def lines_of(services: Iterable[UUID]) -> Mapping[UUID, list[Line]]:
    """This function will return the minor lines of each service that have a full release, the highest first."""
    found = Release.objects.filter(service_id__in=services, state__in=COUNTED, precedence="~").order_by()
    lines: dict[UUID, list[Line]] = defaultdict(list)
    for service_id, major, minor in found.values_list("service_id", "major", "minor").distinct():
        lines[service_id].append((major, minor))
    for of_service in lines.values():
        of_service.sort(reverse=True)
    return lines


def end_of_what_runs() -> Subquery:
    """This function will return, for a query of lanes, the announced end of the line that each runs; None without."""
    ends = EndOfLife.objects.standing().filter(
        service=OuterRef("service"), major=OuterRef("live_release__major"), minor=OuterRef("live_release__minor")
    )
    return Subquery(ends.values("ends_date")[:1])


def _ends_of(services: Iterable[UUID]) -> dict[tuple[UUID, Line], date]:
    found = EndOfLife.objects.standing().filter(service_id__in=services)
    return {(end.service_id, (end.major, end.minor)): end.ends_date for end in found}


def _of_release(
    release: Release, lines: Mapping[UUID, Sequence[Line]], ends: Mapping[tuple[UUID, Line], date], today: date
) -> Supported:
    line = (release.major, release.minor)
    if release.state == ReleaseState.DRAFT or release.precedence != "~":
        return Supported(SupportLevel.NONE)
    if release.state == ReleaseState.RETIRED:
        return Supported(SupportLevel.ENDED)
    return level_of(line, lines.get(release.service_id, ()), ends=ends.get((release.service_id, line)), today=today)
