"""Facts in which every gate of Production lets pass, to be changed one by one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from apps.policies.facts import (
    ApiFacts,
    ArtifactFacts,
    BaselineFacts,
    DecisionFacts,
    Facts,
    FallbackFacts,
    MigrationFacts,
    RecordFacts,
    ReleaseFacts,
    ReportFacts,
    RequirementFacts,
    TierPassed,
    WindowFacts,
)

AT = datetime(2026, 11, 18, 19, 0, tzinfo=UTC)
DIGEST = "sha256:" + "a" * 64
PLAN = "p" * 64

LIVE = ReleaseFacts("1.0.0", (1, 0, 0, "~"), "SEALED")
NEW = ReleaseFacts("1.1.0", (1, 1, 0, "~"), "SEALED", commit="c0ffee")
WHOLE = ArtifactFacts(DIGEST, DIGEST, parts=3, stored=3)
FALLBACK = FallbackFacts(LIVE, WHOLE, "version 2")
BEFORE = ReleaseFacts("0.9.0", (0, 9, 0, "~"), "SEALED")
PATH = (
    TierPassed("Dev", AT - timedelta(days=3), "Dev", "Promotion #1"),
    TierPassed("QA", AT - timedelta(days=2), "QA", "Promotion #2"),
    TierPassed("Staging", AT - timedelta(days=1), "Staging", "Promotion #3"),
)


COMMIT, REPOSITORY = "c0ffee" * 6 + "c0ff", "https://github.com/eaip/greeter"
BUILDER = "https://github.com/actions/runner"
SOURCE = {"repository": f"git+{REPOSITORY}@refs/tags/v1.1.0", "commit": COMMIT}


def report(kind: str, subject: str = "", **figures: Any) -> ReportFacts:
    """Return a report with these figures; what isn't said is zero."""
    tests, lines = dict.fromkeys(("total", "passed", "failed", "skipped"), 0), {"lines": 0, "covered": 0}
    findings = dict.fromkeys(("critical", "high", "medium", "low"), 0)
    usual = {
        "JUNIT": tests,
        "COBERTURA": lines,
        "LCOV": lines,
        "SARIF": findings,
        "TRIVY": findings,
        "ZAP": findings,
        "DAST": findings,
        "CYCLONEDX": {"components": 0},
        "SPDX": {"components": 0},
        "PROVENANCE": {"builder": subject, "sources": [], "has_signature": False, "signed_by": ""},
        "BENCHMARK": {"failed": 0, "failures": [], "results": {}},
    }
    label = f"{subject.capitalize()} tests" if kind == "JUNIT" else kind
    return ReportFacts(kind, subject, label, {**usual[kind], **figures}, AT - timedelta(days=1), "QA")


REPORTS = (
    report("JUNIT", "UNIT", total=120, passed=120),
    report("JUNIT", "INTEGRATION", total=14, passed=12, skipped=2),
    report("COBERTURA", lines=1000, covered=700),
    report("SARIF", "semgrep", medium=2, low=5),
    report("CYCLONEDX", components=214),
    report("PROVENANCE", BUILDER, sources=[SOURCE], has_signature=True, signed_by="0123456789abcdef"),
    report("BENCHMARK", "pytest-benchmark", results={"parse": {"seconds": 0.0115}, "load": {"seconds": 0.5}}),
)

BASELINE = BaselineFacts(
    "1.0.0", LIVE.order, (report("BENCHMARK", "pytest-benchmark", results={"parse": {"seconds": 0.01}}),)
)
API = ApiFacts("1.0.0", LIVE.order, is_described=True, is_version_described=True, is_compared=True, compatible=4)


MIGRATION = MigrationFacts("0042", "REVERSIBLE", "a" * 64, "1.1.0")
FORWARD_ONLY = MigrationFacts("0043", "FORWARD_ONLY", "b" * 64, "1.1.0")


RECORDS = (
    RecordFacts("BACKUP", AT - timedelta(hours=26), True, True, 168, 30, 12),
    RecordFacts("RESTORE_TEST", AT - timedelta(days=92), rpo_minutes=60, rto_minutes=240),
    RecordFacts("RECOVERY_TEST", AT - timedelta(days=92, minutes=-1), rpo_minutes=60, rto_minutes=240),
)


def decision(person: str = "devops", **fields: Any) -> DecisionFacts:
    return replace(DecisionFacts(person, person, PLAN, AT + timedelta(days=1), holds_role=True), **fields)


def requirement(role: str = "DEVOPS", said: DecisionFacts | None = None, **fields: Any) -> RequirementFacts:
    return replace(RequirementFacts(role, role.capitalize(), said, ("Somebody",)), **fields)


def make_facts(**fields: Any) -> Facts:
    return replace(
        Facts(
            at=AT,
            service="Greeter",
            environment="Production",
            plan_hash=PLAN,
            release=NEW,
            artifact=WHOLE,
            reports=REPORTS,
            api=API,
            baseline=BASELINE,
            repository=REPOSITORY,
            path=PATH,
            live=LIVE,
            fallbacks=(FALLBACK,),
            records=RECORDS,
            window=WindowFacts(is_open=True, sentence="The window is open."),
            requirements=(requirement(said=decision()),),
        ),
        **fields,
    )
