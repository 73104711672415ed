"""A policy as people read it: its clauses in words, and how it differs from another."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import unified_diff
from itertools import islice
from typing import Any

from apps.policies import documents, sources
from apps.policies.clauses import Owner
from apps.policies.gates import TITLES

OWNERS = {Owner.ALL: "Everybody", Owner.PLATFORM: "The platform's environments", Owner.CUSTOMER: "Customers' own"}
AROUND = 2
CHANGES = {"+": "add", "-": "del"}


@dataclass(frozen=True)
class ShownClause:
    id: str
    text: str
    gate: str
    settings: str
    owner: str
    source: str


@dataclass(frozen=True)
class Line:
    """`change` is add, del or empty."""

    change: str
    text: str


def policy_page(document: Mapping[str, Any]) -> dict[str, Any]:
    """This function will put a kept document into what its page shows."""
    policy = documents.parse(document)
    clauses = [
        ShownClause(
            clause.id, clause.text, TITLES[clause.gate], _in_words(clause.settings), OWNERS[clause.owner], clause.source
        )
        for clause in policy.clauses
    ]
    return {"policy": policy, "clauses": clauses}


def difference(before: dict[str, Any], after: dict[str, Any]) -> list[Line]:
    """This function will tell the lines of YAML by which two documents differ, with those around them."""
    old, new = (sources.written(document, schema_url="").splitlines()[1:] for document in (before, after))
    lines = islice(unified_diff(old, new, n=AROUND, lineterm=""), 2, None)
    return [Line("", "⋯") if line.startswith("@@") else Line(CHANGES.get(line[0], ""), line[1:]) for line in lines]


def _in_words(settings: Mapping[str, object]) -> str:
    return "; ".join(f"{name.replace('_', ' ')}: {_value(value)}" for name, value in settings.items())


def _value(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
