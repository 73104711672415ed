"""A checklist is a clause: which documents say one, and what its gate says."""

from dataclasses import replace
from typing import Any

import pytest

from apps.policies.checklists import lines_for_jobs, lines_in_words
from apps.policies.clauses import Owner
from apps.policies.documents import InvalidPolicy, parse
from apps.policies.enums import Outcome
from apps.policies.facts import LineFacts, TickFacts
from apps.policies.gates import GateResult, evaluate
from apps.policies.sources import InvalidSource, read, written
from tests.policies.documents import AFTERWARDS, SETTINGS, clause, make_document, make_policy
from tests.policies.facts import AT, PLAN, make_facts

POLICY = make_policy("checklist")
TICK = TickFacts("DevOps", AT, "In the wiki", PLAN, holds_role=True)
LINE = LineFacts("before", "notes", "Release engineer", TICK)


def judge(policy: Any = POLICY, **fields: Any) -> GateResult:
    return next(result for result in evaluate(policy, make_facts(**fields)) if result.name == "checklist")


def test_it_passes_once_each_line_is_ticked_and_says_by_whom() -> None:
    result = judge(lines=(LINE,))

    assert (result.outcome, result.sentence, result.clause) == (Outcome.PASSED, "2 of 2 lines ticked.", "PROD-6")
    assert result.evidence == (
        "The artifact is there: by PROD-1: Sealed as sha256:aaaaaaaaaaaa, and 3 of 3 files are in the store.",
        "Release notes prepared: ticked by DevOps, 2026-11-18 19:00 UTC: “In the wiki”",
    )


@pytest.mark.parametrize("change", [{"plan_hash": "other"}, {"holds_role": False}, None], ids=str)
def test_a_line_without_a_tick_that_counts_waits_for_its_role(change: dict[str, Any] | None) -> None:
    result = judge(lines=(replace(LINE, tick=replace(TICK, **change) if change else None),))

    assert result.outcome == Outcome.WAITING
    assert result.sentence == "1 of 2 lines ticked. Missing: Release notes prepared."
    assert result.who == "Release engineer"


def test_a_line_waits_with_the_gate_that_it_goes_by() -> None:
    result = judge(lines=(LINE,), artifact=None)

    assert (result.outcome, result.sentence) == (
        Outcome.WAITING, "1 of 2 lines ticked. Missing: The artifact is there.",
    )  # fmt: skip
    assert result.who == "Whoever releases the service"


def test_a_line_by_a_clause_that_is_set_aside_needs_no_tick() -> None:
    lines = [{"id": "coverage", "text": "Tested enough", "clause": "PROD-9"}]
    rows = [
        *make_document()["clauses"],
        clause(9, "coverage", when="ORDINARY"),
        clause(10, "checklist", settings={**SETTINGS["checklist"], "lines": lines}),
    ]
    policy = parse(make_document(clauses=rows))
    hurried, usual = (policy.for_owner(Owner.PLATFORM, in_emergency=each) for each in (True, False))

    assert judge(hurried, reports=()).evidence == ("Tested enough: not needed, since PROD-9 is not asked for here",)
    assert judge(usual, reports=()).outcome == Outcome.WAITING


def test_what_is_for_afterwards_holds_nothing_back() -> None:
    rows = [*make_document()["clauses"], clause(9, "checklist", settings=AFTERWARDS)]

    result = judge(parse(make_document(clauses=rows)))

    assert (result.outcome, result.sentence) == (
        Outcome.NOT_REQUIRED, "The policy of Production does not ask for a checklist before the start.",
    )  # fmt: skip


def test_many_missing_lines_are_counted() -> None:
    lines = [{"id": f"line-{number}", "text": f"Line {number}", "role": "DEVOPS"} for number in range(5)]
    rows = [*make_document()["clauses"], clause(9, "checklist", settings={**SETTINGS["checklist"], "lines": lines})]

    result = judge(parse(make_document(clauses=rows)))

    assert result.sentence == "0 of 5 lines ticked. Missing: Line 0, Line 1, Line 2 and 2 more."
    assert result.who == "Devops"


ONE = {"id": "one", "text": "One", "role": "DEVOPS"}


def test_a_line_says_whether_a_job_may_tick_it_and_nobody_may_unless_it_does() -> None:
    smoke = {"id": "smoke", "text": "Smoke tests ran", "role": "DEVOPS", "job": True}
    asked = clause(9, "checklist", settings={**SETTINGS["checklist"], "lines": [ONE, smoke]})
    policy = parse(make_document(clauses=[*make_document()["clauses"], asked]))

    assert lines_for_jobs(policy) == {("before", "one"): False, ("before", "smoke"): True}
    assert lines_in_words(policy.clauses[-1], {"DEVOPS": "DevOps"}) == (
        ("One", "DevOps"), ("Smoke tests ran", "DevOps, or a job"),
    )  # fmt: skip
    result = judge(policy, lines=(LineFacts("before", "smoke", "DevOps"),))
    assert result.evidence[1] == "Smoke tests ran: waits for DevOps, or a job"
    assert result.who == "Devops and DevOps"


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"lines": []}, "clauses[5].settings.lines: expected a list of lines"),
        ({"lines": [{"id": "one", "text": "One"}]}, "clauses[5].settings.lines: expected a list of lines"),
        ({"lines": [{**ONE, "clause": "PROD-1"}]}, "clauses[5].settings.lines: expected a list of lines"),
        ({"lines": [{**ONE, "id": "One Line"}]}, "clauses[5].settings.lines: expected a list of lines"),
        ({"lines": [{**ONE, "job": False}]}, "clauses[5].settings.lines: expected a list of lines"),
        (
            {"lines": [{"id": "one", "text": "One", "clause": "PROD-1", "job": True}]},
            "clauses[5].settings.lines: expected a list of lines",
        ),
        ({"lines": [ONE, ONE]}, "clauses[5].settings.lines: the id one stands there twice."),
        (
            {"lines": [{"id": "one", "text": "One", "clause": "PROD-6"}]},
            "clauses[5].settings.lines[0].clause: expected the id of a clause of this policy",
        ),
        ({"hours": 4}, "clauses[5].settings.hours: expected with phase POST, and with no other."),
        ({"phase": "POST"}, "clauses[5].settings.hours: expected with phase POST, and with no other."),
        ({"phase": "LATER"}, "clauses[5].settings.phase: expected one of PRE, POST."),
    ],
    ids=str,
)
def test_a_document_with_a_checklist_that_can_not_be_ticked_is_refused(settings: dict[str, Any], problem: str) -> None:
    document = make_document(
        clauses=[*make_document()["clauses"], clause(6, "checklist", settings={**SETTINGS["checklist"], **settings})]
    )

    with pytest.raises(InvalidPolicy) as refused:
        parse(document)

    assert any(found.startswith(problem) for found in refused.value.problems)


def test_a_policy_may_have_several_checklists_but_none_twice() -> None:
    rows = [*make_document("checklist")["clauses"], clause(9, "checklist", settings=AFTERWARDS)]
    parse(make_document(clauses=rows))

    with pytest.raises(InvalidPolicy, match="the checklist after stands there twice"):
        parse(make_document(clauses=[*rows, clause(10, "checklist", settings=AFTERWARDS)]))


def test_its_yaml_reads_back_and_roles_that_do_not_exist_are_found_with_their_line() -> None:
    document = make_document("checklist", roles=("DEVOPS",))
    text = written(document, schema_url="s").encode()

    assert read(text, roles=("DEVOPS", "RELEASE_ENGINEER"))[0] == document
    with pytest.raises(InvalidSource) as refused:
        read(text, roles=("DEVOPS",))
    [mistake] = refused.value.mistakes
    assert mistake.reason == "clauses[5].settings.lines[1].role: expected one of DEVOPS."
    assert b"RELEASE_ENGINEER" in text.splitlines()[mistake.line - 1]
