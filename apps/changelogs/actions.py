from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from apps.accounts.models import User
from apps.audit import actions as audit
from apps.audit.actors import Actor
from apps.changelogs.enums import ChangeKind
from apps.changelogs.models import ChangelogEntry
from apps.core.texts import one_line
from apps.core.verdict import Invalid
from apps.releases import permissions
from apps.releases.enums import ReleaseState
from apps.releases.models import Release, Service

MOST_CHANGES = 2_000
TEXT_LIMIT = 500


class ChangesInvalid(Invalid):
    code = "changes_invalid"


@transaction.atomic
def write_changes(
    release: Release, *, changes: Iterable[Mapping[str, Any]], by: User | Actor, now: datetime
) -> list[ChangelogEntry]:
    """This function will write what a release brings, in place of what was written before.

    Shapes: each change has `text`, and may have `kind` (ChangeKind), `scope`, `is_breaking`, `commit`,
    `author_label`; they keep their order.
    Raises ChangesInvalid: an unknown kind or field, or more than 2,000 changes.
    """
    release = Release.objects.locked().select_related("service").get(pk=release.pk)
    permissions.may_release(by, release.service).require()
    entries = [_entry(release, position, change) for position, change in enumerate(changes)]
    if len(entries) > MOST_CHANGES:
        raise ChangesInvalid(f"A release has at most {MOST_CHANGES} changes.")
    before = [str(entry) for entry in release.changes.order_by("position")]
    release.changes.all().delete()
    ChangelogEntry.objects.bulk_create(entries)
    audit.record(
        "changelog.edited",
        by=by,
        target=release,
        service_id=release.service_id,
        summary=f"Wrote the changelog of {release.service} {release.version}: {len(entries)} changes",
        before={"changes": before},
        after={"changes": [entry.text for entry in entries]},
        target_details={"service": release.service.slug},
    )
    return entries


def between(service: Service, from_release: Release | None, to_release: Release) -> list[ChangelogEntry]:
    """This function will return what changes when `to_release` replaces `from_release`, newest release first.

    Going back returns what would be undone. Nothing live yet: all changes of `to_release` alone.
    """
    if from_release is None:
        return list(_of([to_release]))
    low, high = sorted((from_release, to_release), key=_key)
    releases = Release.objects.filter(service=service, major__gte=low.major, major__lte=high.major)
    spanned = [
        release
        for release in releases.exclude(state=ReleaseState.DRAFT)
        if _key(low) < _key(release) <= _key(high) and (release.precedence == "~" or release.pk == high.pk)
    ]
    return list(_of(sorted(spanned, key=_key, reverse=True)))


def _of(releases: list[Release]) -> Iterable[ChangelogEntry]:
    order = {release.pk: index for index, release in enumerate(releases)}
    entries = ChangelogEntry.objects.filter(release__in=releases).select_related("release")
    return sorted(entries, key=lambda entry: (order[entry.release_id], entry.position))


def _key(release: Release) -> tuple[int, int, int, str]:
    return release.major, release.minor, release.patch, release.precedence


def _entry(release: Release, position: int, change: Mapping[str, Any]) -> ChangelogEntry:
    if not isinstance(change, Mapping):
        raise ChangesInvalid("Each change is an object with a text.")
    known = {"text", "kind", "scope", "is_breaking", "commit", "author_label"}
    if unknown := set(change) - known:
        raise ChangesInvalid(f"A change has no {', '.join(sorted(unknown))}.")
    if not all(isinstance(change.get(name, ""), str) for name in known - {"is_breaking"}) or "text" not in change:
        raise ChangesInvalid("A change has a text; all but is_breaking are texts.")
    kind = change.get("kind", ChangeKind.OTHER)
    if kind not in ChangeKind.values:
        raise ChangesInvalid(f"There is no kind of change {kind!r}.")
    return ChangelogEntry(
        workspace_id=release.workspace_id,
        release=release,
        position=position,
        kind=kind,
        scope=one_line(change.get("scope", ""), name="The scope", limit=60, required=False),
        text=one_line(change["text"], name="A change", limit=TEXT_LIMIT),
        is_breaking=bool(change.get("is_breaking", False)),
        commit=one_line(change.get("commit", ""), name="The commit", limit=64, required=False),
        author_label=one_line(change.get("author_label", ""), name="The author", limit=150, required=False),
        is_published=release.is_published,
    )
