"""What scanners found, one by one: kept with their report, shown worst first, never changed."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import Error, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.html import escape

from apps.releases import actions
from apps.releases.models import Evidence
from tests.cast import NOW
from tests.drill import HTMX, get, text_of
from tests.world import HOSTILE, World

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_store(settings: Any, tmp_path: Path) -> None:
    settings.ARTIFACT_DIR = tmp_path / "artifacts"


def sarif(*levels: str, tool: str = "semgrep", text: str = "Something") -> bytes:
    results = [
        {
            "ruleId": f"rule-{number:03}",
            "level": level,
            "message": {"text": text},
            "locations": [{"physicalLocation": {"artifactLocation": {"uri": "a.py"}, "region": {"startLine": number}}}],
        }
        for number, level in enumerate(levels)
    ]
    return json.dumps({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": tool}}, "results": results}]}).encode()


def keep(world: World, report: bytes, *, now: datetime = NOW) -> Evidence:
    with world.everything():
        by = world.cast.release_engineer
        return actions.keep_evidence(world.release, kind="SARIF", report=report, by=by, now=now)[0]


def address(world: World, query: str = "") -> str:
    return reverse("releases:finding-list", args=[world.service.slug, world.release.version]) + query


def test_findings_are_listed_worst_first_and_by_severity(world: World) -> None:
    keep(world, sarif("note", "error", "warning", "error"))
    keep(world, sarif("error", tool="checkov"))

    page, high = (text_of(get(world.cast.auditor, address(world, query))) for query in ("", "?severity=3"))

    places = [page.index(rule) for rule in ("rule-003", "rule-002")]
    assert places == sorted(places)
    assert ("checkov" in page, "a.py:3" in page) == (True, True)
    assert ("rule-003" in high, "rule-002" in high) == (True, False)
    assert "No finding matches" in text_of(get(world.cast.auditor, address(world, "?severity=9")))


def test_only_the_newest_report_of_a_scanner_is_shown(world: World) -> None:
    keep(world, sarif("error"))
    keep(world, sarif("note", "note"), now=NOW + timedelta(hours=1))

    shown = get(world.cast.auditor, address(world)).context["page"].rows

    assert [finding.label for finding in shown] == ["Low", "Low"]


def test_the_list_costs_the_same_for_few_and_many_and_goes_on(world: World) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as asked:
            get(world.cast.auditor, address(world), **HTMX)
        return len(asked)

    keep(world, sarif("error"))
    few = cost()
    for scanner in range(3):
        keep(world, sarif(*["error", "note"] * 15, tool=f"scanner {scanner}"))

    assert cost() == few
    first = get(world.cast.auditor, address(world)).context["page"]
    second = get(world.cast.auditor, address(world, f"?before={first.older}")).context["page"]
    shown = [*first.rows, *second.rows]
    assert len({finding.pk for finding in shown}) == 91
    assert [finding.severity for finding in shown] == sorted((finding.severity for finding in shown), reverse=True)
    assert second.newer


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_words_are_shown_as_text(world: World, name: str) -> None:
    text = "".join(char for char in name if char.isprintable())
    keep(world, sarif("error", text=text))

    assert escape(text) in text_of(get(world.cast.auditor, address(world)))


@pytest.mark.parametrize("change", ["UPDATE releases_finding SET severity = 1", "DELETE FROM releases_finding"])
def test_what_was_found_never_changes(world: World, change: str) -> None:
    keep(world, sarif("error"))

    with world.everything(), pytest.raises(Error, match="can not be changed"), transaction.atomic():
        connection.cursor().execute(change)


def test_a_report_of_before_findings_were_kept_says_that_they_are_only_counted(world: World) -> None:
    figures = {"tool": "semgrep", "critical": 0, "high": 2, "medium": 0, "low": 1, "suppressed": 0}
    with world.everything():
        Evidence.objects.create(
            workspace_id=world.release.workspace_id, release=world.release, kind="SARIF", figures=figures, size=1,
            artifact_digest=world.release.artifact_digest, sha256="0" * 64, received_at=NOW, received_from_label="CI",
        )  # fmt: skip

    page = text_of(get(world.cast.auditor, address(world)))

    assert "3 of them are counted and not listed" in page
    assert "No scanner has reported yet" not in page
