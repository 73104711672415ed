"""What pipelines report of a release, read by libraries into a few figures that people and gates go by.

Each reader takes bytes and returns a dictionary for `Evidence.figures`; it touches nothing else.
"""

from collections.abc import Mapping
from typing import Any

from django.utils.module_loading import import_string

from apps.releases.enums import EvidenceKind

# Bytes. The reports of large suites have some megabytes; what is above would cost a web server its memory.
LIMIT = 16 << 20

# By name: the libraries behind them take a third of a second to import, in every process, and few ever read a report.
_READERS: Mapping[EvidenceKind, str] = {
    EvidenceKind.JUNIT: "tests.read_junit",
    EvidenceKind.COBERTURA: "coverage.read_cobertura",
    EvidenceKind.LCOV: "coverage.read_lcov",
    EvidenceKind.SARIF: "sarif.read_sarif",
    EvidenceKind.TRIVY: "trivy.read_trivy",
    EvidenceKind.ZAP: "zap.read_zap",
    EvidenceKind.DAST: "sarif.read_sarif",
    EvidenceKind.CYCLONEDX: "cyclonedx.read_cyclonedx",
    EvidenceKind.SPDX: "spdx.read_spdx",
    EvidenceKind.PROVENANCE: "provenance.read_provenance",
    EvidenceKind.BENCHMARK: "benchmarks.read_benchmark",
    EvidenceKind.OPENAPI: "contract.read_openapi",
    EvidenceKind.EVENTS: "events.read_events",
    EvidenceKind.CHECKLIST: "checklist.read_checklist",
}


class Unreadable(Exception):
    """It is no report of this kind; the text says why, and is fit for people."""


def read(kind: EvidenceKind, report: bytes) -> dict[str, Any]:
    """This function will read a report. Raises Unreadable: with a sentence that says what is wrong with it.

    Shapes: JUNIT {"total", "passed", "failed", "skipped", "seconds", "failures"} · COBERTURA, LCOV {"lines",
    "covered", "percent"} · SARIF, TRIVY, ZAP, DAST {"tool", "critical", "high", "medium", "low", "suppressed", "cut",
    "findings"}, where findings are `findings.Found`, the worst first, and `cut` is how many are not among them ·
    CYCLONEDX, SPDX {"subject", "components", "licences", "without_licence", "parts"}, where parts are `parts.Part` ·
    PROVENANCE {"tool", "builder", "sources": [{"repository", "commit"}], "subjects", "has_signature", "signed_by"},
    where subjects are SHA-256 (hex) · BENCHMARK {"tool", "benchmarks", "failed", "failures", "results"}, where results
    are {name: {"seconds", "target_seconds"}}, the target where one is named · OPENAPI {"title", "version",
    "operations", "promised"}, where promised are `contract.Promised` · EVENTS {"subjects", "versions", "published"},
    where published are `events.Published` · CHECKLIST {"at", "lines": [{"checklist", "line", "done", "proof"}]}, where
    `at` is a moment in UTC (ISO 8601).
    """
    if not report.strip():
        raise Unreadable("The report is empty.")
    reader = import_string(f"{__name__}.{_READERS[kind]}")
    figures: dict[str, Any] = reader(report)
    return figures
