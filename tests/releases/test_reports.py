"""Reports of real tools are read; whatever else somebody sends is told apart from them, and harms nobody."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component
from cyclonedx.output.json import JsonV1Dot5
from hypothesis import given
from hypothesis import strategies as st

from apps.releases import reports
from apps.releases.enums import EvidenceKind as K
from apps.releases.enums import Severity
from apps.releases.reports import Unreadable, findings
from apps.releases.wording import sentence_of

SUITE = """
import pytest
from half import half
def test_half(): assert half(4) == 2
def test_wrong(): assert half(4) == 3
@pytest.mark.skip
def test_later(): pass
"""


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what pytest and coverage.py report of three tests of a little program."""
    folder = tmp_path_factory.mktemp("tried")
    (folder / "half.py").write_text("def half(n):\n    return n // 2\n\ndef other():\n    return 1\n")
    (folder / "test_half.py").write_text(SUITE)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=junit.xml", "--cov=half",
               "--cov-report=xml:coverage.xml", "--cov-report=lcov:coverage.lcov", "."]  # fmt: skip
    done = subprocess.run(command, cwd=folder, env={"PATH": "/usr/bin"}, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr  # one of them fails on purpose
    return folder


def test_libraries_of_readers_are_not_imported_before_a_report_is_read() -> None:
    heavy = {"cyclonedx", "spdx_tools", "junitparser", "defusedxml"}
    program = f"import sys, apps.releases.reports; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n", "each process would pay for them"


def test_what_pytest_and_coverage_report_is_read(tried: Path) -> None:
    told = reports.read(K.JUNIT, (tried / "junit.xml").read_bytes())

    assert (told["total"], told["passed"], told["failed"], told["skipped"]) == (3, 1, 1, 1)
    assert told["failures"] == ["test_half.test_wrong"]
    lines = {"lines": 4, "covered": 3, "percent": 75.0}
    assert reports.read(K.COBERTURA, (tried / "coverage.xml").read_bytes()) == lines
    assert reports.read(K.LCOV, (tried / "coverage.lcov").read_bytes()) == lines


def test_an_api_description_is_read() -> None:
    described = b"openapi: 3.1.0\ninfo: {title: Orders, version: '2.1'}\npaths: {/orders: {get: {}, post: {}}}"

    told = {"title": "Orders", "version": "2.1", "operations": 2, "promised": []}
    assert reports.read(K.OPENAPI, described) == told


def test_a_bill_of_materials_is_read() -> None:
    bom = Bom(components=[Component(name="django", version="5.2"), Component(name="celery", version="5.7")])

    told = reports.read(K.CYCLONEDX, JsonV1Dot5(bom).output_as_string().encode())

    assert (told["components"], told["without_licence"]) == (2, 2)


def _sarif(*results: dict[str, Any], **rule: Any) -> bytes:
    driver = {"name": "Scanner", "rules": [{"id": "R1", **rule}]}
    return json.dumps({"version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": list(results)}]}).encode()


@pytest.mark.parametrize(
    ("report", "severity"),
    [
        (_sarif({"ruleId": "R1"}, properties={"security-severity": "9.8"}), "critical"),
        (_sarif({"ruleId": "R1"}, properties={"security-severity": "7.0"}), "high"),
        (_sarif({"ruleId": "R1"}, properties={"security-severity": "6.9"}), "medium"),
        (_sarif({"ruleId": "R1"}, properties={"security-severity": 0.1}), "low"),
        (_sarif({"ruleId": "R1", "level": "error"}), "high"),
        (_sarif({"ruleId": "R1"}, defaultConfiguration={"level": "note"}), "low"),
        (_sarif({"ruleId": "unknown"}), "medium"),
        (_sarif({"ruleId": "R1", "level": "error", "suppressions": [{"kind": "external"}]}), "suppressed"),
    ],
)
def test_a_finding_is_as_bad_as_its_rule_says(report: bytes, severity: str) -> None:
    told = reports.read(K.SARIF, report)

    assert {name: count for name, count in told.items() if count and name not in ("tool", "findings")} == {severity: 1}


@pytest.mark.parametrize(
    ("statuses", "counted"),
    [
        (("accepted",), "suppressed"),
        (("rejected",), "high"),
        (("underReview",), "high"),
        (("accepted", "rejected"), "high"),
        ((["accepted"],), "high"),
    ],
)
def test_a_finding_is_suppressed_only_once_that_is_accepted(statuses: tuple[Any, ...], counted: str) -> None:
    suppressions = [{"kind": "external", "status": status} for status in statuses]

    told = reports.read(K.SARIF, _sarif({"ruleId": "R1", "level": "error", "suppressions": suppressions}))

    assert {name: count for name, count in told.items() if count and name not in ("tool", "findings")} == {counted: 1}


def test_what_a_scanner_found_to_be_well_is_no_finding() -> None:
    told = reports.read(K.SARIF, _sarif({"ruleId": "R1", "kind": "pass"}, {"ruleId": "R1", "kind": "notApplicable"}))

    assert sum(told[name] for name in ("critical", "high", "medium", "low", "suppressed")) == 0


def _at(file: str, line: int, **more: Any) -> dict[str, Any]:
    place = {"artifactLocation": {"uri": file}, "region": {"startLine": line}}
    return {"ruleId": "R1", "level": "error", "locations": [{"physicalLocation": place}], **more}


def _prints(*results: dict[str, Any]) -> list[str]:
    return [one.fingerprint for one in reports.read(K.SARIF, _sarif(*results))["findings"]]


def test_a_finding_tells_its_rule_place_and_title() -> None:
    result = _at("app/views.py", 7, message={"text": "Text of the\x00 result"})

    [plain] = reports.read(K.SARIF, _sarif(result))["findings"]
    [named] = reports.read(K.SARIF, _sarif(result, shortDescription={"text": "Query built by hand"}))["findings"]

    assert plain[:4] == (Severity.HIGH, "R1", "app/views.py:7", "Text of the  result")
    assert named.title == "Query built by hand"


def test_a_finding_is_known_again_by_what_lasts_longest() -> None:
    once, moved = _at("a.py", 7), _at("a.py", 8)
    assert _prints(once) != _prints(moved), "without a fingerprint the place is all there is"
    assert _prints(once, once) == _prints(once) * 2

    nowhere = [{"ruleId": "R1", "message": {"text": text}} for text in ("One", "Another")]
    assert _prints(nowhere[0]) != _prints(nowhere[1])

    partial = {"partialFingerprints": {"primaryLocationLineHash": "39fa:1"}}
    assert _prints(once | partial) == _prints(moved | partial)
    assert _prints(once | partial) != _prints(_at("b.py", 7) | partial), "the same line in another file is another one"
    assert _prints(once | partial) != _prints({**once, **partial, "ruleId": "R2"})
    whole = {"fingerprints": {"v1": "c0ffee"}}
    assert _prints(once | partial | whole) == _prints(_at("b.py", 9) | whole)


def test_packages_of_one_image_are_told_apart() -> None:
    """As Trivy writes it: every place is the image, and only its words name the package."""

    def found(package: str) -> dict[str, Any]:
        result = _at("registry/app.tar", 1)
        result["locations"][0]["message"] = {"text": f"registry/app.tar: {package}@1.1.1c-r0"}
        return result

    first, second = reports.read(K.SARIF, _sarif(found("libssl1.1"), found("libcrypto1.1")))["findings"]

    assert first.place == "registry/app.tar: libcrypto1.1@1.1.1c-r0"
    assert first.fingerprint != second.fingerprint


def test_of_very_many_findings_the_worst_are_kept_and_all_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "KEPT", 3)
    many = [_at("a.py", line, level=level) for line, level in enumerate(["note", "error"] * 4)]

    told = reports.read(K.SARIF, _sarif(*many))

    assert (told["high"], told["low"], told["cut"]) == (4, 4, 5)
    assert [one.severity for one in told["findings"]] == [Severity.HIGH] * 3
    assert sentence_of(K.SARIF, told) == "0 critical, 4 high, 0 medium, 4 low, 5 of them not listed, by Scanner"
    monkeypatch.setattr(findings, "MOST", 7)
    with pytest.raises(Unreadable, match="8 findings; at most 7"):
        reports.read(K.SARIF, _sarif(*many))


def _trivy(*results: dict[str, Any], name: str = "eaip/api:1.0.0") -> bytes:
    return json.dumps({"SchemaVersion": 2, "ArtifactName": name, "Results": list(results)}).encode()


def _package(target: str, **more: Any) -> dict[str, Any]:
    flaw = {"VulnerabilityID": "CVE-2019-1549", "PkgName": "libssl1.1", "InstalledVersion": "1.1.1c-r0",
            "FixedVersion": "1.1.1d-r0", "Title": "openssl: fork()", "Severity": "MEDIUM", **more}  # fmt: skip
    return {"Target": target, "Class": "os-pkgs", "Type": "alpine", "Vulnerabilities": [flaw]}


def test_trivys_own_report_is_read() -> None:
    """Shapes as in Trivy's integration tests; what its rules say is well, or excepted, is no finding."""
    checks = [
        {"ID": "DS002", "Title": "No root", "Message": "Say USER", "Severity": "HIGH", "Status": "FAIL",
         "CauseMetadata": {"Provider": "Dockerfile", "Code": {"Lines": None}}},
        {"ID": "DS001", "Severity": "HIGH", "Status": "PASS"},
        {"ID": "DS003", "Severity": "HIGH", "Status": "EXCEPTION"},
    ]  # fmt: skip
    secret = {"RuleID": "aws-access-key-id", "Severity": "CRITICAL", "Title": "AWS key", "StartLine": 3,
              "Match": "export OTHER=hunter2", "Code": {"Lines": [{"Content": "hunter2"}]}}  # fmt: skip

    told = reports.read(
        K.TRIVY,
        _trivy(
            _package("eaip/api:1.0.0 (alpine 3.10.2)", Severity="UNKNOWN"),
            {"Target": "Dockerfile", "Class": "config", "Misconfigurations": checks},
            {"Target": "deploy.sh", "Class": "secret", "Secrets": [secret], "ExperimentalModifiedFindings": [{}]},
        ),
    )

    kept = told.pop("findings")
    assert [one[:4] for one in kept] == [
        (Severity.CRITICAL, "aws-access-key-id", "deploy.sh:3", "AWS key"),
        (Severity.HIGH, "DS002", "Dockerfile", "Say USER"),
        (
            Severity.MEDIUM,
            "CVE-2019-1549",
            "libssl1.1 1.1.1c-r0 in eaip/api:1.0.0 (alpine 3.10.2)",
            "openssl: fork() (fixed in 1.1.1d-r0)",
        ),
    ]
    assert "hunter2" not in json.dumps(kept)
    assert told == {
        "tool": "Trivy of eaip/api:1.0.0", "critical": 1, "high": 1, "medium": 1, "low": 0, "suppressed": 2, "cut": 0,
    }  # fmt: skip
    assert (
        sum(reports.read(K.TRIVY, b'{"SchemaVersion": 2, "ArtifactName": "a"}')[band] for band in ("high", "low")) == 0
    )


def test_a_package_is_known_again_under_the_next_tag_and_told_from_that_of_another_lock_file() -> None:
    def known(result: dict[str, Any]) -> str:
        return str(reports.read(K.TRIVY, _trivy(result))["findings"][0].fingerprint)

    assert known(_package("api:1.0.0 (alpine 3.10)")) == known(_package("api:1.1.0 (alpine 3.10)"))
    assert known(_package("api", PkgName="musl")) != known(_package("api"))
    locked = [{**_package(file), "Class": "lang-pkgs"} for file in ("a/package-lock.json", "b/package-lock.json")]
    assert known(locked[0]) != known(locked[1])


def _alert(*places: dict[str, str], **more: str) -> dict[str, Any]:
    usual = {
        "pluginid": "40012",
        "alertRef": "40012-1",
        "name": "Cross Site Scripting",
        "riskcode": "3",
        "confidence": "2",
    }
    return {**usual, **more, "instances": list(places)}


def _zap(*alerts: dict[str, Any]) -> bytes:
    sites = [{"@name": "https://staging.example.com", "alerts": alerts}, {"@name": "http://staging.example.com"}]
    return json.dumps({"@programName": "ZAP", "@version": "2.16.1", "site": sites}).encode()


def test_what_zap_found_is_read_place_by_place() -> None:
    place = {"uri": "https://staging.example.com/search?q=1", "method": "GET", "param": "q"}
    told = reports.read(
        K.ZAP,
        _zap(
            _alert(place, {"uri": "https://staging.example.com/", "method": "POST"}, count="5"),
            _alert(place, riskcode="0"),
            _alert(place, confidence="0"),
            _alert(riskcode="7", count="many"),
        ),
    )

    assert [one[:4] for one in told["findings"]] == [
        (Severity.HIGH, "40012-1", "GET https://staging.example.com/search?q=1 (q)", "Cross Site Scripting"),
        (Severity.HIGH, "40012-1", "POST https://staging.example.com/", "Cross Site Scripting"),
        (Severity.MEDIUM, "40012-1", "", "Cross Site Scripting"),
    ]
    assert {name: told[name] for name in ("tool", "high", "medium", "low", "suppressed", "cut")} == {
        "tool": "ZAP", "high": 5, "medium": 1, "low": 0, "suppressed": 1, "cut": 3,
    }  # fmt: skip
    assert sentence_of(K.ZAP, told) == "0 critical, 5 high, 1 medium, 0 low, 1 suppressed, 3 of them not listed, by ZAP"


def test_a_finding_of_zap_is_known_again_on_another_host_and_with_another_query() -> None:
    def known(**place: str) -> str:
        return str(reports.read(K.ZAP, _zap(_alert(place)))["findings"][0].fingerprint)

    here = known(uri="https://qa.example.com/search?q=1", method="GET", param="q")
    assert here == known(uri="https://staging.example.com/search?q=2", method="GET", param="q")
    assert here != known(uri="https://qa.example.com/find?q=1", method="GET", param="q")
    assert here != known(uri="https://qa.example.com/search?q=1", method="GET", param="page")
    assert known(uri="http://[broken", method="GET")


def test_coverage_is_never_rounded_up() -> None:
    lines = "".join(f"DA:{number},{int(number < 700)}\n" for number in range(1, 1001))

    assert reports.read(K.LCOV, f"SF:a.py\n{lines}end_of_record\n".encode())["percent"] == 69.9


NOTES = {"checklist": "before", "line": "notes", "done": True, "proof": "https://ci.example.com/runs/17"}


def _lines(**more: object) -> bytes:
    return json.dumps({"at": "2026-11-18T19:00:00Z", "lines": [NOTES], **more}).encode()


def test_what_a_job_says_of_lines_is_read_with_its_time_in_utc() -> None:
    undone = {**NOTES, "line": "smoke", "done": False, "proof": " Two of 9 failed "}

    told = reports.read(K.CHECKLIST, _lines(at="2026-11-18T20:00:00+01:00", lines=[NOTES, undone]))

    assert told == {
        "at": "2026-11-18T19:00:00.000000+00:00",
        "lines": [NOTES, {**undone, "proof": "Two of 9 failed"}],
    }
    assert sentence_of(K.CHECKLIST, told) == "1 line done, 1 taken back"


BOMB = b'<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><testsuite>&b;</testsuite>'
SPDX_3 = b'{"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld", "@graph": '
HOSTILE = [
    (K.JUNIT, b"", "empty"),
    (K.JUNIT, b"<testsuite>", "not XML"),
    (K.JUNIT, b"\xff\xfe\x00<", "not XML"),
    (K.JUNIT, b'<?xml version="1.0" encoding="no-such"?><testsuite/>', "not XML"),
    (K.JUNIT, BOMB, "Entities"),
    (K.JUNIT, b'<!DOCTYPE a SYSTEM "file:///etc/passwd" [<!ENTITY x SYSTEM "file:///etc/passwd">]><testsuite/>', "Ent"),
    (K.JUNIT, b"<testsuite>" * 100_000 + b"</testsuite>" * 100_000, "no test case"),
    (K.JUNIT, b"<html/>", "begins with <html>"),
    (K.JUNIT, b'<testsuite><testcase name="a" time="soon"/></testsuite>', "not a report of tests"),
    (K.JUNIT, b'<testsuite><testcase name="a" time="nan"/></testsuite>', "no time"),
    (K.JUNIT, b"%PDF-1.7 \x00\x01", "not XML"),
    (K.COBERTURA, b"<coverage/>", "no line of code"),
    (K.COBERTURA, b'<coverage><class><lines><line number="1" hits="x"/></lines></class></coverage>', "no hits"),
    (K.LCOV, b"SF:a.py\nDA:1,1\n", "end_of_record is missing"),
    (K.LCOV, b"DA:1,1\n", "not a line of a source file"),
    (K.LCOV, b"\xff", "UTF-8"),
    (K.SARIF, b"[" * 100_000, "nested too deeply"),
    (K.SARIF, b'{"a":' * 100_000, "nested too deeply"),
    (K.SARIF, b"[]", "not an object"),
    (K.SARIF, b'{"version": "2.0.0"}', "not SARIF 2.1.0"),
    (K.SARIF, b'{"version": "2.1.0", "runs": []}', "no run"),
    (K.SARIF, b'{"version": "2.1.0", "runs": [1]}', "expected a list of objects"),
    (K.SARIF, b'{"version": "2.1.0", "runs": [{"results": {"a": 1}}]}', "expected a list of objects"),
    (K.SARIF, b"\xef\xbb", "not JSON"),
    (K.OPENAPI, b"{}", "doesn't say"),
    (K.OPENAPI, b'{"openapi": "3.1.0"}', "describes nothing"),
    (K.OPENAPI, b'{"openapi": "3.1.0", "paths": []}', "expected an object of objects"),
    (K.OPENAPI, b"openapi: 3.1.0\npaths: &a {/b: *a}", "nested too deeply|neither JSON nor YAML"),
    (K.OPENAPI, b"openapi: !!python/object/apply:os.system [id]", "neither JSON nor YAML"),
    (K.TRIVY, b"[]", "not an object"),
    (K.TRIVY, b'{"SchemaVersion": 2}', "not a report of Trivy"),
    (K.TRIVY, b'{"SchemaVersion": 1, "ArtifactName": "a"}', "not a report of Trivy"),
    (K.TRIVY, b'{"SchemaVersion": 2, "ArtifactName": "a", "Results": {}}', "Results: expected a list"),
    (K.TRIVY, b'{"SchemaVersion": 2, "ArtifactName": "a", "Results": [{"Secrets": [1]}]}', "Secrets: expected a list"),
    (K.TRIVY, b'{"SchemaVersion": 2, "ArtifactName": "a"', "not JSON"),
    (K.TRIVY, b'{"a":' * 100_000, "nested too deeply"),
    (K.ZAP, b"{}", "not ZAP's traditional report"),
    (K.ZAP, b'{"@version": "2.16", "site": {}}', "site: expected a list"),
    (K.ZAP, b'{"@version": "2.16", "site": [{"alerts": [{"instances": 1}]}]}', "instances: expected a list"),
    (K.ZAP, b'{"@version": "2.16", "site": [', "not JSON"),
    (K.ZAP, b'{"site":' * 100_000, "nested too deeply"),
    (K.ZAP, b"<OWASPZAPReport/>", "not JSON"),
    (K.DAST, b'{"@version": "2.16", "site": []}', "not SARIF 2.1.0"),
    (K.DAST, b"[" * 100_000, "nested too deeply"),
    (K.CHECKLIST, b"<lines/>", "not JSON"),
    (K.CHECKLIST, b'{"at":' * 100_000, "nested too deeply"),
    (K.CHECKLIST, b"[]", "not an object"),
    (K.CHECKLIST, b"{}", "expected at, lines, and nothing else"),
    (K.CHECKLIST, _lines()[:-9], "not JSON"),
    (K.CHECKLIST, _lines(at="2026-11-18T19:00:00"), "a time with a zone"),
    (K.CHECKLIST, _lines(at="9999-12-31T23:59:59-12:00"), "a time with a zone"),
    (K.CHECKLIST, _lines(at=1), "a time with a zone"),
    (K.CHECKLIST, _lines(by="root"), "nothing else"),
    (K.CHECKLIST, _lines(lines={}), "expected a list of objects"),
    (K.CHECKLIST, _lines(lines=[]), "expected 1 to 50"),
    (K.CHECKLIST, _lines(lines=[NOTES] * 51), "expected 1 to 50"),
    (K.CHECKLIST, _lines(lines=[NOTES, {**NOTES, "done": False}]), "one stands there twice"),
    (K.CHECKLIST, _lines(lines=[{**NOTES, "role": "DEVOPS"}]), "nothing else"),
    (K.CHECKLIST, _lines(lines=[{**NOTES, "done": "yes"}]), "true or false"),
    (K.CHECKLIST, _lines(lines=[{**NOTES, "line": ["notes"]}]), "a text of one line"),
    (K.CHECKLIST, _lines(lines=[{**NOTES, "proof": " "}]), "a text of one line"),
    (K.CHECKLIST, _lines(lines=[{**NOTES, "proof": "x" * 301}]), "at most 300"),
    (K.CHECKLIST, _lines(lines=[{**NOTES, "proof": "a\nb"}]), "a text of one line"),
    (K.CHECKLIST, _lines(lines=[{**NOTES, "proof": "\ud800"}]), "a text of one line"),
    (K.CYCLONEDX, b"{}", "bomFormat"),
    (K.CYCLONEDX, b'{"bomFormat": "CycloneDX", "components": [{"type": "nonsense", "name": "a"}]}', "not a bill"),
    (K.CYCLONEDX, b'{"bomFormat": "CycloneDX", "components": 7}', "not a bill"),
    (K.SPDX, b"{}", "not SPDX 2.2 or 2.3"),
    (K.SPDX, b"{}", "SPDX 2.2 and 2.3 are read in JSON or as tag-value, and SPDX 3.0 in JSON"),
    (K.SPDX, b'{"@context": "https://spdx.org/rdf/3.1/spdx-context.jsonld", "@graph": []}', "not SPDX 3.0"),
    (K.SPDX, b'{"@context": ["https://spdx.org/rdf/3.0.1/spdx-context.jsonld", {}]}', "not SPDX 3.0"),
    (K.SPDX, SPDX_3 + b"[]}", "no SpdxDocument"),
    (K.SPDX, SPDX_3 + b"7}", "@graph: expected a list"),
    (K.SPDX, SPDX_3 + b"[" * 100_000, "nested too deeply"),
    (
        K.SPDX,
        SPDX_3 + b'[{"type": "software_Package"}' + b', {"type": "software_Package"}' * 20_000 + b"]}",
        "lists 20,001 components",
    ),
    (K.SPDX, b'{"spdxVersion": "SPDX-2.3"}', "not an SPDX document"),
    (K.SPDX, b'{"spdxVersion": "SPDX-2.3", "packages": 7}', "packages: expected a list"),
    (K.SPDX, b'{"spdxVersion": "SPDX-2.3", "packages": [{"name": 7}]}', "not an SPDX document"),
    (K.SPDX, b'{"spdxVersion": "SPDX-2.3", "packages": [', "not JSON"),
    (K.SPDX, b'{"packages":' * 100_000, "nested too deeply"),
    (K.SPDX, b"\xff\xfe", "not JSON in UTF-8"),
    (K.SPDX, b"<rdf:RDF/>", "not JSON.*as tag-value"),
    (K.SPDX, b"SPDXVersion: SPDX-2.3", "not an SPDX document"),
    (K.SPDX, b"SPDXVersion: SPDX-2.1", "not SPDX 2.2 or 2.3"),
    (K.SPDX, b"SPDXVersion: SPDX-2.3\nnonsense", "Line 2 is no tag with a value: nonsense"),
    (K.SPDX, b"# by hand\nSPDXVersion: SPDX-2.3\nDocumentComment: <text>a\nb\n", "Line 3: <text> is never closed"),
    (K.SPDX, b"SPDXVersion: SPDX-2.3\nPackageName: a\nPackageVersion: 1\nPackageVersion: 2", "Line 4: .* twice"),
    (K.SPDX, b"SPDXVersion: SPDX-2.3\n" + b"PackageName: a\n" * 20_001, "lists 20,001 components"),
    (K.SPDX, b"SPDXVersion: SPDX-2.3\nDocumentName: \xff", "not text in UTF-8"),
]


@pytest.mark.parametrize(("kind", "report", "why"), HOSTILE)
def test_what_is_no_report_is_told_with_its_reason(kind: K, report: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        reports.read(kind, report)


@given(
    kind=st.sampled_from(list(K)),
    report=st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["version", "runs", "results", "tool", "driver", "rules", "id", "properties", "bomFormat",
                             "components", "name", "security-severity", "ruleId", "suppressions", "level", "openapi",
                             "paths", "info", "locations", "message", "text", "partialFingerprints", "SchemaVersion",
                             "ArtifactName", "Results", "Vulnerabilities", "Severity", "Status", "CauseMetadata",
                             "site", "@version", "alerts", "instances", "spdxVersion", "packages", "relationships",
                             "SPDXID", "creationInfo", "_type", "predicateType", "predicate", "subject", "builder",
                             "payload", "payloadType", "signatures", "benchmarks", "machine_info", "context", "stats",
                             "real_time", "run_type", "@context", "@graph", "type", "spdxId", "rootElement", "from",
                             "to", "relationshipType", "externalIdentifier", "expandedlicensing_member"]),
            inner | st.sampled_from(["2.1.0", "CycloneDX", "3.1.0", 2, "HIGH", "PASS", "SPDX-2.3", "e30=",
                                     "https://in-toto.io/Statement/v1", "https://slsa.dev/provenance/v1",
                                     "application/vnd.in-toto+json", "SpdxDocument", "software_Package",
                                     "https://spdx.org/rdf/3.0.1/spdx-context.jsonld", "hasDeclaredLicense"]),
            max_size=4),
        max_leaves=20,
    ).map(lambda value: json.dumps(value).encode())
    | st.lists(
        st.sampled_from(["PackageName: a", "SPDXID: SPDXRef-a", "FileName: a", "ExternalRef: a purl", "Creator: a",
                         "Relationship: a DESCRIBES", "DocumentName: <text>a", "b</text>", "#", ":", "Created: b"]),
        max_size=6,
    ).map(lambda lines: "\n".join(["SPDXVersion: SPDX-2.3", *lines]).encode()),
)  # fmt: skip
def test_nothing_else_than_unreadable_is_ever_raised_and_figures_can_be_stored(kind: K, report: bytes) -> None:
    with contextlib.suppress(Unreadable):
        json.dumps(reports.read(kind, report), allow_nan=False).encode()
