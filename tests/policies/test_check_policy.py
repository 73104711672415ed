import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from tests.policies.test_sources import GOOD

ROOT = Path(__file__).resolve().parents[2]


def check(*arguments: object) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("check_policy", *map(str, arguments), stdout=out)
    except SystemExit as error:
        return int(str(error.code)), out.getvalue()
    return 0, out.getvalue()


@pytest.fixture
def good(tmp_path):
    file = tmp_path / "production.yaml"
    file.write_text(GOOD)
    return file


@pytest.fixture
def wrong(tmp_path):
    file = tmp_path / "a,b.yaml"
    file.write_text(GOOD.replace("tier: PRODUCTION", "tier: MOON"))
    return file


def test_a_good_policy_ends_with_0(good):
    assert check(good) == (0, f"{good}: good, 7 clauses for Production.\n")


def test_a_wrong_policy_ends_with_1_and_says_where(good, wrong):
    code, report = check(wrong, good)

    assert code == 1
    assert f"{wrong}:2:1: tier: expected one of " in report
    assert f"{good}: good" in report


def test_a_file_that_cannot_be_read_ends_with_2(wrong, tmp_path):
    code, report = check(wrong, tmp_path / "none.yaml")

    assert code == 2
    assert f"{tmp_path}/none.yaml:1:1: The file can't be read: No such file or directory." in report


def test_github_is_told_in_its_own_words(wrong):
    _, report = check(wrong, "--format", "github")

    assert report.startswith(f"::error file={wrong.parent}/a%2Cb.yaml,line=2,col=1::tier: expected one of ")


def test_it_runs_from_another_repository_without_a_database(wrong):
    ran = subprocess.run(
        [ROOT / "deploy" / "check-policy", wrong.name],
        cwd=wrong.parent,
        env={"PATH": os.environ["PATH"], "EAIP_PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (ran.returncode, ran.stderr) == (1, "")
    assert ran.stdout.startswith("a,b.yaml:2:1: tier: expected one of ")
