"""The data migrations between two releases of a service, and what they mean for the way back."""

from collections.abc import Iterable

from apps.releases.enums import ReleaseState
from apps.releases.models import DataMigration, Release


def between(before: Release | None, after: Release) -> tuple[DataMigration, ...]:
    """This function will return the migrations that run when `after` replaces `before`, in their order (one query).

    They are those of the full releases in between, as a release need not repeat what one below it named; of `after`
    alone where nothing runs before. What `before` or a release below it named ran already. None for the way down.
    """
    lowest = before or after
    rows = DataMigration.objects.filter(
        release__service_id=after.service_id, release__major__gte=lowest.major, release__major__lte=after.major
    ).exclude(release__state=ReleaseState.DRAFT)
    found = sorted(rows.select_related("release"), key=lambda row: (_order(row.release), row.position))
    ran = {row.name for row in found if before is not None and _order(row.release) <= _order(before)}
    brought = [
        row
        for row in found
        if row.name not in ran
        and (row.release_id == after.pk or (before is not None and _is_between(before, row.release, after)))
    ]
    # Named again by a later release, its newest words count.
    return tuple({row.name: row for row in brought}.values())


def forward_only(migrations: Iterable[DataMigration]) -> tuple[DataMigration, ...]:
    return tuple(each for each in migrations if each.is_forward_only)


def reversible(migrations: Iterable[DataMigration]) -> tuple[DataMigration, ...]:
    return tuple(each for each in migrations if each.is_reversible)


def _is_between(before: Release, release: Release, after: Release) -> bool:
    # Pre-releases of other versions are not on the way; of its own version, those below one are.
    is_own = after.precedence != "~" and _core(release) == _core(after)
    is_on_the_way = release.precedence == "~" or is_own
    return is_on_the_way and _order(before) < _order(release) < _order(after)


def _core(release: Release) -> tuple[int, int, int]:
    return release.major, release.minor, release.patch


def _order(release: Release) -> tuple[int, int, int, str]:
    return release.major, release.minor, release.patch, release.precedence
