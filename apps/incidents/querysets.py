from typing import Any, Self

from django.db.models import Count, Q

from apps.environments.enums import Tier
from apps.incidents.enums import HOLDING_BACK, TOLD, IncidentState
from apps.workspaces.querysets import TenantQuerySet


class IncidentQuerySet(TenantQuerySet):
    def open(self) -> Self:
        return self.filter(state=IncidentState.OPEN)

    def with_subject(self) -> Self:
        """Return incidents with all that a line about them shows, in one query."""
        return self.select_related("workspace", "environment__workspace", "service", "declared_by", "resolved_by")

    def concerning(self, lane: Any) -> Self:
        """Return incidents that may be about this lane, or about one further on the way to Production."""
        tiers = list(Tier.values)
        ahead = tiers[tiers.index(lane.environment.tier) + 1 :]
        of_place = Q(environment_id=lane.environment_id) | Q(environment=None) | Q(environment__tier__in=ahead)
        of_service = Q(service_id=lane.service_id) | Q(service=None)
        return self.filter(of_place, of_service, workspace_id=lane.workspace_id)

    def touching(self, environment: Any) -> Self:
        """Return incidents of this environment, and those of its workspace that name none."""
        return self.filter(
            Q(environment_id=environment.pk) | Q(environment=None, workspace_id=environment.workspace_id)
        )


class CallQuerySet(TenantQuerySet):
    def with_lines(self) -> Self:
        """Return calls with `lines`: how many lines of the timeline there are to tell."""
        return self.annotate(lines=Count("incident__entries", filter=Q(incident__entries__kind__in=TOLD)))


class DebtQuerySet(TenantQuerySet):
    def unpaid(self) -> Self:
        return self.filter(paid_at=None)

    def holding_back(self) -> Self:
        """Return those that let no ordinary release go on once they are overdue."""
        return self.filter(kind__in=HOLDING_BACK)

    def with_subject(self) -> Self:
        return self.select_related("role", "incident", "promotion__release__service", "paid_by")
