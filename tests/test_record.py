"""A part of `make reliability` that was ended goes on with what has not passed."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import record
from tests.record import PASSED, Row


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    monkeypatch.setenv(record.PLACE, str(tmp_path / "record.jsonl"))
    return tmp_path / "record.jsonl"


def _came_to_its_end(test: str, *, setup: str = PASSED, call: str = PASSED, teardown: str = PASSED) -> None:
    for when, outcome in {"setup": setup, "call": call, "teardown": teardown}.items():
        if when != "call" or setup == PASSED:
            figures = [("of", "helm"), ("killed", 1)] if when == "teardown" else []
            report = pytest.TestReport(test, ("", 0, ""), {}, outcome, None, when, user_properties=figures)
            record.pytest_runtest_logreport(report)


def test_only_what_has_passed_is_left_out(place: Path) -> None:
    _came_to_its_end("good")
    _came_to_its_end("bad", call="failed")
    _came_to_its_end("untidy", teardown="failed")
    _came_to_its_end("skipped", setup="skipped")
    _came_to_its_end("mended", call="failed")
    _came_to_its_end("mended")
    place.write_text(place.read_text() + '{"test": "its writer was killed", "outc')
    names = ("good", "bad", "untidy", "skipped", "mended", "new")
    items, left_out = [SimpleNamespace(nodeid=name) for name in names], list[SimpleNamespace]()
    config = SimpleNamespace(hook=SimpleNamespace(pytest_deselected=lambda items: left_out.extend(items)))

    record.pytest_collection_modifyitems(config, items)

    assert [item.nodeid for item in items] == ["bad", "untidy", "skipped", "new"]
    assert [item.nodeid for item in left_out] == ["good", "mended"]


def test_a_test_whose_process_was_ended_is_none_that_passed(place: Path) -> None:
    report = pytest.TestReport("ended", ("", 0, ""), {}, PASSED, None, "call")
    record.pytest_runtest_logreport(report)

    assert record.rows(place) == []


def test_whole_numbers_are_added_up_and_of_others_the_largest_stays() -> None:
    known = [
        Row("a", PASSED, {"of": "helm", "killed": 1, "slowest, s": 12.34}),
        Row("b", "failed", {"of": "helm", "killed": 1, "twice": 2, "slowest, s": 7.0}),
        Row("c", PASSED, {"of": "local", "killed": 1}),
        Row("d", PASSED, {}),
    ]

    assert record.table(known) == (
        ["of", "tests", "failed", "killed", "slowest, s", "twice"],
        [["helm", 2, 1, 2, "12.3", 2], ["local", 1, 0, 1, "", ""]],
    )
