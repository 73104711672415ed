"""How long entries of a workspace are kept: as two people decided, else as usual."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from apps.compliance.models import Retention
from apps.compliance.models.retention import USUAL_ARCHIVE_YEARS, USUAL_DAYS


@dataclass(frozen=True)
class Kept:
    """Units: days online, years in an archive."""

    online_days: int = USUAL_DAYS
    archive_years: int = USUAL_ARCHIVE_YEARS
    decided: Retention | None = None


def retentions_of(workspaces: Iterable[UUID]) -> dict[UUID, Kept]:
    """This function will say how long the entries of each of these workspaces are kept."""
    asked = tuple(workspaces)
    newest = Retention.objects.visible_in(asked).order_by("workspace_id", "-since").distinct("workspace_id")
    decided = {row.workspace_id: Kept(row.online_days, row.archive_years, row) for row in newest}
    return {key: decided.get(key, Kept()) for key in asked}


def retention_of(workspace_id: UUID) -> Kept:
    """This function will say how long the entries of a workspace are kept."""
    return retentions_of([workspace_id])[workspace_id]
