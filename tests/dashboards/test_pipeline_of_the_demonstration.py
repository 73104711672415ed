"""What the demonstration reports is read as any report is, and says what really was."""

import json
import zipfile
from pathlib import Path

import pytest

from apps.dashboards.demonstration import pipeline
from apps.dashboards.demonstration.pipeline import Answer, Case
from apps.integrations.git_repository import GitRepository
from apps.releases import reports
from apps.releases.enums import EvidenceKind


@pytest.mark.parametrize(("tag", "failed"), [("v1.0.0", 0), ("v2.3.1", 0), ("v2.3.0", 1)])
def test_the_greeters_own_tests_run_as_they_were_at_the_commit(
    repository: GitRepository, tag: str, failed: int
) -> None:
    found = list(pipeline._own_tests(repository.resolve(tag)))

    tests = reports.read(EvidenceKind.JUNIT, found[0].content)
    coverage = reports.read(EvidenceKind.LCOV, found[1].content)
    assert (tests["failed"], found[0].suite) == (failed, "UNIT")
    assert (coverage["percent"] >= 70) is not bool(failed)


def test_a_commit_without_tests_is_not_reported_of(repository: GitRepository) -> None:
    author = ("-c", "user.name=Developer", "-c", "user.email=developer@example.com")
    commit = repository.run(*author, "commit-tree", repository.run("mktree").strip(), "-m", "Empty").strip()

    assert list(pipeline._own_tests(commit)) == []


def test_a_wheel_that_was_changed_is_found(tmp_path: Path) -> None:
    wheel = tmp_path / "greeter-1.0.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("greeter/__init__.py", "print('not what was built')")
        archive.writestr("greeter/more.py", "")
        archive.writestr("greeter/_vendor/other-1.0.dist-info/RECORD", "")
        archive.writestr("greeter-1.0.0.dist-info/RECORD", RECORD)

    found = list(pipeline._tampered(wheel.name, wheel))

    assert [(rule, place.rpartition("/")[2]) for rule, place in found] == [
        ("other-content", "__init__.py"),
        ("unlisted", "more.py"),
    ]
    figures = reports.read(EvidenceKind.SARIF, pipeline.sarif("wheel-contents", found))
    assert (figures["tool"], figures["high"]) == ("wheel-contents", 2)
    assert reports.read(EvidenceKind.SARIF, pipeline.sarif("wheel-contents", []))["high"] == 0


def test_parts_and_answers_are_written_so_that_the_portal_reads_them() -> None:
    wheel = {"name": "webdav", "version": "4.3.3", "sha256": "0" * 64}
    parts = reports.read(EvidenceKind.CYCLONEDX, pipeline.cyclonedx("File share", "4.3.3", [wheel]))
    seen = pipeline.openapi("Seen", [Answer("/", 200, "text/plain", "4.3.3")])
    steps = pipeline.junit("deployment", [Case("1. Install", 1.5), Case("2. Start", failure="It did not start.")])

    assert (parts["components"], parts["subject"]) == (1, "File share 4.3.3")
    assert reports.read(EvidenceKind.OPENAPI, seen)["operations"] == 1
    assert json.loads(seen)["paths"]["/"]["get"]["responses"]["200"]["content"] == {"text/plain": {}}
    assert reports.read(EvidenceKind.JUNIT, steps)["failures"] == ["deployment.2. Start"]


RECORD = """\
greeter/__init__.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0
greeter/_vendor/other-1.0.dist-info/RECORD,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0
greeter-1.0.0.dist-info/RECORD,,
"""
