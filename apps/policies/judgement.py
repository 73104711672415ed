"""What the rule of a gate answers with, and the words that rules share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from apps.policies.clauses import Clause, TierPolicy
from apps.policies.enums import Outcome
from apps.policies.facts import Facts

ENGINEERS = "Whoever releases the service"
OPERATORS = "DevOps"
NOBODY = ""


@dataclass(frozen=True)
class Judgement:
    """What a gate's own rule says, before it gets its name and clause."""

    outcome: Outcome
    sentence: str
    evidence: tuple[str, ...] = ()
    who: str = NOBODY
    next_open: datetime | None = None


Rule = Callable[[TierPolicy, Clause | None, Facts], Judgement]


def not_asked(policy: TierPolicy, what: str) -> Judgement:
    return Judgement(Outcome.NOT_REQUIRED, f"The policy of {policy.label} does not ask {what}.")


def listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def either(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
