"""Questions to the trail that are kept under a name: saved, renamed and removed, by whoever they belong to.

One that is shared outlives its owner's right to read the trail there: who keeps that trail may take it over then, or
remove it.
"""

from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction

from apps.audit import actions
from apps.audit.models import SavedFilter
from apps.audit.offers import offered
from apps.core.verdict import ALLOWED, Conflict, Invalid, Verdict, refused


class NameTaken(Invalid):
    """This person has a filter of this name in the workspace."""

    code = "name_taken"
    next_step = "Give it another name, or remove the other."


class FilterChanged(Conflict):
    """Somebody renamed, took over or removed the filter in the meantime."""

    code = "filter_changed"


def may_change(saved: SavedFilter, *, person_id: UUID) -> Verdict:
    """This function will say whether the person may rename or remove a saved filter as theirs."""
    if saved.owner_id == person_id:
        return ALLOWED
    return refused("not_owner", f"This filter belongs to {saved.owner_label}, who alone may rename or remove it.")


def may_take_over(saved: SavedFilter, *, is_left: bool, keeps: Verdict) -> Verdict:
    """This function will say whether somebody may take over, or remove, a filter that is shared and was left behind.

    `keeps` says whether they decide what is kept of that workspace's trail.
    """
    if not (saved.is_shared and is_left):
        return refused("not_left", f"This filter belongs to {saved.owner_label}, who reads this trail.")
    return keeps


def is_left(saved: SavedFilter) -> bool:
    """This function will say whether a filter's owner reads the trail of its workspace no more."""
    return saved.owner_id not in {person for person, _ in offered("reader", (saved.workspace_id,))}


@transaction.atomic
def save_filter(
    name: str, query: str, *, workspace_id: UUID, is_shared: bool, person_id: UUID, by: object, now: datetime
) -> SavedFilter:
    """This function will keep a query of the trail under a name, for the person or for all readers of the workspace.

    Raises NameTaken: when the person has one of this name there.
    """
    saved, is_new = SavedFilter.objects.get_or_create(
        workspace_id=workspace_id,
        owner_id=person_id,
        name=name,
        defaults={"owner_label": str(by)[:150], "query": query, "is_shared": is_shared, "created_at": now},
    )
    if not is_new:
        raise NameTaken(f"You have a filter called “{name}” already.")
    actions.record(
        "saved_filter.saved",
        by=by,
        target=saved,
        summary=f"Saved the filter “{name}”, {'shared' if is_shared else 'their own'}",
        after={"name": name, "query": query, "is_shared": is_shared},
    )
    return saved


@transaction.atomic
def rename_filter(saved: SavedFilter, name: str, *, person_id: UUID, by: object) -> None:
    """This function will give a saved filter another name.

    Raises FilterChanged: when it has another name by now, or is gone. Raises NameTaken: when the person has such a one.
    """
    may_change(saved, person_id=person_id).require()
    locked = _locked(saved)
    try:
        with transaction.atomic():
            SavedFilter.objects.filter(pk=locked.pk, name=saved.name).update(name=name)
    except IntegrityError:
        raise NameTaken(f"You have a filter called “{name}” already.") from None
    actions.record(
        "saved_filter.renamed",
        by=by,
        target=locked,
        summary=f"Renamed the filter “{saved.name}” to “{name}”",
        before={"name": saved.name},
        after={"name": name},
    )


@transaction.atomic
def take_over_filter(saved: SavedFilter, *, person_id: UUID, keeps: Verdict, by: object) -> None:
    """This function will make a shared filter that was left behind the person's own; it stays shared.

    Raises FilterChanged: when it has another name or owner by now, or is gone. Raises NameTaken: when the person has
    one of this name there.
    """
    locked = _locked(saved)
    may_take_over(locked, is_left=is_left(locked), keeps=keeps).require()
    try:
        with transaction.atomic():
            SavedFilter.objects.filter(pk=locked.pk, owner_id=saved.owner_id).update(
                owner_id=person_id, owner_label=str(by)[:150]
            )
    except IntegrityError:
        raise NameTaken(f"You have a filter called “{saved.name}” already.") from None
    actions.record(
        "saved_filter.taken_over",
        by=by,
        target=locked,
        summary=f"Took over the filter “{saved.name}”, whose owner reads this trail no more",
        before={"owner": str(saved.owner_id)},
        after={"owner": str(person_id)},
    )


@transaction.atomic
def remove_filter(saved: SavedFilter, *, person_id: UUID, keeps: Verdict, by: object) -> None:
    """This function will remove a saved filter, one's own or one left behind; what it asked for stays in the trail.

    Raises FilterChanged: when it has another name or owner by now, or is gone.
    """
    locked = _locked(saved)
    (may_change(locked, person_id=person_id) or may_take_over(locked, is_left=is_left(locked), keeps=keeps)).require()
    actions.record(
        "saved_filter.removed",
        by=by,
        target=locked,
        summary=f"Removed the filter “{saved.name}”",
        before={"name": saved.name, "query": saved.query, "is_shared": saved.is_shared},
    )
    locked.delete()


def _locked(saved: SavedFilter) -> SavedFilter:
    locked = SavedFilter.objects.locked().filter(pk=saved.pk, name=saved.name, owner_id=saved.owner_id).first()
    if locked is None:
        raise FilterChanged(f"The filter “{saved.name}” has been renamed, taken over or removed in the meantime.")
    return locked
