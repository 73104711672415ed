"""What benchmarks report is read as seconds, whoever wrote it."""

import json
from typing import Any

import pytest

from apps.releases import reports
from apps.releases.enums import EvidenceKind as K
from apps.releases.reports import Unreadable, benchmarks
from apps.releases.wording import sentence_of


def of_pytest(*rows: Any) -> bytes:
    return json.dumps(
        {"machine_info": {"node": "ci"}, "commit_info": {}, "benchmarks": rows, "version": "5.2"}
    ).encode()


def of_google(*rows: Any, executable: str = "/build/bench/parser_bench") -> bytes:
    return json.dumps({"context": {"executable": executable, "num_cpus": 8}, "benchmarks": rows}).encode()


def row(name: str, time: Any, unit: str = "ns", **more: Any) -> dict[str, Any]:
    return {"name": name, "run_name": name, "run_type": "iteration", "real_time": time, "time_unit": unit, **more}


def test_the_median_and_the_target_of_pytest_benchmark_are_read() -> None:
    told = reports.read(
        K.BENCHMARK,
        of_pytest(
            {"fullname": "tests/a.py::test_parse", "stats": {"median": 0.25, "mean": 9}},
            {"name": "test_load", "stats": {"median": 1}, "extra_info": {"target_seconds": 2}},
        ),
    )

    assert told == {
        "tool": "pytest-benchmark", "benchmarks": 2, "failed": 0, "failures": [],
        "results": {
            "tests/a.py::test_parse": {"seconds": 0.25}, "test_load": {"seconds": 1.0, "target_seconds": 2.0},
        },
    }  # fmt: skip
    assert sentence_of(K.BENCHMARK, told) == "2 benchmarks, by pytest-benchmark"


def test_the_repetitions_of_google_benchmark_are_read_and_what_failed() -> None:
    told = reports.read(
        K.BENCHMARK,
        of_google(
            *(row("BM_Parse/8", time, "us") for time in (9, 3, 2)),
            row("BM_Parse/8", 99, "us", run_type="aggregate", aggregate_name="mean"),
            row("BM_Load", 0.5, "ms", target_seconds=0.001),
            row("BM_Only", 4, "s", run_type="aggregate", aggregate_name="median"),
            row("BM_Broken", 0, error_occurred=True, error_message="no such file"),
        ),
    )

    assert told["tool"] == "Google Benchmark of parser_bench"
    assert told["results"] == {
        "BM_Parse/8": {"seconds": pytest.approx(3e-6)},
        "BM_Load": {"seconds": 0.0005, "target_seconds": 0.001},
        "BM_Only": {"seconds": 4.0},
    }
    assert (told["benchmarks"], told["failed"], told["failures"]) == (4, 1, ["BM_Broken"])
    assert sentence_of(K.BENCHMARK, told).startswith("4 benchmarks, 1 failed, by Google")


@pytest.mark.parametrize(
    ("report", "why"),
    [
        (b"{}", "neither pytest-benchmark"),
        (of_pytest(), "holds no benchmark"),
        (of_pytest(7), "benchmarks: expected a list"),
        (of_pytest({"stats": {"median": 1}}), "no name"),
        (of_pytest({"name": "a", "stats": {"median": "1"}}), "a has no time"),
        (of_pytest({"name": "a", "stats": {"median": -1}}), "a has no time"),
        (of_pytest({"name": "a", "stats": {}}), "a has no time"),
        (of_pytest({"name": "a", "stats": {"median": float("nan")}}), "a has no time"),
        (
            of_pytest({"name": "a", "stats": {"median": 1}, "extra_info": {"target_seconds": "x"}}),
            "The target of a has",
        ),
        (of_pytest({"name": "a", "stats": {"median": 1}, "extra_info": {"target_seconds": 0}}), "no time at all"),
        (of_google(row("a", 1, "weeks")), "'weeks' is no unit"),
        (of_google(row("a", 1))[:-1], "not JSON"),
        (b"\xff", "not JSON in UTF-8"),
        (b'{"benchmarks":' * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_report_of_benchmarks_is_told_with_its_reason(report: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        reports.read(K.BENCHMARK, report)


def test_very_many_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmarks, "MOST", 1)

    with pytest.raises(Unreadable, match="2 benchmarks; at most 1"):
        reports.read(K.BENCHMARK, of_google(row("a", 1), row("b", 1)))
