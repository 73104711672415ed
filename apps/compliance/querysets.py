from datetime import date, datetime, timedelta
from typing import Self
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q

from apps.compliance.enums import CutState
from apps.core.clock import CLOCK, clock_in
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


class AuditExportQuerySet(TenantQuerySet):
    def asked_for_by(self, person: UUID) -> Self:
        """Return a person's own, and what tokens asked for that they made."""
        return self.filter(asked_by=person)

    def take(self, token: UUID, lasting: timedelta) -> bool:
        """Give the one unfinished export of this queryset to an owner for a while, by the database's clock; False when
        somebody else has it or it has ended.
        """
        free = Q(lease_until=None) | Q(lease_until__lt=CLOCK)
        waiting = self.filter(free, state__in=["QUEUED", "RUNNING"])
        return waiting.update(lease_token=token, lease_until=clock_in(lasting), tries=F("tries") + 1) == 1


class AuditStreamQuerySet(TenantQuerySet):
    def standing(self) -> Self:
        """Return those that were not removed."""
        return self.exclude(state="REMOVED")

    def take(self, token: UUID, lasting: timedelta) -> bool:
        """Give the one active stream of this queryset to a sender for a while; False when somebody else has it."""
        free = Q(lease_until=None) | Q(lease_until__lt=CLOCK)
        return self.filter(free, state="ACTIVE").update(lease_token=token, lease_until=clock_in(lasting)) == 1


class LegalHoldQuerySet(TenantQuerySet):
    def standing(self) -> Self:
        """Return the legal holds that were not lifted."""
        return self.filter(lifted_at=None)


class CutQuerySet(TenantQuerySet):
    def under_way(self) -> Self:
        return self.exclude(state=CutState.DONE)

    def due(self, now: datetime) -> Self:
        """Return those that are not to wait for a while."""
        return self.filter(Q(again_at=None) | Q(again_at__lte=now))


class ErasureQuerySet(TenantQuerySet):
    def due(self, now: datetime) -> Self:
        """Return what is to be erased, or gone through once more."""
        return self.filter(Q(again_at=None, erased_at=None) | Q(again_at__lte=now))
