"""Which API descriptions have to be compared, who does it now, and what was found."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from uuid import UUID

from django.db import connection, transaction

from apps.audit import actions as audit
from apps.audit.actors import SYSTEM
from apps.core import live
from apps.releases.contracts.apart import Found
from apps.releases.contracts.changes import Change, Effect
from apps.releases.enums import EvidenceKind
from apps.releases.models import ApiChange, ApiComparison, Evidence, Release

# Longer than a comparison may take; a worker that dies in it is followed by another after that.
CLAIM = timedelta(minutes=3)
# A description is beside one other for each Production with a version of its own.
COMPARISONS = 50


@dataclass(frozen=True)
class Due:
    """Two releases of one service: `new_release` may come to a Production where `old_release` runs."""

    workspace_id: UUID
    old_release: UUID
    new_release: UUID
    old_sha256: str
    new_sha256: str


@dataclass(frozen=True)
class Beside:
    """A release beside `version`, which callers use now; a digest is empty where there is no description.

    `removed` has the day until which each operation was promised to stay, None where it was never announced to end.
    """

    version: str
    order: tuple[int, int, int, str]
    new_sha256: str
    old_sha256: str
    is_compared: bool
    is_whole: bool = True
    breaking: int = 0
    undecided: int = 0
    compatible: int = 0
    breaking_in: tuple[str, ...] = ()
    undecided_in: tuple[str, ...] = ()
    removed: tuple[tuple[str, date | None], ...] = ()


def beside(release_id: UUID, live_id: UUID | None = None) -> Beside | None:
    """This function will say how the API of a release differs from that of another (past the scope, one query).

    Without `live_id` that is what runs in a Production of whoever owns the release, the one that came there last; None
    where there is none.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM api_beside(%s, %s)", [release_id, live_id])
        row = cursor.fetchone()
        columns = [column.name for column in cursor.description or ()]
    if row is None:
        return None
    found = dict(zip(columns, row, strict=True))
    new, old = found["new_sha256"] or "", found["old_sha256"] or ""
    order = found["major"], found["minor"], found["patch"], found["precedence"]
    seen = Beside(found["version"], order, new, old, is_compared=new == old != "")
    if found["finished_at"] is None:
        return seen
    return replace(
        seen,
        is_compared=True,
        is_whole=found["is_whole"],
        breaking=found["breaking"],
        undecided=found["undecided"],
        compatible=found["compatible"],
        breaking_in=tuple(json.loads(found["breaking_in"])),
        undecided_in=tuple(json.loads(found["undecided_in"])),
        removed=tuple((operation, _date(until)) for operation, until in json.loads(found["removed"])),
    )


def of_release(release: Release) -> list[tuple[Release, ApiComparison]]:
    """This function will find what the description of a release was compared with (three queries).

    Shapes: the newest comparison first, each with the highest version that has the other description.
    """
    mine = Evidence.objects.filter(kind=EvidenceKind.OPENAPI, release__service_id=release.service_id)
    description = mine.filter(release=release, artifact_digest=release.artifact_digest).first()
    if description is None:
        return []
    finished = (
        ApiComparison.objects.finished()
        .filter(workspace_id=release.workspace_id, new_sha256=description.sha256)
        .order_by("-finished_at")[:COMPARISONS]
    )
    found = {comparison.old_sha256: comparison for comparison in finished}
    order = [f"-release__{name}" for name in ("major", "minor", "patch", "precedence")]
    others = mine.filter(sha256__in=found).exclude(release=release).select_related("release")
    versions = {other.sha256: other.release for other in others.order_by("sha256", *order).distinct("sha256")}
    return [(versions[sha256], comparison) for sha256, comparison in found.items() if sha256 in versions]


def due(release_id: UUID | None = None) -> list[Due]:
    """This function will look for what nobody has compared or is comparing (past the scope, a bounded number)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM api_comparisons_due(%s)", [release_id])
        return [Due(*row) for row in cursor.fetchall()]


def claim(wanted: Due) -> ApiComparison | None:
    """This function will take a comparison for a while; None when somebody else has it, or has finished it."""
    pair = {"workspace_id": wanted.workspace_id, "old_sha256": wanted.old_sha256, "new_sha256": wanted.new_sha256}
    ApiComparison.objects.bulk_create([ApiComparison(**pair)], ignore_conflicts=True)
    claimed = ApiComparison.objects.filter(**pair)
    return claimed.get() if claimed.claim(CLAIM) else None


@transaction.atomic
def finish(comparison: ApiComparison, found: Found, wanted: Due, *, now: datetime) -> bool:
    """This function will keep what was found; False when somebody whose claim followed was quicker."""
    counts = {effect.lower(): found.count(effect) for effect in Effect}
    columns = {
        **counts,
        "is_whole": found.is_whole,
        "breaking_in": found.operations(Effect.BREAKING),
        "undecided_in": found.operations(Effect.UNDECIDED),
        "removed": found.removed,
    }
    if not ApiComparison.objects.filter(pk=comparison.pk, finished_at=None).update(finished_at=now, **columns):
        return False
    ApiChange.objects.bulk_create(_rows(comparison, found.changes), batch_size=1000)
    releases = Release.objects.select_related("service").in_bulk([wanted.old_release, wanted.new_release])
    old, new = releases[wanted.old_release], releases[wanted.new_release]
    told = ", ".join(f"{count:,} {word}" for word, count in counts.items())
    audit.record(
        "api.compared",
        by=SYSTEM,
        target=comparison,
        service_id=new.service_id,
        summary=f"The API of {new.service} {new} beside {old}: {told}.",
        after={"old_sha256": wanted.old_sha256, "new_sha256": wanted.new_sha256, **counts},
    )
    live.hint(new.workspace_id, f"release:{new.pk}")
    return True


def _rows(comparison: ApiComparison, changes: Sequence[Change]) -> list[ApiChange]:
    return [
        ApiChange(
            workspace_id=comparison.workspace_id,
            comparison=comparison,
            rank=len(changes) - number,
            operation=change.operation,
            place=change.place,
            rule=change.rule,
            effect=change.effect.value,
            sentence=change.sentence,
            sunset_date=_date(change.sunset),
        )
        for number, change in enumerate(changes)
    ]


def _date(text: str) -> date | None:
    return date.fromisoformat(text) if text else None
