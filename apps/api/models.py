from django.contrib.postgres.fields import ArrayField
from django.db import models

from apps.workspaces.models import ApiToken, TenantModel


class IdempotentRequest(TenantModel):
    """A request that was done once under a key, and what was answered: asked again, it gets that answer again."""

    token = models.ForeignKey(ApiToken, on_delete=models.PROTECT, related_name="+")
    key = models.CharField(max_length=80)
    body_digest = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(default=0)
    answer = models.JSONField(default=dict)
    requested_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(name="idempotency_key_once", fields=["token", "key"])]

    def __str__(self) -> str:
        return self.key


class Timing(models.Model):
    """How often something took how long, since the installation began: `counts` by the bands of its family. Of no
    workspace: what the labels name is the portal's own.
    """

    family = models.CharField(max_length=40)
    labels = ArrayField(models.TextField())
    counts = ArrayField(models.BigIntegerField())
    seconds = models.FloatField()

    class Meta:
        constraints = [models.UniqueConstraint(name="timing_once", fields=["family", "labels"])]

    def __str__(self) -> str:
        return f"{self.family} {', '.join(self.labels)}"
