from django.db import models

from apps.environments.models import Lane, person
from apps.workspaces.models import TenantModel


class ConfigurationVersion(TenantModel):
    """All settings of one service in one environment, as one numbered version that never changes again.

    `values` maps names of environment variables to text.
    """

    lane = models.ForeignKey(Lane, on_delete=models.PROTECT, related_name="configuration_versions")
    number = models.PositiveIntegerField()
    values = models.JSONField(default=dict)
    reason = models.CharField(max_length=300)
    created_at = models.DateTimeField()
    created_by = person(null=True, blank=True)

    class Meta:
        ordering = ["lane", "-number"]
        constraints = [models.UniqueConstraint(name="configuration_number_once", fields=["lane", "number"])]

    def __str__(self) -> str:
        return f"version {self.number}"
