from django.db import models


class Plane(models.TextChoices):
    CONTROL = "CONTROL", "Control plane"
    DATA = "DATA", "Data plane"


class ArtifactKind(models.TextChoices):
    WHEELS = "WHEELS", "Hash-locked wheels"
    SOURCE = "SOURCE", "Built from source on push"
    CHART = "CHART", "Helm chart"


class ReleaseState(models.TextChoices):
    DRAFT = "DRAFT", "Draft"
    SEALED = "SEALED", "Sealed"
    QUARANTINED = "QUARANTINED", "Quarantined"
    RETIRED = "RETIRED", "Retired"

    @property
    def tone(self) -> str:
        return {"DRAFT": "idle", "SEALED": "ok", "QUARANTINED": "bad", "RETIRED": "idle"}[self.value]


class ReleaseKind(models.TextChoices):
    INITIAL = "INITIAL", "First release"
    PATCH = "PATCH", "Patch"
    MINOR = "MINOR", "Minor"
    MAJOR = "MAJOR", "Major"
    PRERELEASE = "PRERELEASE", "Pre-release"


class ReleaseSource(models.TextChoices):
    FORM = "FORM", "Form"
    API = "API", "API"
    WEBHOOK = "WEBHOOK", "Git push"
    IMPORT = "IMPORT", "Imported history"


class PushState(models.TextChoices):
    RECEIVED = "RECEIVED", "Waiting to be built"
    BUILT = "BUILT", "Built"
    REFUSED = "REFUSED", "No release"


class EvidenceKind(models.TextChoices):
    JUNIT = "JUNIT", "Tests (JUnit)"
    COBERTURA = "COBERTURA", "Coverage (Cobertura)"
    LCOV = "LCOV", "Coverage (LCOV)"
    SARIF = "SARIF", "Findings (SARIF)"
    TRIVY = "TRIVY", "Findings (Trivy)"
    ZAP = "ZAP", "Findings (ZAP)"
    DAST = "DAST", "Findings of a dynamic scan (SARIF)"
    CYCLONEDX = "CYCLONEDX", "Parts list (CycloneDX)"
    SPDX = "SPDX", "Parts list (SPDX)"
    PROVENANCE = "PROVENANCE", "Provenance (in-toto)"
    BENCHMARK = "BENCHMARK", "Benchmarks"
    OPENAPI = "OPENAPI", "API description (OpenAPI)"
    EVENTS = "EVENTS", "Events (JSON Schema)"
    CHECKLIST = "CHECKLIST", "Lines of checklists"


# Reports of these hold findings, which are kept one by one.
SCANS = (EvidenceKind.SARIF, EvidenceKind.TRIVY, EvidenceKind.ZAP, EvidenceKind.DAST)
PARTS_LISTS = (EvidenceKind.CYCLONEDX, EvidenceKind.SPDX)


class Severity(models.IntegerChoices):
    """How bad a finding is; a number, since lists show the worst first."""

    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4

    @property
    def word(self) -> str:
        """The name that figures, gates and policies know it by."""
        return self.name.lower()

    @property
    def tone(self) -> str:
        return {Severity.CRITICAL: "bad", Severity.HIGH: "bad", Severity.MEDIUM: "warn"}.get(self, "idle")


class Suite(models.TextChoices):
    """Which tests ran, where it was tests."""

    UNIT = "UNIT", "Unit tests"
    INTEGRATION = "INTEGRATION", "Integration tests"
    END_TO_END = "END_TO_END", "End-to-end tests"


class MigrationClass(models.TextChoices):
    """What can be done about a data migration that ran, once the release is to go back."""

    REVERSIBLE = "REVERSIBLE", "Reversible"
    FORWARD_COMPATIBLE = "FORWARD_COMPATIBLE", "Forward-compatible"
    FORWARD_ONLY = "FORWARD_ONLY", "Forward-only"

    @property
    def tone(self) -> str:
        return {"REVERSIBLE": "ok", "FORWARD_COMPATIBLE": "ok", "FORWARD_ONLY": "warn"}[self.value]

    @property
    def way_back(self) -> str:
        return {
            "REVERSIBLE": "To go back, a person runs its rollback procedure.",
            "FORWARD_COMPATIBLE": "To go back, only the application changes: its data stays.",
            "FORWARD_ONLY": "Nothing goes back by itself: a person restores the data first.",
        }[self.value]


class Support(models.TextChoices):
    """How long something that callers use is there; the labels are what pages say."""

    SUPPORTED = "SUPPORTED", "Supported"
    DEPRECATED = "DEPRECATED", "Deprecated"
    RETIRED = "RETIRED", "Retired"

    @property
    def tone(self) -> str:
        return {"SUPPORTED": "ok", "DEPRECATED": "warn", "RETIRED": "idle"}[self.value]


class SupportLevel(models.TextChoices):
    """What users of a release can count on, by its minor line; the labels are what pages say."""

    FULL = "FULL", "Full support"
    SECURITY = "SECURITY", "Security updates only"
    BEST_EFFORT = "BEST_EFFORT", "Best effort"
    ENDED = "ENDED", "End of life"
    NONE = "NONE", "Not supported"

    @property
    def tone(self) -> str:
        return {"FULL": "ok", "SECURITY": "ok", "BEST_EFFORT": "warn", "ENDED": "bad", "NONE": "idle"}[self.value]


class EventMode(models.TextChoices):
    """Who can read what within one major version of an event; as `contracts.events.Mode`."""

    BACKWARD = "BACKWARD", "New readers read old events"
    FORWARD = "FORWARD", "Old readers read new events"
    FULL = "FULL", "Both read both"


class ChangeEffect(models.TextChoices):
    """What a change of an API or an event does to those who use it; as `contracts.changes.Effect`."""

    BREAKING = "BREAKING", "Breaking"
    UNDECIDED = "UNDECIDED", "Needs a person"
    COMPATIBLE = "COMPATIBLE", "Compatible"

    @property
    def tone(self) -> str:
        return {"BREAKING": "bad", "UNDECIDED": "warn", "COMPATIBLE": "ok"}[self.value]
