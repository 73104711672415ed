from django.db import models

from apps.environments.enums import Health
from apps.environments.models import Lane, person
from apps.health.enums import KIND_OF, CheckKind, TrafficSource
from apps.health.querysets import AlertQuerySet, EndpointCheckQuerySet, TroubleQuerySet
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


class Alert(TenantModel):
    """What Alertmanager told of a lane: firing until it ends. `told_at` is when it was last heard of.

    `fingerprint` is that of its labels; the same one begins anew with another `starts_at`.
    """

    lane = models.ForeignKey(Lane, on_delete=models.CASCADE, related_name="alerts")
    fingerprint = models.CharField(max_length=64)
    name = models.CharField(max_length=120)
    severity = models.CharField(max_length=40, blank=True)
    summary = models.CharField(max_length=300, blank=True)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    told_at = models.DateTimeField()
    generator_url = models.CharField(max_length=500, blank=True)

    objects = AlertQuerySet.as_manager()

    class Meta:
        ordering = ["-starts_at", "-pk"]
        constraints = [models.UniqueConstraint(name="alert_once", fields=["lane", "fingerprint", "starts_at"])]
        indexes = [
            models.Index(name="alert_by_lane", fields=["lane", "-starts_at"]),
            models.Index(name="alert_firing", fields=["lane"], condition=models.Q(ends_at=None)),
            models.Index(name="alert_by_age", fields=["told_at"]),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_firing(self) -> bool:
        return self.ends_at is None

    @property
    def tone(self) -> str:
        return "bad" if self.is_firing else "idle"

    @property
    def label(self) -> str:
        return "Firing" if self.is_firing else "Resolved"

    @property
    def link(self) -> str:
        """Where its expression can be looked at; empty unless a browser may safely go there."""
        return self.generator_url if self.generator_url.startswith(("http://", "https://")) else ""


class Trouble(models.Model):
    """What is or was wrong in a lane: its health check, an endpoint check that rolls back, or an alert. A view.

    It stands `since` then, or is over since then; `heard_at` is when that was last heard, None of an alert, and
    `severity` is an alert's alone. `is_proved`: a check that was answered well before, else it may be wrong itself.
    """

    id = models.UUIDField(primary_key=True)
    workspace_id = models.UUIDField()
    lane = models.ForeignKey(Lane, on_delete=models.DO_NOTHING, related_name="troubles")
    name = models.TextField()
    detail = models.TextField()
    severity = models.TextField(null=True)  # noqa: DJ001 None is no alert
    stands = models.BooleanField()
    since = models.DateTimeField()
    heard_at = models.DateTimeField(null=True)
    is_proved = models.BooleanField()

    objects = TroubleQuerySet.as_manager()

    class Meta:
        managed = False
        db_table = "health_trouble"
        ordering = ["since", "id"]

    def __str__(self) -> str:
        return self.why

    @property
    def why(self) -> str:
        if self.severity is not None:
            return f"The alert {self.name} fires. {self.detail}".strip()
        return f"Its health check says: {self.name and f'{self.name}: '}{self.detail}"


class Dependency(models.Model):
    """Something that the portal leans on, and since when it doesn't answer. Of no workspace: it holds no data."""

    name = models.CharField(max_length=40, primary_key=True)
    looked_at = models.DateTimeField()
    failures = models.PositiveSmallIntegerField(default=0)
    down_since = models.DateTimeField(null=True, blank=True)
    detail = models.CharField(max_length=300, blank=True)

    def __str__(self) -> str:
        return self.name


class EndpointCheck(TenantModel):
    """An address that a person wants asked for a service in an environment, how it stands, and when it is next due.

    Apart from `HealthCheck`, whose address is the engine's own and trusted: this one only goes out through
    `integrations.outbound`. The kind is told by the scheme of `url`. Intervals are whole seconds; `leased_until` is set
    by the database's clock while a worker asks, and names that asking. `rolls_back`: a release
    that makes it faulty soon after its deployment is taken back; a certificate is never a release's doing.
    `seen_version` is what the last good answer that named a version did (`X-Release`), at `seen_at`. `tls` is the
    lowest version that the address took when it was asked last; "" where none was spoken.
    """

    lane = models.ForeignKey(Lane, on_delete=models.CASCADE, related_name="endpoint_checks")
    name = models.CharField(max_length=80)
    url = models.CharField(max_length=500)
    expected_status = models.PositiveSmallIntegerField(default=200)
    days_left = models.PositiveSmallIntegerField(default=14)
    interval_seconds = models.PositiveIntegerField(default=60)
    timeout_seconds = models.PositiveSmallIntegerField(default=3)
    rolls_back = models.BooleanField(default=True, db_default=True)
    created_at = models.DateTimeField()
    created_by = person(null=True, blank=True)

    next_check_at = models.DateTimeField()
    leased_until = models.DateTimeField(null=True, blank=True)
    verdict = models.CharField(max_length=10, choices=Health, default=Health.UNKNOWN)
    detail = models.CharField(max_length=200, blank=True)
    bad_in_a_row = models.PositiveIntegerField(default=0)
    verdict_since = models.DateTimeField(null=True, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True)
    seen_version = models.CharField(max_length=60, blank=True, default="", db_default="")
    seen_at = models.DateTimeField(null=True, blank=True)
    tls = models.CharField(max_length=8, blank=True, db_default="")

    objects = EndpointCheckQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        indexes = [
            models.Index(name="endpoint_check_due", fields=["workspace", "next_check_at"]),
            models.Index(
                name="endpoint_check_under_way", fields=["workspace"], condition=models.Q(leased_until__isnull=False)
            ),
        ]
        constraints = [
            models.UniqueConstraint(name="endpoint_check_name_once", fields=["lane", "name"]),
            models.CheckConstraint(name="endpoint_check_verdict_known", condition=models.Q(verdict__in=Health.values)),
            models.CheckConstraint(
                name="endpoint_check_times",
                condition=models.Q(interval_seconds__range=(10, 86_400), timeout_seconds__range=(1, 5)),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def kind(self) -> CheckKind:
        return KIND_OF[self.url.partition(":")[0]]

    @property
    def tone(self) -> str:
        return Health(self.verdict).tone

    @property
    def may_roll_back(self) -> bool:
        return self.rolls_back and self.kind != CheckKind.TLS

    @property
    def expects(self) -> str:
        """What a good answer is, in words."""
        return {
            CheckKind.HTTP: f"status {self.expected_status}",
            CheckKind.TCP: "a connection",
            CheckKind.TLS: f"a certificate good for {self.days_left} days",
        }[self.kind]


class EndpointSample(TenantModel):
    """One answer to an endpoint check, or the lack of one. `latency_ms` is None when nothing answered."""

    endpoint = models.ForeignKey(EndpointCheck, on_delete=models.CASCADE, related_name="samples")
    checked_at = models.DateTimeField()
    verdict = models.CharField(max_length=10, choices=Health)
    status = models.PositiveSmallIntegerField(null=True, blank=True)
    latency_ms = models.FloatField(null=True, blank=True)
    detail = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["-checked_at"]
        indexes = [models.Index(name="endpoint_sample_by_check", fields=["endpoint", "-checked_at"])]

    def __str__(self) -> str:
        return f"{self.verdict} at {self.checked_at:%H:%M:%S}"

    @property
    def tone(self) -> str:
        return Health(self.verdict).tone


class CheckQuota(TenantModel):
    """How many checks a workspace has had in its minute; whoever claims for the workspace holds this row."""

    minute_began_at = models.DateTimeField()
    used = models.PositiveIntegerField(default=0)
    claimed_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(name="check_quota_once", fields=["workspace"])]

    def __str__(self) -> str:
        return f"{self.used} since {self.minute_began_at:%H:%M:%S}"


class TrafficQueries(TenantModel):
    """How it is learnt what users get: of a service wherever it runs in the workspace, or of one lane.

    An empty text inherits: the lane's from the service's, that from the settings.
    """

    service = models.ForeignKey("releases.Service", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    lane = models.ForeignKey(Lane, null=True, blank=True, on_delete=models.CASCADE, related_name="traffic_queries")
    source = models.CharField(max_length=10, choices=TrafficSource, blank=True)
    requests = models.CharField(max_length=2000, blank=True)
    error_ratio = models.CharField(max_length=2000, blank=True)
    p95_ms = models.CharField(max_length=2000, blank=True)
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(name="traffic_queries_once_of_service", fields=["workspace", "service"]),
            models.UniqueConstraint(name="traffic_queries_once_of_lane", fields=["lane"]),
            models.CheckConstraint(
                name="traffic_queries_of_one",
                condition=models.Q(lane=None, service__isnull=False) | models.Q(lane__isnull=False, service=None),
            ),
            models.CheckConstraint(
                name="traffic_queries_source_known", condition=models.Q(source__in=["", *TrafficSource.values])
            ),
        ]

    def __str__(self) -> str:
        return f"queries of {self.lane or self.service}"

    @property
    def edition(self) -> str:
        """What a form that is sent later was made of; empty where nothing is stored yet."""
        return "" if self._state.adding else self.changed_at.isoformat()
