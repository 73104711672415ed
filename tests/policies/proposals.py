"""Another policy of QA, as somebody writes it."""

from typing import Any

from apps.accounts.models import User
from apps.policies import actions, sources
from apps.policies.models import PolicyProposal, PolicyVersion
from tests.accounts.factors import by_password
from tests.cast import NOW


def in_force(tier: str = "QA") -> PolicyVersion:
    return PolicyVersion.objects.in_force(tier).get()


def text(*, least: int = 80, tier: str = "QA") -> str:
    """Return the policy in force with one clause more."""
    document = in_force(tier).document
    clause = {
        "id": "QA-50", "gate": "coverage", "text": "Most of the code is tested.", "source": "A test",
        "settings": {"least_percent": least},
    }  # fmt: skip
    others = [row for row in document["clauses"] if row["id"] != clause["id"]]
    return sources.written({**document, "clauses": [*others, clause]}, schema_url="s")


def activate(proposal: PolicyProposal, *, by: User, **fields: Any) -> PolicyVersion:
    """Put it in force as somebody who has confirmed that it is them."""
    return actions.activate(proposal, by=by, now=NOW, confirmation=by_password(by), **fields)
