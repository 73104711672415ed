"""What people say on a requirement."""

from datetime import datetime

from django.db import transaction

from apps.accounts.confirmation import Confirmation
from apps.accounts.models import User
from apps.approvals import permissions
from apps.approvals.actions.facts import open_case
from apps.approvals.actions.settling import lock, settle_locked, standing_decisions
from apps.approvals.deciders import loan_of
from apps.approvals.enums import WAITING, Choice, PromotionState
from apps.approvals.ledger import record
from apps.approvals.models import Decision, Delegation, Promotion, Requirement
from apps.approvals.permissions import VotingFacts, votes_of
from apps.approvals.plan import Plan, plan_difference
from apps.approvals.transitions import advance
from apps.audit.actors import Actor
from apps.core.texts import many_lines
from apps.core.verdict import Conflict, Invalid
from apps.policies.confirming import confirmed_with
from apps.workspaces.models import Membership

CONFIRM = "Open the promotion's page and decide there: its form asks you to confirm that it is you."


class UnknownChoice(Invalid):
    code = "unknown_choice"


class NotWaiting(Conflict):
    """The promotion no longer waits for anybody to decide, or to withdraw it."""

    code = "not_waiting"


class AlreadyDecided(Conflict):
    """The requirement is met: a double click, or somebody else was quicker."""

    code = "already_decided"


class StalePlan(Conflict):
    """What was shown is not what would be deployed."""

    code = "stale_plan"
    next_step = "Reload the page, read what changed, and decide again."


@transaction.atomic
def decide(
    requirement: Requirement,
    *,
    choice: str,
    comment: str,
    plan_hash: str,
    by: User,
    now: datetime,
    confirmation: Confirmation | None = None,
) -> Promotion:
    """This function will approve or reject for one requirement, on the plan that was shown.

    The promotion is settled before, so that nobody agrees to what is no longer so, and after. To reject ends it.
    Raises Denied: `by` may not decide. Raises NotConfirmed: the policy asks that they confirm that it is them, and
    `confirmation` does not count. Raises AlreadyDecided, NotWaiting, StalePlan: as they say.
    Raises UnknownChoice, TextInvalid: for the choice and the comment, which a rejection must have.
    """
    if choice not in Choice.values:
        raise UnknownChoice("Choose to approve or to reject.")
    comment = many_lines(comment, name="The comment", limit=2000, required=choice == Choice.REJECT)
    promotion = lock(requirement.promotion_id)
    shown = promotion.plan
    known = promotion.plan_hash == plan_hash
    case = open_case(promotion) if promotion.state in WAITING else None
    promotion = settle_locked(promotion, now=now, case=case)
    requirement = promotion.requirements.select_related("role").get(pk=requirement.pk)
    decisions = standing_decisions(promotion)
    _require_open(promotion, requirement, decisions)
    facts = voting_facts(by, promotion, decisions, now=now)
    permissions.may_decide(by, requirement, promotion, facts).require()
    loan = permissions.loan_for(by, requirement, promotion, facts)
    if plan_hash != promotion.plan_hash:
        raise StalePlan(_what_changed(promotion, shown if known else None))
    step_up = case.policy.step_up(requirement.role_id) if case else None
    proof = confirmed_with(step_up, by, confirmation, now=now, next_step=CONFIRM)
    decision = Decision.objects.create(
        workspace_id=promotion.workspace_id,
        requirement=requirement,
        promotion=promotion,
        choice=choice,
        comment=comment,
        plan_hash=plan_hash,
        decided_at=now,
        decided_by=by,
        on_behalf_of=loan.holder if loan else None,
        delegation_id=loan.delegation_id if loan else None,
        confirmed_with=proof,
    )
    _record(decision)
    if choice == Choice.REJECT:
        why = f"{decision.people} rejected it as {requirement.role}: {comment}"
        return advance(
            promotion, PromotionState.REJECTED, by=by, now=now, sentence="was rejected", outcome=why, reason=comment
        )
    return settle_locked(promotion, now=now, case=case)


def voting_facts(by: User | Actor, promotion: Promotion, decisions: list[Decision], *, now: datetime) -> VotingFacts:
    """This function will look up what `may_decide` must know about a person (two queries).

    What they were lent is locked: whoever ends it meanwhile comes before the decision or after it.
    """
    votes = votes_of(decisions)
    if not isinstance(by, User):
        return VotingFacts(frozenset(), votes)
    roles = Membership.objects.current().filter(user_id=by.pk, workspace_id=promotion.workspace_id)
    lent = Delegation.objects.in_force(now).filter(delegate_id=by.pk, workspace_id=promotion.workspace_id)
    loans = tuple(loan_of(delegation) for delegation in lent.locked().with_people().order_by("given_at", "pk"))
    return VotingFacts(frozenset(roles.values_list("role_id", flat=True)), votes, loans)


def _require_open(promotion: Promotion, requirement: Requirement, decisions: list[Decision]) -> None:
    for decision in decisions:
        if decision.requirement_id == requirement.pk:
            raise AlreadyDecided(
                f"{decision.people} decided on this as {requirement.role} at {decision.decided_at:%H:%M} UTC."
            )
    if promotion.state != PromotionState.PENDING or requirement.ended_at:
        raise NotWaiting(
            f"Promotion #{promotion.number} is {promotion.label.lower()}: nothing is left to decide as "
            f"{requirement.role}. {promotion.outcome}".strip()
        )


def _what_changed(promotion: Promotion, shown: Plan | None) -> str:
    changes = plan_difference(shown, promotion.plan) if shown else (promotion.outcome,)
    return " ".join(("The plan is not the one that you were shown.", *changes)).strip()


def _record(decision: Decision) -> None:
    promotion, requirement = decision.promotion, decision.requirement
    verb = "approved" if decision.choice == Choice.APPROVE else "rejected"
    confirmed = f", confirmed with {decision.get_confirmed_with_display()}" if decision.confirmed_with else ""
    record(
        promotion,
        f"decision.{verb}",
        f"was {verb} by {decision.people} as {requirement.role}{confirmed}",
        by=decision.decided_by,
        people=decision.named,
        reason=decision.comment,
        approval={
            "decision": str(decision.pk),
            "requirement": requirement.role_id,
            "choice": decision.choice,
            "plan_hash": decision.plan_hash,
            **(
                {"on_behalf_of": str(decision.on_behalf_of), "delegation": str(decision.delegation_id)}
                if decision.on_behalf_of
                else {}
            ),
            **({"confirmed_with": decision.confirmed_with} if confirmed else {}),
        },
    )
