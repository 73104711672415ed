from datetime import datetime, timedelta
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Func, Q, Value

from apps.approvals.models import Promotion
from apps.configuration.models import ConfigurationVersion
from apps.deployments.enums import (
    ACTIVE,
    OPEN,
    OPEN_ROLLOUT,
    DeploymentKind,
    DeploymentState,
    GuestState,
    RolloutLaneState,
    RolloutState,
    StepVerdict,
)
from apps.deployments.querysets import DeploymentQuerySet, RolloutLaneQuerySet, RolloutQuerySet
from apps.environments.models import Lane, all_or_none, person
from apps.releases.models import Release, Service
from apps.workspaces.models import TenantModel


class Deployment(TenantModel):
    """One attempt to make a lane run a release. While it is active it holds the lane.

    `fence` grows with each claim and guards every write of the claim's owner; `lease_token` is random per claim.
    All `*_at` of lease and deadlines are the database's clock. `attempt` counts automatic retries from 1.
    `rollback_withheld` says why nothing was brought back by itself after a failure, where that would harm data: the
    target stays as it is, and a person decides.
    `deadline_at` is by when what waits must have started, or a rollback be done, whoever has it by then.
    `alarmed_at` is when a person was called for it last.
    `terms` are those of its verification, as they were at the claim: the fields of `policies.verification.Terms`, the
    number of the "policy", what users got "before", the "limits", the "source" that counts, and where the proxy's
    counters stood at the "start"; empty before.
    """

    number = models.BigIntegerField(db_default=Func(Value("deployment_number"), function="nextval"), editable=False)
    kind = models.CharField(max_length=13, choices=DeploymentKind, default=DeploymentKind.DEPLOY)
    lane = models.ForeignKey(Lane, on_delete=models.PROTECT, related_name="deployments")
    target_key = models.CharField(max_length=200)
    promotion = models.ForeignKey(
        Promotion, null=True, blank=True, on_delete=models.PROTECT, related_name="deployments"
    )
    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="deployments")
    configuration = models.ForeignKey(ConfigurationVersion, on_delete=models.PROTECT, related_name="+")
    from_release = models.ForeignKey(Release, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    from_configuration = models.ForeignKey(
        ConfigurationVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    rolls_back = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="rollbacks")
    plan_hash = models.CharField(max_length=64, blank=True)
    state = models.CharField(max_length=10, choices=DeploymentState, default=DeploymentState.QUEUED)
    reason = models.CharField(max_length=300, blank=True)
    requested_at = models.DateTimeField()
    requested_by = person(null=True, blank=True)
    requested_by_label = models.CharField(max_length=150)

    fence = models.BigIntegerField(default=0)
    lease_token = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    attempt = models.PositiveSmallIntegerField(default=1)
    started_at = models.DateTimeField(null=True, blank=True)
    first_effect_at = models.DateTimeField(null=True, blank=True)
    deadline_at = models.DateTimeField(null=True, blank=True)
    unknown_since = models.DateTimeField(null=True, blank=True)
    alarmed_at = models.DateTimeField(null=True, blank=True)
    probe_after = models.DateTimeField(null=True, blank=True)
    probed = models.CharField(max_length=300, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_by = person(null=True, blank=True)
    cancel_reason = models.CharField(max_length=300, blank=True)
    abandon_proposed_at = models.DateTimeField(null=True, blank=True)
    abandon_proposed_by = person(null=True, blank=True)
    abandon_reason = models.CharField(max_length=300, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=500, blank=True)
    rollback_withheld = models.CharField(max_length=300, blank=True, db_default="", default="")
    terms = models.JSONField(default=dict, blank=True)
    traceparent = models.CharField(max_length=55, blank=True, db_default="", default="")
    log_bytes = models.PositiveBigIntegerField(default=0)
    log_lines = models.PositiveIntegerField(default=0)

    objects = DeploymentQuerySet.as_manager()

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(name="deployment_number_once", fields=["number"]),
            models.UniqueConstraint(name="deployment_lane_once", fields=["lane"], condition=Q(state__in=OPEN)),
            models.UniqueConstraint(name="deployment_target_once", fields=["target_key"], condition=Q(state__in=OPEN)),
            models.UniqueConstraint(
                name="deployment_promotion_once", fields=["promotion"], condition=Q(state__in=OPEN)
            ),
            models.UniqueConstraint(
                name="deployment_undone_once",
                fields=["rolls_back"],
                condition=Q(state__in=(*OPEN, "SUCCEEDED", "FAILED")),
            ),
            models.CheckConstraint(name="deployment_state_known", condition=Q(state__in=DeploymentState.values)),
            models.CheckConstraint(name="deployment_kind_known", condition=Q(kind__in=DeploymentKind.values)),
            models.CheckConstraint(
                name="deployment_ended_whole",
                condition=Q(state__in=OPEN, ended_at=None) | (~Q(state__in=OPEN) & Q(ended_at__isnull=False)),
            ),
            all_or_none("deployment_lease_whole", "lease_token", "lease_until"),
            all_or_none("deployment_cancel_whole", "cancel_requested_at", "cancel_requested_by"),
            all_or_none("deployment_abandon_whole", "abandon_proposed_at", "abandon_proposed_by"),
        ]
        indexes = [
            models.Index(name="deployment_by_lane", fields=["lane", "-number"]),
            models.Index(name="deployment_by_fence", fields=["lane", "-fence"]),
            models.Index(name="deployment_by_release", fields=["release", "-number"]),
            models.Index(name="deployment_withheld", fields=["lane"], condition=~Q(rollback_withheld="")),
            models.Index(name="deployment_due", fields=["state", "lease_until"], condition=Q(state__in=OPEN)),
        ]

    def __str__(self) -> str:
        return f"#{self.number}"

    @property
    def label(self) -> str:
        return DeploymentState(self.state).label

    @property
    def tone(self) -> str:
        return DeploymentState(self.state).tone

    @property
    def took(self) -> timedelta | None:
        """Return how long it ran, or None while it runs and where it never began."""
        return self.ended_at - self.started_at if self.ended_at and self.started_at else None

    @property
    def called_at(self) -> datetime | None:
        """Return when a person was called because nobody can tell how it stands; None where nobody was."""
        if self.state != DeploymentState.UNKNOWN or self.alarmed_at is None or self.unknown_since is None:
            return None
        return self.alarmed_at if self.alarmed_at >= self.unknown_since else None

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE

    @property
    def is_open(self) -> bool:
        return self.state in OPEN


class Step(TenantModel):
    """One journaled step: plan with the claim, intent before the effect, result after it, all under the same fence.

    `intent` holds {"state", "expected_seconds"} from the plan on, and what the executor was told from the start on.
    """

    deployment = models.ForeignKey(Deployment, on_delete=models.PROTECT, related_name="steps")
    seq = models.PositiveSmallIntegerField()
    attempt = models.PositiveSmallIntegerField(default=1)
    kind = models.CharField(max_length=40)
    label = models.CharField(max_length=120)
    intent = models.JSONField(default=dict)
    intent_sha256 = models.CharField(max_length=64)
    fence = models.BigIntegerField()
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    verdict = models.CharField(max_length=8, choices=StepVerdict, default=StepVerdict.PLANNED)
    detail = models.CharField(max_length=300, blank=True)
    evidence = models.JSONField(default=dict)

    class Meta:
        ordering = ["deployment", "seq", "attempt"]
        constraints = [
            models.UniqueConstraint(name="step_once", fields=["deployment", "seq", "attempt"]),
            models.CheckConstraint(name="step_verdict_known", condition=Q(verdict__in=StepVerdict.values)),
        ]

    def __str__(self) -> str:
        return self.label

    @property
    def tone(self) -> str:
        return StepVerdict(self.verdict).tone

    @property
    def took(self) -> timedelta | None:
        return self.ended_at - self.started_at if self.ended_at and self.started_at else None


class Transition(TenantModel):
    """One change of a deployment's state: insert-only, written by `transitions.advance` alone."""

    deployment = models.ForeignKey(Deployment, on_delete=models.PROTECT, related_name="transitions")
    n = models.PositiveIntegerField()
    from_state = models.CharField(max_length=10, choices=DeploymentState, blank=True)
    to_state = models.CharField(max_length=10, choices=DeploymentState)
    why = models.CharField(max_length=500, blank=True)
    actor_label = models.CharField(max_length=150)
    fence = models.BigIntegerField(default=0)
    at = models.DateTimeField()

    class Meta:
        ordering = ["deployment", "n"]
        constraints = [models.UniqueConstraint(name="transition_once", fields=["deployment", "n"])]

    def __str__(self) -> str:
        return f"{self.from_state} to {self.to_state}"


class LogChunk(TenantModel):
    """Some lines of a deployment's log, flushed together. Secrets are masked before they get here.

    `first_line` counts from 1; `lines` is a list of [milliseconds since the deployment started, text with ANSI codes].
    """

    deployment = models.ForeignKey(Deployment, on_delete=models.PROTECT, related_name="log_chunks")
    seq = models.PositiveIntegerField()
    step_seq = models.PositiveSmallIntegerField(default=0)
    first_line = models.PositiveIntegerField()
    line_count = models.PositiveIntegerField()
    lines = models.JSONField()

    class Meta:
        ordering = ["deployment", "seq"]
        constraints = [models.UniqueConstraint(name="log_chunk_once", fields=["deployment", "seq"])]
        indexes = [models.Index(name="log_chunk_by_line", fields=["deployment", "first_line"])]

    def __str__(self) -> str:
        return f"lines {self.first_line} to {self.first_line + self.line_count - 1}"


class VerificationSample(TenantModel):
    """What users got of a release in some seconds after its switch, with what was the limit then; insert-only.

    Units: milliseconds, percent. `fault` is what the health check found wrong; `p95_limit_ms` is None where nothing was
    known to compare with.
    """

    deployment = models.ForeignKey(Deployment, on_delete=models.PROTECT, related_name="samples")
    taken_at = models.DateTimeField()
    fault = models.CharField(max_length=200, blank=True)
    requests = models.PositiveIntegerField()
    errors = models.PositiveIntegerField()
    p95_ms = models.FloatField(null=True, blank=True)
    error_limit = models.FloatField()
    p95_limit_ms = models.FloatField(null=True, blank=True)

    class Meta:
        ordering = ["deployment", "taken_at"]
        indexes = [models.Index(name="sample_by_deployment", fields=["deployment", "taken_at"])]

    def __str__(self) -> str:
        return f"{self.requests} requests, {self.errors} failed"

    @property
    def error_percent(self) -> float | None:
        """Return the share of requests that failed; None where nobody asked."""
        return 100 * self.errors / self.requests if self.requests else None


class Rollout(TenantModel):
    """One release brought to many environments, wave by wave; each of them by a promotion of its own.

    `workspace` steers it. `guests` are the other workspaces that have an environment in it: they read this row, so
    nothing in it may name a place where there are any. Each environment's own row is in its own workspace.
    `pause` is the time that a wave is watched before the next one begins; `released_wave` the last wave that a person
    let begin without it. `requested_by` asks for every promotion, so that person approves none of them.
    """

    number = models.BigIntegerField(db_default=Func(Value("rollout_number"), function="nextval"), editable=False)
    guests = ArrayField(models.UUIDField(), default=list, db_default=[], blank=True)
    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="rollouts")
    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="rollouts")
    state = models.CharField(max_length=9, choices=RolloutState, default=RolloutState.RUNNING)
    pause = models.DurationField(default=timedelta(0))
    released_wave = models.PositiveSmallIntegerField(default=0)
    reason = models.CharField(max_length=300, blank=True)
    requested_at = models.DateTimeField()
    requested_by = person()
    ended_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=500, blank=True)

    objects = RolloutQuerySet.as_manager()

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(name="rollout_number_once", fields=["number"]),
            models.UniqueConstraint(
                name="rollout_open_once", fields=["workspace", "service"], condition=Q(state__in=OPEN_ROLLOUT)
            ),
            models.CheckConstraint(name="rollout_state_known", condition=Q(state__in=RolloutState.values)),
            models.CheckConstraint(
                name="rollout_ended_whole",
                condition=Q(state__in=OPEN_ROLLOUT, ended_at=None)
                | (~Q(state__in=OPEN_ROLLOUT) & Q(ended_at__isnull=False)),
            ),
        ]
        indexes = [models.Index(name="rollout_running", fields=["state"], condition=Q(state="RUNNING"))]

    def __str__(self) -> str:
        return f"#{self.number}"

    @property
    def label(self) -> str:
        return RolloutState(self.state).label

    @property
    def tone(self) -> str:
        return RolloutState(self.state).tone

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_ROLLOUT

    @property
    def workspaces(self) -> tuple[UUID, ...]:
        """Return all that read it, the one that steers it first."""
        return (self.workspace_id, *self.guests)


class RolloutLane(TenantModel):
    """One environment of a roll-out. `promotion` is there once its wave has begun; `refusal` says why none could be.

    `state` is what a guest decided about it, with `reason`: held, no promotion is asked for; left, it is out for good.
    """

    rollout = models.ForeignKey(Rollout, on_delete=models.PROTECT, related_name="lanes")
    lane = models.ForeignKey(Lane, on_delete=models.PROTECT, related_name="rollouts")
    wave = models.PositiveSmallIntegerField()
    promotion = models.OneToOneField(
        Promotion, null=True, blank=True, on_delete=models.PROTECT, related_name="rollout_lane"
    )
    refusal = models.CharField(max_length=300, blank=True)
    state = models.CharField(
        max_length=4, choices=RolloutLaneState, default=RolloutLaneState.IN, db_default=RolloutLaneState.IN
    )
    reason = models.CharField(max_length=300, blank=True, default="", db_default="")
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = person(null=True, blank=True)

    objects = RolloutLaneQuerySet.as_manager()

    class Meta:
        ordering = ["rollout", "wave", "lane"]
        constraints = [
            models.UniqueConstraint(name="rollout_lane_once", fields=["rollout", "lane"]),
            models.CheckConstraint(name="rollout_wave_counts_from_one", condition=Q(wave__gte=1)),
            models.CheckConstraint(name="rollout_lane_state_known", condition=Q(state__in=RolloutLaneState.values)),
            all_or_none("rollout_lane_decided_whole", "decided_at", "decided_by"),
        ]

    def __str__(self) -> str:
        return f"wave {self.wave}"


class GuestPart(TenantModel):
    """How far a guest is, in words that name nothing of it: a row of the workspace that steers, for who is no member.

    `guest` is the workspace's id, which the roll-out holds, too; `since` is when `state` or `sentence` changed last.
    """

    rollout = models.ForeignKey(Rollout, on_delete=models.PROTECT, related_name="guest_parts")
    guest = models.UUIDField()
    state = models.CharField(max_length=9, choices=GuestState)
    sentence = models.CharField(max_length=200)
    since = models.DateTimeField()

    class Meta:
        ordering = ["rollout", "guest"]
        constraints = [
            models.UniqueConstraint(name="guest_part_once", fields=["rollout", "guest"]),
            models.CheckConstraint(name="guest_part_state_known", condition=Q(state__in=GuestState.values)),
        ]

    def __str__(self) -> str:
        return self.sentence

    @property
    def label(self) -> str:
        return GuestState(self.state).label

    @property
    def tone(self) -> str:
        return GuestState(self.state).tone


class SweepLease(models.Model):
    """The row that sweepers of all workers take turns on. Not of any workspace: it holds no data."""

    name = models.CharField(max_length=40, primary_key=True)
    until = models.DateTimeField()
    token = models.UUIDField()

    def __str__(self) -> str:
        return self.name


class DatabaseEpoch(models.Model):
    """The database that the engine worked with last: its system identifier and timeline. One row, of no workspace."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    identity = models.CharField(max_length=40)
    since = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(name="database_epoch_is_one_row", condition=Q(id=1))]

    def __str__(self) -> str:
        return self.identity
