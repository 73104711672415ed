"""Is what serves now good? Judged over samples, by the terms of the environment. Pure: no Django, no clock."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

# Nobody waits longer for the verdict on Production: what comes after is soak, the next tier's gate.
LONGEST_SECONDS = {"PRODUCTION": 120}
AT_MOST = (
    ("limit_seconds", 600),
    ("samples", 50),
    ("breaches", 50),
    ("least_requests", 1_000_000),
    ("most_error_percent", 100),
    ("most_p95_percent", 10_000),
    ("least_p95_ms", 60_000),
)


class WithoutTraffic(StrEnum):
    """What becomes of a healthy release that too few people asked anything while it was verified."""

    PASS = "PASS"  # noqa: S105  not a secret
    FAIL = "FAIL"
    HOLD = "HOLD"


class Verdict(StrEnum):
    OPEN = "OPEN"
    PASS = "PASS"  # noqa: S105  not a secret
    FAIL = "FAIL"
    HOLD = "HOLD"


@dataclass(frozen=True, slots=True)
class Terms:
    """A signal fails when `breaches` of its last `samples` that say something are over the limit.

    Units: whole percent; `most_p95_percent` of the p95 before, 200 is twice. Below `least_p95_ms` slower is noise.
    """

    limit_seconds: int = 120
    samples: int = 5
    breaches: int = 3
    least_requests: int = 20
    most_error_percent: int = 5
    most_p95_percent: int = 200
    least_p95_ms: int = 100
    without_traffic: WithoutTraffic = WithoutTraffic.PASS

    @property
    def goods(self) -> int:
        """After so many good samples of the last `samples` there is no room for enough breaches."""
        return self.samples - self.breaches + 1


@dataclass(frozen=True, slots=True)
class Traffic:
    """What users got in some time. `p95_ms` is None where nothing answered."""

    requests: int = 0
    errors: int = 0
    p95_ms: float | None = None

    @property
    def error_percent(self) -> float:
        return 100 * self.errors / self.requests if self.requests else 0.0


@dataclass(frozen=True, slots=True)
class Sample:
    """`fault` says what is wrong with the health check's answer; empty: nothing is."""

    fault: str = ""
    traffic: Traffic = Traffic()


@dataclass(frozen=True, slots=True)
class Limits:
    """What a sample may be at most. `p95_ms` is None where nothing is known to compare with."""

    error_percent: float
    p95_ms: float | None


@dataclass(frozen=True, slots=True)
class Judgement:
    verdict: Verdict
    sentence: str


@dataclass(frozen=True, slots=True)
class _Signal:
    """The last samples that say something, each with what is wrong with it."""

    faults: tuple[str, ...]
    terms: Terms

    @property
    def bad(self) -> int:
        return sum(map(bool, self.faults))

    @property
    def is_bad(self) -> bool:
        return self.bad >= self.terms.breaches

    @property
    def is_good(self) -> bool:
        return len(self.faults) - self.bad >= self.terms.goods

    @property
    def sentence(self) -> str:
        last = next(fault for fault in reversed(self.faults) if fault)
        return f"{last}, in {self.bad} of {len(self.faults)} samples."


def limits_of(terms: Terms, before: Traffic) -> Limits:
    """This function will say what is too much, given what users got before: nobody is blamed for what was so already.

    Shapes: too little traffic before is no measure of anything.
    """
    if before.requests < terms.least_requests:
        return Limits(terms.most_error_percent, None)
    usual = before.p95_ms
    return Limits(
        error_percent=max(terms.most_error_percent, before.error_percent),
        p95_ms=None if usual is None else max(terms.least_p95_ms, terms.most_p95_percent / 100 * usual),
    )


def says_something(terms: Terms, traffic: Traffic) -> bool:
    """This function will say whether there was enough traffic in a sample to speak of a rate."""
    return traffic.requests >= terms.least_requests


def judge(terms: Terms, before: Traffic, samples: Sequence[Sample], *, is_over: bool = False) -> Judgement:
    """This function will judge what serves by the samples so far, oldest first.

    `before` is what users got of the release before, `is_over` that the time of the verification has passed.
    """
    limits = limits_of(terms, before)
    telling = [sample.traffic for sample in samples if says_something(terms, sample.traffic)]
    health = _signal(terms, [sample.fault and f"the health check says: {sample.fault}" for sample in samples])
    errors = _signal(terms, [_too_many_errors(limits, traffic) for traffic in telling])
    times = _signal(terms, [_too_slow(limits, before, traffic) for traffic in telling])
    for signal in (health, errors, times):
        if signal.is_bad:
            return Judgement(Verdict.FAIL, _capital(signal.sentence))
    if not health.is_good:
        return _not_healthy_yet(terms, samples, is_over=is_over)
    if errors.is_good and times.is_good:
        return Judgement(Verdict.PASS, f"Good under traffic: {_figures(limits, before, telling[-1])}.")
    last = samples[-1].traffic  # too few requests to say something may still leave a doubt
    is_doubtful = bool(errors.bad or times.bad or _too_many_errors(limits, last) or _too_slow(limits, before, last))
    return _too_little_traffic(terms, _counted(terms, samples, telling), is_over=is_over, is_doubtful=is_doubtful)


def _not_healthy_yet(terms: Terms, samples: Sequence[Sample], *, is_over: bool) -> Judgement:
    if not is_over:
        return Judgement(Verdict.OPEN, "Its health is being looked at.")
    said = next((sample.fault for sample in reversed(samples) if sample.fault), "too few answers")
    return Judgement(Verdict.FAIL, f"Not healthy within {terms.limit_seconds} seconds: {said}.")


def _too_little_traffic(terms: Terms, counted: str, *, is_over: bool, is_doubtful: bool) -> Judgement:
    """Where traffic isn't asked for, nobody waits for it, unless what came so far leaves a doubt."""
    if is_over:
        return _without_traffic(terms, counted)
    if terms.without_traffic == WithoutTraffic.PASS and not is_doubtful:
        return Judgement(Verdict.PASS, f"Healthy; {counted}.")
    return Judgement(Verdict.OPEN, "Healthy; more traffic is waited for.")


def _without_traffic(terms: Terms, counted: str) -> Judgement:
    verdict = Verdict(terms.without_traffic.value)
    what = {Verdict.PASS: "Healthy", Verdict.FAIL: "Not verified", Verdict.HOLD: "Healthy, but not verified"}[verdict]
    return Judgement(verdict, f"{what}: {counted} within {terms.limit_seconds} seconds.")


def _signal(terms: Terms, faults: Sequence[str]) -> _Signal:
    return _Signal(tuple(faults[-terms.samples :]), terms)


def _too_many_errors(limits: Limits, traffic: Traffic) -> str:
    if traffic.error_percent <= limits.error_percent:
        return ""
    return (
        f"{traffic.errors} of {traffic.requests} requests failed "
        f"({traffic.error_percent:.1f} %), limit {limits.error_percent:.3g} %"
    )


def _too_slow(limits: Limits, before: Traffic, traffic: Traffic) -> str:
    if limits.p95_ms is None or traffic.p95_ms is None or traffic.p95_ms <= limits.p95_ms:
        return ""
    return f"p95 {traffic.p95_ms:.0f} ms against {before.p95_ms:.0f} ms before, limit {limits.p95_ms:.0f} ms"


def _figures(limits: Limits, before: Traffic, last: Traffic) -> str:
    return ", ".join(_each_figure(limits, before, last))


def _each_figure(limits: Limits, before: Traffic, last: Traffic) -> Iterator[str]:
    yield f"{last.error_percent:.1f} % of {last.requests} requests failed"
    if last.p95_ms is not None:
        yield f"p95 {last.p95_ms:.0f} ms" + (f" against {before.p95_ms:.0f} ms before" if limits.p95_ms else "")


def _counted(terms: Terms, samples: Sequence[Sample], telling: Sequence[Traffic]) -> str:
    return (
        f"too little traffic to compare, {len(telling)} of {len(samples)} samples had "
        f"{terms.least_requests} requests or more"
    )


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
