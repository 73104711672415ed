from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.environments.data_rules import USUAL, DataRules
from apps.policies.clauses import Gate, Owner
from apps.policies.documents import InvalidPolicy, parse
from apps.policies.reminders import Reminders, problem_of
from apps.policies.verification import Terms
from tests.cast import NOW
from tests.policies.documents import clause, make_document


def test_a_document_becomes_clauses_that_people_can_cite():
    policy = parse(make_document("window", roles=("DEVOPS",)))

    assert policy.label == "Production"
    assert [found.id for found in policy.clauses_of(Gate.APPROVALS)] == ["PROD-7"]
    assert policy.clause_of(Gate.WINDOW).number("lasting_minutes") == 15
    assert policy.clause_of(Gate.PREVIOUS_TIER) is None


def test_the_wording_of_a_clause_takes_no_part_in_its_digest():
    reworded = make_document()
    reworded["clauses"][0]["text"] = "In other words."

    assert [found.digest for found in parse(reworded).clauses] == [
        found.digest for found in parse(make_document()).clauses
    ]


@pytest.mark.parametrize(
    "change",
    [{"id": "PROD-44"}, {"owner": "CUSTOMER"}, {"when": "ORDINARY"}, {"settings": {"lasting_minutes": 90}}],
    ids=lambda row: next(iter(row)),
)
def test_what_a_clause_rules_takes_part_in_its_digest(change):
    before, after = make_document("window"), make_document("window")
    after["clauses"][-1] |= change

    assert parse(before).clauses[-1].digest != parse(after).clauses[-1].digest


def test_a_clause_is_about_the_platform_a_customer_or_both():
    document = make_document(roles=("DEVOPS", "CUSTOMER_OPERATOR"))
    document["clauses"][-2]["owner"], document["clauses"][-1]["owner"] = "PLATFORM", "CUSTOMER"

    roles = {
        owner: [found.settings["role"] for found in parse(document).for_owner(owner).clauses_of(Gate.APPROVALS)]
        for owner in (Owner.PLATFORM, Owner.CUSTOMER)
    }

    assert roles == {Owner.PLATFORM: ["DEVOPS"], Owner.CUSTOMER: ["CUSTOMER_OPERATOR"]}


def test_a_clause_holds_as_usual_in_an_emergency_or_both():
    before = parse(make_document("window")).clauses[-1].digest
    document = make_document("window", roles=("DEVOPS", "SECURITY", "ENGINEERING_MANAGER"))
    document["clauses"][-4]["when"] = "ALWAYS"
    document["clauses"][-3]["when"], document["clauses"][-2]["when"] = "ORDINARY", "EMERGENCY"
    policy = parse(document)

    roles = [
        [found.settings["role"] for found in chosen.clauses_of(Gate.APPROVALS)]
        for chosen in (policy.for_owner(Owner.PLATFORM), policy.for_owner(Owner.PLATFORM, in_emergency=True))
    ]

    assert roles == [["DEVOPS", "ENGINEERING_MANAGER"], ["SECURITY", "ENGINEERING_MANAGER"]]
    assert policy.clause_of(Gate.WINDOW).digest == before, "what always holds is what it was"


def _two(*cases):
    return make_document(
        clauses=[clause(n, "previous_tier", when=case) for n, case in enumerate(cases, 1)] + make_document()["clauses"]
    )


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ([], "document: expected an object."),
        (make_document(schema=2), "schema: expected 1."),
        (make_document(tier="PROD"), "tier: expected one of LOCAL, DEV, QA, STAGING, PRODUCTION."),
        (make_document(strategy="CANARY"), "strategy: expected one of BLUE_GREEN."),
        (make_document(extra=1), "extra: unknown."),
        (make_document(traits=[]), "traits: expected an object."),
        (make_document(traits={"MAJOR": ["x"]}), "traits.MAJOR: unknown."),
        (make_document(traits={"SENSITIVE": []}), "traits.SENSITIVE: expected a list of 1 to 50 texts."),
        (make_document(limits=7), "limits: expected an object."),
        (make_document(limits={"request_days": 0}), "limits.request_days: expected a whole number above 0."),
        (make_document(limits={"decision_days": True}), "limits.decision_days: expected a whole number above 0."),
        (make_document(limits={"request_days": 1}), "limits.ready_hours: expected a whole number above 0."),
        (make_document(limits={"days": 1}), "limits.days: unknown."),
        (make_document(clauses={}), "clauses: expected a list."),
        (make_document(clauses=[3]), "clauses[0]: expected an object."),
        (make_document(clauses=[]), "clauses: one for the gate freeze is missing."),
        (make_document(clauses=[clause(0, "hold")]), "clauses[0].id: expected letters and a number, such as PROD-3."),
        (make_document(clauses=[clause(1, "hold", id=3)]), "clauses[0].id: expected letters"),
        (make_document(clauses=[clause(1, "hold", text=" ")]), "clauses[0].text: expected a text."),
        (make_document(clauses=[clause(1, "hold", source=None)]), "clauses[0].source: expected a text."),
        (make_document(clauses=[clause(1, "hold", why="x")]), "clauses[0].why: unknown."),
        (make_document(clauses=[clause(1, "hold", owner="ME")]), "clauses[0].owner: expected one of ALL, PLATFORM"),
        (make_document(clauses=[clause(1, "hold", owner="PLATFORM")]), "clauses[0].owner: the gate hold stands for"),
        (make_document(clauses=[clause(1, "hold", when="NEVER")]), "clauses[0].when: expected one of ALWAYS, ORDINARY"),
        (make_document(clauses=[clause(1, "hold", when=["ALWAYS"])]), "clauses[0].when: expected one of ALWAYS"),
        (make_document(clauses=[clause(1, "hold", when="ORDINARY")]), "clauses[0].when: the gate hold stands always."),
        (_two("ORDINARY", "ORDINARY"), "clauses: the gate previous_tier stands there twice."),
        (_two("ALWAYS", "EMERGENCY"), "clauses: the gate previous_tier stands there twice."),
        (
            make_document(clauses=[clause(1, "approvals", settings={"role": "A"}, when="ORDINARY")]),
            "clauses: no approval of PLATFORM holds in an emergency; at least one has to.",
        ),
        (make_document(clauses=[clause(1, "karma")]), "clauses[0].gate: expected one of previous_tier, artifact"),
        (make_document(clauses=[clause(1, "hold", settings=1)]), "clauses[0].settings: expected an object."),
        (make_document(clauses=[clause(1, "hold", settings={"a": 1})]), "clauses[0].settings.a: unknown."),
        (
            make_document(clauses=[clause(1, "previous_tier", settings={"soak_minutes": 0})]),
            "clauses[0].settings.soak_minutes: expected a whole number from 1.",
        ),
        (
            make_document(clauses=[clause(1, "previous_tier", settings={"close_watch_soak_percent": 99})]),
            "clauses[0].settings.close_watch_soak_percent: expected a whole number from 100.",
        ),
        (make_document(clauses=[clause(1, "window", settings={})]), "clauses[0].settings.lasting_minutes: expected a"),
        (
            make_document(clauses=[clause(1, "version_order", settings={"prereleases": 1})]),
            "clauses[0].settings.prereleases: expected true or false.",
        ),
        (
            make_document(clauses=[clause(1, "tests", settings={"suites": ["UNIT", "SMOKE"]})]),
            "clauses[0].settings.suites: expected a list of some of UNIT, INTEGRATION, END_TO_END, each once.",
        ),
        (make_document(clauses=[clause(1, "tests", settings={"suites": []})]), "settings.suites: expected a list"),
        (make_document(clauses=[clause(1, "tests", settings={"suites": "UNIT"})]), "settings.suites: expected a list"),
        (make_document(clauses=[clause(1, "tests", settings={"suites": [["UNIT"]]})]), "suites: expected a list"),
        (make_document(clauses=[clause(1, "tests", settings={"suites": ["UNIT"] * 2})]), "suites: expected a list"),
        (
            make_document(clauses=[clause(1, "coverage", settings={"least_percent": 101})]),
            "clauses[0].settings.least_percent: expected a whole number from 1 to 100.",
        ),
        (make_document(clauses=[clause(1, "coverage", settings={"least_percent": 69.9})]), "expected a whole number"),
        (
            make_document(clauses=[clause(1, "security_scan", settings={"tolerated": "critical"})]),
            "clauses[0].settings.tolerated: expected one of none, low, medium, high.",
        ),
        (make_document(clauses=[clause(1, "security_scan", settings={"tolerated": []})]), "tolerated: expected one of"),
        (make_document(roles=("",)), "clauses[5].settings.role: expected a text."),
        (make_document(verification=7), "verification: expected an object."),
        (make_document(verification={"mood": 1}), "verification.mood: unknown."),
        (
            make_document(verification={"limit_seconds": 121}),
            "verification.limit_seconds: expected a whole number from",
        ),
        (make_document(verification={"samples": 0}), "verification.samples: expected a whole number from 1 to 50."),
        (make_document(verification={"breaches": 6}), "verification.breaches: expected at most as many as samples."),
        (make_document(verification={"most_p95_percent": 100}), "verification.most_p95_percent: expected above 100"),
        (make_document(verification={"without_traffic": "?"}), "verification.without_traffic: expected one of PASS"),
        (make_document(data=[]), "data: expected an object."),
        (
            make_document(tier="QA", data={"kinds": ["REAL"]}),
            "data.kinds: expected a list of any of SYNTHETIC, MASKED,",
        ),
        (
            make_document(tier="QA", data={"kinds": [], "kept_days": 3}),
            "data.kept_days: expected only beside some kinds.",
        ),
        (
            make_document(tier="QA", data={"kinds": ["MASKED"], "kept_days": 0}),
            "data.kept_days: expected a whole number",
        ),
        (make_document(data={"kinds": ["MASKED"]}), "data.kinds: expected none in PRODUCTION, which holds"),
        (make_document(reminders=[]), "reminders: expected an object."),
        (make_document(reminders={"mood": 1}), "reminders.mood: unknown."),
        (
            make_document(reminders={"remind_hours": 0}),
            "reminders.remind_hours: expected a whole number from 1 to 720.",
        ),
        (make_document(reminders={"escalate_to": ""}), "reminders.escalate_to: expected a text."),
        (make_document(reminders={"remind_hours": 24}), "reminders.escalate_hours: expected more than remind_hours."),
        (make_document("hold"), "clauses: the gate hold stands there twice."),
        (make_document(clauses=[clause(1, "hold"), clause(1, "freeze")]), "clauses: the id PROD-1 stands there twice."),
    ],
)
def test_a_bad_document_is_refused_with_the_place_of_the_mistake(document, problem):
    with pytest.raises(InvalidPolicy, match=r".") as refusal:
        parse(document)

    assert problem in str(refusal.value)
    assert refusal.value.status == 422


def test_all_mistakes_of_a_verification_are_told_at_once():
    with pytest.raises(InvalidPolicy) as refusal:
        parse(make_document(verification={"samples": 0, "limit_seconds": 999, "breaches": 2, "most_p95_percent": 90}))

    assert len(refusal.value.problems) == 3


def test_all_mistakes_are_told_at_once():
    with pytest.raises(InvalidPolicy) as refusal:
        parse(make_document(schema=2, tier="PROD"))

    assert len(refusal.value.problems) == 2


def test_several_approvals_may_stand_in_one_document():
    assert len(parse(make_document(roles=("DEVOPS", "SECURITY"))).clauses_of(Gate.APPROVALS)) == 2


def test_the_verification_is_as_the_document_says_and_else_as_everywhere():
    told = parse(make_document(verification={"limit_seconds": 60, "without_traffic": "HOLD"})).verification

    assert (told.limit_seconds, told.without_traffic, told.samples) == (60, "HOLD", 5)
    assert parse(make_document()).verification == Terms()


def test_data_are_as_the_document_says_and_else_as_everywhere():
    told = {"kinds": ["MASKED"], "kept_days": 3}

    assert parse(make_document(tier="QA", data=told)).data == DataRules(("MASKED",), None, 3)
    assert {tier: parse(make_document(tier=tier)).data for tier in USUAL} == USUAL


def test_reminders_are_as_the_document_says_and_else_as_everywhere():
    told = parse(make_document(reminders={"remind_hours": 1, "escalate_to": "SECURITY"})).reminders

    assert told == Reminders(1, 24, "SECURITY")
    assert parse(make_document()).reminders == Reminders()


@given(st.integers(1, 720), st.integers(1, 720), st.integers(0, 1000))
def test_an_escalation_never_comes_before_its_reminder(remind, escalate, hours):
    terms, later = Reminders(remind, escalate), NOW + timedelta(hours=hours)

    if not problem_of({"remind_hours": remind, "escalate_hours": escalate}) and terms.escalates(NOW, later):
        assert terms.reminds(NOW, later)
    assert not Reminders().reminds(NOW, NOW)


def test_only_production_has_two_minutes_at_most():
    assert parse(make_document(tier="QA", verification={"limit_seconds": 600})).verification.limit_seconds == 600
