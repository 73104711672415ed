from typing import Self

from django.db.models import F

from apps.approvals.enums import OPEN_PROMOTION, WAITING
from apps.workspaces.querysets import TenantQuerySet


class PromotionQuerySet(TenantQuerySet):
    def open(self) -> Self:
        return self.filter(state__in=OPEN_PROMOTION)

    def waiting(self) -> Self:
        return self.filter(state__in=WAITING)

    def with_subject(self) -> Self:
        """Return promotions with release, service, lane and environment, and what runs in the lane, in one query."""
        return self.select_related(
            "release__service",
            "lane__environment",
            "lane__service",
            "lane__live_release",
            "lane__live_configuration",
            "lane__previous_release",
            "configuration",
            "requested_by",
        )

    def least_recently_judged(self) -> Self:
        return self.order_by(F("gates_at").asc(nulls_first=True), "pk")


class RequirementQuerySet(TenantQuerySet):
    def standing(self) -> Self:
        return self.filter(ended_at=None)


class DecisionQuerySet(TenantQuerySet):
    def standing(self) -> Self:
        return self.filter(voided_at=None)
