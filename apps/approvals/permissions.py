"""Who may ask, decide and withdraw. One function for each verb, used by buttons, actions and the claim alike."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

from apps.accounts.models import User
from apps.approvals.enums import PromotionState
from apps.approvals.models import Decision, Promotion, Requirement
from apps.audit.actors import Actor
from apps.core.verdict import Reason, Verdict, all_of, refused


@dataclass(frozen=True)
class Vote:
    """A decision that stands: one person on one requirement."""

    requirement_id: UUID
    person_id: UUID
    role_label: str


@dataclass(frozen=True)
class VotingFacts:
    """`roles` are the codes that the person in question holds now in the promotion's workspace."""

    roles: frozenset[str]
    votes: tuple[Vote, ...] = ()


def votes_of(decisions: Iterable[Decision]) -> tuple[Vote, ...]:
    """This function will return decisions that stand as votes; they come with their requirements' roles."""
    return tuple(
        Vote(decision.requirement_id, decision.decided_by_id, decision.requirement.role.label) for decision in decisions
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
    return Verdict(tuple(_hindrances(by, requirement, promotion, facts)))


def may_withdraw(by: User | Actor, promotion: Promotion, *, right: Verdict) -> Verdict:
    """This function will say whether somebody may withdraw it: who asked, or whose roles let them (`right`)."""
    if isinstance(by, User) and by.is_active and by.pk == promotion.requested_by_id:
        return all_of(())
    return right


def eligible(
    people: Iterable[User], requirement: Requirement, promotion: Promotion, votes: tuple[Vote, ...]
) -> list[User]:
    """This function will return those of a role's holders who could decide for it while it waits."""
    facts = VotingFacts(frozenset({requirement.role_id}), votes)
    return [person for person in people if not any(_hindrances(person, requirement, promotion, facts))]


def _hindrances(by: User, requirement: Requirement, promotion: Promotion, facts: VotingFacts) -> Iterator[Reason]:
    if not by.is_active:
        yield Reason("account_closed", "This account is closed.")
    yield from _own_part(by.pk, promotion)
    if requirement.role_id not in facts.roles:
        yield Reason("role_missing", f"This needs somebody who is {requirement.role} there.")
    for vote in facts.votes:
        if vote.requirement_id == requirement.pk:
            yield Reason("already_decided", f"{vote.role_label} has decided already.")
        elif vote.person_id == by.pk:
            yield Reason(
                "counted_already",
                f"You decided as {vote.role_label}, and one person counts once: this needs somebody else.",
            )


def _own_part(person_id: UUID, promotion: Promotion) -> Iterator[Reason]:
    release = promotion.release
    if person_id == promotion.requested_by_id:
        yield Reason("own_request", "You asked for this promotion: somebody else must decide.")
    if person_id == release.author_id:
        yield Reason("own_change", f"You wrote {release.version}: somebody else must decide.")
    elif person_id == release.committer_id:
        yield Reason("own_commit", f"You committed {release.version}: somebody else must decide.")
    elif person_id == release.created_by_id and release.author_id is None:
        # Where nobody is known as the author, who entered the release stands for them.
        yield Reason("own_release", f"You entered {release.version}: somebody else must decide.")
