import uuid

from auditlog.models import AbstractLogEntry
from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.db import models

from apps.audit.kinds import KINDS
from apps.audit.querysets import EventQuerySet, SavedFilterQuerySet, WorkspaceRows


class AuditEvent(models.Model):
    """One fact of the ledger. Written by the database function `record_event` alone, never changed, never removed.

    The table is partitioned by month of `recorded_at` (the database's clock). `canonical` holds the exact bytes that
    will be sealed; every other column repeats part of them for searching. Nothing refers to domain rows.
    """

    event_id = models.UUIDField(primary_key=True)
    workspace_id = models.UUIDField()
    recorded_at = models.DateTimeField()
    kind = models.CharField(max_length=60)
    outcome = models.CharField(max_length=10)
    actor_type = models.CharField(max_length=10)
    actor_id = models.CharField(max_length=64)
    actor_label = models.CharField(max_length=150)
    target_type = models.CharField(max_length=40)
    target_id = models.CharField(max_length=64)
    target_label = models.CharField(max_length=200)
    environment_id = models.UUIDField(null=True)
    service_id = models.UUIDField(null=True)
    request_id = models.CharField(max_length=64)
    summary = models.CharField(max_length=500)
    reason = models.TextField()
    actor = models.JSONField()
    source = models.JSONField()
    target = models.JSONField()
    change = models.JSONField()
    approval = models.JSONField()
    causation = models.JSONField()
    schema_version = models.PositiveSmallIntegerField()
    canonical = models.BinaryField()

    objects = EventQuerySet.as_manager()

    class Meta:
        managed = False
        db_table = "audit_event"
        ordering = ["-recorded_at", "-event_id"]

    def __str__(self) -> str:
        return self.summary

    @property
    def verb(self) -> str:
        return KINDS.get(self.kind, self.kind)


class Checkpoint(models.Model):
    """A tree of one workspace's entries, as the sealer signed it. `note` is what leaves the system and is kept."""

    id = models.UUIDField(primary_key=True)
    workspace_id = models.UUIDField()
    tree_size = models.BigIntegerField()
    root_hash = models.BinaryField()
    signed_at = models.DateTimeField()
    key_id = models.CharField(max_length=8)
    note = models.TextField()

    objects = WorkspaceRows.as_manager()

    class Meta:
        managed = False
        db_table = "audit_checkpoint"
        ordering = ["-signed_at", "-id"]

    def __str__(self) -> str:
        return f"checkpoint of {self.tree_size} entries"

    @property
    def root(self) -> str:
        """The root hash, in hex."""
        return bytes(self.root_hash).hex()


class Cosignature(models.Model):
    """What a witness signed of a checkpoint: that the tree grew from the one it saw before. `line` is its own."""

    id = models.UUIDField(primary_key=True)
    workspace_id = models.UUIDField()
    tree_size = models.BigIntegerField()
    signed_at = models.DateTimeField()
    witness = models.TextField()
    line = models.TextField()
    cosigned_at = models.DateTimeField()
    received_at = models.DateTimeField()

    objects = WorkspaceRows.as_manager()

    class Meta:
        managed = False
        db_table = "audit_cosignature"
        ordering = ["cosigned_at"]

    def __str__(self) -> str:
        return f"{self.witness} on {self.tree_size} entries"


class SavedFilter(models.Model):
    """A question to the trail that somebody gave a name: their own, or for all who read the trail of a workspace.

    Like the ledger it knows people and workspaces by their ids alone.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace_id = models.UUIDField()
    owner_id = models.UUIDField()
    owner_label = models.CharField(max_length=150)
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=1000)
    is_shared = models.BooleanField(default=False)
    created_at = models.DateTimeField()

    objects = SavedFilterQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]
        constraints = [
            models.UniqueConstraint(
                name="one_saved_filter_of_a_name", fields=["workspace_id", "owner_id", "name"],
                violation_error_message="You have a filter of this name already.",
            )
        ]  # fmt: skip

    def __str__(self) -> str:
        return self.name


class FieldHistory(AbstractLogEntry):
    """What django-auditlog saw of a row's fields: a convenience for people, never the record of truth.

    No constraint ties it to people or content types, so that removing either can't take history with it.
    """

    content_type = models.ForeignKey(ContentType, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+")
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        blank=True,
        related_name="+",
    )
    workspace_id = models.UUIDField(editable=False, null=True)

    class Meta(AbstractLogEntry.Meta):
        abstract = False
        indexes = [models.Index(name="field_history_of_object", fields=["content_type", "object_pk", "-timestamp"])]
