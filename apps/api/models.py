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
