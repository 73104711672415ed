from typing import Self

from apps.policies.enums import ProposalState
from apps.releases.querysets import CatalogueQuerySet
from apps.workspaces.querysets import TenantQuerySet


class PolicyQuerySet(CatalogueQuerySet):
    def in_force(self, tier: str) -> Self:
        """Return the one version of the tier's policy by which promotions are judged now."""
        return self.filter(tier=tier, is_active=True)


class ProposalQuerySet(TenantQuerySet):
    def open(self) -> Self:
        return self.filter(state=ProposalState.OPEN)
