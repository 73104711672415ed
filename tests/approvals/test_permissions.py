"""Who may decide, as a truth table over objects that were never saved."""

import uuid

import pytest

from apps.accounts.models import Role, User
from apps.approvals.enums import PromotionState
from apps.approvals.models import Delegation, Promotion, Requirement
from apps.approvals.permissions import (
    Decider,
    Loan,
    Vote,
    VotingFacts,
    eligible,
    loan_for,
    may_decide,
    may_delegate,
    may_end_delegation,
    may_request,
    may_withdraw,
)
from apps.audit.actors import SYSTEM, Actor
from apps.core.verdict import ALLOWED, refused
from apps.releases.models import Release
from apps.workspaces.models import Membership

ME, SOMEBODY, HOLDER = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
DEVOPS = Role(code="DEVOPS", label="DevOps", capabilities=[])
REQUIREMENT = Requirement(id=uuid.uuid4(), role=DEVOPS)
HELD = VotingFacts(frozenset({"DEVOPS"}))
TOKEN = Actor("TOKEN", "1", "CI")
NO = refused("role_missing", "No.")


def person(**fields):
    return User(**{"id": ME, "username": "me", "is_active": True, **fields})


def make_promotion(**fields):
    names = ("author_id", "committer_id", "created_by_id")
    release = Release(version="1.1.0", **{name: fields.pop(name, SOMEBODY) for name in names})
    return Promotion(**{"state": PromotionState.PENDING, "requested_by_id": SOMEBODY, "release": release, **fields})


def voted(requirement_id, person_id):
    return VotingFacts(frozenset({"DEVOPS"}), (Vote(requirement_id, person_id, "Security"),))


@pytest.mark.parametrize(
    ("by", "promotion", "facts", "codes"),
    [
        (person(), make_promotion(), HELD, []),
        (person(is_superuser=True), make_promotion(), HELD, []),
        (person(), make_promotion(author_id=None, created_by_id=SOMEBODY), HELD, []),
        (person(), make_promotion(created_by_id=ME), HELD, []),
        (person(), make_promotion(requested_by_id=None), HELD, []),
        (person(), make_promotion(), voted(uuid.uuid4(), SOMEBODY), []),
        (SYSTEM, make_promotion(), HELD, ["not_a_person"]),
        (TOKEN, make_promotion(), HELD, ["not_a_person"]),
        (person(is_active=False), make_promotion(), HELD, ["account_closed"]),
        (person(), make_promotion(requested_by_id=ME), HELD, ["own_request"]),
        (person(), make_promotion(author_id=ME), HELD, ["own_change"]),
        (person(), make_promotion(author_id=ME, committer_id=ME), HELD, ["own_change"]),
        (person(), make_promotion(committer_id=ME), HELD, ["own_commit"]),
        (person(), make_promotion(author_id=None, created_by_id=ME), HELD, ["own_release"]),
        (person(), make_promotion(requested_by_id=ME, author_id=ME), HELD, ["own_request", "own_change"]),
        (person(), make_promotion(), VotingFacts(frozenset()), ["role_missing"]),
        (person(), make_promotion(), VotingFacts(frozenset({"SECURITY"})), ["role_missing"]),
        (person(is_superuser=True), make_promotion(), VotingFacts(frozenset()), ["role_missing"]),
        (person(), make_promotion(), voted(uuid.uuid4(), ME), ["counted_already"]),
        (person(), make_promotion(), voted(REQUIREMENT.pk, SOMEBODY), ["already_decided"]),
        (person(), make_promotion(), voted(REQUIREMENT.pk, ME), ["already_decided"]),
        *(
            (person(), make_promotion(state=state), HELD, ["not_waiting"])
            for state in PromotionState
            if state != PromotionState.PENDING
        ),
    ],
)
def test_may_decide(by, promotion, facts, codes):
    verdict = may_decide(by, REQUIREMENT, promotion, facts)

    assert [reason.code for reason in verdict.reasons] == codes
    assert all(reason.sentence.endswith(".") for reason in verdict.reasons)


@pytest.mark.parametrize(
    ("by", "right", "needs_people", "codes"),
    [
        (person(), ALLOWED, True, []),
        (person(), ALLOWED, False, []),
        (person(), NO, False, ["role_missing"]),
        (SYSTEM, ALLOWED, False, []),
        (SYSTEM, ALLOWED, True, ["not_a_person"]),
        (TOKEN, NO, True, ["role_missing", "not_a_person"]),
    ],
)
def test_may_request(by, right, needs_people, codes):
    assert [reason.code for reason in may_request(by, right=right, needs_people=needs_people).reasons] == codes


@pytest.mark.parametrize(
    ("by", "requested_by", "right", "allowed"),
    [
        (person(), ME, NO, True),
        (person(), SOMEBODY, NO, False),
        (person(), SOMEBODY, ALLOWED, True),
        (person(is_active=False), ME, NO, False),
        (TOKEN, None, NO, False),
        (SYSTEM, None, ALLOWED, True),
    ],
)
def test_may_withdraw(by, requested_by, right, allowed):
    assert bool(may_withdraw(by, make_promotion(requested_by_id=requested_by), right=right)) is allowed


def test_those_who_could_decide_are_the_holders_whom_nothing_bars():
    me, colleague = person(), person(id=uuid.uuid4(), username="colleague")

    mine, theirs = Decider(me), Decider(colleague)

    assert eligible([mine, theirs], REQUIREMENT, make_promotion(author_id=ME), ()) == [theirs]
    assert eligible([mine], REQUIREMENT, make_promotion(author_id=ME), ()) == []


def lent(*votes, holder=HOLDER, roles=()):
    loan = Loan("DEVOPS", uuid.uuid4(), User(id=holder, username="holder", display_name="Hanna"))
    return VotingFacts(frozenset(roles), votes, (loan,))


@pytest.mark.parametrize(
    ("promotion", "facts", "codes"),
    [
        (make_promotion(), lent(), []),
        (make_promotion(requested_by_id=ME), lent(), ["own_request"]),
        (make_promotion(author_id=ME), lent(), ["own_change"]),
        (make_promotion(committer_id=ME), lent(), ["own_commit"]),
        (make_promotion(requested_by_id=HOLDER), lent(), ["own_request"]),
        (make_promotion(author_id=HOLDER), lent(), ["own_change"]),
        (make_promotion(committer_id=HOLDER), lent(), ["own_commit"]),
        (make_promotion(author_id=None, created_by_id=HOLDER), lent(), ["own_release"]),
        (make_promotion(requested_by_id=HOLDER), lent(roles=("DEVOPS",)), []),
        (make_promotion(), lent(Vote(uuid.uuid4(), SOMEBODY, "Security")), []),
        (make_promotion(), lent(Vote(uuid.uuid4(), ME, "Security")), ["counted_already"]),
        (make_promotion(), lent(Vote(uuid.uuid4(), ME, "Security", SOMEBODY)), ["counted_already"]),
        (make_promotion(), lent(Vote(uuid.uuid4(), SOMEBODY, "Security", ME)), ["counted_already"]),
        (make_promotion(), lent(Vote(uuid.uuid4(), HOLDER, "Security")), ["counted_already"]),
        (make_promotion(), lent(Vote(uuid.uuid4(), SOMEBODY, "Security", HOLDER)), ["counted_already"]),
        (make_promotion(), lent(Vote(REQUIREMENT.pk, SOMEBODY, "DevOps")), ["already_decided"]),
    ],
)
def test_who_decides_for_somebody_is_barred_for_both(promotion, facts, codes):
    verdict = may_decide(person(), REQUIREMENT, promotion, facts)

    assert [reason.code for reason in verdict.reasons] == codes


def test_a_loan_of_another_role_lets_nobody_decide():
    facts = VotingFacts(frozenset(), (), (Loan("SECURITY", uuid.uuid4(), User(id=HOLDER)),))

    assert may_decide(person(), REQUIREMENT, make_promotion(), facts).reasons[0].code == "role_missing"


def test_the_own_role_comes_before_a_loan_and_of_several_the_first_that_helps():
    asker, other = lent(holder=SOMEBODY).loans + lent().loans

    def loan(*roles):
        return loan_for(person(), REQUIREMENT, make_promotion(), VotingFacts(frozenset(roles), (), (asker, other)))

    assert loan("DEVOPS") is None
    assert loan() == other


def test_one_who_was_lent_a_role_twice_is_named_once():
    [one, two] = [Decider(person(display_name="Mia"), loan) for loan in lent().loans + lent().loans]

    [named] = eligible([one, two], REQUIREMENT, make_promotion(), ())

    assert str(named) == "Mia for Hanna"


@pytest.mark.parametrize(
    ("by", "to", "capabilities", "is_member", "codes"),
    [
        (person(), person(id=HOLDER), ["PROMOTION_DECIDE"], True, []),
        (person(), person(id=HOLDER), [], True, ["nothing_to_decide"]),
        (person(), person(id=HOLDER), ["PROMOTION_DECIDE"], False, ["not_a_member"]),
        (person(), person(id=HOLDER, is_active=False), ["PROMOTION_DECIDE"], True, ["not_a_member"]),
        (person(), person(), ["PROMOTION_DECIDE"], True, ["own_delegate"]),
        (person(id=SOMEBODY), person(id=HOLDER), ["PROMOTION_DECIDE"], True, ["role_missing"]),
        (person(is_active=False), person(id=HOLDER), ["PROMOTION_DECIDE"], True, ["role_missing"]),
    ],
)
def test_may_delegate(by, to, capabilities, is_member, codes):
    held = Membership(user_id=ME, role=Role(code="DEVOPS", label="DevOps", capabilities=capabilities))

    verdict = may_delegate(by, held, to, is_member=is_member)

    assert [reason.code for reason in verdict.reasons] == codes


@pytest.mark.parametrize(("who", "allowed"), [(ME, True), (HOLDER, True), (SOMEBODY, False)])
def test_may_end_delegation(who, allowed):
    delegation = Delegation(membership=Membership(user_id=HOLDER), delegate_id=ME)

    assert bool(may_end_delegation(person(id=who), delegation)) is allowed
