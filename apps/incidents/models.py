from datetime import timedelta

from django.db import models
from django.db.models import Func, Q, Value

from apps.environments.models import Environment, person
from apps.incidents.enums import EntryKind, IncidentState, Severity
from apps.incidents.querysets import IncidentQuerySet
from apps.releases.models import Service
from apps.workspaces.models import TenantModel


class Incident(TenantModel):
    """Something that goes wrong for those who use what runs. Declared by a person, resolved by one, never removed."""

    number = models.BigIntegerField(db_default=Func(Value("incident_number"), function="nextval"), editable=False)
    title = models.CharField(max_length=200)
    severity = models.CharField(max_length=4, choices=Severity)
    state = models.CharField(max_length=8, choices=IncidentState, default=IncidentState.OPEN)
    environment = models.ForeignKey(
        Environment, null=True, blank=True, on_delete=models.PROTECT, related_name="incidents"
    )
    service = models.ForeignKey(Service, null=True, blank=True, on_delete=models.PROTECT, related_name="incidents")
    declared_at = models.DateTimeField()
    declared_by = person()
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_by = person(null=True, blank=True)
    resolution = models.CharField(max_length=2000, blank=True)

    objects = IncidentQuerySet.as_manager()

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(name="incident_number_once", fields=["number"]),
            models.CheckConstraint(name="incident_severity_known", condition=Q(severity__in=Severity.values)),
            models.CheckConstraint(
                name="incident_resolved_whole",
                condition=Q(state=IncidentState.OPEN, resolved_at=None, resolved_by=None, resolution="")
                | Q(state=IncidentState.RESOLVED, resolved_at__isnull=False, resolved_by__isnull=False)
                & ~Q(resolution=""),
            ),
        ]
        indexes = [
            models.Index(name="incident_by_age", fields=["workspace", "-declared_at"]),
            models.Index(name="incident_open", fields=["workspace"], condition=Q(state=IncidentState.OPEN)),
        ]

    def __str__(self) -> str:
        return f"#{self.number}"

    @property
    def label(self) -> str:
        return IncidentState(self.state).label

    @property
    def tone(self) -> str:
        return IncidentState(self.state).tone

    @property
    def severity_tone(self) -> str:
        return Severity(self.severity).tone

    @property
    def is_open(self) -> bool:
        return self.state == IncidentState.OPEN

    @property
    def lasted(self) -> timedelta | None:
        return self.resolved_at - self.declared_at if self.resolved_at else None


class Entry(TenantModel):
    """One line of an incident's timeline: insert-only. `deployment` is set where the line is a link to one."""

    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="entries")
    kind = models.CharField(max_length=10, choices=EntryKind)
    at = models.DateTimeField()
    by_label = models.CharField(max_length=150)
    text = models.CharField(max_length=2000, blank=True)
    deployment = models.ForeignKey(
        "deployments.Deployment", null=True, blank=True, on_delete=models.PROTECT, related_name="incident_entries"
    )

    class Meta:
        ordering = ["-at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                name="entry_deployment_once", fields=["incident", "deployment"], condition=Q(deployment__isnull=False)
            ),
            models.CheckConstraint(
                name="entry_kind_matches",
                condition=Q(kind=EntryKind.DEPLOYMENT, deployment__isnull=False)
                | Q(deployment=None, kind__in=[kind for kind in EntryKind.values if kind != EntryKind.DEPLOYMENT]),
            ),
        ]
        indexes = [models.Index(name="entry_by_incident", fields=["incident", "-at"])]

    def __str__(self) -> str:
        return f"{self.kind} of {self.incident_id}"

    @property
    def icon(self) -> str:
        return EntryKind(self.kind).icon

    @property
    def tone(self) -> str:
        return EntryKind(self.kind).tone
