"""The rules about reports of a release: each says what was measured, what is asked, and which reports say so.

A report that is missing is waited for; one that says too little stands until a newer one of the same kind says more.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from apps.policies.clauses import Clause, TierPolicy
from apps.policies.enums import Outcome
from apps.policies.facts import AcceptedFacts, Facts, ReportFacts
from apps.policies.judgement import ENGINEERS, Judgement, listed, moment, not_asked

SUITES = {"UNIT": "unit tests", "INTEGRATION": "integration tests", "END_TO_END": "end-to-end tests"}
SEVERITIES = ("low", "medium", "high", "critical")
TOLERATED = ("none", *SEVERITIES[:-1])
# How long a finding may be accepted for where the clause does not say, and at most.
ACCEPTED_DAYS, LONGEST_ACCEPTED_DAYS = 90, 365
NAMED = 3
PIPELINE = "The pipeline of the release"

_TESTS, _COVERAGE = ("JUNIT",), ("COBERTURA", "LCOV")
_DYNAMIC, _PARTS = ("ZAP", "DAST"), ("CYCLONEDX", "SPDX")
_FINDINGS = ("SARIF", "TRIVY", *_DYNAMIC)


def tests(policy: TierPolicy, clause: Clause | None, facts: Facts) -> Judgement:
    if clause is None:
        return not_asked(policy, "for reports of tests")
    reports = reports_of(facts, _TESTS)
    by_suite = {report.subject: report.figures for report in reports}
    asked = clause.words("suites")
    missing = [SUITES[suite] for suite in asked if suite not in by_suite]
    bad = [suite for suite in asked if suite in by_suite and not _all_passed(by_suite[suite])]
    limit = f"Asked: all {listed([SUITES[suite] for suite in asked])} pass."
    if missing and not bad:
        return awaited(f"There is no report of {listed(missing)} yet. {limit}", reports)
    said = "; ".join(f"{SUITES[suite]}: {_tally(by_suite[suite])}" for suite in bad or asked)
    sentence = f"{said[0].upper()}{said[1:]}. {limit}"
    return failed(sentence, reports) if bad else passed(sentence, reports)


def coverage(policy: TierPolicy, clause: Clause | None, facts: Facts) -> Judgement:
    """Reports of different formats are of different code, such as server and browser: their lines count together."""
    if clause is None:
        return not_asked(policy, "how much of the code tests reach")
    least, reports = clause.number("least_percent"), reports_of(facts, _COVERAGE)
    limit = f"Asked: at least {least} %."
    lines = sum(report.figures["lines"] for report in reports)
    if not lines:
        return awaited(f"There is no report of coverage yet. {limit}", reports)
    covered = sum(report.figures["covered"] for report in reports)
    # Cut, not rounded: 69.99 % is not 70 %.
    sentence = f"{covered * 1000 // lines / 10:g} % of {lines:,} lines were run. {limit}"
    return passed(sentence, reports) if covered * 100 >= least * lines else failed(sentence, reports)


def security_scan(policy: TierPolicy, clause: Clause | None, facts: Facts) -> Judgement:
    """The newest report of each scanner counts: two scanners look for different things. What was accepted does not,
    as long as that lasts, and as long as the clause lets an acceptance last. Where the clause says `dynamic`, one of
    them has to have tried the running release out.
    """
    if clause is None:
        return not_asked(policy, "for a security scan")
    reports, tolerated = reports_of(facts, _FINDINGS), clause.word("tolerated")
    too_bad = SEVERITIES[TOLERATED.index(tolerated) :]
    limit = "Asked: no finding." if tolerated == "none" else f"Asked: no finding above {tolerated}."
    if not reports:
        return awaited(f"There is no report of a security scan yet. {limit}", reports)
    is_awaited = clause.settings.get("dynamic") is True and not reports_of(facts, _DYNAMIC)
    accepted = [each for report in reports for each in _lasting(report.accepted, clause, facts.at)]
    counts = {name: sum(report.figures[name] for report in reports) for name in SEVERITIES}
    for each in accepted:
        counts[each.severity] -= each.count
    found = ", ".join(f"{counts[name]:,} {name}" for name in reversed(SEVERITIES))
    by = listed([report.subject or "a scanner" for report in reports])
    sentence = " ".join(filter(None, (f"{found}, by {by}. {limit}", _told(accepted))))
    if any(counts[name] for name in too_bad):
        return failed(sentence, reports)
    if is_awaited:
        return awaited(f"There is no report of a dynamic scan (DAST) yet. {sentence}", reports)
    return passed(sentence, reports)


def accepted_days(clause: Clause) -> int:
    """This function will say how many days a finding may be accepted for, by a clause of the gate `security_scan`."""
    return clause.number_or("accepted_days", ACCEPTED_DAYS)


def _lasting(accepted: tuple[AcceptedFacts, ...], clause: Clause, at: datetime) -> Iterator[AcceptedFacts]:
    for each in accepted:
        until = min(each.until, each.since + timedelta(days=accepted_days(clause)))
        if each.since <= at < until:
            yield replace(each, until=until)


def _told(accepted: Sequence[AcceptedFacts]) -> str:
    """Say how many are not counted, by whose word, until when the first of them lasts; who ends first comes first."""
    numbers: Counter[str] = Counter()
    ends: dict[str, set[datetime]] = {}
    for each in accepted:
        numbers[each.by] += each.count
        ends.setdefault(each.by, set()).add(each.until)
    people = sorted(numbers, key=lambda by: (min(ends[by]), by))
    said = [
        f"{numbers[by]:,} accepted by {by}{', the first' if len(ends[by]) > 1 else ''} until {moment(min(ends[by]))}"
        for by in people[:NAMED]
    ]
    if more := sum(numbers[by] for by in people[NAMED:]):
        said.append(f"{more:,} more")
    return f"Not counted: {listed(said)}." if said else ""


def parts_list(policy: TierPolicy, clause: Clause | None, facts: Facts) -> Judgement:
    if clause is None:
        return not_asked(policy, "for a list of parts")
    reports = reports_of(facts, _PARTS)
    if not reports:
        return awaited("There is no list of what the release is made of yet. Asked: one.", reports)
    count = reports[0].figures["components"]
    return passed(f"{count:,} {'component is' if count == 1 else 'components are'} listed.", reports)


def reports_of(facts: Facts, kinds: tuple[str, ...]) -> tuple[ReportFacts, ...]:
    """This function will return the reports of some kinds that count."""
    return tuple(report for report in facts.reports if report.kind in kinds)


def _all_passed(figures: Mapping[str, Any]) -> bool:
    return not figures["failed"] and figures["passed"] > 0


def _tally(figures: Mapping[str, Any]) -> str:
    skipped = f", {figures['skipped']:,} skipped" if figures["skipped"] else ""
    return f"{figures['passed']:,} of {figures['total']:,} passed{skipped}"


def passed(sentence: str, reports: tuple[ReportFacts, ...]) -> Judgement:
    """This function will let pass what these reports say."""
    return Judgement(Outcome.PASSED, sentence, _evidence(reports))


def failed(sentence: str, reports: tuple[ReportFacts, ...]) -> Judgement:
    """This function will hold back what these reports say: another one must come."""
    return Judgement(Outcome.FAILED, sentence, _evidence(reports), who=ENGINEERS)


def awaited(sentence: str, reports: tuple[ReportFacts, ...]) -> Judgement:
    """This function will wait for what the pipeline has not told yet."""
    return Judgement(Outcome.WAITING, sentence, _evidence(reports), who=PIPELINE)


def _evidence(reports: tuple[ReportFacts, ...]) -> tuple[str, ...]:
    return tuple(
        f"{report.label}{f', in {report.where}' if report.where else ''}, received {moment(report.at)}"
        for report in reports
    )
