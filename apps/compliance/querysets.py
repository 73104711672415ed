from datetime import date
from typing import Self
from uuid import UUID

from django.db.models import Exists, OuterRef, Q

from apps.workspaces.models import Membership
from apps.workspaces.querysets import TenantQuerySet


class ReviewQuerySet(TenantQuerySet):
    def standing(self) -> Self:
        """Return what is on the calendar."""
        return self.filter(ended_at=None)

    def overdue(self, today: date) -> Self:
        return self.standing().filter(next_due_date__lt=today)

    def owned_by(self, person: UUID) -> Self:
        """Return what this person owns, or holds the role of that does."""
        held = Membership.objects.current().filter(
            user_id=person, workspace_id=OuterRef("workspace_id"), role_id=OuterRef("owner_role_id")
        )
        return self.filter(Q(owner_id=person) | Exists(held))

    def with_owner(self) -> Self:
        return self.select_related("workspace", "owner", "owner_role")
