"""The rule about how long a release takes for what was measured, beside its targets and what runs in Production."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from apps.policies.clauses import Clause, TierPolicy
from apps.policies.enums import Outcome
from apps.policies.evidence import NAMED, awaited, failed, passed, reports_of
from apps.policies.facts import BaselineFacts, Facts, ReportFacts
from apps.policies.judgement import ENGINEERS, Judgement, listed, not_asked

_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


@dataclass(frozen=True)
class _Measured:
    """A benchmark beside what it is measured by: `goal` seconds, None where there is nothing; `by` names it."""

    name: str
    seconds: float
    goal: float | None = None
    by: str = ""

    @property
    def ratio(self) -> float:
        return self.seconds / self.goal if self.goal else 0.0

    def is_over(self, percent: int) -> bool:
        return self.goal is not None and self.seconds * 100 > self.goal * (100 + percent)

    def told(self, percent: int) -> str:
        most = _time((self.goal or 0) * (100 + percent) / 100)
        return f"{self.name} took {_time(self.seconds)}, at most {most} ({_time(self.goal or 0)} {self.by})"


def speed(policy: TierPolicy, clause: Clause | None, facts: Facts) -> Judgement:
    """A target that the report names goes before what Production takes: whoever set it knew why."""
    if clause is None:
        return not_asked(policy, "how long a release takes for things")
    percent, reports, beside = clause.number("limit_percent"), reports_of(facts, ("BENCHMARK",)), _beside(facts)
    asked = f"Asked: none is slower by more than {percent} % than its target{_or_than(beside)}."
    if not reports:
        is_awaited = clause.settings.get("reported") or (beside is not None and beside.reports)
        return awaited(f"There is no report of benchmarks yet. {asked}", reports) if is_awaited else _nothing(facts)
    measured = list(chain.from_iterable(_measured(report, beside) for report in reports))
    over = sorted((each for each in measured if each.is_over(percent)), key=lambda each: (-each.ratio, each.name))
    broken = [f"{name} failed" for report in reports for name in report.figures["failures"]]
    if over or any(report.figures["failed"] for report in reports):
        return failed(f"{_some([each.told(percent) for each in over] + broken)}. {asked}", reports)
    compared = [each for each in measured if each.goal is not None]
    if compared:
        return passed(f"{_tally(measured, compared)}{_missing(reports, beside)} {asked}", reports)
    if beside is None or not beside.reports:
        return _nothing(facts)
    sentence = f"No benchmark was also measured of {beside.version}, which runs in Production, or names a target."
    return Judgement(Outcome.INCONCLUSIVE, f"{sentence} {asked}", who=ENGINEERS)


def _nothing(facts: Facts) -> Judgement:
    """Say that a release can't be slow beside nothing. What it reports is what the next one is measured by."""
    beside = _beside(facts)
    runs = (
        f"{beside.version}, which runs in Production, was not measured"
        if beside
        else "nothing lower runs in Production"
    )
    return Judgement(Outcome.NOT_REQUIRED, f"No benchmark of {facts.release.version} names a target, and {runs}.")


def _beside(facts: Facts) -> BaselineFacts | None:
    """Return what runs in Production; None where nothing does, or nothing lower than the release."""
    beside = facts.baseline
    return beside if beside is not None and facts.release.order > beside.order else None


def _measured(report: ReportFacts, beside: BaselineFacts | None) -> Iterator[_Measured]:
    before = _results(beside, report.subject)
    for name, result in report.figures["results"].items():
        seconds, target = result["seconds"], result.get("target_seconds")
        if target:
            yield _Measured(name, seconds, target, "is its target")
        elif beside is not None and (goal := before.get(name, {}).get("seconds")):
            yield _Measured(name, seconds, goal, f"in {beside.version}")
        else:
            yield _Measured(name, seconds)


def _results(beside: BaselineFacts | None, subject: str) -> Mapping[str, Mapping[str, float]]:
    reports = beside.reports if beside is not None else ()
    return next((report.figures["results"] for report in reports if report.subject == subject), {})


def _tally(measured: list[_Measured], compared: list[_Measured]) -> str:
    worst = max(compared, key=lambda each: (each.ratio, each.name))
    told = f"the slowest beside that is {worst.name}: {worst.ratio * 100 - 100:+.1f} %"
    alone = len(measured) - len(compared)
    more = f" {alone:,} more have nothing to be compared with." if alone else ""
    return f"{len(compared):,} of {len(measured):,} benchmarks were compared, {told}.{more}"


def _missing(reports: tuple[ReportFacts, ...], beside: BaselineFacts | None) -> str:
    """Say what Production was measured by and this release no longer is: nobody can tell how long that takes now."""
    now = {(report.subject, name) for report in reports for name in report.figures["results"]}
    then = {
        (report.subject, name) for report in (beside.reports if beside else ()) for name in report.figures["results"]
    }
    gone = sorted(name for _, name in then - now)
    return f" No longer measured: {listed(_named(gone))}." if gone else ""


def _some(told: list[str]) -> str:
    return "; ".join(_named(told) or ["Benchmarks failed"])


def _named(names: list[str]) -> list[str]:
    return [*names[:NAMED], *([f"{len(names) - NAMED:,} more"] if len(names) > NAMED else [])]


def _or_than(beside: BaselineFacts | None) -> str:
    return f", or without one than in {beside.version}, which runs in Production" if beside else ""


def _time(seconds: float) -> str:
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds >= size), _UNITS[-1])
    return f"{seconds / size:.3g} {unit}"
