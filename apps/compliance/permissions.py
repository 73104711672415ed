"""Who may put reviews on the calendar of a workspace, who may complete one, and who decides what is kept."""

from uuid import UUID

from apps.accounts.enums import Capability
from apps.accounts.models import User
from apps.compliance.enums import Wish
from apps.compliance.models import Proposal, Review
from apps.core.verdict import ALLOWED, Verdict, all_of, refused
from apps.workspaces import rights
from apps.workspaces.models import Workspace


def may_manage(by: User, workspace: Workspace) -> Verdict:
    """This function will say whether somebody may change the calendar of reviews: who may change policies there, or an
    administrator of the workspace.
    """
    verdict = rights.may(by, Capability.POLICY_CHANGE, workspace.pk)
    return ALLOWED if verdict or rights.is_granted(by, (rights.ADMINISTER,), workspace) else verdict


def may_complete(by: User, review: Review) -> Verdict:
    """This function will say whether somebody may complete a review: its owner, or who holds the role that owns it."""
    if not by.is_active:
        return refused("account_closed", "This account is closed.")
    if review.owner_id == by.pk or _holds(by, review.owner_role_id, review.workspace_id):
        return ALLOWED
    return refused("not_owner", f"Only its owner may complete it: {review.owner_label}.")


def may_keep(by: User, workspace_id: UUID) -> Verdict:
    """This function will say whether somebody may decide what is kept of a workspace's trail, and hold entries."""
    return rights.may(by, Capability.AUDIT_KEEP, workspace_id)


def may_confirm(by: User, proposal: Proposal) -> Verdict:
    """This function will say whether somebody may confirm what was proposed: who may propose it, but its author."""
    verdicts = [may_keep(by, proposal.workspace_id)]
    if by.pk == proposal.proposed_by_id:
        verdicts.append(refused("own_proposal", "You proposed it: another person has to confirm it."))
    if proposal.wish == Wish.ERASURE and proposal.terms["person"] == str(by.pk):
        verdicts.append(refused("own_data", "It is about you: another person has to confirm it."))
    return all_of(verdicts)


def _holds(by: User, role: str | None, workspace_id: UUID) -> bool:
    return role is not None and rights.has_role(by, role, workspace_id)


def may_manage_streams(by: User, workspace: Workspace) -> Verdict:
    """This function will say whether somebody may let a workspace's trail stream elsewhere: as `may_manage`, since what
    leaves by it is all that the workspace does.
    """
    return may_manage(by, workspace)
