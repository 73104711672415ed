import json
from pathlib import Path

import pytest
from django.core.management import call_command

from tests.releases.test_api_changes import BREAKING, HARMLESS, SHOP, changed


def check(tmp_path: Path, new: object, *options: str) -> int:
    for name, document in (("old", SHOP), ("new", new)):
        (tmp_path / name).write_text(json.dumps(document))
    try:
        call_command("check_contract", str(tmp_path / "old"), str(tmp_path / "new"), *options)
    except SystemExit as ended:
        return int(str(ended.code))
    return 0


def test_each_change_is_reported_under_its_operation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(tmp_path, changed(*BREAKING["operation-removed"], *HARMLESS["deprecation-changed"])) == 1

    assert capsys.readouterr().out == (
        "POST /orders\n"
        "  COMPATIBLE  deprecated: It is deprecated: it works, and callers should leave it. (deprecation-changed)\n"
        "DELETE /orders/{id}\n"
        "  BREAKING    The operation is gone; whoever calls it gets an error. (operation-removed)\n"
        "1 breaking, 1 compatible, 0 undecided.\n"
    )


def test_a_compatible_description_passes_and_programs_read_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(tmp_path, changed(*HARMLESS["operation-added"]), "--json") == 0

    (change,) = json.loads(capsys.readouterr().out)
    assert (change["operation"], change["effect"]) == ("PUT /orders/{id}", "COMPATIBLE")


def test_what_needs_a_person_does_not_pass(tmp_path: Path) -> None:
    assert check(tmp_path, changed((("servers",), [{"url": "/v2"}]))) == 1


def test_what_cannot_be_read_is_told_from_what_breaks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(tmp_path, []) == 2
    assert "new: It doesn't say" in capsys.readouterr().err
