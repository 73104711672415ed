"""The plan hash moves with everything that an approver agrees to, and with nothing else."""

import copy
import uuid

import pytest

from apps.approvals.models import Promotion
from apps.approvals.plan import hash_of, plan_difference, plan_of
from apps.configuration.models import ConfigurationVersion
from apps.environments.models import Environment, Lane
from apps.releases.models import Release
from tests.policies.documents import clause, make_document, make_policy

POLICY = make_policy("window", roles=("DEVOPS",))


def make_promotion(**fields):
    lane = Lane(
        environment=Environment(name="Production"),
        target_key="greeter-production",
        live_release=Release(version="1.0.0", content_hash="a" * 64),
        live_configuration=ConfigurationVersion(number=1, values={"A": "1"}),
    )
    for name, value in fields.pop("lane", {}).items():
        setattr(lane, name, value)
    release = Release(id=uuid.uuid4(), version="1.1.0", content_hash="b" * 64)
    values = {"release": release, "configuration": ConfigurationVersion(number=2, values={"A": "2"}), "lane": lane}
    return Promotion(**{**values, **fields})


PLAN = plan_of(make_promotion(), POLICY)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"release": Release(version="1.1.0", content_hash="c" * 64)},
            "The release changed from 1.1.0 to 1.1.0.",
        ),
        (
            {"configuration": ConfigurationVersion(number=3, values={"A": "2"})},
            "The configuration changed from version 2 to version 3.",
        ),
        (
            {"configuration": ConfigurationVersion(number=2, values={"A": "3"})},
            "The configuration changed from version 2 to version 2.",
        ),
        ({"lane": {"target_key": "elsewhere"}}, "The target changed from greeter-production to elsewhere."),
        ({"lane": {"live_release": None}}, "What runs there changed from 1.0.0 to nothing."),
        (
            {"lane": {"live_release": Release(version="1.0.5", content_hash="d" * 64)}},
            "What runs there changed from 1.0.0 to 1.0.5.",
        ),
        (
            {"lane": {"live_configuration": None}},
            "The configuration that runs there changed from version 1 to none.",
        ),
    ],
)
def test_the_hash_moves_with_the_subject_and_the_difference_says_how(fields, sentence):
    plan = plan_of(make_promotion(**fields), POLICY)

    assert hash_of(plan) != hash_of(PLAN)
    assert plan_difference(PLAN, plan) == (sentence,)


def policy_with(index, **changes):
    clauses = copy.deepcopy(make_document("window", roles=("DEVOPS",))["clauses"])
    clauses[index] |= changes
    return make_policy(clauses=clauses)


@pytest.mark.parametrize(
    ("policy", "sentences"),
    [
        (policy_with(5, settings={"lasting_minutes": 30}), ("The policy's clause PROD-6 was changed.",)),
        (policy_with(6, settings={"role": "SECURITY"}), ("The policy's clause PROD-7 was changed.",)),
        (make_policy("window"), ("The policy's clause PROD-7 no longer applies.",)),
        (make_policy("window", roles=("DEVOPS", "SECURITY")), ("The policy's clause PROD-8 is new.",)),
    ],
)
def test_the_hash_moves_with_the_rules(policy, sentences):
    plan = plan_of(make_promotion(), policy)

    assert hash_of(plan) != hash_of(PLAN)
    assert plan_difference(PLAN, plan) == sentences


@pytest.mark.parametrize(
    "policy",
    [
        policy_with(0, text="In other words."),
        policy_with(0, source="Elsewhere"),
        make_policy("window", roles=("DEVOPS",)),
    ],
)
def test_the_hash_stays_when_rules_are_only_said_otherwise(policy):
    assert hash_of(plan_of(make_promotion(), policy)) == hash_of(PLAN)


def test_clauses_for_others_take_no_part():
    clauses = [*make_document("window", roles=("DEVOPS",))["clauses"], clause(20, "approvals", settings={"role": "X"})]
    clauses[-1]["owner"] = "CUSTOMER"

    assert hash_of(plan_of(make_promotion(), make_policy(clauses=clauses))) == hash_of(PLAN)


def test_the_name_of_the_environment_takes_no_part():
    renamed = make_promotion(lane={"environment": Environment(name="Prod")})

    assert hash_of(plan_of(renamed, POLICY)) == hash_of(PLAN)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("schema", 2, "The portal writes plans in another form now."),
        ("strategy", "CANARY", "The strategy changed from BLUE_GREEN to CANARY."),
        ("migrations", [{"id": "1"}], "The data migrations changed."),
        ("policy", {**PLAN["policy"], "tier": "STAGING"}, "The tier changed from PRODUCTION to STAGING."),
    ],
)
def test_every_part_of_a_plan_is_in_the_difference(key, value, sentence):
    plan = {**PLAN, key: value}

    assert hash_of(plan) != hash_of(PLAN)
    assert plan_difference(PLAN, plan) == (sentence,)


def test_no_part_of_a_plan_is_forgotten_by_the_difference():
    for key in PLAN:
        if key == "policy":
            other = {"tier": "OTHER", "clauses": {}}
        elif key in {"release", "live_release"}:
            other = {"version": "9", "content_hash": "x"}
        elif key in {"configuration", "live_configuration"}:
            other = {"number": 9, "values": "x"}
        else:
            other = "other"
        assert plan_difference(PLAN, {**PLAN, key: other}), key


def test_equal_plans_have_no_difference():
    assert plan_difference(PLAN, copy.deepcopy(PLAN)) == ()
