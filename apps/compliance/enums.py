from django.db import models


class Status(models.TextChoices):
    """What a check says now of a control. The worst of a control's checks is the control's."""

    MET = "MET", "Met"
    NOT_SHOWN = "NOT_SHOWN", "Not shown"
    ATTENTION = "ATTENTION", "Needs attention"

    @property
    def tone(self) -> str:
        return {Status.MET: "ok", Status.NOT_SHOWN: "idle", Status.ATTENTION: "bad"}[self]

    @property
    def rank(self) -> int:
        """The higher, the worse."""
        return list(Status).index(self)


class ReviewKind(models.TextChoices):
    """What people look at together from time to time."""

    METRICS = "METRICS", "Review of metrics"
    POLICY = "POLICY", "Review of policies"
    RECOVERY = "RECOVERY", "Test of disaster recovery"
    PENETRATION = "PENETRATION", "Penetration test"
    ACCESS = "ACCESS", "Review of access"
    AUDIT = "AUDIT", "Audit"
    OTHER = "OTHER", "Another review"


class Way(models.TextChoices):
    """By what somebody, or a program, can do something."""

    ROLE = "ROLE", "Role"
    LOAN = "LOAN", "Lent role"
    GRANT = "GRANT", "Grant on an object"
    TOKEN = "TOKEN", "API token"
    SUPERUSER = "SUPERUSER", "Superuser"


class Standing(models.TextChoices):
    """What is known of something that runs."""

    RECORDED = "RECORDED", "On record"
    DRIFT = "DRIFT", "Drift"
    NO_ENTRY = "NO_ENTRY", "No entry"

    @property
    def tone(self) -> str:
        return {Standing.RECORDED: "ok", Standing.DRIFT: "warn", Standing.NO_ENTRY: "bad"}[self]


class ExportForm(models.TextChoices):
    """As what the trail is taken away."""

    CSV = "CSV", "CSV"
    JSONL = "JSONL", "JSON Lines"
    PARQUET = "PARQUET", "Parquet"
    BUNDLE = "BUNDLE", "Signed bundle"

    @property
    def suffix(self) -> str:
        return {ExportForm.CSV: "csv", ExportForm.JSONL: "jsonl", ExportForm.PARQUET: "parquet"}.get(self, "zip")

    @property
    def content_type(self) -> str:
        return {
            ExportForm.CSV: "text/csv; charset=utf-8",
            ExportForm.JSONL: "application/jsonl; charset=utf-8",
            ExportForm.PARQUET: "application/vnd.apache.parquet",
            ExportForm.BUNDLE: "application/zip",
        }[self]


class ExportState(models.TextChoices):
    """Where an export stands."""

    QUEUED = "QUEUED", "Queued"
    RUNNING = "RUNNING", "Being written"
    DONE = "DONE", "Ready"
    FAILED = "FAILED", "Failed"
    CANCELLED = "CANCELLED", "Cancelled"
    EXPIRED = "EXPIRED", "Expired"

    @property
    def tone(self) -> str:
        return {
            ExportState.RUNNING: "run", ExportState.DONE: "ok", ExportState.FAILED: "bad",
        }.get(self, "idle")  # fmt: skip

    @property
    def is_open(self) -> bool:
        return self in (ExportState.QUEUED, ExportState.RUNNING)


class AnchorPlace(models.TextChoices):
    """Where checkpoints are brought outside the system."""

    MAIL = "MAIL", "By mail"
    WEBHOOK = "WEBHOOK", "By webhook"
    FOLDER = "FOLDER", "In a folder"


class StreamKind(models.TextChoices):
    """How entries leave as they are written."""

    SYSLOG = "SYSLOG", "Syslog over TLS"
    WEBHOOK = "WEBHOOK", "Webhook"

    @property
    def scheme(self) -> str:
        return "tls" if self == StreamKind.SYSLOG else "https"


class StreamState(models.TextChoices):
    ACTIVE = "ACTIVE", "Active"
    PAUSED = "PAUSED", "Paused"
    REMOVED = "REMOVED", "Removed"


class Wish(models.TextChoices):
    """What somebody proposes to do with the trail, for somebody else to confirm."""

    RETENTION = "RETENTION", "Keep entries for another time"
    CUT = "CUT", "Cut old entries"
    LIFT = "LIFT", "Lift a legal hold"
    ERASURE = "ERASURE", "Erase a person's data"


class WishState(models.TextChoices):
    OPEN = "OPEN", "Waits for another person"
    CONFIRMED = "CONFIRMED", "Confirmed"
    REJECTED = "REJECTED", "Rejected"
    WITHDRAWN = "WITHDRAWN", "Taken back"

    @property
    def tone(self) -> str:
        return {WishState.OPEN: "wait", WishState.CONFIRMED: "ok", WishState.REJECTED: "bad"}.get(self, "idle")


class HoldScope(models.TextChoices):
    """What a legal hold keeps."""

    WORKSPACE = "WORKSPACE", "Everything in the workspace"
    OBJECT = "OBJECT", "One object's history"
    ACTOR = "ACTOR", "What one person did, and what was done to them"


class CutState(models.TextChoices):
    """How far a cut is: what was confirmed is archived, then told of in the trail, and once that is sealed, removed."""

    CONFIRMED = "CONFIRMED", "Is to be archived"
    ARCHIVED = "ARCHIVED", "Archived"
    RECORDED = "RECORDED", "Waits for its seal"
    DONE = "DONE", "Removed"

    @property
    def tone(self) -> str:
        return "ok" if self == CutState.DONE else "run"


class LegalBasis(models.TextChoices):
    """By what somebody's data are erased, or entries removed."""

    CONSENT = "CONSENT", "GDPR art. 17 (1) b: consent was withdrawn"
    NOT_NEEDED = "NOT_NEEDED", "GDPR art. 17 (1) a: no longer needed"
    OBJECTION = "OBJECTION", "GDPR art. 17 (1) c: objection"
    UNLAWFUL = "UNLAWFUL", "GDPR art. 17 (1) d: unlawfully processed"
    OBLIGATION = "OBLIGATION", "GDPR art. 17 (1) e: legal obligation"
    STORAGE_LIMIT = "STORAGE_LIMIT", "GDPR art. 5 (1) e: storage limitation"
    OTHER = "OTHER", "Another, named in the reason"
