from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from guardian.models import GroupObjectPermissionBase, UserObjectPermissionBase

from apps.environments import addresses
from apps.environments.enums import (
    Answer,
    DataClass,
    DataKind,
    FreezeScope,
    Health,
    RecordKind,
    ResourceKind,
    Slot,
    Tier,
    WindowKind,
)
from apps.environments.querysets import (
    EnvironmentQuerySet,
    FreezeQuerySet,
    HoldQuerySet,
    LaneQuerySet,
    RecoveryRecordQuerySet,
)
from apps.workspaces.models import TenantModel, Workspace


def all_or_none(name: str, *fields: str) -> models.CheckConstraint:
    """Return the constraint that these nullable fields are set together or not at all."""
    return models.CheckConstraint(
        name=name,
        condition=Q(**{f"{field}__isnull": True for field in fields})
        | Q(**{f"{field}__isnull": False for field in fields}),
    )


def person(**options: Any) -> models.ForeignKey:
    """Return a reference to a person that outlives everything else."""
    return models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", **options)


class Environment(TenantModel):
    """A place where releases run, with its own configuration, data stores and event channels."""

    slug = models.SlugField(max_length=40)
    name = models.CharField(max_length=60)
    tier = models.CharField(max_length=10, choices=Tier)
    position = models.PositiveSmallIntegerField(default=0)
    purpose = models.CharField(max_length=200)
    data_class = models.CharField(max_length=16, choices=DataClass)
    url_pattern = models.CharField(max_length=200)
    deployment_method = models.CharField(max_length=80)
    created_at = models.DateTimeField()
    created_by = person(null=True, blank=True)
    destroyed_at = models.DateTimeField(null=True, blank=True)
    destroyed_by = person(null=True, blank=True)

    objects = EnvironmentQuerySet.as_manager()

    class Meta:
        ordering = ["position", "name"]
        permissions = [
            ("deploy_environment", "Deploy to this environment"),
            ("operate_environment", "Operate this environment"),
        ]
        constraints = [
            models.UniqueConstraint(
                name="environment_slug_once", fields=["workspace", "slug"], condition=Q(destroyed_at=None)
            ),
            models.CheckConstraint(name="environment_tier_known", condition=Q(tier__in=Tier.values)),
            models.CheckConstraint(name="environment_data_class_known", condition=Q(data_class__in=DataClass.values)),
            models.CheckConstraint(
                name="environment_real_data_in_production_only",
                condition=~Q(data_class=DataClass.REAL) | Q(tier=Tier.PRODUCTION),
            ),
            all_or_none("environment_destroyed_whole", "destroyed_at", "destroyed_by"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_production(self) -> bool:
        return self.tier == Tier.PRODUCTION


class EnvironmentUserPermission(UserObjectPermissionBase):
    content_object = models.ForeignKey(Environment, on_delete=models.CASCADE)
    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="+", editable=False)


class EnvironmentGroupPermission(GroupObjectPermissionBase):
    content_object = models.ForeignKey(Environment, on_delete=models.CASCADE)
    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="+", editable=False)


class Resource(TenantModel):
    """Something an environment has to itself. Unique over all workspaces once normalised; claimed by a function."""

    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="resources")
    kind = models.CharField(max_length=14, choices=ResourceKind)
    uri = models.CharField(max_length=500)
    normalised = models.CharField(max_length=500)
    claimed_at = models.DateTimeField()
    claimed_by = person(null=True, blank=True)
    released_at = models.DateTimeField(null=True, blank=True)
    released_by = person(null=True, blank=True)

    class Meta:
        ordering = ["kind", "uri"]
        constraints = [
            models.UniqueConstraint(name="resource_owned_once", fields=["normalised"], condition=Q(released_at=None)),
            all_or_none("resource_released_whole", "released_at", "released_by"),
        ]

    def __str__(self) -> str:
        return self.uri


class Lane(TenantModel):
    """One service in one environment: what runs there now, and where.

    Only `apps.deployments` writes the state (`live_*`, `previous_release`, `generation`) and `drift*`: what its target
    was seen to run instead, empty where that is the same. Only `apps.health` writes `health*`. `close_watch_*` say why,
    by whom and until when the lane is watched closely; what is past is over without a writer. `target_key` names the
    real thing behind the lane and is unique over all workspaces. `address` says where the executor finds it: empty for
    `local`, {"cluster", "namespace"} for `helm`, else `server` and what `addresses` says; never a secret.
    """

    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="lanes")
    service = models.ForeignKey("releases.Service", on_delete=models.PROTECT, related_name="lanes")
    executor = models.CharField(max_length=20, default="local")
    target_key = models.CharField(max_length=200)
    port = models.PositiveIntegerField(null=True, blank=True)
    address = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True, blank=True)

    live_release = models.ForeignKey(
        "releases.Release", null=True, blank=True, on_delete=models.PROTECT, related_name="live_in"
    )
    live_configuration = models.ForeignKey(
        "configuration.ConfigurationVersion", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    live_slot = models.CharField(max_length=5, choices=Slot, blank=True)
    live_since = models.DateTimeField(null=True, blank=True)
    previous_release = models.ForeignKey(
        "releases.Release", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    generation = models.PositiveBigIntegerField(default=0)
    rolled_back_from = models.ForeignKey(
        "releases.Release", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    drift = models.CharField(max_length=300, blank=True)
    drift_since = models.DateTimeField(null=True, blank=True)

    health = models.CharField(max_length=10, choices=Health, default=Health.UNKNOWN)
    health_detail = models.CharField(max_length=200, blank=True)
    health_since = models.DateTimeField(null=True, blank=True)
    health_checked_at = models.DateTimeField(null=True, blank=True)

    close_watch_since = models.DateTimeField(null=True, blank=True)
    close_watch_until = models.DateTimeField(null=True, blank=True)
    close_watch_reason = models.CharField(max_length=300, blank=True)
    close_watch_by = models.CharField(max_length=150, blank=True)

    objects = LaneQuerySet.as_manager()

    class Meta:
        ordering = ["service", "environment"]
        constraints = [
            models.UniqueConstraint(name="lane_once", fields=["environment", "service"], condition=Q(removed_at=None)),
            models.UniqueConstraint(name="lane_target_once", fields=["target_key"], condition=Q(removed_at=None)),
            models.CheckConstraint(name="lane_health_known", condition=Q(health__in=Health.values)),
            models.CheckConstraint(
                name="lane_helm_has_address",
                condition=~Q(executor="helm") | Q(address__has_keys=["cluster", "namespace"]),
            ),
            models.CheckConstraint(
                name="lane_remote_has_server",
                condition=~Q(executor__in=addresses.REMOTE) | Q(address__has_key="server"),
            ),
            all_or_none("lane_live_whole", "live_release", "live_since"),
            models.CheckConstraint(
                name="lane_close_watch_whole",
                condition=Q(close_watch_since=None, close_watch_until=None, close_watch_reason="", close_watch_by="")
                | (Q(close_watch_until__gt=F("close_watch_since")) & ~Q(close_watch_reason="") & ~Q(close_watch_by="")),
            ),
        ]

    def __str__(self) -> str:
        return self.target_key

    @property
    def place(self) -> str:
        return addresses.shown(self.executor, self.address)

    @property
    def place_word(self) -> str:
        return addresses.WORDS.get(self.executor, "")

    def is_watched_closely(self, now: datetime) -> bool:
        return self.close_watch_until is not None and self.close_watch_until > now


class ArtifactAnswer(TenantModel):
    """What was said last of a release where a lane takes it from: of what runs there, and of the five before it.

    Only `apps.deployments` writes it. `answer` and `detail` are of `answered_at`, when somebody who knows said so: None
    until then. `trouble` says why nobody did at `asked_at`, when worker `asked_by` asked last. It is asked again at
    `due_at`; who asks puts that off and writes only while `turn` is theirs.
    """

    lane = models.ForeignKey(Lane, on_delete=models.PROTECT, related_name="answers")
    release = models.ForeignKey("releases.Release", on_delete=models.PROTECT, related_name="+")
    digest = models.CharField(max_length=71)
    answer = models.CharField(max_length=7, choices=Answer, default=Answer.UNKNOWN)
    detail = models.CharField(max_length=300, blank=True)
    answered_at = models.DateTimeField(null=True, blank=True)
    asked_at = models.DateTimeField(null=True, blank=True)
    asked_by = models.CharField(max_length=150, blank=True)
    trouble = models.CharField(max_length=300, blank=True)
    due_at = models.DateTimeField()
    turn = models.UUIDField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="artifact_answer_once", fields=["lane", "release"]),
            models.CheckConstraint(name="artifact_answer_known", condition=Q(answer__in=Answer.values)),
            models.CheckConstraint(
                name="artifact_answer_said", condition=Q(answered_at__isnull=False) | Q(answer=Answer.UNKNOWN)
            ),
            models.CheckConstraint(
                name="artifact_answer_asked_whole",
                condition=Q(asked_at=None, asked_by="") | (Q(asked_at__isnull=False) & ~Q(asked_by="")),
            ),
        ]
        indexes = [models.Index(name="artifact_answer_due", fields=["lane", "due_at"])]

    def __str__(self) -> str:
        return f"{self.release}: {self.label.lower()}"

    @property
    def label(self) -> str:
        return Answer(self.answer).label

    @property
    def tone(self) -> str:
        return Answer(self.answer).tone


class Freeze(TenantModel):
    """No deployment may start under it. Rollbacks and incident hotfixes pass, loudly."""

    scope = models.CharField(max_length=12, choices=FreezeScope)
    environment = models.ForeignKey(
        Environment, null=True, blank=True, on_delete=models.PROTECT, related_name="freezes"
    )
    lane = models.ForeignKey(Lane, null=True, blank=True, on_delete=models.PROTECT, related_name="freezes")
    reason = models.CharField(max_length=300)
    frozen_at = models.DateTimeField()
    frozen_by = person()
    ends_at = models.DateTimeField(null=True, blank=True)
    lifted_at = models.DateTimeField(null=True, blank=True)
    lifted_by = person(null=True, blank=True)

    objects = FreezeQuerySet.as_manager()

    class Meta:
        ordering = ["-frozen_at"]
        constraints = [
            all_or_none("freeze_lifted_whole", "lifted_at", "lifted_by"),
            models.CheckConstraint(
                name="freeze_scope_matches",
                condition=Q(scope=FreezeScope.LANE, lane__isnull=False, environment__isnull=True)
                | Q(scope=FreezeScope.ENVIRONMENT, environment__isnull=False, lane__isnull=True)
                | Q(scope__in=[FreezeScope.WORKSPACE, FreezeScope.ALL], environment__isnull=True, lane__isnull=True),
            ),
            models.CheckConstraint(
                name="freeze_ends_after_start", condition=Q(ends_at=None) | Q(ends_at__gt=F("frozen_at"))
            ),
        ]

    def __str__(self) -> str:
        return self.reason


class Hold(TenantModel):
    """Set by the engine on a lane after a rollback or an abandoned attempt: no automation passes, a person lifts it."""

    lane = models.ForeignKey(Lane, on_delete=models.PROTECT, related_name="holds")
    reason = models.CharField(max_length=300)
    deployment_id = models.UUIDField(null=True, blank=True)
    set_at = models.DateTimeField()
    lifted_at = models.DateTimeField(null=True, blank=True)
    lifted_by = person(null=True, blank=True)
    lift_reason = models.CharField(max_length=300, blank=True)

    objects = HoldQuerySet.as_manager()

    class Meta:
        ordering = ["-set_at"]
        constraints = [
            models.UniqueConstraint(name="hold_once", fields=["lane"], condition=Q(lifted_at=None)),
            all_or_none("hold_lifted_whole", "lifted_at", "lifted_by"),
        ]

    def __str__(self) -> str:
        return self.reason


class Window(TenantModel):
    """A recurring span of local wall time in which deployments may (or may not) start.

    `weekdays` are ISO numbers (1 = Monday); `starts_at` is inclusive, `ends_at` exclusive; if it is not later, the
    window ends on the next day. `zone` is an IANA name; the offset is that of each date.
    """

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="windows")
    kind = models.CharField(max_length=5, choices=WindowKind, default=WindowKind.ALLOW)
    weekdays = ArrayField(models.PositiveSmallIntegerField())
    starts_at = models.TimeField()
    ends_at = models.TimeField()
    zone = models.CharField(max_length=64)
    label = models.CharField(max_length=80)

    class Meta:
        ordering = ["kind", "starts_at"]

    def __str__(self) -> str:
        return self.label


class CalendarFeed(models.Model):
    """An address by which a person's own calendar reads windows and freezes: whatever they may see at that moment.

    `digest` is the SHA-256 (hex) of the secret in the address, which is shown once and not kept.
    """

    user = person()
    digest = models.CharField(max_length=64, unique=True)
    opened_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="calendar_feed_once", fields=["user"], condition=Q(ended_at=None)),
        ]

    def __str__(self) -> str:
        return "calendar address"


class AdmissionDenial(TenantModel):
    """What a cluster was told to refuse, as the trail tells it: a controller that tries again is told of once an hour.

    `key` is the SHA-256 (hex) over the canonical JSON of cluster, namespace, object and images.
    """

    key = models.CharField(max_length=64)
    told_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(name="admission_denial_once", fields=["workspace", "key"])]

    def __str__(self) -> str:
        return self.key[:12]


class Evidenced(TenantModel):
    """What was done in an environment, as somebody tells it; insert-only.

    `evidence_sha256` (hex) binds what proves it: a file that was handed in, whose name is `evidence_name`, or what
    stands under `evidence_link`; all empty where nothing does.
    """

    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+")
    evidence_sha256 = models.CharField(max_length=64, blank=True)
    evidence_name = models.CharField(max_length=150, blank=True)
    evidence_link = models.URLField(max_length=500, blank=True)
    recorded_at = models.DateTimeField()
    recorded_by = person(null=True, blank=True)
    recorded_by_label = models.CharField(max_length=150)

    class Meta:
        abstract = True


def evidence_bound(name: str) -> models.CheckConstraint:
    """Return the constraint that what is named as evidence is one thing with a digest."""
    proved = Q(evidence_sha256__regex="^[0-9a-f]{64}$")
    return models.CheckConstraint(
        name=name,
        condition=Q(evidence_sha256="", evidence_name="", evidence_link="")
        | (proved & ~Q(evidence_name="") & Q(evidence_link=""))
        | (proved & Q(evidence_name="") & ~Q(evidence_link="")),
    )


class DataRefresh(Evidenced):
    """That an environment got a data set at `refreshed_at`, made there or taken from `source`; or, REMOVED, has none.

    `tier` and `source_tier` are those of the two environments, by a foreign key: so the database itself refuses what
    comes from Production without evidence. Production takes no data set: its data is what its users enter. What else
    a tier may hold is its policy's.
    """

    tier = models.CharField(max_length=10, choices=Tier)
    kind = models.CharField(max_length=10, choices=DataKind)
    source = models.ForeignKey(Environment, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    source_tier = models.CharField(max_length=10, choices=Tier, blank=True)
    refreshed_at = models.DateTimeField()

    class Meta:
        ordering = ["-refreshed_at"]
        constraints = [
            models.CheckConstraint(name="refresh_kind_known", condition=Q(kind__in=DataKind.values)),
            models.CheckConstraint(name="refresh_never_in_production", condition=~Q(tier=Tier.PRODUCTION)),
            models.CheckConstraint(
                name="refresh_from_production_proved",
                condition=~Q(source_tier=Tier.PRODUCTION) | ~Q(evidence_sha256=""),
            ),
            models.CheckConstraint(
                name="refresh_source_whole",
                condition=Q(kind__in=[DataKind.SYNTHETIC, DataKind.REMOVED], source=None, source_tier="")
                | (
                    Q(source__isnull=False, source_tier__in=Tier.values)
                    & ~Q(kind=DataKind.REMOVED)
                    & ~Q(source=F("environment"))
                ),
            ),
            evidence_bound("refresh_evidence_bound"),
            models.UniqueConstraint(name="refresh_once", fields=["environment", "refreshed_at"]),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} data"


class RecordReminder(TenantModel):
    """Of what its owners were told that the records of an environment lack: `told` names what is lacking still.

    What is mended is taken off, so that its next lack is told of anew. Nobody looks at it before `look_after`.
    """

    environment = models.OneToOneField(Environment, on_delete=models.PROTECT, related_name="+")
    told = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    look_after = models.DateTimeField()

    class Meta:
        indexes = [models.Index(name="record_reminder_due", fields=["look_after"])]

    def __str__(self) -> str:
        return ", ".join(self.told)


class RecoveryRecord(Evidenced):
    """A backup, or a test of what backups are for, as the job or the person that did it tells.

    Of a backup: whether any moment of the last `reach_hours` can be brought back, and how many daily and monthly ones
    are kept. Of a test: how much was lost (`rpo_minutes`) and how long it took (`rto_minutes`). What failed has none.
    """

    kind = models.CharField(max_length=13, choices=RecordKind)
    done_at = models.DateTimeField()
    succeeded = models.BooleanField(default=True)
    point_in_time = models.BooleanField(default=False)
    reach_hours = models.PositiveIntegerField(default=0)
    kept_daily = models.PositiveSmallIntegerField(null=True, blank=True)
    kept_monthly = models.PositiveSmallIntegerField(null=True, blank=True)
    rpo_minutes = models.PositiveIntegerField(null=True, blank=True)
    rto_minutes = models.PositiveIntegerField(null=True, blank=True)

    objects = RecoveryRecordQuerySet.as_manager()

    class Meta:
        ordering = ["-done_at"]
        constraints = [
            models.CheckConstraint(
                name="recovery_figures_fit_kind",
                condition=Q(
                    kind=RecordKind.BACKUP,
                    succeeded=True,
                    kept_daily__isnull=False,
                    kept_monthly__isnull=False,
                    rpo_minutes=None,
                    rto_minutes=None,
                )
                | Q(
                    kind__in=[RecordKind.RESTORE_TEST, RecordKind.RECOVERY_TEST],
                    succeeded=True,
                    point_in_time=False,
                    kept_daily=None,
                    kept_monthly=None,
                    rpo_minutes__isnull=False,
                    rto_minutes__isnull=False,
                )
                | Q(
                    kind__in=RecordKind.values,
                    succeeded=False,
                    point_in_time=False,
                    kept_daily=None,
                    kept_monthly=None,
                    rpo_minutes=None,
                    rto_minutes=None,
                ),
            ),
            models.CheckConstraint(
                name="recovery_test_proved", condition=Q(kind=RecordKind.BACKUP) | ~Q(evidence_sha256="")
            ),
            models.CheckConstraint(
                name="recovery_reach_whole",
                condition=Q(point_in_time=False, reach_hours=0) | Q(point_in_time=True, reach_hours__gt=0),
            ),
            evidence_bound("recovery_evidence_bound"),
            models.UniqueConstraint(name="recovery_once", fields=["environment", "done_at", "kind"]),
        ]
        indexes = [models.Index(name="recovery_newest", fields=["environment", "kind", "-done_at"])]

    def __str__(self) -> str:
        return self.get_kind_display()

    @property
    def sentence(self) -> str:
        """What it says, in words."""
        if not self.succeeded:
            return "It failed"
        if self.kind != RecordKind.BACKUP:
            return f"RPO {self.rpo_minutes} min, RTO {self.rto_minutes} min"
        reach = (
            f"point-in-time recovery {self.reach_hours} h back" if self.point_in_time else "no point-in-time recovery"
        )
        return f"{self.kept_daily} daily and {self.kept_monthly} monthly kept, {reach}"
