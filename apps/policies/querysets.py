from typing import Self

from apps.releases.querysets import CatalogueQuerySet


class PolicyQuerySet(CatalogueQuerySet):
    def in_force(self, tier: str) -> Self:
        """Return the one version of the tier's policy by which promotions are judged now."""
        return self.filter(tier=tier, is_active=True)
