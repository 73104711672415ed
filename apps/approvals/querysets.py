from typing import Self

from apps.approvals.enums import OPEN_PROMOTION, PromotionState
from apps.workspaces.querysets import TenantQuerySet


class PromotionQuerySet(TenantQuerySet):
    def open(self) -> Self:
        return self.filter(state__in=OPEN_PROMOTION)

    def waiting(self) -> Self:
        return self.filter(state__in=(PromotionState.PENDING, PromotionState.READY))

    def with_subject(self) -> Self:
        """Return promotions with release, service, lane and environment, in one query."""
        return self.select_related(
            "release__service", "lane__environment", "lane__live_release", "configuration", "requested_by"
        )


class DecisionQuerySet(TenantQuerySet):
    def standing(self) -> Self:
        return self.filter(voided_at=None)
