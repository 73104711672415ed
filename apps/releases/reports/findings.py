"""What the readers of scanners' reports have in common: which findings are kept, and how one is known again."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from apps.releases.enums import Severity
from apps.releases.reports import Unreadable, documents

KEPT = 2000
MOST = 100_000

Raw = TypeVar("Raw")


class Found(NamedTuple):
    """One finding. `fingerprint` is the SHA-256 (hex) over what makes it the same in the next report."""

    severity: Severity
    rule: str
    place: str
    title: str
    fingerprint: str


def figures_of(
    tool: str,
    found: Sequence[tuple[Severity, Raw]],
    describe: Callable[[Severity, Raw], Found],
    *,
    suppressed: int,
    unlisted: Mapping[Severity, int] = MappingProxyType({}),
) -> dict[str, Any]:
    """This function will count findings by severity and describe the worst of them. Raises Unreadable: too many.

    Shapes: `unlisted` is how many more there are of a severity by the scanner's own word.
    """
    if len(found) > MOST:
        raise Unreadable(f"It holds {len(found):,} findings; at most {MOST:,} are read.")
    counts = Counter(severity for severity, _ in found) + Counter(unlisted)
    worst = sorted(found, key=lambda row: -row[0])[:KEPT]
    described = sorted((describe(*row) for row in worst), key=lambda one: (-one.severity, one.rule, one.place))
    return {
        "tool": tool[:200],
        **{severity.word: counts[severity] for severity in reversed(Severity)},
        "suppressed": suppressed,
        "cut": counts.total() - len(described),
        "findings": described,
    }


def make(severity: Severity, *, rule: str, place: str, title: str, known_by: Sequence[str]) -> Found:
    """This function will describe a finding as it may be stored; `known_by` with its rule make the fingerprint."""
    fingerprint = hashlib.sha256(json.dumps([rule, *known_by]).encode()).hexdigest()
    return Found(
        severity,
        documents.short(rule) or "without a rule",
        documents.short(place, 300),
        documents.short(title, 300) or documents.short(rule),
        fingerprint,
    )
