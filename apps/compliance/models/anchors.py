from typing import Any, ClassVar

from django.db import models
from django.db.models import Q

from apps.compliance.enums import AnchorPlace
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.environments.models import all_or_none
from apps.workspaces.models import TenantModel
from apps.workspaces.querysets import TenantQuerySet


class Anchor(TenantModel):
    """How far the checkpoints of one workspace were brought to one place outside the system (ADR 0116).

    `signed_at`, `tree_size` and `key_id` are those of the one that was taken there last, at `taken_at`. `next_try_at`
    is when somebody else may try: who brings it holds the row by that moment.
    """

    place = models.CharField(max_length=8, choices=AnchorPlace)
    signed_at = models.DateTimeField(null=True, blank=True)
    tree_size = models.BigIntegerField(null=True, blank=True)
    key_id = models.CharField(max_length=8, blank=True)
    taken_at = models.DateTimeField(null=True, blank=True)
    tries = models.PositiveIntegerField(default=0)
    failing_since = models.DateTimeField(null=True, blank=True)
    detail = models.CharField(max_length=300, blank=True)
    next_try_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[Any] = TenantQuerySet.as_manager()

    class Meta:
        ordering = ["place"]
        constraints = [
            models.CheckConstraint(name="anchor_place_known", condition=Q(place__in=AnchorPlace.values)),
            models.UniqueConstraint(name="anchor_place_once", fields=["workspace", "place"]),
            all_or_none("anchor_taken_whole", "signed_at", "tree_size", "taken_at"),
        ]

    def __str__(self) -> str:
        return AnchorPlace(self.place).label

    @property
    def why(self) -> str:
        """What a reader of this workspace's trail is told of a failure: where the places are is the platform's own."""
        is_own = self.workspace_id == PLATFORM_WORKSPACE_ID
        return self.detail if is_own else "Whoever runs the portal is told why."
