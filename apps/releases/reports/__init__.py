"""What pipelines report of a release, read by libraries into a few figures that people and gates go by.

Each reader takes bytes and returns a dictionary for `Evidence.figures`; it touches nothing else.
"""

from collections.abc import Callable, Mapping
from typing import Any

from apps.releases.enums import EvidenceKind
from apps.releases.reports import coverage, findings, parts, tests
from apps.releases.reports.unreadable import Unreadable

__all__ = ["LIMIT", "Unreadable", "read"]

# Bytes. The reports of large suites have some megabytes; what is above would cost a web server its memory.
LIMIT = 16 << 20

_READERS: Mapping[EvidenceKind, Callable[[bytes], dict[str, Any]]] = {
    EvidenceKind.JUNIT: tests.read_junit,
    EvidenceKind.COBERTURA: coverage.read_cobertura,
    EvidenceKind.LCOV: coverage.read_lcov,
    EvidenceKind.SARIF: findings.read_sarif,
    EvidenceKind.CYCLONEDX: parts.read_cyclonedx,
}


def read(kind: EvidenceKind, report: bytes) -> dict[str, Any]:
    """This function will read a report. Raises Unreadable: with a sentence that says what is wrong with it.

    Shapes: JUNIT {"total", "passed", "failed", "skipped", "seconds", "failures"} · COBERTURA, LCOV {"lines",
    "covered", "percent"} · SARIF {"tool", "critical", "high", "medium", "low", "suppressed"} · CYCLONEDX {"subject",
    "components", "licences", "without_licence"}.
    """
    if not report.strip():
        raise Unreadable("The report is empty.")
    return _READERS[kind](report)
