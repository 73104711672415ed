"""What people say a release is. It only ever asks for more of those who approve it, so it is never taken back."""

from datetime import datetime

from apps.accounts.models import User
from apps.audit import actions as audit
from apps.audit.actors import Actor, actor_of
from apps.core import live
from apps.core.verdict import Conflict, Invalid
from apps.releases.models import Release, ReleaseTrait
from apps.releases.traits import DECLARABLE, Trait


class TraitUnknown(Invalid):
    code = "trait_unknown"


class AlreadyDeclared(Conflict):
    code = "already_declared"
    next_step = "Nothing is to be done: it counts already."


def known_trait(word: str) -> Trait:
    """This function will read the name of a trait that people declare. Raises TraitUnknown."""
    if word not in DECLARABLE:
        raise TraitUnknown(f"There is no trait {str(word)[:20]!r} to declare. There are: {', '.join(DECLARABLE)}.")
    return Trait(word)


def write_trait(release: Release, trait: Trait, *, reason: str, by: User | Actor, now: datetime) -> ReleaseTrait:
    """This function will write down a trait of a release; the caller has locked its service, and knows the rights.

    Raises AlreadyDeclared.
    """
    if there := release.traits.filter(trait=trait).first():
        raise AlreadyDeclared(f"{there.declared_by_label} declared {release.version} {trait.phrase} already.")
    declared = ReleaseTrait.objects.create(
        workspace_id=release.workspace_id,
        release=release,
        trait=trait,
        reason=reason,
        declared_at=now,
        declared_by_label=actor_of(by).label[:150],
        is_published=release.is_published,
    )
    audit.record(
        "release.trait_declared",
        by=by,
        target=release,
        service_id=release.service_id,
        summary=f"Declared {release.service} {release.version} {trait.phrase}",
        reason=reason,
        after={"trait": trait},
        target_details={"service": release.service.slug},
    )
    live.hint(release.workspace_id, f"release:{release.pk}")
    return declared
