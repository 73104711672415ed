from datetime import datetime
from typing import Self
from uuid import UUID

from django.db import models


class TenantQuerySet(models.QuerySet):
    def visible_in(self, workspaces: tuple[UUID, ...]) -> Self:
        """Return the rows of these workspaces: the view's own filter, beside the database's."""
        return self.filter(workspace_id__in=workspaces)

    def locked(self) -> Self:
        """Return the rows, locked until the transaction ends."""
        return self.select_for_update(of=("self",), no_key=True)


class WorkspaceQuerySet(models.QuerySet):
    def visible_in(self, workspaces: tuple[UUID, ...]) -> Self:
        return self.filter(id__in=workspaces)


class MembershipQuerySet(TenantQuerySet):
    def current(self) -> Self:
        return self.filter(ended_at=None, user__is_active=True)


class ApiTokenQuerySet(TenantQuerySet):
    def usable(self, now: datetime) -> Self:
        return self.filter(revoked_at=None, expires_at__gt=now)
