"""What a tier asks of its environments themselves, beside what is seen of them. Pure.

A requirement names the setting whose value counts; each service's effective configuration may say it. TLS alone is no
setting: it is what the environment's addresses were seen to accept.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from apps.policies.clauses import Clause, TierPolicy
from apps.policies.enums import Outcome, Standing
from apps.policies.facts import EnvironmentFacts, Facts, ProbeFacts, ServiceFacts
from apps.policies.judgement import OPERATORS, Judgement, listed, not_asked
from apps.policies.needs import Limit, Need, Rule

NAMED, SHOWN = 3, 5
_WORST = (Standing.NOT_MET, Standing.UNKNOWN, Standing.MET)
_ON = frozenset({"enabled", "true", "on", "yes", "1", "active", "required"})
_OFF = frozenset({"disabled", "false", "off", "no", "0"})
_NUMBER = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*([A-Za-z%]{0,10})")
_DAYS = {"": Decimal(1), "d": Decimal(1), "day": Decimal(1), "days": Decimal(1), "w": Decimal(7), "weeks": Decimal(7)}
# How many hours are between two, in words and in numbers.
_HOURS = {"hourly": 1, "daily": 24, "weekly": 7 * 24, "monthly": 31 * 24}
_TLS = re.compile(r"1\.[0-3]")


@dataclass(frozen=True)
class Reading:
    """What a service, or an address of it, says, and what that means.

    `value` is None where it says nothing, `why` is "" where the requirement is met.
    """

    of: ServiceFacts | ProbeFacts
    standing: Standing
    value: str | None = None
    why: str = ""

    @property
    def service(self) -> str:
        return self.of.name if isinstance(self.of, ServiceFacts) else self.of.service

    @property
    def source(self) -> str:
        return self.of.source if isinstance(self.of, ServiceFacts) else self.of.address

    @property
    def is_probed(self) -> bool:
        return isinstance(self.of, ProbeFacts)


@dataclass(frozen=True)
class JudgedNeed:
    """A requirement and all that was read for it; `readings` is empty where nobody says anything."""

    need: Need
    standing: Standing
    readings: tuple[Reading, ...] = ()

    @property
    def shown(self) -> tuple[Reading, ...]:
        """The first readings, what is not met before what is."""
        return tuple(sorted(self.readings, key=lambda each: _WORST.index(each.standing))[:SHOWN])

    @property
    def more(self) -> int:
        return max(len(self.readings) - SHOWN, 0)


@dataclass(frozen=True)
class Tally:
    """How many requirements an environment meets."""

    met: int = 0
    not_met: int = 0
    unknown: int = 0

    @property
    def total(self) -> int:
        return self.met + self.not_met + self.unknown

    @property
    def standing(self) -> Standing:
        if self.not_met:
            return Standing.NOT_MET
        return Standing.UNKNOWN if self.unknown else Standing.MET

    @property
    def words(self) -> str:
        rest = [f"{count} {word}" for count, word in ((self.not_met, "not met"), (self.unknown, "unknown")) if count]
        return ", ".join([f"{self.met} of {self.total} met", *rest])


def judge(needs: Sequence[Need], seen: EnvironmentFacts, *, only: str = "") -> tuple[JudgedNeed, ...]:
    """This function will say of each requirement whether it is met.

    Shapes: in the order of `needs`. One that each service has to meet is asked of the service `only` names, if any.
    """
    return tuple(_judged(need, tuple(_readings(need, seen, only))) for need in needs)


def tally(judged: Sequence[JudgedNeed]) -> Tally:
    """This function will count them."""
    found = [each.standing for each in judged]
    return Tally(*(found.count(standing) for standing in (Standing.MET, Standing.NOT_MET, Standing.UNKNOWN)))


def environment(policy: TierPolicy, clause: Clause | None, facts: Facts) -> Judgement:
    """This function will judge the gate: the environment as it would be with what the promotion brings."""
    if clause is None or not policy.needs:
        return not_asked(policy, "anything of the environment itself")
    judged = judge(policy.needs, facts.seen or EnvironmentFacts(), only=facts.service)
    lacking = [each for each in judged if each.standing == Standing.NOT_MET]
    unknown = [each for each in judged if each.standing == Standing.UNKNOWN]
    evidence = tuple(f"{each.need.text} {told(each)}" for each in (*lacking, *unknown))
    said = f"{facts.environment}: {tally(judged).words}"
    if lacking:
        return Judgement(Outcome.FAILED, f"{said}. Not met: {_few(lacking)}.", evidence, who=OPERATORS)
    if unknown:
        return Judgement(Outcome.INCONCLUSIVE, f"{said}. Unknown: {_few(unknown)}.", evidence, who=OPERATORS)
    return Judgement(Outcome.PASSED, f"{said}.")


def told(judged: JudgedNeed) -> str:
    """This function will say what was seen, and what it should be."""
    wanted = f"Asked: {judged.need.limit_words}."
    wrong = [each for each in judged.readings if each.standing != Standing.MET]
    if not wrong:
        return f"Nothing says it. {wanted}" if judged.standing == Standing.UNKNOWN else wanted
    seen = "; ".join(f"{each.service}: {each.why}" for each in wrong[:NAMED])
    more = f" and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
    return f"{seen}{more}. {wanted}"


def _few(judged: Sequence[JudgedNeed]) -> str:
    names = [each.need.id for each in judged]
    return listed(names[:NAMED] + ([f"{len(names) - NAMED} more"] if len(names) > NAMED else []))


def _judged(need: Need, readings: tuple[Reading, ...]) -> JudgedNeed:
    found = {reading.standing for reading in readings}
    if Standing.NOT_MET in found:
        return JudgedNeed(need, Standing.NOT_MET, readings)
    return JudgedNeed(need, Standing.MET if found == {Standing.MET} else Standing.UNKNOWN, readings)


def _readings(need: Need, seen: EnvironmentFacts, only: str) -> Iterator[Reading]:
    if need.rule == Rule.LEAST_TLS:
        for probe in seen.probes:
            standing, why = _tls(probe.version, need.limit)
            value = f"TLS {probe.version} is the lowest it takes" if probe.version else None
            yield Reading(probe, standing, value, why)
        return
    for service in seen.services:
        value = service.values.get(need.key)
        asked = need.each and only in ("", service.name)
        if value is None and asked:
            yield Reading(service, Standing.UNKNOWN, None, f"{need.key} is not set")
        elif value is not None and (asked or not need.each):
            standing, why = _compared(need, value, service)
            yield Reading(service, standing, value, why)


def _compared(need: Need, value: str, service: ServiceFacts) -> tuple[Standing, str]:
    if need.rule.goes_by_production:
        beside = None if service.production is None else service.production.get(need.key)
        if beside is None:
            return Standing.UNKNOWN, f"Production does not say {need.key}"
        met = _BESIDE[need.rule](value, beside, need.limit)
        words = f"{value}, beside {beside} in Production"
    else:
        met, words = _RULES[need.rule](value, need.limit), value
    if met is None:
        return Standing.UNKNOWN, f"{words} can't be read"
    return (Standing.MET, "") if met else (Standing.NOT_MET, words)


def _tls(version: str, limit: Limit) -> tuple[Standing, str]:
    if not _TLS.fullmatch(version):
        return Standing.UNKNOWN, "no handshake came about"
    return (Standing.MET, "") if version >= str(limit) else (Standing.NOT_MET, f"TLS {version} is the lowest it takes")


def _number(value: str) -> tuple[Decimal, str] | None:
    found = _NUMBER.fullmatch(value.strip())
    return (Decimal(found[1]), found[2].lower()) if found else None


def _word(value: str) -> str:
    word = value.strip().lower()
    return "enabled" if word in _ON else "disabled" if word in _OFF else word


def _least(value: str, limit: Limit) -> bool | None:
    return None if (found := _number(value)) is None else found[0] >= Decimal(str(limit))


def _most(value: str, limit: Limit) -> bool | None:
    return None if (found := _number(value)) is None else found[0] <= Decimal(str(limit))


def _is(value: str, limit: Limit) -> bool:
    return _word(value) == _word(str(limit))


def _among(value: str, limit: Limit) -> bool | None:
    named = {part.strip().lower() for part in value.split(",") if part.strip()}
    known = {str(each).lower() for each in limit} if isinstance(limit, tuple) else set()
    return named <= known if named else None


def _least_days(value: str, limit: Limit) -> bool | None:
    found = _number(value)
    return None if found is None or found[1] not in _DAYS else found[0] * _DAYS[found[1]] >= Decimal(str(limit))


def _every(value: str, limit: Limit) -> bool | None:
    found = _number(value)
    hours = found[0] if found and found[1] in ("h", "hours") else _HOURS.get(value.strip().lower())
    return None if hours is None else hours <= _HOURS[str(limit)]


def _percent(value: str, beside: str, limit: Limit) -> bool | None:
    own, other = _number(value), _number(beside)
    if own is None or other is None or own[1] != other[1]:
        return None
    return own[0] * 100 >= other[0] * Decimal(str(limit))


def _same(value: str, beside: str, limit: Limit) -> bool:
    return _word(value) == _word(beside)


def _below(value: str, beside: str, limit: Limit) -> bool | None:
    own, other = _number(value), _number(beside)
    return None if own is None or other is None or own[1] != other[1] else own[0] < other[0]


_RULES: Mapping[Rule, Callable[[str, Limit], bool | None]] = {
    Rule.LEAST: _least,
    Rule.MOST: _most,
    Rule.IS: _is,
    Rule.AMONG: _among,
    Rule.LEAST_DAYS: _least_days,
    Rule.EVERY: _every,
}
_BESIDE: Mapping[Rule, Callable[[str, str, Limit], bool | None]] = {
    Rule.LEAST_PERCENT_OF_PRODUCTION: _percent,
    Rule.AS_IN_PRODUCTION: _same,
    Rule.BELOW_PRODUCTION: _below,
}
