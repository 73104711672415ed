from datetime import datetime
from typing import Self
from uuid import UUID

from django.db import models


class EventQuerySet(models.QuerySet):
    def visible_in(self, workspaces: tuple[UUID, ...]) -> Self:
        return self.filter(workspace_id__in=workspaces)

    def newest_first(self) -> Self:
        return self.order_by("-recorded_at", "-event_id")

    def about(self, target_type: str, target_id: str) -> Self:
        """Return one object's whole history."""
        return self.filter(target_type=target_type, target_id=target_id)

    def between(self, start: datetime | None, end: datetime | None) -> Self:
        """Return events from `start` (inclusive) to `end` (exclusive)."""
        found = self.filter(recorded_at__gte=start) if start else self
        return found.filter(recorded_at__lt=end) if end else found
