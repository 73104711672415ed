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
