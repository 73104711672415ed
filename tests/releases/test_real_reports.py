"""Reports that nobody here wrote, out of published source distributions, as `make vendor` fetches them.

What is expected was written down from the documents themselves, before any program had read them.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from apps.policies.enums import Outcome
from apps.policies.facts import BaselineFacts
from apps.policies.gates import evaluate
from apps.releases import reports
from apps.releases.enums import EvidenceKind as K
from apps.releases.reports.parts import Part
from tests.policies.documents import clause, make_document, make_policy
from tests.policies.facts import LIVE, NEW, make_facts
from tests.policies.facts import report as facts_of

DOCUMENTS = Path(__file__).resolve().parents[1] / "documents"
BUILDER = "https://github.com/trailofbits/pypi-attestations/.github/workflows/release.yml"
COMMIT, ELSEWHERE = "08802efe1f8e5fec4ad842d6b8ce97656092ee72", "f" * 40


def read(kind: K, pattern: str) -> dict[str, Any]:
    [file] = DOCUMENTS.glob(pattern)
    return reports.read(kind, file.read_bytes())


def outcome(gate: str, settings: dict[str, Any], **facts: Any) -> Outcome:
    policy = make_policy(clauses=[*make_document()["clauses"], clause(9, gate, settings=settings)])
    return next(result.outcome for result in evaluate(policy, make_facts(**facts)) if result.name == gate)


def test_the_example_of_spdx_lists_three_packages_beside_the_one_it_describes() -> None:
    told = read(K.SPDX, "spdx-tools@*/*v2.3.spdx.json")

    assert (told["subject"], told["components"], told["without_licence"]) == ("glibc 2.11.1", 3, 2)
    assert told["parts"] == [
        Part("Apache Commons Lang", "Apache Commons Lang", "", ""),
        Part("pkg:maven/org.apache.jena/apache-jena", "Jena", "3.12.0", ""),
        Part("Saxon", "Saxon", "8.8", "MPL-1.0"),
    ]


def test_the_same_example_says_the_same_as_tag_value() -> None:
    assert read(K.SPDX, "spdx-tools@*/*Tag*v2.3.spdx") == read(K.SPDX, "spdx-tools@*/*v2.3.spdx.json")


def test_what_tern_found_in_an_image_is_37_packages_of_which_its_layer_has_no_licence() -> None:
    told = read(K.SPDX, "ntia-*/photon.spdx.tag")

    assert (told["subject"], told["components"], told["without_licence"]) == ("photon 3.0", 37, 1)
    assert Part("zlib", "zlib", "1.2.11-3.ph3", "Zlib") in told["parts"]  # as SPDX writes it


def test_an_application_in_spdx_3_has_three_dependencies() -> None:
    told = read(K.SPDX, "ntia-*/has_sbom.json")

    assert (told["subject"], told["components"], told["without_licence"]) == ("Acme Application 1.3", 3, 3)
    assert [(part.name, part.version[:6]) for part in told["parts"]] == [
        ("alpine:latest", "69665d"), ("npm-elliptic", "6.5.2"), ("openssl", "3.0.4"),
    ]  # fmt: skip


def test_what_another_scanner_tells_of_zap_is_two_findings_that_hold_a_release_back() -> None:
    told = read(K.ZAP, "sast-mcp-server@*/zap_output.json")

    assert [(one.severity.word, one.rule, one.place) for one in told["findings"]] == [
        ("high", "40018", "POST http://localhost:8080/login (username)"),
        ("low", "10021", "GET http://localhost:8080/"),
    ]
    scan = facts_of("ZAP", "ZAP", high=told["high"], low=told["low"])
    assert outcome("security_scan", {"tolerated": "medium", "dynamic": True}, reports=(scan,)) == Outcome.FAILED
    assert outcome("security_scan", {"tolerated": "high", "dynamic": True}, reports=(scan,)) == Outcome.PASSED


@pytest.mark.parametrize(
    ("asked", "commit", "repository", "expected"),
    [
        ({"builders": [BUILDER]}, COMMIT[:7], "https://github.com/trailofbits/pypi-attestations.git", Outcome.PASSED),
        ({"builders": [BUILDER], "signed": True}, COMMIT, "", Outcome.FAILED),
        ({"builders": ["https://github.com/actions/runner"]}, COMMIT, "", Outcome.FAILED),
        ({}, ELSEWHERE, "", Outcome.FAILED),
        ({}, COMMIT, "https://github.com/pypi/warehouse", Outcome.FAILED),
    ],
)
def test_what_github_attested_of_a_package_is_of_its_commit_and_repository(
    asked: dict[str, Any], commit: str, repository: str, expected: Outcome
) -> None:
    told = read(K.PROVENANCE, "pypi-attestations@*/*.slsa.attestation")
    assert told.pop("subjects") == ["9bb1add04b1b4e182be6b0b80931593f7a291eb49d69b4fd728a5d4cbcdc4bd3"]
    assert (told["builder"], told["has_signature"], told["signed_by"]) == (f"{BUILDER}@refs/tags/v0.0.19", True, "")

    statement = facts_of("PROVENANCE", told["builder"], **told)

    facts = {"reports": (statement,), "release": replace(NEW, commit=commit), "repository": repository}
    assert outcome("provenance", asked, **facts) == expected


def test_two_runs_of_pytest_benchmark_differ_by_less_than_one_percent() -> None:
    old, new = (read(K.BENCHMARK, f"pytest-benchmark@*/{run}_*.json") for run in ("0001", "0002"))
    name = "tests/test_normal.py::test_xfast_parametrized[0]"
    assert old["results"] == {name: {"seconds": 2.2016643907464864e-07}}

    measured = {"reports": (facts_of("BENCHMARK", new["tool"], **new),)}
    baseline = BaselineFacts("1.0.0", LIVE.order, (facts_of("BENCHMARK", old["tool"], **old),))

    assert outcome("performance", {"limit_percent": 1}, baseline=baseline, **measured) == Outcome.PASSED
