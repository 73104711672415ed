"""A policy changes by a proposal and by the decision of another person."""

from datetime import datetime
from typing import Any

from django.db import transaction

from apps.accounts.confirmation import Confirmation
from apps.accounts.models import Role, User
from apps.audit import actions as audit
from apps.core.canonical import sha256_of
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.core.texts import one_line
from apps.core.verdict import Conflict
from apps.environments.enums import Tier
from apps.policies import permissions, repository, sources
from apps.policies.confirming import confirmed_with, step_up_of_production
from apps.policies.enums import ProposalState
from apps.policies.models import PolicyProposal, PolicyVersion


class SameAsInForce(Conflict):
    code = "policy_in_force"
    next_step = "Change what shall be otherwise, then propose it."


class ProposalDecided(Conflict):
    code = "proposal_decided"


class ProposalOvertaken(Conflict):
    code = "proposal_overtaken"
    next_step = "Propose it anew on top of the policy that is in force now; its text is kept on this page."


@transaction.atomic
def propose(source: str, *, tier: str, reason: str, by: User, now: datetime, commit: str = "") -> PolicyProposal:
    """This function will keep another policy of a tier for somebody else to decide on; the one in force stays.

    Shapes: `commit` is the one that the text was read from, by `propose_commit` alone.
    Raises sources.InvalidSource: the text does not say a policy of this tier. Raises SameAsInForce: it says what the
    policy in force says.
    """
    permissions.may_propose(by).require()
    document = _read(source, tier)
    current = PolicyVersion.objects.in_force(tier).get()
    digest = sha256_of(document)
    if digest == current.digest:
        raise SameAsInForce(f"This says what version {current.number} says, which is in force.")
    proposal = PolicyProposal.objects.create(
        workspace_id=PLATFORM_WORKSPACE_ID,
        tier=tier,
        source=source,
        commit=commit,
        document=document,
        digest=digest,
        reason=one_line(reason, name="The reason", limit=300),
        based_on=current,
        proposed_at=now,
        proposed_by=by,
    )
    audit.record(
        "policy.proposed",
        by=by,
        target=proposal,
        summary=f"Proposed another policy of {Tier(tier).label}, on top of version {current.number}",
        reason=proposal.reason,
        before={"version": current.number, "digest": current.digest},
        after={"digest": digest, **({"commit": commit} if commit else {})},
    )
    return proposal


def propose_commit(commit: str, *, tier: str, reason: str, by: User, now: datetime) -> PolicyProposal:
    """This function will propose what a commit of the policies' repository says of a tier, word for word.

    Raises what `propose` raises, and repository.CommitUnknown.
    """
    permissions.may_propose(by).require()
    written = repository.at(tier, commit)
    return propose(written.source, tier=tier, reason=reason, by=by, now=now, commit=written.commit.hash)


@transaction.atomic
def activate(
    proposal: PolicyProposal, *, comment: str = "", by: User, now: datetime, confirmation: Confirmation | None = None
) -> PolicyVersion:
    """This function will put a proposal in force: every promotion that waits is judged by it from now on.

    Raises ProposalDecided. Raises ProposalOvertaken: another version came into force since it was written. Raises
    sources.InvalidSource: gates or roles have changed since, so that its text is no policy any more.
    Raises NotConfirmed: approvals of Production are confirmed, and this is not.
    """
    proposal = _locked(proposal)
    permissions.may_activate(by, proposal).require()
    proof = confirmed_with(step_up_of_production(), by, confirmation, now=now)
    # Who waited here for another activation finds no row in force, since its row is not the one that was looked for.
    current = PolicyVersion.objects.locked().in_force(proposal.tier).first()
    if current is None or current.pk != proposal.based_on_id:
        raise ProposalOvertaken(
            f"It was written on top of version {proposal.based_on.number}, which is no longer in force."
        )
    _read(proposal.source, proposal.tier)
    PolicyVersion.objects.filter(pk=current.pk).update(is_active=False)
    version = PolicyVersion.objects.create(
        workspace_id=proposal.workspace_id,
        tier=proposal.tier,
        number=current.number + 1,
        document=proposal.document,
        digest=proposal.digest,
        reason=proposal.reason,
        created_at=now,
        created_by=proposal.proposed_by,
        is_active=True,
    )
    _decide(proposal, ProposalState.ACTIVATED, comment=comment, by=by, now=now, version=version)
    audit.record(
        "policy.activated",
        by=by,
        target=version,
        summary=f"Put version {version.number} of the policy of {Tier(version.tier).label} in force, "
        f"which {proposal.proposed_by} proposed",
        reason=proposal.reason,
        before={"version": current.number, "digest": current.digest},
        after={"version": version.number, "digest": version.digest},
        approval={
            "proposal": str(proposal.pk),
            "proposed_by": str(proposal.proposed_by_id),
            "comment": comment,
            **({"confirmed_with": proof} if proof else {}),
        },
        people=[proposal.proposed_by],
    )
    return version


@transaction.atomic
def turn_down(proposal: PolicyProposal, *, comment: str, by: User, now: datetime) -> PolicyProposal:
    """This function will end a proposal: its author takes it back, anybody else who may decide rejects it.

    Raises ProposalDecided. Raises TextInvalid: there is no comment, which its author or its readers want.
    """
    comment = one_line(comment, name="The comment", limit=300)
    proposal = _locked(proposal)
    permissions.may_propose(by).require()
    is_own = by.pk == proposal.proposed_by_id
    state = ProposalState.WITHDRAWN if is_own else ProposalState.REJECTED
    _decide(proposal, state, comment=comment, by=by, now=now)
    audit.record(
        "policy.withdrawn" if is_own else "policy.rejected",
        by=by,
        target=proposal,
        summary=f"{'Took back' if is_own else 'Rejected'} a policy that was proposed for {Tier(proposal.tier).label}",
        reason=proposal.comment,
        before={"state": ProposalState.OPEN},
        after={"state": state},
    )
    return proposal


def _read(source: str, tier: str) -> dict[str, Any]:
    document, _policy = sources.read(source.encode(), tier=tier, roles=set(Role.objects.values_list("code", flat=True)))
    return document


def _locked(proposal: PolicyProposal) -> PolicyProposal:
    """Return the proposal as it is now, locked. Raises ProposalDecided: it is no longer open."""
    PolicyProposal.objects.locked().only("pk").get(pk=proposal.pk)
    found = PolicyProposal.objects.select_related("based_on", "proposed_by", "decided_by").get(pk=proposal.pk)
    if found.state != ProposalState.OPEN:
        raise ProposalDecided(f"{found.decided_by} has decided on it already: {found.label.lower()}.")
    return found


def _decide(
    proposal: PolicyProposal,
    state: ProposalState,
    *,
    comment: str,
    by: User,
    now: datetime,
    version: PolicyVersion | None = None,
) -> None:
    proposal.state, proposal.decided_at, proposal.decided_by, proposal.version = state, now, by, version
    proposal.comment = one_line(comment, name="The comment", limit=300) if comment else ""
    proposal.save(update_fields=["state", "decided_at", "decided_by", "version", "comment"])
