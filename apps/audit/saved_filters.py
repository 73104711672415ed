"""Questions to the trail that are kept under a name: saved, renamed and removed, by whoever they belong to."""

from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction

from apps.audit import actions
from apps.audit.models import SavedFilter
from apps.core.verdict import ALLOWED, Conflict, Invalid, Verdict, refused


class NameTaken(Invalid):
    """This person has a filter of this name in the workspace."""

    code = "name_taken"
    next_step = "Give it another name, or remove the other."


class FilterChanged(Conflict):
    """Somebody renamed or removed the filter in the meantime."""

    code = "filter_changed"


def may_change(saved: SavedFilter, *, person_id: UUID) -> Verdict:
    """This function will say whether the person may rename or remove a saved filter: it is theirs alone."""
    if saved.owner_id == person_id:
        return ALLOWED
    return refused("not_owner", f"This filter belongs to {saved.owner_label}, who alone may rename or remove it.")


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
    locked = _locked(saved, person_id)
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
def remove_filter(saved: SavedFilter, *, person_id: UUID, by: object) -> None:
    """This function will remove a saved filter; what it asked for stays in the trail.

    Raises FilterChanged: when it has another name by now, or is gone.
    """
    locked = _locked(saved, person_id)
    actions.record(
        "saved_filter.removed",
        by=by,
        target=locked,
        summary=f"Removed the filter “{saved.name}”",
        before={"name": saved.name, "query": saved.query, "is_shared": saved.is_shared},
    )
    locked.delete()


def _locked(saved: SavedFilter, person_id: UUID) -> SavedFilter:
    may_change(saved, person_id=person_id).require()
    locked = SavedFilter.objects.locked().filter(pk=saved.pk, name=saved.name).first()
    if locked is None:
        raise FilterChanged(f"The filter “{saved.name}” has been renamed or removed in the meantime.")
    return locked
