"""Which components come, go and change when one release takes the place of another, by their parts lists."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from apps.releases.models import Evidence, Part, Release

SHOWN = 200


@dataclass(frozen=True)
class ChangedPart:
    """A component before and after: its versions, empty where it is not there."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class PartsDifference:
    """`unlisted` are the versions without a parts list, so that nothing can be told; else `changed` is all that is."""

    changed: tuple[ChangedPart, ...] = ()
    unlisted: tuple[str, ...] = ()

    @property
    def first(self) -> tuple[ChangedPart, ...]:
        return self.changed[:SHOWN]

    @property
    def more(self) -> int:
        return len(self.changed) - len(self.first)

    @property
    def added(self) -> int:
        return sum(not part.before for part in self.changed)

    @property
    def removed(self) -> int:
        return sum(not part.after for part in self.changed)

    @property
    def moved(self) -> int:
        return len(self.changed) - self.added - self.removed


def difference(before: Release | None, after: Release) -> PartsDifference | None:
    """This function will compare the newest parts lists of two releases (one query, three where both have one).

    Shapes: sorted by name; None where there is nothing to compare with, or neither has a list that may be read. Where
    both have lists of one format those are compared: programs of different formats look at different things.
    """
    if before is None or before.pk == after.pk:
        return None
    lists: dict[UUID, dict[str, Evidence]] = {before.pk: {}, after.pk: {}}
    for found in Evidence.objects.filter(release_id__in=lists).parts_lists():
        lists[found.release_id][found.kind] = found
    old, new = lists[before.pk], lists[after.pk]
    if not old and not new:
        return None
    if unlisted := tuple(each.version for each in (before, after) if not lists[each.pk]):
        return PartsDifference(unlisted=unlisted)
    kind = next((kind for kind in new if kind in old), "")
    return PartsDifference(_changed(old.get(kind) or _newest(old), new.get(kind) or _newest(new)))


def _newest(lists: Mapping[str, Evidence]) -> Evidence:
    return max(lists.values(), key=lambda found: (found.received_at, found.pk))


def _changed(old: Evidence, new: Evidence) -> tuple[ChangedPart, ...]:
    rows = {
        found.pk: Part.objects.filter(evidence=found).order_by().values_list("key", "version") for found in (old, new)
    }
    gone, come = rows[old.pk].difference(rows[new.pk]), rows[new.pk].difference(rows[old.pk])
    before, after = _versions(list(gone)), _versions(list(come))
    return tuple(ChangedPart(_name(key), before.get(key, ""), after.get(key, "")) for key in sorted({*before, *after}))


def _versions(rows: Sequence[tuple[str, str]]) -> Mapping[str, str]:
    found: dict[str, list[str]] = defaultdict(list)
    for key, version in sorted(rows):
        found[key].append(version or "a version that is not told")
    return {key: ", ".join(versions) for key, versions in found.items()}


def _name(key: str) -> str:
    """Return what people call it: of a package URL without its scheme, with the kind of package."""
    kind, _, name = key.removeprefix("pkg:").partition("/")
    return f"{name} ({kind})" if key.startswith("pkg:") and name else key
