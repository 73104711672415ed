from typing import Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from apps.compliance.enums import ExportForm, ExportState
from apps.compliance.querysets import AuditExportQuerySet
from apps.environments.models import all_or_none, person
from apps.workspaces.models import ApiToken, TenantModel


class AuditExport(TenantModel):
    """A file of the trail that somebody asked for: written by a worker, kept for some days, for who asked alone.

    `workspaces` are those whose entries may be in it, `workspace` is one of them. `asked` is what the filters said,
    `criteria` the same as arguments of `EventQuerySet.matching`. `heads` are the newest signed trees when it was
    begun. Its owner holds `lease_token` until `lease_until`.
    """

    form = models.CharField(max_length=10, choices=ExportForm)
    state = models.CharField(max_length=10, choices=ExportState, default=ExportState.QUEUED)
    workspaces = ArrayField(models.UUIDField())
    asked = models.JSONField(default=dict, blank=True)
    criteria = models.JSONField(default=dict, blank=True)
    asked_by = person()
    token = models.ForeignKey(ApiToken, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField()
    expected_rows = models.BigIntegerField(default=0)
    rows = models.BigIntegerField(default=0)
    bytes = models.BigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True)
    heads = models.JSONField(default=list, blank=True)
    detail = models.CharField(max_length=300, blank=True)
    tries = models.PositiveSmallIntegerField(default=0)
    lease_token = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[Any] = AuditExportQuerySet.as_manager()

    class Meta:
        ordering = ["-asked_at", "-pk"]
        constraints = [
            models.CheckConstraint(name="export_form_known", condition=Q(form__in=ExportForm.values)),
            models.CheckConstraint(name="export_state_known", condition=Q(state__in=ExportState.values)),
            models.CheckConstraint(
                name="export_ended_by_state",
                condition=Q(state__in=["QUEUED", "RUNNING"], ended_at=None)
                | Q(state__in=["DONE", "FAILED", "CANCELLED", "EXPIRED"], ended_at__isnull=False),
            ),
            models.CheckConstraint(
                name="export_done_whole",
                condition=~Q(state__in=["DONE", "EXPIRED"]) | Q(expires_at__isnull=False) & ~Q(sha256=""),
            ),
            all_or_none("export_lease_whole", "lease_token", "lease_until"),
        ]
        indexes = [
            models.Index(name="export_by_asker", fields=["asked_by", "-asked_at", "-id"]),
            models.Index(name="export_under_way", fields=["asked_at"], condition=Q(state__in=["QUEUED", "RUNNING"])),
            models.Index(name="export_kept", fields=["expires_at"], condition=Q(state="DONE")),
        ]

    def __str__(self) -> str:
        return f"Export of the audit trail as {ExportForm(self.form).label}"

    @property
    def is_open(self) -> bool:
        return ExportState(self.state).is_open

    @property
    def tone(self) -> str:
        return ExportState(self.state).tone

    @property
    def file_name(self) -> str:
        """What the file is called where it is downloaded to."""
        return f"eaip-audit-{self.asked_at:%Y%m%dT%H%M%SZ}.{ExportForm(self.form).suffix}"

    @property
    def expected(self) -> int:
        """Of how many rows the progress is shown; an estimate never says less than what is there."""
        return max(self.expected_rows, self.rows, 1)
