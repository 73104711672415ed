"""How long a release takes for what was measured: pytest-benchmark's JSON, and that of Google Benchmark."""

import math
from collections import defaultdict
from collections.abc import Iterator
from statistics import median
from typing import Any

from apps.releases.reports import Unreadable, documents
from apps.releases.reports.documents import nested, text

MOST = 1000
NAMED = 20
TARGET = "target_seconds"
SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}

# Name, seconds (None: it failed), target in seconds (None: none is named).
_Measured = tuple[str, float | None, float | None]


def read_benchmark(report: bytes) -> dict[str, Any]:
    """This function will read the median of each benchmark, and its target where the report names one.

    `target_seconds` stands in pytest-benchmark's `extra_info`, or is a counter of Google Benchmark's.
    """
    document = documents.json_object(report)
    rows = documents.rows(document, "benchmarks")
    if "machine_info" in document:
        tool, measured = "pytest-benchmark", list(_of_pytest(rows))
    elif nested(document, "context"):
        tool, measured = _google(document), list(_of_google(rows))
    else:
        raise Unreadable("It is neither pytest-benchmark's JSON (machine_info) nor Google Benchmark's (context).")
    if not measured:
        raise Unreadable("It holds no benchmark.")
    results: dict[str, dict[str, float]] = {}
    failed = {name for name, seconds, _ in measured if seconds is None}
    for name, seconds, target in measured:
        if seconds is not None and seconds >= results.get(name, {}).get("seconds", 0):
            results[name] = {"seconds": seconds, **({TARGET: target} if target else {})}
    if len(results) > MOST:
        raise Unreadable(f"It holds {len(results):,} benchmarks; at most {MOST:,} are read.")
    return {
        "tool": tool,
        "benchmarks": len(results.keys() | failed),
        "failed": len(failed),
        "failures": sorted(failed)[:NAMED],
        "results": results,
    }


def _of_pytest(rows: list[dict[str, Any]]) -> Iterator[_Measured]:
    for row in rows:
        name = _name(row.get("fullname") or row.get("name"))
        yield name, _seconds(nested(row, "stats").get("median"), name), _target(nested(row, "extra_info"), name)


def _of_google(rows: list[dict[str, Any]]) -> Iterator[_Measured]:
    """Yield the median of the repetitions; what the program itself made of them is not needed."""
    times, targets = defaultdict[str, list[float]](list), dict[str, float | None]()
    for row in rows:
        name = _name(row.get("run_name") or row.get("name"))
        if row.get("error_occurred") is True:
            yield name, None, None
        elif row.get("run_type", "iteration") == "iteration":
            unit = SECONDS.get(text(row.get("time_unit")) or "ns")
            if unit is None:
                raise Unreadable(f"{name}: {text(row.get('time_unit'))[:20]!r} is no unit of time.")
            times[name].append(_seconds(row.get("real_time"), name) * unit)
            targets[name] = _target(row, name)
    # With --benchmark_report_aggregates_only there is nothing else.
    for row in rows:
        name = _name(row.get("run_name") or row.get("name"))
        if row.get("aggregate_name") == "median" and name not in targets:
            unit = SECONDS.get(text(row.get("time_unit")) or "ns", 1e-9)
            yield name, _seconds(row.get("real_time"), name) * unit, _target(row, name)
    for name, found in times.items():
        yield name, median(found), targets[name]


def _google(document: dict[str, Any]) -> str:
    program = text(nested(document, "context").get("executable")).rpartition("/")[2]
    return documents.short(f"Google Benchmark of {program}" if program else "Google Benchmark", 100)


def _name(value: object) -> str:
    if not (name := documents.short(text(value))):
        raise Unreadable("A benchmark has no name.")
    return name


def _seconds(value: object, name: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value) or value < 0:
        raise Unreadable(f"{name} has no time that can be compared.")
    return float(value)


def _target(of: dict[str, Any], name: str) -> float | None:
    if of.get(TARGET) is None:
        return None
    if not (target := _seconds(of[TARGET], f"The target of {name}")):
        raise Unreadable(f"The target of {name} is no time at all.")
    return target
