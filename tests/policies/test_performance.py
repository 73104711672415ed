"""How slow a release may be: by its own targets, else beside what runs in Production."""

from dataclasses import replace
from typing import Any

import pytest

from apps.policies.enums import Outcome
from apps.policies.facts import BaselineFacts, ReportFacts
from apps.policies.gates import GateResult, evaluate
from tests.policies.documents import clause, make_document, make_policy
from tests.policies.facts import BASELINE, LIVE, make_facts, report

TOOL = "pytest-benchmark"
UNMEASURED = replace(BASELINE, reports=())


def took(tool: str = TOOL, *, failed: int = 0, **seconds: float | tuple[float, float]) -> ReportFacts:
    """Return a report; a pair is seconds and the target."""
    pairs = {name: took if isinstance(took, tuple) else (took, None) for name, took in seconds.items()}
    results = {
        name: {"seconds": value, **({"target_seconds": target} if target else {})}
        for name, (value, target) in pairs.items()
    }
    return report("BENCHMARK", tool, results=results, failed=failed, failures=["broken"][:failed])


def judge(*reports: ReportFacts, baseline: BaselineFacts | None = BASELINE, **asked: Any) -> GateResult:
    row = clause(9, "performance", settings={"limit_percent": 20, **asked})
    policy = make_policy(clauses=[*make_document()["clauses"], row])
    facts = make_facts(reports=reports, baseline=baseline)
    return next(result for result in evaluate(policy, facts) if result.name == "performance")


@pytest.mark.parametrize(
    ("report", "outcome", "sentence"),
    [
        (took(parse=0.012), Outcome.PASSED, "1 of 1 benchmarks were compared, the slowest beside that is parse: +20"),
        (took(parse=0.01201), Outcome.FAILED, "parse took 12 ms, at most 12 ms (10 ms in 1.0.0). Asked: none is slow"),
        (took(parse=0.1), Outcome.FAILED, "parse took 100 ms, at most 12 ms (10 ms in 1.0.0)."),
        (took(parse=(0.1, 0.09)), Outcome.PASSED, "parse: +11.1 %"),
        (took(parse=(0.01, 0.005)), Outcome.FAILED, "parse took 10 ms, at most 6 ms (5 ms is its target)."),
        (took(parse=0.005, load=1), Outcome.PASSED, "1 of 2 benchmarks were compared, the slowest beside that is "
         "parse: -50.0 %. 1 more have nothing to be compared with."),
        (took(load=(1, 1)), Outcome.PASSED, "load: +0.0 %. No longer measured: parse. Asked:"),
        (took(load=1), Outcome.INCONCLUSIVE, "No benchmark was also measured of 1.0.0, which runs in Production, or"),
        (took("another", parse=1), Outcome.INCONCLUSIVE, "No benchmark was also measured of 1.0.0"),
        (took(parse=0.01, failed=1), Outcome.FAILED, "broken failed. Asked: none is slower by more than 20 % than its"),
    ],
)  # fmt: skip
def test_a_benchmark_is_measured_by_its_target_else_by_production(
    report: ReportFacts, outcome: Outcome, sentence: str
) -> None:
    result = judge(report)

    assert (result.outcome, sentence in result.sentence) == (outcome, True), result.sentence


@pytest.mark.parametrize("baseline", [None, UNMEASURED, replace(BASELINE, order=(2, 0, 0, "~"))])
def test_nothing_is_slow_beside_nothing(baseline: BaselineFacts | None) -> None:
    assert judge(took(load=1), baseline=baseline).outcome == Outcome.NOT_REQUIRED
    assert judge(baseline=baseline).outcome == Outcome.NOT_REQUIRED
    assert judge(took(load=(1, 0.1)), baseline=baseline).outcome == Outcome.FAILED, "its target holds all the same"
    assert judge(baseline=baseline, reported=True).outcome == Outcome.WAITING


def test_a_report_is_awaited_once_production_was_measured() -> None:
    assert judge().sentence.startswith("There is no report of benchmarks yet.")
    assert judge(baseline=UNMEASURED).sentence == (
        "No benchmark of 1.1.0 names a target, and 1.0.0, which runs in Production, was not measured."
    )
    assert LIVE.version in judge().sentence


def test_of_many_slow_ones_the_worst_are_named() -> None:
    slow = {f"test_{number}": (float(number), 1.0) for number in range(2, 9)}

    assert judge(took(**slow)).sentence.startswith(
        "test_8 took 8 s, at most 1.2 s (1 s is its target); test_7 took 7 s"
    )
    assert "4 more. Asked" in judge(took(**slow)).sentence
