"""Which traits a change has: by what runs there, by the files that changed, by the word of people."""

from collections.abc import Iterator, Sequence

from apps.approvals.models import Promotion
from apps.policies.clauses import TierPolicy
from apps.releases.enums import ReleaseKind
from apps.releases.models import DataMigration, ReleaseChange, ReleaseTrait
from apps.releases.traits import ChangedPaths, HeldTrait, Trait, by_paths


def traits_of(
    promotion: Promotion, policy: TierPolicy, migrations: Sequence[DataMigration] = ()
) -> tuple[HeldTrait, ...]:
    """This function will say which traits a promotion has, each with what shows it (one query; two where the policy
    names files).

    Shapes: of all releases that come with it, in the order of `Trait`. The promotion comes `with_subject`;
    `migrations` are those between what runs there and what would.
    """
    release, over = promotion.release, promotion.lane.live_release
    declared = ReleaseTrait.objects.brought(release, over=over)
    found = [
        *_major(promotion),
        *(HeldTrait(Trait.MIGRATION, f"{row.release} migrates data: {row.name}") for row in migrations[:1]),
        *(HeldTrait(Trait(row.trait), f"{row.release}, {row.declared_by_label}: {row.reason}") for row in declared),
    ]
    if policy.trait_paths:
        changed = ReleaseChange.objects.brought(release, over=over)
        changes = (ChangedPaths(str(row.release), row.paths, row.is_whole) for row in changed)
        found += by_paths(policy.trait_paths, changes)
    first: dict[Trait, HeldTrait] = {}
    for held in found:
        first.setdefault(held.trait, held)
    return tuple(first[trait] for trait in Trait if trait in first)


def _major(promotion: Promotion) -> Iterator[HeldTrait]:
    release, over = promotion.release, promotion.lane.live_release
    if over is not None and release.major != over.major:
        yield HeldTrait(Trait.MAJOR, f"{over} runs there, {release} would")
    elif over is None and release.kind == ReleaseKind.MAJOR:
        yield HeldTrait(Trait.MAJOR, f"{release} is a major release")
