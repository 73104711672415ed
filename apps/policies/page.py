"""Policies as people read them: one in words, how two differ, and all in force as one document."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from itertools import islice
from typing import Any

from apps.accounts.models import Role
from apps.environments.enums import Tier
from apps.policies import documents, sources, words
from apps.policies.models import PolicyVersion
from apps.policies.strategy import Edition, Strategy, lines, shown_clauses, strategy_of, tier_section

AROUND = 2
CHANGES = {"+": "add", "-": "del"}


@dataclass(frozen=True)
class Line:
    """`change` is add, del or empty."""

    change: str
    text: str


def policy_page(document: Mapping[str, Any]) -> dict[str, Any]:
    """This function will put a kept document into what its page shows."""
    policy = documents.parse(document)
    facts = (
        *words.limits_of(policy),
        words.terms_of(policy.verification)[0],
        *words.traits_of(policy),
        *words.data_of(policy),
    )
    return {"clauses": shown_clauses(policy, _roles()), "facts": facts}


def strategy_in_force(versions: Iterable[PolicyVersion]) -> Strategy:
    """This function will make the strategy document of the versions in force."""
    editions = {version.tier: _edition(version) for version in versions}
    return strategy_of([editions[tier] for tier in Tier.values if tier in editions], _roles())


def differences(before: dict[str, Any], after: dict[str, Any]) -> dict[str, list[Line]]:
    """This function will tell the lines by which two documents of a tier differ, with those around them.

    Shapes: `in_words`, as the strategy document would differ, and `in_yaml`.
    """
    roles, both = _roles(), (before, after)
    policies = [documents.parse(each) for each in both]
    return {
        "in_words": _difference(*(list(lines(tier_section(each, shown_clauses(each, roles)))) for each in policies)),
        "in_yaml": _difference(*(sources.written(each, schema_url="").splitlines()[1:] for each in both)),
    }


def _difference(old: Sequence[str], new: Sequence[str]) -> list[Line]:
    found = islice(unified_diff(old, new, n=AROUND, lineterm=""), 2, None)
    return [Line("", "⋯") if line.startswith("@@") else Line(CHANGES.get(line[0], ""), line[1:]) for line in found]


def _edition(version: PolicyVersion) -> Edition:
    # Only the platform's people see proposals, and so who made them.
    proposal = getattr(version, "proposal", None)
    people = (str(version.created_by), str(proposal.decided_by)) if proposal else ("", "")
    return Edition(version.rules, version.number, version.digest, version.created_at, version.reason, *people)


def _roles() -> dict[str, str]:
    return dict(Role.objects.values_list("code", "label"))
