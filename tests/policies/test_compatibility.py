"""What a release may change for those who call the API, with the verdict of a person."""

from dataclasses import replace
from datetime import timedelta

import pytest

from apps.policies.enums import Outcome
from apps.policies.facts import ReleaseFacts
from apps.policies.gates import GateResult, evaluate
from tests.policies.documents import make_policy
from tests.policies.facts import API, AT, LIVE, NEW, make_facts

PATCH = ReleaseFacts("1.0.1", (1, 0, 1, "~"), "SEALED")
MAJOR = ReleaseFacts("2.0.0", (2, 0, 0, "~"), "SEALED")
TODAY = AT.date()
DAY = timedelta(days=1)
BREAKS = replace(API, breaking=2, breaking_in=("DELETE /orders/{id}", "POST /orders"))
ASKS = replace(API, undecided=1, undecided_in=("GET /orders",))
GONE = replace(API, breaking=1, breaking_in=("GET /v1/orders",), removed=(("GET /v1/orders", TODAY + DAY),))
NEVER_SAID = replace(GONE, removed=(("GET /v1/orders", None), ("GET /v1/parts", TODAY - DAY)))
OVER = replace(GONE, removed=(("GET /v1/orders", TODAY),))
UNDESCRIBED = replace(API, is_described=False, is_compared=False)
BOTH_UNDESCRIBED = replace(UNDESCRIBED, is_version_described=False)
RUNNING = replace(API, is_compared=False)
GIVEN_UP = replace(API, undecided=1, undecided_in=("every operation",), is_whole=False)

TABLE = [
    (NEW, API, Outcome.PASSED, "Callers of 1.0.0, which runs in Production, are served on: 4 compatible changes."),
    (NEW, replace(API, compatible=0), Outcome.PASSED, "served on: nothing differs."),
    (NEW, None, Outcome.NOT_REQUIRED, "Greeter runs in no Production yet"),
    (LIVE, BREAKS, Outcome.NOT_REQUIRED, "1.0.0 is not higher than 1.0.0, which runs in Production."),
    (NEW, BREAKS, Outcome.FAILED, "2 changes break callers of 1.0.0"),
    (PATCH, BREAKS, Outcome.FAILED, ": DELETE /orders/{id} and POST /orders. Only a major release may do that."),
    (NEW, replace(BREAKS, breaking=1, breaking_in=tuple("abcd")), Outcome.FAILED, "a, b, c and others"),
    (replace(NEW, is_prerelease=True), BREAKS, Outcome.FAILED, "break callers"),
    (NEW, replace(BREAKS, undecided=3), Outcome.FAILED, "2 changes break"),
    (NEW, ASKS, Outcome.INCONCLUSIVE, "1 change needs a person, since no rule decides whom it breaks: GET /orders."),
    (NEW, UNDESCRIBED, Outcome.WAITING, "There is no API description of 1.1.0. Asked: one of each, to compare them."),
    (NEW, BOTH_UNDESCRIBED, Outcome.WAITING, "of 1.1.0 and 1.0.0, which runs in Production. Asked"),
    (NEW, RUNNING, Outcome.RUNNING, "The API is being compared with that of 1.0.0, which runs in Production."),
    (MAJOR, BREAKS, Outcome.PASSED, "2.0.0 is a major release after 1.0.0, so it may break callers: 2 breaking"),
    (MAJOR, BOTH_UNDESCRIBED, Outcome.NOT_REQUIRED, "so it may break callers."),
    (MAJOR, GONE, Outcome.PASSED, "may break callers"),
]
WITH_SUNSETS = [
    (MAJOR, GONE, Outcome.FAILED, "2.0.0 takes away GET /v1/orders, promised to stay until 2026-11-19."),
    (MAJOR, NEVER_SAID, Outcome.FAILED, "2.0.0 takes away GET /v1/orders, never announced to end (x-sunset)."),
    (MAJOR, OVER, Outcome.PASSED, "so it may break callers"),
    (MAJOR, BREAKS, Outcome.PASSED, "so it may break callers"),
    (MAJOR, ASKS, Outcome.PASSED, "1 undecided and 4 compatible changes"),
    (MAJOR, GIVEN_UP, Outcome.INCONCLUSIVE, "every operation"),
    (MAJOR, UNDESCRIBED, Outcome.WAITING, "no API description of 2.0.0"),
    (MAJOR, RUNNING, Outcome.RUNNING, "being compared"),
    (NEW, OVER, Outcome.FAILED, "Only a major release may do that."),
]


def judge(release, api, *, sunset=False) -> GateResult:
    policy = make_policy("api_compatibility", sunset=sunset)
    results = evaluate(policy, make_facts(release=release, api=api))
    return next(result for result in results if result.name == "api_compatibility")


@pytest.mark.parametrize(("release", "api", "outcome", "words"), TABLE)
def test_a_major_release_alone_may_break_callers(release, api, outcome, words):
    result = judge(release, api)

    assert result.outcome == outcome
    assert words in result.sentence
    assert outcome.lets_pass or outcome == Outcome.RUNNING or result.who


@pytest.mark.parametrize(("release", "api", "outcome", "words"), WITH_SUNSETS)
def test_with_sunsets_it_takes_away_only_what_was_announced_and_is_over(release, api, outcome, words):
    result = judge(release, api, sunset=True)

    assert result.outcome == outcome
    assert words in result.sentence


def test_what_breaks_is_the_evidence():
    assert judge(NEW, BREAKS).evidence == BREAKS.breaking_in
    assert judge(MAJOR, NEVER_SAID, sunset=True).evidence == (
        "GET /v1/orders: never announced",
        "GET /v1/parts: 2026-11-17",
    )
