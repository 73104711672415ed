from datetime import datetime
from typing import Any, Self
from uuid import UUID

from django.db.models import Q

from apps.environments.enums import FreezeScope, RecordKind
from apps.workspaces.querysets import TenantQuerySet


class EnvironmentQuerySet(TenantQuerySet):
    def standing(self) -> Self:
        """Return the environments that exist now, in promotion order."""
        return self.filter(destroyed_at=None).order_by("position", "name")


class LaneQuerySet(TenantQuerySet):
    def standing(self) -> Self:
        return self.filter(environment__destroyed_at=None, removed_at=None)

    def with_cell(self) -> Self:
        """Return lanes with all that a cell of the matrix shows, in one query."""
        return self.select_related("service", "environment", "live_release", "live_configuration", "previous_release")


class FreezeQuerySet(TenantQuerySet):
    def visible_in(self, workspaces: tuple[UUID, ...]) -> Self:
        """Return the freezes of these workspaces, and those of everything, which hold them too."""
        return self.filter(Q(workspace_id__in=workspaces) | Q(scope=FreezeScope.ALL))

    def in_force(self, now: datetime) -> Self:
        return self.filter(Q(ends_at=None) | Q(ends_at__gt=now), lifted_at=None, frozen_at__lte=now)

    def over(self, lane: Any) -> Self:
        """Return freezes that hold this lane: its own, its environment's, its workspace's, everybody's."""
        return self.filter(
            Q(scope=FreezeScope.ALL)
            | Q(scope=FreezeScope.WORKSPACE, workspace_id=lane.workspace_id)
            | Q(scope=FreezeScope.ENVIRONMENT, environment_id=lane.environment_id)
            | Q(scope=FreezeScope.LANE, lane_id=lane.pk)
        )


class HoldQuerySet(TenantQuerySet):
    def open(self) -> Self:
        return self.filter(lifted_at=None)


class RecoveryRecordQuerySet(TenantQuerySet):
    def counting(self) -> Self:
        """Return the newest of each environment and kind; of backups, the newest that succeeded."""
        told = self.exclude(kind=RecordKind.BACKUP, succeeded=False)
        return told.order_by("environment_id", "kind", "-done_at").distinct("environment_id", "kind")
