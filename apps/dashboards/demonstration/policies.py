"""The one rule that differs in the demonstration, changed as every policy is: by two people, in sight."""

from collections.abc import Mapping
from datetime import datetime

from apps.accounts import actions as account_actions
from apps.accounts.confirmation import Given
from apps.accounts.models import User
from apps.dashboards.demonstration.people import PASSWORD
from apps.environments.enums import Tier
from apps.policies import actions, sources
from apps.policies.models import PolicyProposal, PolicyVersion

SOAK_MINUTES = 1
REASON = "Demonstration: one minute of soak in Staging, not an hour, so that a visitor sees it end."


def shorten_soak(people: Mapping[str, User], *, now: datetime) -> None:
    """This function will let Production ask for a minute of soak, unless anybody has proposed anything for it yet."""
    if PolicyProposal.objects.filter(tier=Tier.PRODUCTION).exists():
        return
    shipped = PolicyVersion.objects.in_force(Tier.PRODUCTION).get().document
    clauses = [
        {**row, "settings": {**row["settings"], "soak_minutes": SOAK_MINUTES}}
        if "soak_minutes" in row["settings"]
        else row
        for row in shipped["clauses"]
    ]
    text = sources.written({**shipped, "clauses": clauses}, schema_url="/static/schemas/policy-1.json")
    proposal = actions.propose(text, tier=Tier.PRODUCTION, reason=REASON, by=people["devops"], now=now)
    second = people["engineering-manager"]
    confirmed = account_actions.confirm(second, Given(password=PASSWORD), place=None, now=now).confirmation
    actions.activate(proposal, comment="For the demonstration only", by=second, now=now, confirmation=confirmed)
