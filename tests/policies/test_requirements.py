"""Whether an environment is what its tier asks: by what its services say, beside Production, and by what was probed."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.policies.documents import InvalidPolicy, parse
from apps.policies.enums import Outcome, Standing
from apps.policies.facts import EnvironmentFacts, ProbeFacts, ServiceFacts
from apps.policies.gates import evaluate
from apps.policies.needs import Need, need_of
from apps.policies.requirements import judge, tally, told
from tests.policies.documents import REQUIREMENTS, make_document, make_policy
from tests.policies.facts import AT, make_facts

NEEDS = tuple(map(need_of, REQUIREMENTS))
MET, NOT_MET, UNKNOWN = Standing.MET, Standing.NOT_MET, Standing.UNKNOWN
VALUES = {
    "REPLICAS": "3", "AUTOSCALING_MAX": "10", "WAF": "true", "ACCESS": "QA, development", "RETENTION": "90d",
    "BACKUPS": "daily", "CAPACITY": "4 cores", "STACK": "Prometheus", "ALERT_PERCENT": "2",
}  # fmt: skip
PRODUCTION = {"CAPACITY": "8 cores", "STACK": "prometheus", "ALERT_PERCENT": "5"}
GREETER = ServiceFacts("Greeter", "configuration version 2", VALUES, AT, PRODUCTION)
PROBE = ProbeFacts("Greeter", "tls://app.example", "1.2", AT)

words = st.sampled_from(
    ["", " ", "0", "2", "3", "12", "4 cores", "8 GB", "90d", "13w", "30h", "daily", "weekly", "enabled", "off", "qa",
     "qa, guests", "1.2", "strict", "9" * 13, "²", "-1", "NaN", "1e9"]
) | st.text(max_size=12)  # fmt: skip
says = st.dictionaries(st.sampled_from(sorted(VALUES)), words)
services = st.builds(
    ServiceFacts, name=st.sampled_from(["Greeter", "Index"]), source=st.just("configuration version 1"), values=says,
    production=st.none() | says,
)  # fmt: skip
probes = st.builds(
    ProbeFacts, service=st.just("Greeter"), address=st.just("tls://a.example"),
    version=st.sampled_from(["", "1.0", "1.1", "1.2", "1.3"]) | st.text(max_size=3),
)  # fmt: skip
environments = st.builds(
    EnvironmentFacts, services=st.lists(services, max_size=3).map(tuple), probes=st.lists(probes, max_size=2).map(tuple)
)


def standing(rule: str, *seen: ServiceFacts, probed: tuple[ProbeFacts, ...] = (), only: str = "") -> Standing:
    need = next(need for need in NEEDS if need.rule == rule)
    [judged] = judge([need], EnvironmentFacts(seen, probed), only=only)
    return judged.standing


def saying(key: str, value: str, **more: Any) -> ServiceFacts:
    return replace(GREETER, values={**VALUES, key: value}, **more)


def test_an_environment_that_is_all_that_is_asked_meets_everything() -> None:
    judged = judge(NEEDS, EnvironmentFacts((GREETER,), (PROBE,)))

    assert {each.need.id: each.standing for each in judged} == {need.id: MET for need in NEEDS}
    assert tally(judged).words == "10 of 10 met"


@pytest.mark.parametrize(
    ("rule", "key", "value", "expected"),
    [
        ("least", "REPLICAS", "2", NOT_MET),
        ("least", "REPLICAS", "many", UNKNOWN),
        ("most", "AUTOSCALING_MAX", "11", NOT_MET),
        ("is", "WAF", "Enabled", MET),
        ("is", "WAF", "off", NOT_MET),
        ("among", "ACCESS", "qa, everybody", NOT_MET),
        ("among", "ACCESS", " , ", UNKNOWN),
        ("least_days", "RETENTION", "13w", MET),
        ("least_days", "RETENTION", "89", NOT_MET),
        ("least_days", "RETENTION", "90 years", UNKNOWN),
        ("every", "BACKUPS", "hourly", MET),
        ("every", "BACKUPS", "24h", MET),
        ("every", "BACKUPS", "weekly", NOT_MET),
        ("every", "BACKUPS", "often", UNKNOWN),
        ("least_percent_of_production", "CAPACITY", "3 cores", NOT_MET),
        ("least_percent_of_production", "CAPACITY", "4 GB", UNKNOWN),
        ("as_in_production", "STACK", "Zabbix", NOT_MET),
        ("below_production", "ALERT_PERCENT", "5", NOT_MET),
        ("below_production", "ALERT_PERCENT", "few", UNKNOWN),
    ],
)
def test_a_value_is_judged_by_its_rule(rule: str, key: str, value: str, expected: Standing) -> None:
    assert standing(rule, saying(key, value)) == expected


@pytest.mark.parametrize(("version", "expected"), [("1.1", NOT_MET), ("1.2", MET), ("1.3", MET), ("", UNKNOWN)])
def test_tls_goes_by_the_lowest_version_that_is_taken(version: str, expected: Standing) -> None:
    assert standing("least_tls", probed=(PROBE, replace(PROBE, version=version))) == expected


def test_what_each_service_has_to_say_is_unknown_while_one_does_not() -> None:
    silent = ServiceFacts("Index", "no configuration", {})

    assert standing("least", GREETER, silent) == UNKNOWN
    assert standing("least", GREETER, silent, only="Greeter") == MET
    assert standing("is", GREETER, silent) == MET  # one is enough where it is said of the environment
    assert standing("is", silent) == UNKNOWN
    assert standing("as_in_production", replace(GREETER, production=None)) == UNKNOWN


def test_one_that_is_wrong_is_told_with_what_was_seen() -> None:
    [judged] = judge(NEEDS[:1], EnvironmentFacts((saying("REPLICAS", "2"), replace(GREETER, name="Index"))))

    assert told(judged) == "Greeter: 2. Asked: at least 3."
    assert [reading.service for reading in judged.shown] == ["Greeter", "Index"]


@pytest.mark.parametrize(
    ("seen", "outcome", "sentence"),
    [
        (EnvironmentFacts((GREETER,), (PROBE,)), Outcome.PASSED, "Production: 10 of 10 met."),
        (
            EnvironmentFacts((saying("WAF", "off"),), (PROBE,)),
            Outcome.FAILED,
            "Production: 9 of 10 met, 1 not met. Not met: is.",
        ),
        (EnvironmentFacts((GREETER,)), Outcome.INCONCLUSIVE, "Production: 9 of 10 met, 1 unknown. Unknown: least-tls."),
        (None, Outcome.INCONCLUSIVE, "Production: 0 of 10 met, 10 unknown. Unknown: least, most, is and 7 more."),
    ],
)
def test_the_gate_holds_back_what_is_not_met_or_not_known(seen: Any, outcome: Outcome, sentence: str) -> None:
    policy = make_policy("environment", requirements=REQUIREMENTS)

    [result] = [each for each in evaluate(policy, make_facts(seen=seen)) if each.name == "environment"]

    assert (result.outcome, result.sentence) == (outcome, sentence)


def test_requirements_hold_nothing_back_where_no_clause_asks() -> None:
    policy = make_policy(requirements=REQUIREMENTS)

    [result] = [each for each in evaluate(policy, make_facts()) if each.name == "environment"]

    assert result.outcome == Outcome.NOT_REQUIRED


@given(environments, st.sampled_from(["", "Greeter"]))
def test_every_requirement_is_judged_once_the_same_each_time_and_in_any_order(seen: Any, only: str) -> None:
    judged = judge(NEEDS, seen, only=only)
    turned = EnvironmentFacts(seen.services[::-1], seen.probes[::-1])

    assert [each.need for each in judged] == list(NEEDS)
    assert judged == judge(NEEDS, seen, only=only)
    assert [each.standing for each in judged] == [each.standing for each in judge(NEEDS, turned, only=only)]
    assert all(told(each) for each in judged)
    assert tally(judged).total == len(NEEDS)


@given(environments, says)
def test_one_more_service_never_makes_good_what_is_wrong(seen: Any, values: dict[str, str]) -> None:
    more = replace(seen, services=(*seen.services, ServiceFacts("Another", "configuration version 1", values)))

    for before, after in zip(judge(NEEDS, seen), judge(NEEDS, more), strict=True):
        assert before.standing != NOT_MET or after.standing == NOT_MET


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"key": "API_TOKEN"}, "requirements[0].key: expected the name of a setting in capitals"),
        ({"most": 4}, "requirements[0].id: expected one of least, most,"),
        ({"least": 0}, "requirements[0].least: expected a whole number from 1 to 1000000."),
        ({"more": 1}, "requirements[0].more: unknown."),
        ({"id": "least-tls"}, "requirements: the id least-tls stands there twice."),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place(change: dict[str, Any], problem: str) -> None:
    rows = [{**REQUIREMENTS[0], **change}, *REQUIREMENTS[1:]]

    with pytest.raises(InvalidPolicy) as error:
        parse(make_document(requirements=rows))

    assert [found for found in error.value.problems if found.startswith(problem)]


def test_each_rule_has_words() -> None:
    assert [need.limit_words for need in NEEDS if isinstance(need, Need)] == [
        "at least 3", "at most 10", "enabled", "none but development, qa", "at least 90 days", "at least daily",
        "at least 50 % of Production's", "the same as in Production", "lower than in Production",
        "TLS 1.2 or later, and nothing older",
    ]  # fmt: skip
