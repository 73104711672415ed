"""What the figures of a report say, in one line."""

from collections.abc import Mapping
from typing import Any

from apps.releases.enums import EvidenceKind


def sentence_of(kind: EvidenceKind, figures: Mapping[str, Any]) -> str:  # noqa: PLR0911  one for each kind
    """This function will put the figures of `reports.read` into words."""
    match kind:
        case EvidenceKind.JUNIT:
            skipped = f", {figures['skipped']:,} skipped" if figures["skipped"] else ""
            failed = f", {figures['failed']:,} failed" if figures["failed"] else ""
            return f"{figures['passed']:,} of {figures['total']:,} passed{failed}{skipped}"
        case EvidenceKind.COBERTURA | EvidenceKind.LCOV:
            return f"{figures['percent']:g} % of {figures['lines']:,} lines were run"
        case EvidenceKind.SARIF | EvidenceKind.TRIVY | EvidenceKind.ZAP | EvidenceKind.DAST:
            counts = ", ".join(f"{figures[name]:,} {name}" for name in ("critical", "high", "medium", "low"))
            suppressed = f", {figures['suppressed']:,} suppressed" if figures["suppressed"] else ""
            cut = f", {figures['cut']:,} of them not listed" if figures.get("cut") else ""
            return f"{counts}{suppressed}{cut}" + (f", by {figures['tool']}" if figures["tool"] else "")
        case EvidenceKind.CYCLONEDX | EvidenceKind.SPDX:
            without = f", {figures['without_licence']:,} without a licence" if figures["without_licence"] else ""
            return f"{figures['components']:,} component{'' if figures['components'] == 1 else 's'}{without}"
        case EvidenceKind.PROVENANCE:
            return f"built by {figures['builder']}, {signature_of(figures)}"
        case EvidenceKind.BENCHMARK:
            failed = f", {figures['failed']:,} failed" if figures["failed"] else ""
            return f"{figures['benchmarks']:,} benchmarks{failed}, by {figures['tool']}"
        case EvidenceKind.OPENAPI:
            named = " ".join(filter(None, (figures["title"], figures["version"])))
            return f"{figures['operations']:,} operations" + (f" of {named}" if named else "")
        case EvidenceKind.EVENTS:
            return f"{figures['versions']:,} versions of {figures['subjects']:,} events"
        case EvidenceKind.CHECKLIST:
            done = sum(line["done"] for line in figures["lines"])
            taken_back = f", {undone:,} taken back" if (undone := len(figures["lines"]) - done) else ""
            return f"{done:,} line{'' if done == 1 else 's'} done{taken_back}"


def signature_of(figures: Mapping[str, Any]) -> str:
    """This function will say whether the signature of a provenance is one that this installation can trust."""
    if figures["signed_by"]:
        return f"signature verified (key {figures['signed_by']})"
    if not figures["has_signature"]:
        return "not signed"
    return "signature not verified: no key of it is known"
