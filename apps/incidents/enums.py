from datetime import timedelta

from django.db import models


class Severity(models.TextChoices):
    SEV1 = "SEV1", "SEV1 · customers can't work"
    SEV2 = "SEV2", "SEV2 · customers work with difficulty"
    SEV3 = "SEV3", "SEV3 · customers hardly notice"
    SEV4 = "SEV4", "SEV4 · nobody outside notices"

    @property
    def tone(self) -> str:
        return {Severity.SEV1: "bad", Severity.SEV2: "bad", Severity.SEV3: "warn"}.get(self, "idle")

    @property
    def urgency(self) -> str:
        """Return PagerDuty's word for it."""
        return {Severity.SEV1: "critical", Severity.SEV2: "error", Severity.SEV3: "warning"}.get(self, "info")


class IncidentState(models.TextChoices):
    OPEN = "OPEN", "Open"
    RESOLVED = "RESOLVED", "Resolved"

    @property
    def tone(self) -> str:
        return "bad" if self == IncidentState.OPEN else "ok"


class EntryKind(models.TextChoices):
    """What an entry of the timeline is: people write notes, everything else is a fact that the portal saw."""

    DECLARED = "DECLARED", "Declared"
    NOTE = "NOTE", "Note"
    SEVERITY = "SEVERITY", "Severity changed"
    DEPLOYMENT = "DEPLOYMENT", "Deployment linked"
    RESOLVED = "RESOLVED", "Resolved"
    FACT = "FACT", "Seen by the portal"

    @property
    def icon(self) -> str:
        return {
            EntryKind.DECLARED: "siren", EntryKind.NOTE: "message-square", EntryKind.SEVERITY: "triangle-alert",
            EntryKind.DEPLOYMENT: "rocket", EntryKind.RESOLVED: "circle-check",
            EntryKind.FACT: "info",
        }[self]  # fmt: skip

    @property
    def tone(self) -> str:
        return {EntryKind.DECLARED: "bad", EntryKind.SEVERITY: "warn", EntryKind.RESOLVED: "ok"}.get(self, "idle")


# The lines of a timeline that whoever is on call is told of. Notes stay here: people write in them what they like.
TOLD = (EntryKind.DECLARED, EntryKind.SEVERITY, EntryKind.DEPLOYMENT, EntryKind.RESOLVED)


class DebtKind(models.TextChoices):
    """What an emergency leaves owed."""

    APPROVAL = "APPROVAL", "Approval afterwards"
    MERGE_BACK = "MERGE_BACK", "Hotfix merged back"
    POST_MORTEM = "POST_MORTEM", "Post-mortem"
    PUBLICATION = "PUBLICATION", "Publication of the post-mortem"


# How long after the emergency each may take, as the deployment policies say.
LASTS = {
    DebtKind.APPROVAL: timedelta(hours=24),
    DebtKind.MERGE_BACK: timedelta(hours=48),
    DebtKind.POST_MORTEM: timedelta(hours=48),
    DebtKind.PUBLICATION: timedelta(days=5),
}
# While one of these is overdue, only another emergency of the service goes on: without the first nobody has learned
# from it, without the second the next release takes the hotfix back.
HOLDING_BACK = (DebtKind.POST_MORTEM, DebtKind.MERGE_BACK)
