"""What became of each test of a part, and its figures, line by line in a file: so that a part that was ended goes on.

`EAIP_TEST_RECORD` names the file; what it says has passed is not run again. A test gives figures by `record_property`:
`of` names the row of the table that they belong to, whole numbers are added up there, and of others the largest stays.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

import pytest

PLACE = "EAIP_TEST_RECORD"
PASSED = "passed"

_outcomes: dict[str, str] = {}


@dataclass(frozen=True)
class Row:
    test: str
    outcome: str
    figures: Mapping[str, str | int | float]


def rows(place: Path) -> list[Row]:
    """Return what is known of each test, the newest of each."""
    newest: dict[str, Row] = {}
    for line in place.read_text().splitlines() if place.exists() else []:
        with suppress(ValueError):  # its writer was killed over it: the test is run again
            row = Row(**json.loads(line))
            newest[row.test] = row
    return list(newest.values())


def table(known: Iterable[Row]) -> tuple[list[str], list[list[object]]]:
    """Return the columns and the lines of the figures, one line for each `of`."""
    groups: dict[str, list[Row]] = {}
    for row in known:
        if "of" in row.figures:
            groups.setdefault(str(row.figures["of"]), []).append(row)
    names = list(dict.fromkeys(name for row in chain(*groups.values()) for name in row.figures if name != "of"))
    return ["of", "tests", "failed", *names], [
        [of, len(some), sum(row.outcome != PASSED for row in some), *(_together(name, some) for name in names)]
        for of, some in groups.items()
    ]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if place := os.environ.get(PLACE):
        passed = {row.test for row in rows(Path(place)) if row.outcome == PASSED}
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in passed])
        items[:] = [item for item in items if item.nodeid not in passed]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Of several processes the first one hears of every test."""
    place = os.environ.get(PLACE)
    if not place or "PYTEST_XDIST_WORKER" in os.environ:
        return
    if _outcomes.get(report.nodeid, PASSED) == PASSED:
        _outcomes[report.nodeid] = report.outcome
    if report.when == "teardown":
        row = Row(report.nodeid, _outcomes.pop(report.nodeid), dict(report.user_properties))
        with Path(place).open("a") as lines:
            lines.write(json.dumps(asdict(row)) + "\n")


def _together(name: str, some: Iterable[Row]) -> object:
    values = list(_numbers(name, some))
    if not values:
        return ""
    return sum(values) if all(isinstance(value, int) for value in values) else f"{max(values):.1f}"


def _numbers(name: str, some: Iterable[Row]) -> Iterator[int | float]:
    for row in some:
        if isinstance(value := row.figures.get(name), int | float):
            yield value
