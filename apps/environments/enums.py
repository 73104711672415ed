from django.db import models


class Tier(models.TextChoices):
    """Where an environment stands on the way to production."""

    LOCAL = "LOCAL", "Local"
    DEV = "DEV", "Dev"
    QA = "QA", "QA"
    STAGING = "STAGING", "Staging"
    PRODUCTION = "PRODUCTION", "Production"

    @property
    def previous(self) -> "Tier | None":
        """Return the tier that a release must have passed before; None for those that ask for none."""
        return PREVIOUS_TIER[self]


PREVIOUS_TIER: dict[Tier, Tier | None] = {
    Tier.LOCAL: None,
    Tier.DEV: None,
    Tier.QA: Tier.DEV,
    Tier.STAGING: Tier.QA,
    Tier.PRODUCTION: Tier.STAGING,
}


class DataClass(models.TextChoices):
    SYNTHETIC = "SYNTHETIC", "Synthetic"
    MASKED = "MASKED", "Synthetic or masked"
    PRODUCTION_LIKE = "PRODUCTION_LIKE", "Production-like, anonymised"
    REAL = "REAL", "Real"


class DataKind(models.TextChoices):
    """What a data set was made of, and what was done to it on the way; or that it is gone."""

    SYNTHETIC = "SYNTHETIC", "Synthetic"
    MASKED = "MASKED", "Masked"
    ANONYMISED = "ANONYMISED", "Anonymised"
    REMOVED = "REMOVED", "Removed"


class RecordKind(models.TextChoices):
    """What is recorded of backups. A test names what it measured, and its evidence."""

    BACKUP = "BACKUP", "Backup"
    RESTORE_TEST = "RESTORE_TEST", "Restore test"
    RECOVERY_TEST = "RECOVERY_TEST", "Disaster recovery test"


class ResourceKind(models.TextChoices):
    DATA_STORE = "DATA_STORE", "Data store"
    EVENT_CHANNEL = "EVENT_CHANNEL", "Event channel"
    NAMESPACE = "NAMESPACE", "Namespace"
    ENDPOINT = "ENDPOINT", "Endpoint"


class FreezeScope(models.TextChoices):
    LANE = "LANE", "One service in one environment"
    ENVIRONMENT = "ENVIRONMENT", "One environment"
    WORKSPACE = "WORKSPACE", "A workspace"
    ALL = "ALL", "Everything"


class WindowKind(models.TextChoices):
    ALLOW = "ALLOW", "Deployments may start"
    DENY = "DENY", "Deployments may not start"


class Slot(models.TextChoices):
    BLUE = "BLUE", "Blue"
    GREEN = "GREEN", "Green"


class Answer(models.TextChoices):
    """Whether a release is to be had where its lane takes it from."""

    HELD = "HELD", "There"
    MISSING = "MISSING", "Not there"
    UNKNOWN = "UNKNOWN", "Not known"

    @property
    def tone(self) -> str:
        return {"HELD": "ok", "MISSING": "bad", "UNKNOWN": "idle"}[self.value]


class Health(models.TextChoices):
    HEALTHY = "HEALTHY", "Healthy"
    FAULTY = "FAULTY", "Faulty"
    UNKNOWN = "UNKNOWN", "No signal"

    @property
    def tone(self) -> str:
        return {"HEALTHY": "ok", "FAULTY": "bad", "UNKNOWN": "idle"}[self.value]
