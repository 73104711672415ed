from typing import Self

from apps.deployments.enums import ACTIVE, OPEN
from apps.workspaces.querysets import TenantQuerySet


class DeploymentQuerySet(TenantQuerySet):
    def active(self) -> Self:
        return self.filter(state__in=ACTIVE)

    def open(self) -> Self:
        return self.filter(state__in=OPEN)

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
