"""The strategy document says what the policies in force say, on every paper."""

import io
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from pypdf import PdfReader

from apps.policies import actions, markdown, words
from apps.policies.clauses import Gate, Owner
from apps.policies.documents import parse
from apps.policies.models import PolicyVersion
from apps.policies.strategy import TOPICS, Edition, Strategy, lines, strategy_of
from tests.cast import NOW
from tests.drill import get, text_of
from tests.policies.documents import AFTERWARDS, SETTINGS, clause, make_document
from tests.policies.proposals import activate, text
from tests.world import World

ROLES = {"DEVOPS": "DevOps", "CUSTOMER_OPERATOR": "Customer operator"}
SINCE = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
PAGE, MARKDOWN, PDF = (reverse(f"policies:strategy{kind}") for kind in ("", "-markdown", "-pdf"))


def document(*gates: str, **fields: Any) -> Strategy:
    policy = parse(make_document(*gates, **fields))
    return strategy_of([Edition(policy, 3, "c0ffee" * 10, SINCE, "To be sure", "DevOps", "Security")], ROLES)


def both_tiers() -> Strategy:
    policies = [parse(make_document(tier=tier)) for tier in ("DEV", "QA")]
    return strategy_of([Edition(policy, 1, "c0ffee" * 10, SINCE, "At first") for policy in policies], ROLES)


def test_every_gate_has_words_a_topic_and_its_row_in_the_reference() -> None:
    reference = Path(settings.BASE_DIR, "docs/reference/gates.md").read_text()
    rows = {line.split("`")[1]: line for line in reference.splitlines() if line.startswith("| `")}

    assert {gate for _, _, gates in TOPICS for gate in gates} == words.LETS_PASS.keys() == set(Gate)
    assert [gate for gate, said in words.LETS_PASS.items() if not rows[gate].endswith(f"| {said} |")] == []


@pytest.mark.parametrize(
    ("gate", "asked", "said"),
    [
        ("coverage", {"least_percent": 70}, "at least 70 % of the lines"),
        ("security_scan", {"tolerated": "none"}, "no finding"),
        ("security_scan", {"tolerated": "medium"}, "no finding above medium"),
        ("tests", {"suites": ["UNIT", "END_TO_END"]}, "unit tests and end-to-end tests"),
        ("version_order", {"prereleases": False}, "no pre-release"),
        ("window", {"lasting_minutes": 15}, "open for 15 min more"),
        ("approvals", {"role": "DEVOPS"}, "DevOps"),
        ("approvals", {"role": "CAB"}, "CAB"),
        ("checklist", SETTINGS["checklist"], "Before the start: each of 2 lines ticked before it starts"),
        ("checklist", AFTERWARDS, "After the deployment: each of 2 lines ticked within 4 h after it ended"),
        (
            "approvals",
            {"role": "DEVOPS", "step_up": "second_factor"},
            "DevOps; confirmed with a second factor",
        ),
        (
            "previous_tier",
            {"soak_minutes": 60, "close_watch_soak_percent": 200},
            "60 min of soak there; 200 % of that after a close watch",
        ),
    ],
)
def test_settings_are_said_in_words(gate: str, asked: dict[str, Any], said: str) -> None:
    others = [row for row in make_document()["clauses"] if row["gate"] != gate]
    policy = parse(make_document(clauses=[*others, clause(20, gate, settings=asked)]))

    assert words.asked(policy.clauses[-1], ROLES) == said


def test_the_lines_of_a_checklist_are_listed_with_who_ticks_them() -> None:
    made = document(clauses=[*make_document()["clauses"], clause(20, "checklist", settings=AFTERWARDS)])

    [part] = [part for part in made.sections[1].sections if part.title == "Checklists"]
    assert part.clauses[0].lines == (
        ("The release is well", "by itself, PROD-3"), ("Customer reports verified", "DevOps"),
    )  # fmt: skip
    assert "  - Customer reports verified (DevOps)" in markdown.written(made)
    assert "PROD-20, line: The release is well (by itself, PROD-3)" in lines(part)


def test_what_data_a_tier_may_hold_stands_in_words() -> None:
    assert words.data_of(parse(make_document(tier="STAGING"))) == (
        ("Data", "anonymised alone"),
        ("From Production", "only with a report that proves what was done to them"),
        ("Refreshed", "every 7 days at the latest"),
        ("Kept", "for 30 days at most, then removed or replaced"),
    )
    assert words.data_of(parse(make_document(tier="QA", data={"kinds": ["SYNTHETIC", "MASKED"], "kept_days": 1})))[
        2:
    ] == (("Kept", "for 1 day at most, then removed or replaced"),)
    assert words.data_of(parse(make_document())) == (("Data", "what its users enter; no data set is brought there"),)


def test_a_setting_without_words_of_its_own_is_named() -> None:
    made = parse(make_document()).clauses[0]

    found = words.asked(type(made)("A-1", Gate.ARTIFACT, "", "", Owner.ALL, {"least_days": 3, "is_odd": True}), ROLES)

    assert found == "least days: 3; is odd: yes"


def test_it_reads_from_the_way_of_a_release_over_the_tiers_to_the_gates() -> None:
    found = document("window", "previous_tier", roles=("DEVOPS",))

    assert [f"{section.number} {section.title}" for section in found.sections] == [
        "1 The way of a release", "2 Production", "3 Gates",
    ]  # fmt: skip
    assert found.sections[0].facts == (
        ("Production", "After Staging; approved by DevOps; inside the windows of the environment."),
    )
    assert [part.title for part in found.sections[1].sections] == [
        "Release flow", "Approvals", "Windows, freezes and holds", "Verification and rollback", "How long things count",
        "Data of the environment",
    ]  # fmt: skip
    approvals = next(row for row in found.sections[2].gates if row.gate == Gate.APPROVALS)
    assert approvals.clauses == (("PROD-8", "PROD-8", "Production"),)


def test_markdown_of_the_same_policies_is_the_same_and_of_another_is_another() -> None:
    written = markdown.written(document("coverage"))

    assert written == markdown.written(document("coverage"))
    assert written != markdown.written(document("coverage", limits={
        "request_days": 1, "decision_days": 7, "ready_hours": 24,
    }))  # fmt: skip
    assert "| Production | 3 | 2026-03-01 09:30 UTC | DevOps | Security | To be sure | c0ffeec0ffee |" in written
    assert '- <a id="PROD-6"></a>**PROD-6** The rule of coverage.' in written


def test_clauses_of_two_tiers_that_share_an_id_keep_anchors_of_their_own() -> None:
    written = markdown.written(both_tiers())

    assert written.count('<a id="dev-PROD-1"></a>') == written.count('<a id="qa-PROD-1"></a>') == 1


@given(st.text(min_size=1))
def test_whatever_marks_a_text_holds_markdown_shows_them(hostile: str) -> None:
    shown = " ".join(hostile.replace("\x00", "\ufffd").split())

    drawn = MarkdownIt("commonmark").renderInline(f"x {markdown.said(hostile)} x")

    assert unescape(drawn) == f"x {shown} x"


@pytest.mark.django_db
def test_another_policy_in_force_is_another_document_on_every_paper(world: World) -> None:
    before = text_of(get(world.cast.auditor, MARKDOWN))
    proposal = actions.propose(text(least=83), tier="QA", reason="More", by=world.cast.devops, now=NOW)
    assert text_of(get(world.cast.auditor, MARKDOWN)) == before
    with world.everything():
        activate(proposal, by=world.cast.security)

    page, written = (text_of(get(world.cast.auditor, address)) for address in (PAGE, MARKDOWN))
    answer = get(world.cast.auditor, PDF)
    printed = " ".join(sheet.extract_text() for sheet in PdfReader(io.BytesIO(answer.content)).pages)

    with world.everything():
        in_force = PolicyVersion.objects.filter(is_active=True)
        ids = {row["id"] for version in in_force for row in version.document["clauses"]}
    for paper in (page, written, printed):
        assert {each for each in ids if each not in paper} == set()
        assert "at least 83 % of the lines" in " ".join(paper.split())
        assert "DevOps" in paper
    assert 'id="QA-50"' in page
    assert "at least 83 %" not in before
    assert answer["Content-Disposition"] == 'attachment; filename="strategy.pdf"'
    theirs = text_of(get(world.cast.customer_operator, MARKDOWN))
    assert "at least 83 % of the lines" in theirs
    assert "| Security |" in written
    assert "| Security |" not in theirs


@pytest.mark.django_db
def test_any_two_versions_of_a_tier_are_compared_in_words_and_as_yaml(world: World) -> None:
    with world.everything():
        for least in (70, 80):
            proposal = actions.propose(text(least=least), tier="QA", reason="More", by=world.cast.devops, now=NOW)
            activate(proposal, by=world.cast.security)
    address = reverse("policies:policy-version", args=["qa", 4])

    last, first = (text_of(get(world.cast.auditor, f"{address}{query}")) for query in ("", "?since=2"))
    back = text_of(get(world.cast.auditor, reverse("policies:policy-version", args=["qa", 2]) + "?since=4"))

    assert "Gate: Coverage; Asked: at least 70 % of the lines; Holds for: Everybody" in last
    assert "least_percent: 70" in last
    assert "What changed since version 2" in first
    assert "at least 70 %" not in first
    assert "What was otherwise than in version 4" in back
    for bad in ("?since=9", "?since=x", "?since=99999999999999999999"):
        assert get(world.cast.auditor, address + bad).status_code == 404
