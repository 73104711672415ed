"""What was reported of a release opens and closes the gates that ask for it, up to the moment of the claim."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.approvals import actions
from apps.approvals.enums import PromotionState
from apps.approvals.models import Promotion
from apps.releases import actions as release_actions
from apps.releases.models import Evidence
from tests.approvals.promotions import ask, put_in_force, say
from tests.cast import NOW
from tests.drill import get, text_of
from tests.world import World

pytestmark = pytest.mark.django_db

GATES = ("tests", "coverage", "security_scan", "parts_list")
HOUR = timedelta(hours=1)


def junit(*, failed: int = 0) -> bytes:
    return f"<testsuite><testcase name='a'/>{'<testcase><failure/></testcase>' * failed}</testsuite>".encode()


def lcov(covered: int, lines: int = 100) -> bytes:
    hits = "".join(f"DA:{line},{int(line <= covered)}\n" for line in range(1, lines + 1))
    return f"SF:a.py\n{hits}end_of_record\n".encode()


def sarif(tool: str, *levels: str) -> bytes:
    results = [{"ruleId": "r", "level": level, "message": {"text": "m"}} for level in levels]
    return json.dumps({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": tool}}, "results": results}]}).encode()


PARTS = b'{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"type": "library", "name": "a"}]}'


def report(
    world: World, kind: str, content: bytes, suite: str = "", *, now: Any = NOW, release: Any = None, **more: Any
) -> Evidence:
    values = {"suite": suite, "by": world.cast.release_engineer, "now": now, **more}
    return release_actions.keep_evidence(release or world.release, kind=kind, report=content, **values)[0]


def report_all(world: World) -> None:
    report(world, "JUNIT", junit(), "UNIT")
    report(world, "JUNIT", junit(), "INTEGRATION", environment=world.qa)
    report(world, "LCOV", lcov(70))
    report(world, "SARIF", sarif("semgrep", "warning"))
    report(world, "CYCLONEDX", PARTS)


def settled(promotion: Promotion, *, now: Any = NOW) -> tuple[str, dict[str, str]]:
    promotion = actions.settle(promotion, now=now)
    return promotion.state, {gate["name"]: gate["outcome"] for gate in promotion.gates if gate["name"] in GATES}


@pytest.fixture
def promotion(world: World) -> Promotion:
    put_in_force("DEV", *GATES)
    return ask(world, world.dev, starts_by_itself=False)


def test_a_promotion_waits_for_reports_and_is_ready_once_all_say_enough(world: World, promotion: Promotion) -> None:
    assert settled(promotion) == (PromotionState.PENDING, dict.fromkeys(GATES, "WAITING"))

    report_all(world)

    assert settled(promotion) == (PromotionState.READY, dict.fromkeys(GATES, "PASSED"))


@pytest.mark.parametrize(
    ("gate", "kind", "content", "suite"),
    [
        ("tests", "JUNIT", junit(failed=1), "UNIT"),
        ("coverage", "LCOV", lcov(69), ""),
        ("security_scan", "SARIF", sarif("semgrep", "error"), ""),
    ],
)
def test_the_newest_report_counts_and_closes_what_was_open(
    world: World, promotion: Promotion, gate: str, kind: str, content: bytes, suite: str
) -> None:
    report_all(world)
    report(world, kind, content, suite, now=NOW + HOUR)

    state, gates = settled(promotion, now=NOW + HOUR)

    assert (state, gates[gate]) == (PromotionState.PENDING, "FAILED")
    assert [name for name, outcome in gates.items() if outcome == "FAILED"] == [gate]


def test_another_scanner_adds_to_what_the_first_found(world: World, promotion: Promotion) -> None:
    report_all(world)
    report(world, "SARIF", sarif("trivy", "error"), now=NOW + HOUR)
    report(world, "SARIF", sarif("semgrep"), now=NOW + 2 * HOUR)

    assert settled(promotion, now=NOW + 2 * HOUR)[1]["security_scan"] == "FAILED"


def test_a_bad_report_that_comes_after_the_approval_stops_the_claim(world: World) -> None:
    put_in_force("DEV", *GATES, roles=("DEVOPS",))
    promotion = ask(world, world.dev, starts_by_itself=False)
    report_all(world)
    assert say(promotion, "DEVOPS", world.cast.devops).state == PromotionState.READY
    report(world, "JUNIT", junit(failed=2), "UNIT", now=NOW + HOUR)

    closed = [result for result in actions.recheck(promotion, now=NOW + HOUR) if not result.outcome.lets_pass]

    assert [result.sentence for result in closed] == [
        "Unit tests: 1 of 3 passed. Asked: all unit tests and integration tests pass."
    ]


def test_a_promotion_costs_the_same_for_few_reports_and_many(world: World, promotion: Promotion) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as asked:
            actions.recheck(promotion, now=NOW)
        return len(asked)

    report(world, "JUNIT", junit(), "UNIT")
    report(world, "SARIF", sarif("scanner"))
    few = cost()
    for number in range(8):
        report(world, "SARIF", sarif(f"scanner {number}"), environment=world.qa)
        report(world, "LCOV", lcov(70 + number), environment=world.staging)

    assert cost() == few


def test_the_page_says_what_was_measured_what_is_asked_and_by_which_report(world: World, promotion: Promotion) -> None:
    report_all(world)
    actions.settle(promotion, now=NOW)

    answer = get(world.cast.auditor, reverse("approvals:promotion-detail", args=[promotion.number]))
    page = text_of(answer)

    assert f'href="{reverse("releases:evidence-list", args=["greeter", "1.0.0"])}">Reports' in answer.content.decode()
    assert f'href="{reverse("policies:policy-version", args=["dev", 2])}#PROD-7"' in answer.content.decode()
    assert "70 % of 100 lines were run. Asked: at least 70 %." in page
    assert "Integration tests, in QA, received 2026-11-18 19:00 UTC" in page
