"""The rule about what a release promises to those who call it, beside what they are promised by what runs."""

from collections.abc import Sequence

from apps.policies.clauses import Clause, TierPolicy
from apps.policies.enums import Outcome
from apps.policies.evidence import PIPELINE
from apps.policies.facts import ApiFacts, Facts
from apps.policies.judgement import ENGINEERS, Judgement, listed, not_asked

NAMED = 3


def api(policy: TierPolicy, clause: Clause | None, facts: Facts) -> Judgement:
    """A major release may break callers; with `sunset`, what it takes away must have been announced, and be over."""
    if clause is None:
        return not_asked(policy, "that those who call the API are served on")
    release, beside = facts.release, facts.api
    if beside is None or release.order <= beside.order:
        return Judgement(Outcome.NOT_REQUIRED, _nobody_calls(facts, beside))
    is_major = release.order[0] > beside.order[0]
    if is_major and not clause.settings.get("sunset"):
        return _may_break(release.version, beside)
    if not (beside.is_described and beside.is_version_described):
        return _awaited(release.version, beside)
    if not beside.is_compared:
        return Judgement(Outcome.RUNNING, f"The API is being compared with that of {_live(beside)}.")
    return _kept_up(release.version, beside, facts) if is_major else _served_on(beside)


def _nobody_calls(facts: Facts, beside: ApiFacts | None) -> str:
    if beside is None:
        return f"{facts.service} runs in no Production yet: nobody calls it there."
    return f"{facts.release.version} is not higher than {_live(beside)}."


def _may_break(version: str, beside: ApiFacts) -> Judgement:
    told = f"{version} is a major release after {beside.version}, so it may break callers"
    if not beside.is_compared:
        return Judgement(Outcome.NOT_REQUIRED, f"{told}.")
    return Judgement(Outcome.PASSED, f"{told}: {_tally(beside)}.", beside.breaking_in)


def _awaited(version: str, beside: ApiFacts) -> Judgement:
    missing = [name for name, there in ((version, beside.is_described), (_live(beside), beside.is_version_described))
               if not there]  # fmt: skip
    sentence = f"There is no API description of {listed(missing)}. Asked: one of each, to compare them."
    return Judgement(Outcome.WAITING, sentence, who=PIPELINE)


def _served_on(beside: ApiFacts) -> Judgement:
    if beside.breaking:
        sentence = f"{_some(beside.breaking, 'breaks', 'break')} callers of {_live(beside)}"
        return Judgement(
            Outcome.FAILED,
            f"{sentence}: {_named(beside.breaking_in)}. Only a major release may do that.",
            beside.breaking_in,
            who=ENGINEERS,
        )
    if beside.undecided:
        return _undecided(beside)
    return Judgement(Outcome.PASSED, f"Callers of {_live(beside)}, are served on: {_tally(beside)}.")


def _undecided(beside: ApiFacts) -> Judgement:
    sentence = f"{_some(beside.undecided, 'needs', 'need')} a person, since no rule decides whom it breaks"
    return Judgement(
        Outcome.INCONCLUSIVE,
        f"{sentence}: {_named(beside.undecided_in)}. Asked: a description without it.",
        beside.undecided_in,
        who=ENGINEERS,
    )


def _kept_up(version: str, beside: ApiFacts, facts: Facts) -> Judgement:
    unannounced = [operation for operation, until in beside.removed if until is None]
    early = [(operation, until) for operation, until in beside.removed if until and until > facts.at.date()]
    if not unannounced and not early:
        return _may_break(version, beside) if beside.is_whole else _undecided(beside)
    sentence = f"{version} takes away {_named(unannounced)}, never announced to end (x-sunset)." if unannounced else ""
    if early:
        last = max(until for _, until in early)
        named = _named([operation for operation, _ in early])
        sentence = f"{sentence} {version} takes away {named}, promised to stay until {last:%Y-%m-%d}.".strip()
    evidence = tuple(f"{operation}: {until or 'never announced'}" for operation, until in beside.removed)
    return Judgement(Outcome.FAILED, sentence, evidence, who=ENGINEERS)


def _live(beside: ApiFacts) -> str:
    return f"{beside.version}, which runs in Production"


def _tally(beside: ApiFacts) -> str:
    counts = ((beside.breaking, "breaking"), (beside.undecided, "undecided"), (beside.compatible, "compatible"))
    told = [f"{count:,} {word}" for count, word in counts if count]
    return f"{listed(told)} changes" if told else "nothing differs"


def _some(count: int, one: str, many: str) -> str:
    return f"1 change {one}" if count == 1 else f"{count:,} changes {many}"


def _named(operations: Sequence[str]) -> str:
    return listed([*operations[:NAMED], *(["others"] if len(operations) > NAMED else [])] or ["somewhere"])
