"""What releases are made of: SPDX beside CycloneDX, part by part, and what changes between two releases."""

import json
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.approvals.page import changes_in
from apps.releases import actions, reports
from apps.releases.enums import EvidenceKind as K
from apps.releases.models import Evidence, Part, Release
from apps.releases.parts import ChangedPart, PartsDifference, difference
from apps.releases.reports.parts import Part as Listed
from tests.cast import NOW
from tests.drill import HTMX, get, text_of
from tests.world import World

PURL = {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl"}


def package(name: str, version: str = "", *, licence: str = "NOASSERTION", purl: str = "") -> dict[str, Any]:
    found = {"SPDXID": f"SPDXRef-{name}-{version}", "name": name, "versionInfo": version, "licenseConcluded": licence,
             "downloadLocation": "NOASSERTION", "copyrightText": "NOASSERTION", "licenseDeclared": "MIT"}  # fmt: skip
    return {**found, "externalRefs": [{**PURL, "referenceLocator": purl}]} if purl else found


def spdx(*packages: dict[str, Any], describes: tuple[str, ...] = (), **more: Any) -> bytes:
    about = {"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "name": "greeter", "dataLicense": "CC0-1.0",
             "documentNamespace": "https://example.com/greeter",
             "creationInfo": {"created": "2026-11-18T10:00:00Z", "creators": ["Tool: syft-1.30"]}}  # fmt: skip
    return json.dumps({**about, "packages": packages, "documentDescribes": describes, **more}).encode()


def cyclonedx(**versions: str) -> bytes:
    parts = [
        {"type": "library", "name": name, "version": version, "purl": f"pkg:pypi/{name}@{version}"}
        for name, version in versions.items()
    ]
    return json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": parts}).encode()


def test_an_spdx_document_is_read() -> None:
    root = package("greeter", "1.0.0")
    inner = package("django", "5.2.1", licence="BSD-3-Clause", purl="pkg:pypi/django@5.2.1")

    told = reports.read(K.SPDX, spdx(root, inner, package("openssl"), describes=(root["SPDXID"],)))

    assert told == {
        "subject": "greeter 1.0.0",
        "components": 2,
        "licences": ["BSD-3-Clause", "MIT"],
        "without_licence": 0,
        "parts": [
            Listed("pkg:pypi/django", "django", "5.2.1", "BSD-3-Clause"),
            Listed("openssl", "openssl", "", "MIT"),
        ],
    }


def test_files_of_an_spdx_document_are_not_read() -> None:
    assert reports.read(K.SPDX, spdx(package("a"), files=[{"nonsense": 1}], annotations=[{"nonsense": 1}]))["parts"]


TAGS = """\ufeff# Written by hand, as allowed
SPDXVersion: SPDX-2.2
DataLicense: CC0-1.0
SPDXID: SPDXRef-DOCUMENT
DocumentName: greeter
DocumentNamespace: https://example.com/greeter
Creator: Tool: hand
Created: 2026-11-18T10:00:00Z
DocumentComment: <text>PackageName: not a package,
PackageName: but what somebody wrote of one</text>

PackageName: greeter
SPDXID: SPDXRef-greeter
PackageDownloadLocation: NOASSERTION
FileName: ./greeter.py
SPDXID: SPDXRef-file
LicenseConcluded: GPL-3.0-only

PackageName: Django
SPDXID: SPDXRef-django
PackageVersion: 5.2.1
PackageDownloadLocation: NOASSERTION
PackageLicenseConcluded: NOASSERTION
PackageLicenseDeclared: BSD-3-Clause
ExternalRef: PACKAGE-MANAGER purl pkg:pypi/django@5.2.1
Relationship: SPDXRef-DOCUMENT DESCRIBES SPDXRef-greeter
RelationshipComment: <text>It is the release.</text>
"""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_tag_value_document_is_read_as_its_json(end: str) -> None:
    told = reports.read(K.SPDX, TAGS.replace("\n", end).encode())

    assert told["subject"].strip() == "greeter"
    assert told["parts"] == [Listed("pkg:pypi/django", "Django", "5.2.1", "BSD-3-Clause")]


def test_an_spdx_3_document_is_read_with_its_licences() -> None:
    def element(kind: str, name: str, **more: Any) -> dict[str, Any]:
        return {"type": kind, "spdxId": f"urn:{name}", "name": name, **more}

    def has(kind: str, part: str, *licences: str) -> dict[str, Any]:
        ends = {"from": f"urn:{part}", "to": licences}
        return element("Relationship", f"{kind} of {part}", relationshipType=kind, **ends)

    purl = {"externalIdentifierType": "packageUrl", "identifier": "pkg:pypi/django@5.2.1"}
    graph = [
        element("SpdxDocument", "document", rootElement=["urn:bom"]),
        element("software_Sbom", "bom", rootElement=["urn:greeter"]),
        element("software_Package", "greeter", software_packageVersion="1.0.0"),
        element("software_Package", "django", software_packageVersion="5.2.1", externalIdentifier=[purl]),
        element("software_Package", "celery", software_packageUrl="pkg:pypi/celery@5.5"),
        element("ai_AIPackage", "model"),
        element("simplelicensing_LicenseExpression", "bsd", simplelicensing_licenseExpression="BSD-3-Clause"),
        element("expandedlicensing_DisjunctiveLicenseSet", "either",
                expandedlicensing_member=["urn:bsd", "https://spdx.org/licenses/MIT", "urn:either"]),
        has("hasDeclaredLicense", "django", "https://spdx.org/licenses/MIT"),
        has("hasConcludedLicense", "django", "urn:bsd", "urn:bsd"),
        has("hasConcludedLicense", "celery", "expandedlicensing_NoAssertionLicense"),
        has("hasDeclaredLicense", "celery", "urn:either"),
        has("hasDeclaredLicense", "model", "https://spdx.org/rdf/3.0.1/terms/ExpandedLicensing/NoneLicense"),
    ]  # fmt: skip

    context = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"
    told = reports.read(K.SPDX, json.dumps({"@context": context, "@graph": graph}).encode())

    assert (told["subject"], told["without_licence"]) == ("greeter 1.0.0", 1)
    assert told["parts"] == [
        Listed("pkg:pypi/celery", "celery", "5.5", "BSD-3-Clause OR MIT OR either"),
        Listed("pkg:pypi/django", "django", "5.2.1", "BSD-3-Clause"),
        Listed("model", "model", "", ""),
    ]


def test_a_part_is_the_same_in_both_formats_and_within_others() -> None:
    nested = json.loads(cyclonedx(django="5.2.1"))
    outer = {"type": "library", "group": "org", "name": "a", "version": "1", "components": nested["components"]}

    listed = reports.read(K.CYCLONEDX, json.dumps({**nested, "components": [outer]}).encode())["parts"]

    assert [(part.key, part.name, part.version) for part in listed] == [
        ("pkg:pypi/django", "django", "5.2.1"), ("org/a", "org/a", "1"),
    ]  # fmt: skip


def keep(world: World, report: bytes, kind: str = "CYCLONEDX", release: Release | None = None) -> Evidence:
    values = {"kind": kind, "report": report, "by": world.cast.release_engineer, "now": NOW}
    with world.everything():
        return actions.keep_evidence(release or world.release, **values)[0]


@pytest.mark.django_db
def test_what_comes_goes_and_changes_is_told_before_anybody_asks(world: World) -> None:
    keep(world, cyclonedx(django="5.2.1", celery="5.5", kombu="5.5"))
    lane = world.lane(world.dev)
    lane.live_release = world.release
    newer = world.next_release("1.1.0")
    assert difference(world.release, newer) == PartsDifference(unlisted=(newer.version,))

    there = [("django", "5.2.2"), ("kombu", "5.5"), ("redis", "7")]
    listed = [package(name, version, purl=f"pkg:pypi/{name}@{version}") for name, version in there]
    keep(world, spdx(*listed), "SPDX", newer)

    with CaptureQueriesContext(connection) as asked:
        found = difference(world.release, newer)
    assert found == PartsDifference(
        (ChangedPart("celery (pypi)", "5.5", ""), ChangedPart("django (pypi)", "5.2.1", "5.2.2"),
         ChangedPart("redis (pypi)", "", "7"))
    )  # fmt: skip
    assert (found.added, found.removed, found.moved, len(asked)) == (1, 1, 1, 3)
    assert changes_in(lane, newer, {}).parts == found
    assert difference(None, newer) is None


@pytest.mark.django_db
def test_the_parts_of_a_release_are_searched(world: World) -> None:
    address = reverse("releases:part-list", args=["greeter", "1.0.0"])
    assert "There is no parts list yet" in text_of(get(world.cast.auditor, address))

    keep(world, cyclonedx(**{f"part{number:03}": "1.0" for number in range(60)}))
    with CaptureQueriesContext(connection) as many:
        page = get(world.cast.auditor, address)
    assert "60 components" in text_of(page)
    assert text_of(page).count("pkg:pypi/part") == 50
    found = text_of(get(world.cast.auditor, address + "?q=part059", headers=HTMX))
    assert "pkg:pypi/part059" in found
    assert "part001" not in found
    assert len(many) <= 12
    with world.everything():
        assert Part.objects.count() == 60
