"""Who may ask, decide and withdraw. One function for each verb, used by buttons, actions and the claim alike."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

from apps.accounts.enums import Capability
from apps.accounts.models import User
from apps.approvals.enums import PromotionState
from apps.approvals.models import ChecklistLine, Decision, Delegation, Promotion, Requirement, Tick, Waiver
from apps.audit.actors import Actor
from apps.core.verdict import Reason, Verdict, all_of, refused
from apps.releases import permissions as release_permissions
from apps.workspaces.models import Membership


@dataclass(frozen=True)
class Vote:
    """A decision that stands: one person on one requirement. `holder_id` lent them the role, None if it is theirs."""

    requirement_id: UUID
    person_id: UUID
    role_label: str
    holder_id: UUID | None = None


@dataclass(frozen=True)
class Loan:
    """A role that its holder has lent to the person in question, for a time."""

    role: str
    delegation_id: UUID
    holder: User


@dataclass(frozen=True)
class Decider:
    """Somebody through whom a role can decide: who holds it, or who was lent it."""

    person: User
    loan: Loan | None = None

    def __str__(self) -> str:
        return f"{self.person} for {self.loan.holder}" if self.loan else str(self.person)


@dataclass(frozen=True)
class VotingFacts:
    """`roles` are the codes that the person in question holds now in the promotion's workspace, `loans` the others that
    they may use for somebody.
    """

    roles: frozenset[str]
    votes: tuple[Vote, ...] = ()
    loans: tuple[Loan, ...] = ()


def votes_of(decisions: Iterable[Decision]) -> tuple[Vote, ...]:
    """This function will return decisions that stand as votes; they come with their requirements' roles."""
    return tuple(
        Vote(decision.requirement_id, decision.decided_by_id, decision.requirement.role.label, decision.on_behalf_of_id)
        for decision in decisions
    )


def may_request(by: User | Actor, *, right: Verdict, needs_people: bool) -> Verdict:
    """This function will say whether somebody may ask; `right` is what their roles say, `needs_people` whether the
    policy asks for approvals there.
    """
    if isinstance(by, Actor) and needs_people:
        return all_of(
            [right, refused("not_a_person", "Only a person can ask for a promotion that people must approve.")]
        )
    return right


def may_decide(by: User | Actor, requirement: Requirement, promotion: Promotion, facts: VotingFacts) -> Verdict:
    """This function will say whether somebody may approve or reject for this requirement now.

    Being a superuser makes no difference, and neither does any grant: only the role does.
    """
    if isinstance(by, Actor):
        return refused("not_a_person", "Only a person can decide; tokens and programs can't.")
    if promotion.state != PromotionState.PENDING:
        return refused("not_waiting", f"Nothing is left to decide: the promotion is {promotion.label.lower()}.")
    return Verdict(tuple(_hindrances(by, requirement, promotion, facts, loan_for(by, requirement, promotion, facts))))


def loan_for(by: User, requirement: Requirement, promotion: Promotion, facts: VotingFacts) -> Loan | None:
    """This function will return by whose loan somebody would decide; None where they hold the role, or nobody lent it.

    Of several it is the first by which they may.
    """
    if requirement.role_id in facts.roles:
        return None
    loans = [loan for loan in facts.loans if loan.role == requirement.role_id]
    usable = (loan for loan in loans if not any(_hindrances(by, requirement, promotion, facts, loan)))
    return next(usable, loans[0] if loans else None)


def may_delegate(by: User, membership: Membership, delegate: User, *, is_member: bool) -> Verdict:
    """This function will say whether somebody may lend a role: their own, by which they decide, to another member."""
    reasons = []
    if not by.is_active or membership.user_id != by.pk or membership.ended_at is not None:
        reasons.append(Reason("role_missing", f"You are not {membership.role.label} there: only who is may lend it."))
    if Capability.PROMOTION_DECIDE not in membership.role.capabilities:
        reasons.append(Reason("nothing_to_decide", f"{membership.role.label} decides on no promotion."))
    if delegate.pk == by.pk:
        reasons.append(Reason("own_delegate", "You can't stand in for yourself: choose somebody else."))
    elif not is_member or not delegate.is_active:
        reasons.append(Reason("not_a_member", f"{delegate} is no member of the workspace."))
    return Verdict(tuple(reasons))


def may_end_delegation(by: User, delegation: Delegation) -> Verdict:
    """This function will say whether somebody may end a delegation: who gave it, or who has it."""
    if by.is_active and by.pk in {delegation.membership.user_id, delegation.delegate_id}:
        return all_of(())
    return refused("not_yours", "Only who gave a delegation, or who has it, may end it.")


def may_waive(by: User | Actor, role: str, promotion: Promotion, *, holds_role: bool) -> Verdict:
    """This function will say whether somebody may waive a gate: who holds the role that its clause names, and had no
    part in what is waived for.
    """
    if isinstance(by, Actor):
        return refused("not_a_person", "Only a person can waive a gate; tokens and programs can't.")
    reasons = list(_own_part(by.pk, promotion, "You"))
    if not by.is_active:
        reasons.append(Reason("account_closed", "This account is closed."))
    if not holds_role:
        reasons.append(Reason("role_missing", f"This needs somebody who holds the role {role} there."))
    return Verdict(tuple(reasons))


def may_withdraw_waiver(by: User, waiver: Waiver, *, holds_role: bool) -> Verdict:
    """This function will say whether somebody may end a waiver early: who gave it, or who could give it by its role."""
    if by.is_active and (by.pk == waiver.granted_by_id or holds_role):
        return all_of(())
    return refused("role_missing", f"This needs who gave the waiver, or somebody who is {waiver.role} there.")


def may_tick(by: User | Actor, line: ChecklistLine, facts: VotingFacts) -> Verdict:
    """This function will say whether somebody may tick a line: who holds its role, or was lent it.

    Also who asked for the promotion or made the release: a tick says what was done, it does not approve.
    """
    if isinstance(by, Actor):
        return refused("not_a_person", "Only a person can tick a line; tokens and programs can't.")
    if line.role is None:
        return refused("goes_by_a_gate", f"This line ticks itself by {line.follows}: nobody else can.")
    reasons = [] if by.is_active else [Reason("account_closed", "This account is closed.")]
    if line.role_id not in facts.roles and loan_to_tick(line, facts) is None:
        reasons.append(Reason("role_missing", f"This needs somebody who is {line.role} there."))
    return Verdict(tuple(reasons))


def loan_to_tick(line: ChecklistLine, facts: VotingFacts) -> Loan | None:
    """This function will return by whose loan somebody would tick; None where they hold the role, or nobody lent it."""
    if line.role_id in facts.roles:
        return None
    return next((loan for loan in facts.loans if loan.role == line.role_id), None)


def may_take_back(by: User | Actor, tick: Tick, facts: VotingFacts) -> Verdict:
    """This function will say whether somebody may take a tick back: who gave it, or who could give it."""
    if isinstance(by, User) and by.is_active and tick.ticked_by_id == by.pk:
        return all_of(())
    return may_tick(by, tick.line, facts)


def may_approve_afterwards(by: User, promotion: Promotion, role: str, label: str, facts: VotingFacts) -> Verdict:
    """This function will say whether somebody may give an approval that an emergency left owed, as this role.

    `facts.votes` are all that were given on the promotion, before and after it: one person counts once.
    """
    reasons = [*_own_part(by.pk, promotion, "You")]
    if not by.is_active:
        reasons.append(Reason("account_closed", "This account is closed."))
    if role not in facts.roles:
        reasons.append(Reason("role_missing", f"This needs somebody who is {label} there."))
    reasons += [
        _counted("You" if vote.person_id == by.pk else "Your delegate", vote)
        for vote in facts.votes
        if by.pk in {vote.person_id, vote.holder_id}
    ]
    return Verdict(tuple(reasons))


def may_withdraw(by: User | Actor, promotion: Promotion, *, right: Verdict) -> Verdict:
    """This function will say whether somebody may withdraw it: who asked, or whose roles let them (`right`)."""
    if isinstance(by, User) and by.is_active and by.pk == promotion.requested_by_id:
        return all_of(())
    return right


def eligible(
    deciders: Iterable[Decider], requirement: Requirement, promotion: Promotion, votes: tuple[Vote, ...]
) -> list[Decider]:
    """This function will return those of a role's deciders who could decide for it while it waits, each person once."""
    facts = VotingFacts(frozenset({requirement.role_id}), votes)
    found: dict[UUID, Decider] = {}
    for decider in deciders:
        if not any(_hindrances(decider.person, requirement, promotion, facts, decider.loan)):
            found.setdefault(decider.person.pk, decider)
    return list(found.values())


def _hindrances(
    by: User, requirement: Requirement, promotion: Promotion, facts: VotingFacts, loan: Loan | None
) -> Iterator[Reason]:
    if not by.is_active:
        yield Reason("account_closed", "This account is closed.")
    yield from _own_part(by.pk, promotion, "You")
    if loan is not None:
        yield from _own_part(loan.holder.pk, promotion, f"{loan.holder}, for whom you would decide,")
    elif requirement.role_id not in facts.roles:
        yield Reason("role_missing", f"This needs somebody who is {requirement.role} there.")
    for vote in facts.votes:
        if vote.requirement_id == requirement.pk:
            yield Reason("already_decided", f"{vote.role_label} has decided already.")
        elif by.pk in {vote.person_id, vote.holder_id}:
            who = "You" if vote.person_id == by.pk else "Your delegate"
            yield _counted(who, vote)
        elif loan is not None and loan.holder.pk in {vote.person_id, vote.holder_id}:
            yield _counted(
                str(loan.holder) if vote.person_id == loan.holder.pk else f"Somebody for {loan.holder}", vote
            )


def _counted(who: str, vote: Vote) -> Reason:
    sentence = f"{who} decided as {vote.role_label}, and one person counts once: this needs somebody else."
    return Reason("counted_already", sentence)


def _own_part(person_id: UUID, promotion: Promotion, who: str) -> Iterator[Reason]:
    if person_id == promotion.requested_by_id:
        yield Reason("own_request", f"{who} asked for this promotion: somebody else must decide.")
    yield from release_permissions.own_change(person_id, promotion.release, who)
