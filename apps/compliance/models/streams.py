from typing import Any, ClassVar

from django.db import models
from django.db.models import Q

from apps.compliance.enums import StreamKind, StreamState
from apps.compliance.querysets import AuditStreamQuerySet
from apps.environments.models import all_or_none, person
from apps.workspaces.models import TenantModel
from apps.workspaces.querysets import TenantQuerySet


class AuditStream(TenantModel):
    """Entries of one workspace's trail on their way to a receiver, in the order of its leaves (ADR 0103).

    `next_leaf` is the cursor: every leaf below it was taken by the receiver, or stands among the letters. It belongs to
    the database that `server` names. `known_until` is when the newest of them was written.
    """

    kind = models.CharField(max_length=10, choices=StreamKind)
    name = models.CharField(max_length=60)
    url = models.CharField(max_length=500)
    ca_pem = models.TextField(max_length=20_000, blank=True)
    state = models.CharField(max_length=10, choices=StreamState, default=StreamState.ACTIVE)
    next_leaf = models.BigIntegerField()
    server = models.CharField(max_length=80, blank=True)
    delivered = models.BigIntegerField(default=0)
    delivered_at = models.DateTimeField(null=True, blank=True)
    known_until = models.DateTimeField(null=True, blank=True)
    tries = models.PositiveIntegerField(default=0)
    failing_since = models.DateTimeField(null=True, blank=True)
    detail = models.CharField(max_length=300, blank=True)
    next_try_at = models.DateTimeField(null=True, blank=True)
    lease_token = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    created_by = person()
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = person(null=True, blank=True)

    objects: ClassVar[Any] = AuditStreamQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(name="stream_kind_known", condition=Q(kind__in=StreamKind.values)),
            models.CheckConstraint(name="stream_state_known", condition=Q(state__in=StreamState.values)),
            models.CheckConstraint(name="stream_cursor_whole", condition=Q(next_leaf__gte=0)),
            models.UniqueConstraint(
                name="stream_name_once", fields=["workspace", "name"], condition=~Q(state="REMOVED")
            ),
            all_or_none("stream_ended_whole", "ended_at", "ended_by"),
            all_or_none("stream_lease_whole", "lease_token", "lease_until"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def tone(self) -> str:
        if self.state != StreamState.ACTIVE:
            return "idle"
        return "bad" if self.failing_since else "ok"

    @property
    def label(self) -> str:
        return "Can't deliver" if self.tone == "bad" else StreamState(self.state).label


class StreamLetter(TenantModel):
    """An entry that a receiver refused for what it holds: the stream went on without it, and it can be sent again."""

    stream = models.ForeignKey(AuditStream, on_delete=models.PROTECT, related_name="letters")
    leaf_index = models.BigIntegerField()
    event_id = models.UUIDField()
    refused_at = models.DateTimeField()
    detail = models.CharField(max_length=300)
    tries = models.PositiveIntegerField(default=1)
    is_waiting = models.BooleanField(default=False)
    replayed_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[Any] = TenantQuerySet.as_manager()

    class Meta:
        ordering = ["-refused_at", "-pk"]
        constraints = [models.UniqueConstraint(name="letter_once", fields=["stream", "leaf_index"])]
        indexes = [
            models.Index(name="letter_waiting", fields=["stream"], condition=Q(is_waiting=True)),
            models.Index(name="letter_by_age", fields=["stream", "-refused_at", "-id"]),
        ]

    def __str__(self) -> str:
        return f"entry {self.leaf_index} of stream {self.stream_id}"
