"""Who may change the rules: two people, of whom none is enough."""

from apps.accounts.enums import Capability
from apps.accounts.models import User
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.core.verdict import Verdict, all_of, refused
from apps.policies.models import PolicyProposal
from apps.workspaces import rights


def may_propose(by: User) -> Verdict:
    """This function will say whether somebody may propose another policy of a tier."""
    return rights.may(by, Capability.POLICY_CHANGE, PLATFORM_WORKSPACE_ID)


def may_activate(by: User, proposal: PolicyProposal) -> Verdict:
    """This function will say whether somebody may put a proposal in force: anybody who may propose, but its author."""
    verdicts = [may_propose(by)]
    if by.pk == proposal.proposed_by_id:
        verdicts.append(refused("own_proposal", "You proposed it: another person has to put it in force."))
    return all_of(verdicts)
