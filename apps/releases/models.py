from datetime import date, datetime

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from guardian.models import GroupObjectPermissionBase, UserObjectPermissionBase

from apps.environments.models import Environment, all_or_none, person
from apps.releases.enums import (
    PARTS_LISTS,
    SCANS,
    ArtifactKind,
    ChangeEffect,
    EventMode,
    EvidenceKind,
    MigrationClass,
    Plane,
    PushState,
    ReleaseKind,
    ReleaseSource,
    ReleaseState,
    Severity,
    Suite,
    Support,
)
from apps.releases.querysets import (
    AcceptanceQuerySet,
    CatalogueQuerySet,
    ComparisonQuerySet,
    EndOfLifeQuerySet,
    EventConsumerQuerySet,
    EventSchemaQuerySet,
    EventVersionQuerySet,
    EvidenceQuerySet,
    PushQuerySet,
    ReleaseQuerySet,
    SpannedQuerySet,
)
from apps.releases.traits import DECLARABLE, Trait
from apps.releases.wording import sentence_of
from apps.workspaces.models import TenantModel, Workspace


class Service(TenantModel):
    """Something that is released and deployed as one piece."""

    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=80)
    summary = models.CharField(max_length=200, blank=True)
    plane = models.CharField(max_length=8, choices=Plane, default=Plane.CONTROL)
    owner_team = models.CharField(max_length=80)
    repository = models.CharField(max_length=300, blank=True)
    artifact_kind = models.CharField(max_length=8, choices=ArtifactKind, default=ArtifactKind.WHEELS)
    program = models.CharField(max_length=80)
    health_path = models.CharField(max_length=200, default="/")
    is_published = models.BooleanField(default=False)
    is_pinned = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    created_by = person(null=True, blank=True)
    retired_at = models.DateTimeField(null=True, blank=True)
    retired_by = person(null=True, blank=True)

    objects = CatalogueQuerySet.as_manager()

    class Meta:
        ordering = ["plane", "name"]
        permissions = [("release_service", "Release this service"), ("operate_service", "Operate this service")]
        constraints = [
            models.CheckConstraint(name="service_plane_known", condition=Q(plane__in=Plane.values)),
            all_or_none("service_retired_whole", "retired_at", "retired_by"),
        ]

    def __str__(self) -> str:
        return self.name


class ServiceUserPermission(UserObjectPermissionBase):
    content_object = models.ForeignKey(Service, on_delete=models.CASCADE)
    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="+", editable=False)


class ServiceGroupPermission(GroupObjectPermissionBase):
    content_object = models.ForeignKey(Service, on_delete=models.CASCADE)
    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="+", editable=False)


class Release(TenantModel):
    """One version of a service, sealed by the hash of its content. What is sealed never changes again.

    `precedence` orders pre-releases as SemVer 2.0 section 11 says; a full release stands above its pre-releases.
    `content_hash` is the SHA-256 (hex) over the canonical JSON of version, commit, artifact digest and notes.
    """

    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="releases")
    version = models.CharField(max_length=80)
    major = models.PositiveIntegerField()
    minor = models.PositiveIntegerField()
    patch = models.PositiveIntegerField()
    precedence = models.CharField(max_length=200, db_collation="C")
    kind = models.CharField(max_length=10, choices=ReleaseKind)
    state = models.CharField(max_length=11, choices=ReleaseState, default=ReleaseState.DRAFT)
    source = models.CharField(max_length=8, choices=ReleaseSource)
    is_published = models.BooleanField(default=False)
    tag = models.CharField(max_length=100, blank=True)
    commit = models.CharField(max_length=64, blank=True)
    artifact_digest = models.CharField(max_length=71)
    notes = models.TextField(blank=True)
    notes_source = models.CharField(max_length=300, blank=True)
    published_date = models.DateField(null=True, blank=True)
    content_hash = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField()
    created_by = person(null=True, blank=True)
    created_by_label = models.CharField(max_length=150)
    author = person(null=True, blank=True)
    committer = person(null=True, blank=True)
    author_label = models.CharField(max_length=150, blank=True)
    sealed_at = models.DateTimeField(null=True, blank=True)
    quarantined_at = models.DateTimeField(null=True, blank=True)
    quarantined_by_label = models.CharField(max_length=150, blank=True)
    quarantine_reason = models.CharField(max_length=300, blank=True)
    retired_at = models.DateTimeField(null=True, blank=True)
    retired_by = person(null=True, blank=True)

    objects = ReleaseQuerySet.as_manager()

    class Meta:
        ordering = ["service", "-major", "-minor", "-patch", "-precedence"]
        constraints = [
            models.UniqueConstraint(name="release_version_once", fields=["service", "version"]),
            models.CheckConstraint(name="release_state_known", condition=Q(state__in=ReleaseState.values)),
            models.CheckConstraint(name="release_kind_known", condition=Q(kind__in=ReleaseKind.values)),
            models.CheckConstraint(
                name="release_sealed_whole",
                condition=Q(state=ReleaseState.DRAFT, sealed_at=None, content_hash="")
                | (~Q(state=ReleaseState.DRAFT) & Q(sealed_at__isnull=False) & ~Q(content_hash="")),
            ),
            models.CheckConstraint(
                name="release_quarantined_whole",
                condition=Q(quarantined_at=None, quarantined_by_label="", quarantine_reason="")
                | (Q(quarantined_at__isnull=False) & ~Q(quarantined_by_label="") & ~Q(quarantine_reason="")),
            ),
            all_or_none("release_retired_whole", "retired_at", "retired_by"),
        ]

    def __str__(self) -> str:
        return self.version

    @property
    def label(self) -> str:
        return ReleaseState(self.state).label

    @property
    def tone(self) -> str:
        return ReleaseState(self.state).tone


class Artifact(TenantModel):
    """What a release is made of, named by its content.

    `digest` is `sha256:` and 64 hex digits, as `manifests.digest_of` says. For WHEELS the manifest is
    `{"program": str, "wheels": [{"name", "version", "filename", "sha256", "size"}]}`, sorted by name; for SOURCE
    `{"program": str, "archive": {"filename", "sha256", "size"}}`; for CHART `{"program": str, "chart": {"name",
    "version", "filename", "sha256", "size", "source"}}`. `size` is in bytes.
    """

    release = models.OneToOneField(Release, on_delete=models.PROTECT, related_name="artifact")
    kind = models.CharField(max_length=8, choices=ArtifactKind)
    digest = models.CharField(max_length=71)
    manifest = models.JSONField()
    size = models.PositiveBigIntegerField(default=0)
    is_published = models.BooleanField(default=False)

    objects = CatalogueQuerySet.as_manager()

    def __str__(self) -> str:
        return self.digest


class DataMigration(TenantModel):
    """A change of data that comes with a release, as its manifest declares it; it runs where the release starts.

    `sha256` is of its file, which stands at `path` of the repository where one is named. `rollback` says how it is
    undone, or where that is written: of a forward-only one, how the data is restored. The same `name` has the same
    content in each release of a service. Insert-only, and only into a draft.
    """

    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="migrations")
    position = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=100)
    migration_class = models.CharField(max_length=18, choices=MigrationClass)
    sha256 = models.CharField(max_length=64)
    path = models.CharField(max_length=300, blank=True)
    rollback = models.TextField(max_length=4000)
    reason = models.CharField(max_length=300, blank=True)
    is_critical = models.BooleanField(default=False)
    is_published = models.BooleanField(default=False)

    objects = CatalogueQuerySet.as_manager()

    class Meta:
        ordering = ["release", "position"]
        constraints = [
            models.UniqueConstraint(name="migration_once", fields=["release", "name"]),
            models.CheckConstraint(
                name="migration_class_known", condition=Q(migration_class__in=MigrationClass.values)
            ),
            models.CheckConstraint(name="migration_says_the_way_back", condition=~Q(rollback="")),
            models.CheckConstraint(
                name="migration_says_why_forward_only",
                condition=~Q(migration_class=MigrationClass.FORWARD_ONLY) | ~Q(reason=""),
            ),
            models.CheckConstraint(
                name="migration_keeps_critical_data",
                condition=Q(is_critical=False) | ~Q(migration_class=MigrationClass.REVERSIBLE),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def label(self) -> str:
        return MigrationClass(self.migration_class).label

    @property
    def tone(self) -> str:
        return MigrationClass(self.migration_class).tone

    @property
    def way_back(self) -> str:
        return MigrationClass(self.migration_class).way_back

    @property
    def is_forward_only(self) -> bool:
        return self.migration_class == MigrationClass.FORWARD_ONLY

    @property
    def is_reversible(self) -> bool:
        return self.migration_class == MigrationClass.REVERSIBLE


class ReleaseTrait(TenantModel):
    """The word of a person that a release is what asks for more people. Insert-only: it can't be taken back."""

    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="traits")
    trait = models.CharField(max_length=14, choices=[(trait.value, trait.label) for trait in DECLARABLE])
    reason = models.CharField(max_length=300)
    declared_at = models.DateTimeField()
    declared_by_label = models.CharField(max_length=150)
    is_published = models.BooleanField(default=False)

    objects = SpannedQuerySet.as_manager()

    class Meta:
        ordering = ["declared_at", "trait"]
        constraints = [
            models.UniqueConstraint(name="release_trait_once", fields=["release", "trait"]),
            models.CheckConstraint(
                name="release_trait_known", condition=Q(trait__in=[trait.value for trait in DECLARABLE])
            ),
        ]

    def __str__(self) -> str:
        return Trait(self.trait).label


class ReleaseChange(TenantModel):
    """The files that a release changed beside the release before it, as its repository said when it was created.

    A release whose repository is elsewhere, or that names no commit, has none. `is_whole`: all of them are here.
    """

    release = models.OneToOneField(Release, on_delete=models.PROTECT, related_name="changed")
    since = models.CharField(max_length=80, blank=True)
    paths = ArrayField(models.TextField())
    is_whole = models.BooleanField(default=True)
    is_published = models.BooleanField(default=False)

    objects = SpannedQuerySet.as_manager()

    class Meta:
        ordering = ["release"]

    def __str__(self) -> str:
        return f"{len(self.paths)} files of {self.release_id}"


class Evidence(TenantModel):
    """A report that was made of a release: its figures, and the digest of what was sent, which is kept as it came.

    `artifact_digest` is what the release was sealed with then: what a report says, it says of that. `sha256` names the
    original in the artifact store; `size` is in bytes. `figures` as `reports.read` says. `environment` is where it ran;
    empty where that was none of ours. Insert-only.
    """

    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="evidence")
    kind = models.CharField(max_length=10, choices=EvidenceKind)
    suite = models.CharField(max_length=11, choices=Suite, blank=True)
    environment = models.ForeignKey(Environment, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    artifact_digest = models.CharField(max_length=71)
    sha256 = models.CharField(max_length=64)
    size = models.PositiveIntegerField()
    figures = models.JSONField()
    received_at = models.DateTimeField()
    received_from = person(null=True, blank=True)
    received_from_label = models.CharField(max_length=150)

    objects = EvidenceQuerySet.as_manager()

    class Meta:
        ordering = ["-received_at", "-pk"]
        indexes = [models.Index(name="evidence_by_release", fields=["release", "-received_at"])]
        constraints = [
            models.UniqueConstraint(
                name="evidence_once",
                fields=["release", "kind", "suite", "environment", "sha256"],
                nulls_distinct=False,
            ),
            models.CheckConstraint(name="evidence_kind_known", condition=Q(kind__in=EvidenceKind.values)),
            models.CheckConstraint(
                name="evidence_suite_of_tests",
                condition=(Q(kind=EvidenceKind.JUNIT) & Q(suite__in=Suite.values))
                | (~Q(kind=EvidenceKind.JUNIT) & Q(suite="")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.label} of {self.release.version}"

    @property
    def label(self) -> str:
        return Suite(self.suite).label if self.suite else EvidenceKind(self.kind).label

    @property
    def sentence(self) -> str:
        return sentence_of(EvidenceKind(self.kind), self.figures)

    @property
    def is_scan(self) -> bool:
        return self.kind in SCANS

    @property
    def is_parts_list(self) -> bool:
        return self.kind in PARTS_LISTS

    @property
    def unlisted(self) -> int:
        """How many findings of a scan are only counted: those beyond the limit, or all where none were kept yet."""
        return int(self.figures.get("cut", sum(self.figures[severity.word] for severity in Severity)))

    @property
    def tone(self) -> str:
        """What failed or was found can be bad by itself; how much coverage is enough, a policy says."""
        return "bad" if any(self.figures.get(name) for name in ("failed", "critical", "high")) else "ok"


class Finding(TenantModel):
    """One thing that a scanner found, as its report says it; of each report the worst `findings.KEPT`. Insert-only.

    `rule` and `fingerprint` (SHA-256, hex) are what it is known by in other reports of the service. Within a report ids
    fall by severity, rule and place, so that lists by severity and id show what belongs together.
    """

    evidence = models.ForeignKey(Evidence, on_delete=models.PROTECT, related_name="findings")
    severity = models.PositiveSmallIntegerField(choices=Severity)
    rule = models.CharField(max_length=200)
    place = models.CharField(max_length=300, blank=True)
    title = models.CharField(max_length=300)
    fingerprint = models.CharField(max_length=64)

    class Meta:
        ordering = ["-severity", "-pk"]
        indexes = [models.Index(name="finding_by_report", fields=["evidence", "-severity", "-id"])]
        constraints = [models.CheckConstraint(name="finding_severity_known", condition=Q(severity__in=Severity.values))]

    def __str__(self) -> str:
        return f"{self.rule} ({self.label.lower()})"

    @property
    def label(self) -> str:
        return Severity(self.severity).label

    @property
    def tone(self) -> str:
        return Severity(self.severity).tone


class Part(TenantModel):
    """One component that a parts list names, as `reports.parts.Part`; a version of a component once. Insert-only.

    A higher `rank` is shown first.
    """

    evidence = models.ForeignKey(Evidence, on_delete=models.PROTECT, related_name="parts")
    rank = models.PositiveIntegerField()
    key = models.CharField(max_length=300)
    name = models.CharField(max_length=200)
    version = models.CharField(max_length=100, blank=True)
    licence = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["-rank"]
        constraints = [
            models.UniqueConstraint(name="part_once", fields=["evidence", "key", "version"]),
            models.UniqueConstraint(name="part_rank_once", fields=["evidence", "rank"]),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.version}".strip()


class Acceptance(TenantModel):
    """The word of a person that a finding of a service may stay, with a reason and until a time.

    It is of what has this rule and fingerprint in any report of the service, up to the severity that was looked at.
    `title` and `place` are what was shown then. Ended once it is withdrawn or another one takes its place.
    """

    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="acceptances")
    rule = models.CharField(max_length=200)
    fingerprint = models.CharField(max_length=64)
    severity = models.PositiveSmallIntegerField(choices=Severity)
    title = models.CharField(max_length=300)
    place = models.CharField(max_length=300, blank=True)
    reason = models.CharField(max_length=300)
    accepted_at = models.DateTimeField()
    accepted_by = person()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = person(null=True, blank=True)
    end_reason = models.CharField(max_length=300, null=True, blank=True)  # noqa: DJ001 set with ended_at or not at all

    objects = AcceptanceQuerySet.as_manager()

    class Meta:
        ordering = ["-accepted_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                name="acceptance_once", fields=["service", "rule", "fingerprint"], condition=Q(ended_at=None)
            ),
            models.CheckConstraint(name="acceptance_severity_known", condition=Q(severity__in=Severity.values)),
            models.CheckConstraint(name="acceptance_lasts", condition=Q(expires_at__gt=F("accepted_at"))),
            all_or_none("acceptance_ended_whole", "ended_at", "ended_by", "end_reason"),
        ]

    def __str__(self) -> str:
        return f"acceptance of {self.rule}"

    @property
    def label(self) -> str:
        return Severity(self.severity).label

    @property
    def tone(self) -> str:
        return Severity(self.severity).tone

    def lasts(self, now: datetime) -> bool:
        return now < self.lasts_until

    @property
    def lasts_until(self) -> datetime:
        """When it ends, or ended."""
        return min(self.expires_at, self.ended_at) if self.ended_at else self.expires_at


class ApiComparison(TenantModel):
    """What differs between two API descriptions: found once for each pair of originals, whichever releases they are of.

    `claimed_until` is the database's clock: who compares them now. Once finished it never changes. `breaking_in` and
    `undecided_in` are the first operations with such changes; `removed` the first that are gone, as [operation, ISO day
    until which it was promised to stay or ""], the last day first. `is_whole` is false where it was given up.
    """

    old_sha256 = models.CharField(max_length=64)
    new_sha256 = models.CharField(max_length=64)
    claimed_until = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    is_whole = models.BooleanField(default=True)
    breaking = models.PositiveIntegerField(default=0)
    undecided = models.PositiveIntegerField(default=0)
    compatible = models.PositiveIntegerField(default=0)
    breaking_in = models.JSONField(default=list)
    undecided_in = models.JSONField(default=list)
    removed = models.JSONField(default=list)

    objects = ComparisonQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(name="api_compared_once", fields=["workspace", "old_sha256", "new_sha256"])
        ]

    def __str__(self) -> str:
        return f"{self.old_sha256[:12]} and {self.new_sha256[:12]}"

    @property
    def total(self) -> int:
        return self.breaking + self.undecided + self.compatible

    @property
    def sentence(self) -> str:
        return f"{self.breaking:,} breaking, {self.undecided:,} that need a person, {self.compatible:,} compatible"


class ApiChange(TenantModel):
    """One change between two API descriptions. A higher `rank` is shown first: the worst, then as they were found."""

    comparison = models.ForeignKey(ApiComparison, on_delete=models.PROTECT, related_name="changes")
    rank = models.PositiveIntegerField()
    operation = models.CharField(max_length=300)
    place = models.CharField(max_length=300, blank=True)
    rule = models.CharField(max_length=60)
    effect = models.CharField(max_length=10, choices=ChangeEffect)
    sentence = models.CharField(max_length=500)
    sunset_date = models.DateField(null=True, blank=True)

    class Meta:
        ordering = ["-rank"]
        constraints = [
            models.UniqueConstraint(name="api_change_rank_once", fields=["comparison", "rank"]),
            models.CheckConstraint(name="api_change_effect_known", condition=Q(effect__in=ChangeEffect.values)),
        ]

    def __str__(self) -> str:
        return f"{self.operation}: {self.rule}"

    @property
    def tone(self) -> str:
        return ChangeEffect(self.effect).tone


class ApiPromise(TenantModel):
    """A version of a service's API, or an operation that was announced to end, and the day until which it stays.

    Described first at `since`. The day is six months after the announcement or later; the database sees to that, too.
    """

    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="api_promises")
    name = models.CharField(max_length=300)
    is_version = models.BooleanField()
    since = models.DateTimeField()
    announced_at = models.DateTimeField(null=True, blank=True)
    sunset_date = models.DateField(null=True, blank=True)

    class Meta:
        ordering = ["-since", "-pk"]
        constraints = [
            models.UniqueConstraint(name="api_promise_once", fields=["service", "name"]),
            all_or_none("api_promise_announced_whole", "announced_at", "sunset_date"),
        ]

    def __str__(self) -> str:
        return self.name

    def support_on(self, day: date) -> Support:
        if self.sunset_date is None:
            return Support.SUPPORTED
        return Support.DEPRECATED if day < self.sunset_date else Support.RETIRED


class EndOfLife(TenantModel):
    """A minor line of a service that somebody announced to end, and the first day on which it is not supported.

    The day is six months after the announcement or later; the database sees to that, too. A withdrawn one is of the
    past: the line may be announced anew, with the same notice.
    """

    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="ends_of_life")
    major = models.PositiveIntegerField()
    minor = models.PositiveIntegerField()
    ends_date = models.DateField()
    reason = models.CharField(max_length=300)
    announced_at = models.DateTimeField()
    announced_by = person()
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    withdrawn_by = person(null=True, blank=True)
    is_published = models.BooleanField(default=False)

    objects = EndOfLifeQuerySet.as_manager()

    class Meta:
        ordering = ["-announced_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                name="end_of_life_once", fields=["service", "major", "minor"], condition=Q(withdrawn_at=None)
            ),
            all_or_none("end_of_life_withdrawn_whole", "withdrawn_at", "withdrawn_by"),
        ]

    def __str__(self) -> str:
        return f"{self.service} {self.line}"

    @property
    def line(self) -> str:
        return f"{self.major}.{self.minor}"


class EventSubject(TenantModel):
    """A kind of event, and the service that publishes it: the first that did. Never changes."""

    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="event_subjects")
    name = models.CharField(max_length=120)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(name="event_subject_once", fields=["workspace", "name"])]

    def __str__(self) -> str:
        return self.name


class EventVersion(TenantModel):
    """A major version of an event: what consumers opt in to. Within it every schema fits the lower ones by `mode`.

    With `is_closed` events have no properties but the described ones. Dropped for good, while nobody consumes it.
    """

    subject = models.ForeignKey(EventSubject, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    mode = models.CharField(max_length=8, choices=EventMode)
    is_closed = models.BooleanField()
    published_at = models.DateTimeField()
    dropped_at = models.DateTimeField(null=True, blank=True)
    dropped_by = person(null=True, blank=True)

    objects = EventVersionQuerySet.as_manager()

    class Meta:
        ordering = ["-published_at", "-pk"]
        indexes = [models.Index(name="event_version_newest", fields=["-published_at", "-id"])]
        constraints = [
            models.UniqueConstraint(name="event_version_once", fields=["subject", "number"]),
            models.CheckConstraint(name="event_mode_known", condition=Q(mode__in=EventMode.values)),
            all_or_none("event_version_dropped_whole", "dropped_at", "dropped_by"),
        ]

    def __str__(self) -> str:
        return f"{self.subject} {self.number}"


class EventSchema(TenantModel):
    """One schema of an event, as it was published. Its content never changes; what a check of it found, neither.

    `source` is canonical JSON, `digest` its SHA-256 (hex), `release` the first that published it. `claimed_until` is
    the database's clock: who checks it now. `found` are the worst changes beside lower schemas of its version, as
    [beside, place, rule, effect, sentence]; `is_whole` is false where the check was given up.
    """

    version = models.ForeignKey(EventVersion, on_delete=models.PROTECT, related_name="schemas")
    minor = models.PositiveIntegerField()
    source = models.TextField()
    digest = models.CharField(max_length=64)
    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="+")
    published_at = models.DateTimeField()
    published_by_label = models.CharField(max_length=150)
    claimed_until = models.DateTimeField(null=True, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True)
    is_whole = models.BooleanField(default=True)
    breaking = models.PositiveIntegerField(default=0)
    undecided = models.PositiveIntegerField(default=0)
    compatible = models.PositiveIntegerField(default=0)
    found = models.JSONField(default=list)

    objects = EventSchemaQuerySet.as_manager()

    class Meta:
        ordering = ["-minor"]
        constraints = [models.UniqueConstraint(name="event_schema_once", fields=["version", "minor"])]

    def __str__(self) -> str:
        return f"{self.version}.{self.minor}"

    @property
    def number(self) -> str:
        return f"{self.version.number}.{self.minor}"

    @property
    def label(self) -> str:
        if self.checked_at is None:
            return "Being checked"
        return "Breaking" if self.breaking else "Needs a person" if self.undecided else "Compatible"

    @property
    def tone(self) -> str:
        if self.checked_at is None:
            return "run"
        return "bad" if self.breaking else "warn" if self.undecided else "ok"


class EventPublication(TenantModel):
    """That a list of events, kept as evidence of its release, has this schema. Insert-only."""

    evidence = models.ForeignKey(Evidence, on_delete=models.PROTECT, related_name="publications")
    schema = models.ForeignKey(EventSchema, on_delete=models.PROTECT, related_name="publications")

    class Meta:
        constraints = [models.UniqueConstraint(name="event_published_once", fields=["evidence", "schema"])]

    def __str__(self) -> str:
        return f"{self.schema}"


class EventConsumer(TenantModel):
    """A service that opted in to a version of an event, until it says otherwise."""

    version = models.ForeignKey(EventVersion, on_delete=models.PROTECT, related_name="consumers")
    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="consumes")
    opted_in_at = models.DateTimeField()
    opted_in_by_label = models.CharField(max_length=150)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by_label = models.CharField(max_length=150, null=True, blank=True)  # noqa: DJ001 set with ended_at

    objects = EventConsumerQuerySet.as_manager()

    class Meta:
        ordering = ["-opted_in_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                name="event_consumer_once", fields=["version", "service"], condition=Q(ended_at=None)
            ),
            all_or_none("event_consumer_ended_whole", "ended_at", "ended_by_label"),
        ]

    def __str__(self) -> str:
        return f"{self.service} of {self.version}"


class PushedCommit(TenantModel):
    """A push that a repository told of, until it has become a release or was refused. A lost hint is found by it.

    `delivery_id` and `body_digest` (SHA-256 of the signed bytes) each come once, so that nothing can be played again.
    `claimed_until` is the database's clock: who builds it now. `followed_at` is set once a release of the branch
    `develop` needs no more promotions by itself.
    """

    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="pushes")
    delivery_id = models.CharField(max_length=64)
    body_digest = models.CharField(max_length=64)
    ref = models.CharField(max_length=200)
    commit = models.CharField(max_length=64)
    pusher_label = models.CharField(max_length=150)
    author_email = models.CharField(max_length=254, blank=True)
    committer_email = models.CharField(max_length=254, blank=True)
    received_at = models.DateTimeField()
    state = models.CharField(max_length=8, choices=PushState, default=PushState.RECEIVED)
    claimed_until = models.DateTimeField(null=True, blank=True)
    settled_at = models.DateTimeField(null=True, blank=True)
    followed_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=300, blank=True)
    release = models.ForeignKey(Release, null=True, blank=True, on_delete=models.PROTECT, related_name="pushes")

    objects = PushQuerySet.as_manager()

    class Meta:
        ordering = ["-received_at"]
        constraints = [
            models.UniqueConstraint(name="push_delivery_once", fields=["service", "delivery_id"]),
            models.UniqueConstraint(name="push_body_once", fields=["service", "body_digest"]),
            models.CheckConstraint(name="push_state_known", condition=Q(state__in=PushState.values)),
            models.CheckConstraint(
                name="push_settled_whole",
                condition=Q(state=PushState.RECEIVED, settled_at=None, release=None)
                | Q(state=PushState.BUILT, settled_at__isnull=False, release__isnull=False)
                | Q(state=PushState.REFUSED, settled_at__isnull=False, release=None),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} at {self.commit[:12]}"

    @property
    def name(self) -> str:
        """The branch or tag, without its kind."""
        return self.ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
