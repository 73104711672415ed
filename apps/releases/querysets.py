from typing import Self
from uuid import UUID

from django.db.models import Q

from apps.releases.enums import ReleaseState
from apps.workspaces.querysets import TenantQuerySet


class CatalogueQuerySet(TenantQuerySet):
    def readable_in(self, workspaces: tuple[UUID, ...]) -> Self:
        """Return catalogue rows that are these workspaces' own or published to everybody."""
        return self.filter(Q(workspace_id__in=workspaces) | Q(is_published=True))


class ReleaseQuerySet(CatalogueQuerySet):
    def newest_first(self) -> Self:
        """Return releases by SemVer precedence, highest first (pre-releases below their release)."""
        return self.order_by("-major", "-minor", "-patch", "-precedence", "-id")

    def deployable(self) -> Self:
        return self.filter(state=ReleaseState.SEALED)
