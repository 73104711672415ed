from django.db import models

from apps.environments.enums import Health
from apps.environments.models import Lane
from apps.workspaces.models import TenantModel


class HealthCheck(TenantModel):
    """What is asked of a lane, and when next. `interval_seconds` and `timeout_seconds` are whole seconds."""

    lane = models.OneToOneField(Lane, on_delete=models.CASCADE, related_name="health_check")
    url = models.CharField(max_length=500)
    expected_status = models.PositiveSmallIntegerField(default=200)
    interval_seconds = models.PositiveSmallIntegerField(default=10)
    timeout_seconds = models.PositiveSmallIntegerField(default=3)
    due_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.url


class HealthSample(TenantModel):
    """One answer, or the lack of one. `latency_ms` is None when nothing answered."""

    lane = models.ForeignKey(Lane, on_delete=models.CASCADE, related_name="health_samples")
    checked_at = models.DateTimeField()
    verdict = models.CharField(max_length=10, choices=Health)
    status = models.PositiveSmallIntegerField(null=True, blank=True)
    latency_ms = models.FloatField(null=True, blank=True)
    detail = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["-checked_at"]
        indexes = [models.Index(name="health_sample_by_lane", fields=["lane", "-checked_at"])]

    def __str__(self) -> str:
        return f"{self.verdict} at {self.checked_at:%H:%M:%S}"


class Dependency(models.Model):
    """Something that the portal leans on, and since when it doesn't answer. Of no workspace: it holds no data."""

    name = models.CharField(max_length=40, primary_key=True)
    looked_at = models.DateTimeField()
    failures = models.PositiveSmallIntegerField(default=0)
    down_since = models.DateTimeField(null=True, blank=True)
    detail = models.CharField(max_length=300, blank=True)

    def __str__(self) -> str:
        return self.name
