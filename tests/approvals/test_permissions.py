"""Who may decide, as a truth table over objects that were never saved."""

import uuid

import pytest

from apps.accounts.models import Role, User
from apps.approvals.enums import PromotionState
from apps.approvals.models import Promotion, Requirement
from apps.approvals.permissions import Vote, VotingFacts, eligible, may_decide, may_request, may_withdraw
from apps.audit.actors import SYSTEM, Actor
from apps.core.verdict import ALLOWED, refused
from apps.releases.models import Release

ME, SOMEBODY = uuid.uuid4(), uuid.uuid4()
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

    assert eligible([me, colleague], REQUIREMENT, make_promotion(author_id=ME), ()) == [colleague]
    assert eligible([me], REQUIREMENT, make_promotion(author_id=ME), ()) == []
