from typing import Any, Self

from django.db.models import Q

from apps.incidents.enums import IncidentState
from apps.workspaces.querysets import TenantQuerySet


class IncidentQuerySet(TenantQuerySet):
    def open(self) -> Self:
        return self.filter(state=IncidentState.OPEN)

    def with_subject(self) -> Self:
        """Return incidents with all that a line about them shows, in one query."""
        return self.select_related("workspace", "environment__workspace", "service", "declared_by", "resolved_by")

    def touching(self, environment: Any) -> Self:
        """Return incidents of this environment, and those of its workspace that name none."""
        return self.filter(
            Q(environment_id=environment.pk) | Q(environment=None, workspace_id=environment.workspace_id)
        )
