"""Two versions of the API of a real product, whose descriptions nobody here wrote: npm @figma/rest-api-spec 0.21.0 and
0.24.0 (MIT), as `make vendor` fetches them.

What is expected was written down from the difference of the two texts, before any program had compared them: 0.24
took two operations away although it is a minor release, gave the OAuth token another address, and added two properties
to answers.
"""

import gzip
from pathlib import Path

import pytest

from apps.releases.contracts.apart import Found, compare_apart
from apps.releases.contracts.changes import Effect

VENDOR = Path(__file__).resolve().parents[1] / "vendor"
GONE = {
    "GET /v1/analytics/libraries/{file_key}/actions": "operation-removed",
    "GET /v1/analytics/libraries/{file_key}/usages": "operation-removed",
}


def described(folder: Path, version: str) -> Path:
    file = folder / f"{version}.yaml"
    file.write_bytes(gzip.decompress((VENDOR / f"api-of-figma-{version}@{version}.0" / "openapi.yaml.gz").read_bytes()))
    return file


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    folder = tmp_path_factory.mktemp("apis")
    return compare_apart(described(folder, "0.21"), described(folder, "0.24"))


def test_what_was_taken_away_in_a_minor_release_breaks_and_nothing_else_does(found: Found) -> None:
    assert {change.operation: change.rule for change in found.changes if change.effect == Effect.BREAKING} == GONE
    assert found.is_whole
    assert sorted(found.removed) == [(operation, "") for operation in sorted(GONE)], "no end was ever announced"


def test_what_an_answer_has_more_is_harmless(found: Found) -> None:
    more = {(change.operation, change.place) for change in found.changes if change.rule == "response-property-added"}

    assert ("GET /v1/files/{file_key}", "response 200 application/json.linkAccess") in more


def test_another_address_of_the_token_needs_a_person(found: Found) -> None:
    rules = {change.rule for change in found.changes if change.operation == "every operation"}

    assert rules == {"security-scheme-changed"}
