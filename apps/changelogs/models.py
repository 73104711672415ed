from django.db import models
from django.db.models import Q

from apps.changelogs.enums import ChangeKind
from apps.releases.models import Release
from apps.releases.querysets import CatalogueQuerySet
from apps.workspaces.models import TenantModel


class ChangelogEntry(TenantModel):
    """One change that a release brings, read from its history or from its package's own release notes."""

    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="changes")
    position = models.PositiveIntegerField()
    kind = models.CharField(max_length=13, choices=ChangeKind)
    scope = models.CharField(max_length=60, blank=True)
    text = models.CharField(max_length=500)
    is_breaking = models.BooleanField(default=False)
    commit = models.CharField(max_length=64, blank=True)
    author_label = models.CharField(max_length=150, blank=True)
    is_published = models.BooleanField(default=False)

    objects = CatalogueQuerySet.as_manager()

    class Meta:
        ordering = ["release", "position"]
        constraints = [
            models.UniqueConstraint(name="change_position_once", fields=["release", "position"]),
            models.CheckConstraint(name="change_kind_known", condition=Q(kind__in=ChangeKind.values)),
        ]

    def __str__(self) -> str:
        return self.text
