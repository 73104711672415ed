from typing import Self
from uuid import UUID

from django.db.models import F, Prefetch, Q

from apps.deployments.enums import ACTIVE, OPEN, OPEN_ROLLOUT, DeploymentState
from apps.health.models import Trouble
from apps.workspaces.querysets import TenantQuerySet


class DeploymentQuerySet(TenantQuerySet):
    def active(self) -> Self:
        return self.filter(state__in=ACTIVE)

    def open(self) -> Self:
        return self.filter(state__in=OPEN)

    def called_for(self) -> Self:
        """Return those for which a person was called because nobody can tell how they stand, as `called_at` says."""
        return self.filter(state=DeploymentState.UNKNOWN, alarmed_at__gte=F("unknown_since"))

    def with_subject(self) -> Self:
        """Return deployments with release, service, lane and environment, in one query."""
        return self.select_related(
            "release__service",
            "release__artifact",
            "from_release",
            "lane__environment",
            "lane__service",
            "configuration",
            "promotion",
            "requested_by",
        )


class RolloutQuerySet(TenantQuerySet):
    def visible_in(self, workspaces: tuple[UUID, ...]) -> Self:
        """Return those that are steered in these workspaces, and those that come to an environment of theirs."""
        return self.filter(Q(workspace_id__in=workspaces) | Q(guests__overlap=list(workspaces)))

    def open(self) -> Self:
        return self.filter(state__in=OPEN_ROLLOUT)

    def with_subject(self) -> Self:
        return self.select_related("release", "service", "requested_by")


class RolloutLaneQuerySet(TenantQuerySet):
    def in_order(self) -> Self:
        """Return them wave by wave, with all that is shown and judged of each, and what is wrong there: two queries."""
        found = self.select_related("promotion__release", "lane__environment", "lane__live_release", "lane__service")
        found = found.prefetch_related(Prefetch("lane__troubles", Trouble.objects.standing()))
        return found.order_by("wave", "lane__environment__position", "lane__environment__name")
