from django.db import models
from django.db.models import Q

from apps.environments.enums import Tier
from apps.environments.models import person
from apps.policies.querysets import PolicyQuerySet
from apps.workspaces.models import TenantModel


class PolicyVersion(TenantModel):
    """The rules of one tier as one numbered document that never changes; one version of a tier is in force.

    `document` has the shape that `apps.policies.documents.parse` reads; `digest` is the SHA-256 (hex) over its
    canonical JSON.
    """

    tier = models.CharField(max_length=10, choices=Tier)
    number = models.PositiveIntegerField()
    document = models.JSONField()
    digest = models.CharField(max_length=64)
    reason = models.CharField(max_length=300)
    created_at = models.DateTimeField()
    created_by = person(null=True, blank=True)
    is_active = models.BooleanField(default=False)
    is_published = models.BooleanField(default=True)

    objects = PolicyQuerySet.as_manager()

    class Meta:
        ordering = ["tier", "-number"]
        constraints = [
            models.UniqueConstraint(name="policy_number_once", fields=["tier", "number"]),
            models.UniqueConstraint(name="policy_in_force_once", fields=["tier"], condition=Q(is_active=True)),
            models.CheckConstraint(name="policy_tier_known", condition=Q(tier__in=Tier.values)),
        ]

    def __str__(self) -> str:
        return f"{self.tier} policy {self.number}"
