from datetime import datetime, timedelta

from django.db import models
from django.db.models import Func, Q, Value

from apps.accounts.models import Role
from apps.environments.enums import Tier
from apps.environments.models import Environment, Lane, all_or_none, person
from apps.incidents.enums import DebtKind, EntryKind, IncidentState, Severity
from apps.incidents.querysets import CallQuerySet, DebtQuerySet, IncidentQuerySet
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

    def concerns(self, lane: Lane) -> bool:
        """Say what `concerning` asks the database: of this lane's service or of none, there or further on."""
        place, tiers = self.environment, list(Tier)
        is_place = (
            place is None
            or place.pk == lane.environment_id
            or tiers.index(Tier(place.tier)) > tiers.index(Tier(lane.environment.tier))
        )
        return is_place and self.service_id in (None, lane.service_id) and self.workspace_id == lane.workspace_id

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


class Call(TenantModel):
    """How far the on-call service was told of an incident (ADR 0123); made with the incident where one is set up.

    `told` and `refused` count the incident's lines of `enums.TOLD`: up to which it took them, and up to which it said
    that it never will. It took the first at `opened_at`, the last at `told_at`, the end at `over_at`. `next_try_at` is
    when somebody else may try: who tells it holds the row by that moment.
    """

    incident = models.OneToOneField(Incident, on_delete=models.PROTECT, related_name="call")
    told = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
    opened_at = models.DateTimeField(null=True, blank=True)
    told_at = models.DateTimeField(null=True, blank=True)
    over_at = models.DateTimeField(null=True, blank=True)
    tries = models.PositiveIntegerField(default=0)
    failing_since = models.DateTimeField(null=True, blank=True)
    detail = models.CharField(max_length=300, blank=True)
    next_try_at = models.DateTimeField(null=True, blank=True)

    objects = CallQuerySet.as_manager()

    class Meta:
        ordering = ["incident"]
        constraints = [
            all_or_none("call_told_whole", "opened_at", "told_at"),
            models.CheckConstraint(
                name="call_opened_first", condition=Q(opened_at__isnull=False) | Q(told=0, over_at=None)
            ),
        ]
        indexes = [models.Index(name="call_unfinished", fields=["next_try_at"], condition=Q(over_at=None))]

    def __str__(self) -> str:
        return f"Call for {self.incident}"

    @property
    def is_untold(self) -> bool:
        """Of one that was read `with_lines`: there is something that the service has not heard."""
        return self.over_at is None and self.lines > self.told  # type: ignore[attr-defined]

    @property
    def is_refused(self) -> bool:
        """The same, and it is not told again by itself."""
        return self.is_untold and self.refused >= self.lines  # type: ignore[attr-defined]


class Debt(TenantModel):
    """What an emergency leaves owed until `due_at`: an approval by a role that was not asked before, or a document.

    `role` and `promotion` are those of an approval; a hotfix that is to be merged back has a promotion too. `words` say
    where it is, or what was looked at. Paid, it stays so; by nobody where the portal saw it by itself.
    """

    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="debts")
    kind = models.CharField(max_length=11, choices=DebtKind)
    role = models.ForeignKey(Role, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    promotion = models.ForeignKey(
        "approvals.Promotion", null=True, blank=True, on_delete=models.PROTECT, related_name="debts"
    )
    owed_at = models.DateTimeField()
    due_at = models.DateTimeField()
    paid_at = models.DateTimeField(null=True, blank=True)
    paid_by = person(null=True, blank=True)
    words = models.CharField(max_length=2000, blank=True)

    objects = DebtQuerySet.as_manager()

    class Meta:
        ordering = ["due_at", "kind", "role"]
        constraints = [
            models.UniqueConstraint(
                name="debt_document_once", fields=["incident", "kind"], condition=Q(promotion=None)
            ),
            models.UniqueConstraint(
                name="debt_merge_once", fields=["promotion"], condition=Q(kind=DebtKind.MERGE_BACK)
            ),
            models.UniqueConstraint(
                name="debt_approval_once", fields=["promotion", "role"], condition=Q(kind=DebtKind.APPROVAL)
            ),
            models.CheckConstraint(
                name="debt_kind_matches",
                condition=Q(kind=DebtKind.APPROVAL, role__isnull=False, promotion__isnull=False)
                | Q(kind=DebtKind.MERGE_BACK, role=None, promotion__isnull=False)
                | Q(kind__in=[DebtKind.POST_MORTEM, DebtKind.PUBLICATION], role=None, promotion=None),
            ),
            models.CheckConstraint(
                name="debt_paid_whole",
                condition=Q(paid_at=None, paid_by=None)
                | Q(paid_at__isnull=False, paid_by__isnull=False)
                | Q(paid_at__isnull=False, kind=DebtKind.MERGE_BACK),
            ),
        ]
        indexes = [models.Index(name="debt_unpaid", fields=["workspace", "due_at"], condition=Q(paid_at=None))]

    def __str__(self) -> str:
        return self.what

    @property
    def what(self) -> str:
        label = DebtKind(self.kind).label
        return f"{label} as {self.role}" if self.role else label

    @property
    def was_late(self) -> bool:
        return self.paid_at is not None and self.paid_at > self.due_at

    def is_overdue(self, now: datetime) -> bool:
        return self.paid_at is None and now > self.due_at
