"""`make reliability`: what is promised of the engine, row by row, with the clocks that it is delivered with.

It takes hours and may be ended at any time: what has passed on this commit, a part or one of its tests, is not run
again. Each keeps its report, with the figures of its tests, in `.run/reliability/<commit>/`. PARTS="R7 R9" names some;
FRESH=1 runs also what has passed. R12 is `make soak`, the model of R13 `make model`.
"""

import io
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bench.table import print_table
from tests import record

REPORTS = Path(".run/reliability")
ALL = "reliability or not reliability"
DIRTY = "-with-changes"


@dataclass(frozen=True)
class Part:
    """What pytest is given for a row, in how many processes: one where times are measured, many where it waits."""

    tests: tuple[str, ...]
    processes: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)


JOURNEYS = (
    "failing_release", "journey_without_scripts", "states", "long_log", "paths", "paths_as_shipped", "records",
)  # fmt: skip
DEPLOYMENTS, EXECUTORS = "tests/deployments", "tests/executors"
PARTS = {
    "R1-files": Part((f"{DEPLOYMENTS}/test_crashes.py", f"{DEPLOYMENTS}/test_judges.py"), 2),
    "R1-executors": Part(
        tuple(f"{DEPLOYMENTS}/test_{name}.py" for name in ("crashes_everywhere", "with_helm", "with_services")), 6
    ),
    "R1-random": Part((f"{DEPLOYMENTS}/test_random_kills.py",)),
    "R2": Part((f"{EXECUTORS}/test_guard.py", f"{EXECUTORS}/test_killed_worker.py")),
    "R3-R4": Part((f"{DEPLOYMENTS}/test_broker.py", f"{DEPLOYMENTS}/test_faults_of_broker.py")),
    "R5": Part((f"{DEPLOYMENTS}/test_start.py", "tests/environments/test_claim_resource.py")),
    "R6": Part((f"{DEPLOYMENTS}/test_faults_of_workers.py",), environment={"EAIP_TEST_AWAY_SECONDS": "600"}),
    "R7": Part((f"{DEPLOYMENTS}/test_epoch.py", f"{DEPLOYMENTS}/test_faults_of_database.py")),
    "R8": Part((f"{DEPLOYMENTS}/test_frozen.py", f"{DEPLOYMENTS}/test_wrong_clocks.py"), 2),
    "R9": Part((f"{DEPLOYMENTS}/test_hangs.py",), 2),
    "R10": Part((f"{DEPLOYMENTS}/test_cancel_everywhere.py",), 2),
    "R11": Part((f"{EXECUTORS}/test_helm.py", f"{EXECUTORS}/test_contract.py"), 2),
    "signals": Part((f"{DEPLOYMENTS}/test_with_prometheus.py",)),
    "R13": Part((f"{DEPLOYMENTS}/test_state_machine.py",), 2),
    "A2": Part(("tests/audit/test_tampering.py", "tests/audit/test_going_back.py")),
    "A3": Part(("tests/audit/test_many_writers.py",), environment={"EAIP_TEST_WRITING_SECONDS": "600"}),
    "A6": Part(tuple(f"tests/compliance/test_{name}.py" for name in ("trail_exports", "streams"))),
    "S3": Part(("tests/integrations/test_outbound.py", "tests/health/test_endpoint_checks.py"), 2),
    "browser": Part(
        (
            "tests/browser/test_every_page.py",
            *(f"tests/functional/test_{name}.py" for name in JOURNEYS),
        ),
        2,
    ),
    "switches": Part((f"{EXECUTORS}/test_switches_under_load.py",)),
}


def main() -> int:
    asked = os.environ.get("PARTS", "").split()
    unknown = [word for word in asked if not _chosen(word)]
    if unknown:
        print(f"There is no part {', '.join(unknown)}. There are: {', '.join(PARTS)}.")
        return 2
    names = [name for name in PARTS if not asked or any(name in _chosen(word) for word in asked)]
    folder = REPORTS / commit()
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        report = folder / f"{name}.txt"
        if os.environ.get("FRESH") or folder.name.endswith(DIRTY):
            for kept in (report, report.with_suffix(".part"), report.with_suffix(".jsonl")):
                kept.unlink(missing_ok=True)
        if not _verdict(report).startswith("passed"):
            run(name, report)
    rows = [(name, _verdict(folder / f"{name}.txt"), folder / f"{name}.txt") for name in names]
    print_table("Reliability, real clocks", ("part", "result", "report"), rows)
    return int(not all(verdict.startswith("passed") for _, verdict, _ in rows))


def commit() -> str:
    """This function will name the tree that is tried; with a mark where it has changes that no commit holds."""
    known = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True)
    changed = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True)
    return (known.stdout.strip() or "unknown") + (DIRTY if changed.stdout or known.returncode else "")


def run(name: str, report: Path) -> None:
    """Show what pytest says while it says it, and keep it; the report has its name only once it is whole."""
    part, kept_rows = PARTS[name], report.with_suffix(".jsonl")
    command = [sys.executable, "-m", "pytest", "-n", str(part.processes), "-m", ALL, *part.tests]
    environment = os.environ | {"EAIP_TEST_CLOCKS": "real", record.PLACE: str(kept_rows.resolve())} | part.environment
    unfinished, began = report.with_suffix(".part"), time.monotonic()
    print(f"\n{name}: {' '.join(command[3:])}", flush=True)
    with (
        unfinished.open("a") as kept,
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as tests,
    ):
        for line in tests.stdout or ():
            print(line, end="", flush=True)
            kept.write(line)
            kept.flush()
        status = tests.wait()
        figures = _figures(kept_rows)
        print(figures, flush=True)
        # What was ended between its last test and its verdict has no test left.
        has_passed = status == 0 or (status == pytest.ExitCode.NO_TESTS_COLLECTED and kept_rows.exists())
        kept.write(f"{figures}\n{'passed' if has_passed else 'failed'} after {time.monotonic() - began:.0f} s\n")
    unfinished.rename(report)


def _figures(kept_rows: Path) -> str:
    """Return the table of what the tests gave, in all stretches together; nothing where they give none."""
    columns, lines = record.table(record.rows(kept_rows))
    with redirect_stdout(io.StringIO()) as printed:
        if lines:
            print_table("Figures", columns, lines)
    return printed.getvalue()


def _chosen(word: str) -> list[str]:
    """R1 stands for all its parts, R3 for the part that has it with R4."""
    return [name for name in PARTS if word == name or word in name.split("-")]


def _verdict(report: Path) -> str:
    """Return the last line of a report; nothing where there is none."""
    return report.read_text().rstrip().rpartition("\n")[2] if report.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
