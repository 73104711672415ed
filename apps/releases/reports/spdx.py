"""What a release is made of: SPDX 2.2 and 2.3 (spdx.github.io/spdx-spec), in JSON."""

from collections.abc import Sequence
from typing import Any

from packageurl import PackageURL
from spdx_tools.spdx.model.relationship import RelationshipType
from spdx_tools.spdx.parser.error import SPDXParsingError
from spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser import JsonLikeDictParser

from apps.releases.reports import Unreadable, documents, parts


def read_spdx(report: bytes) -> dict[str, Any]:
    """This function will list packages but the one that the document describes, and the licences found or declared."""
    document = documents.json_object(report)
    if "@context" in document:
        raise Unreadable("It is SPDX 3, which is not read. Write SPDX 2.3, in JSON.")
    if document.get("spdxVersion") not in ("SPDX-2.2", "SPDX-2.3"):
        raise Unreadable("It is not SPDX 2.2 or 2.3: spdxVersion is missing or another.")
    parts.require_few(documents.rows(document, "packages"))
    packages, described = _spdx_packages(document)
    subjects = [package for package in packages if package.spdx_id in described]
    # A document of a folder describes all that it lists; then nothing of it is the release itself.
    inner = [package for package in packages if package.spdx_id not in described] if len(subjects) == 1 else packages
    subject = subjects[0] if len(subjects) == 1 else None
    return parts.figures_of(
        f"{subject.name} {subject.version or ''}" if subject else document["name"],
        [parts.make(_purl_of(package), package.name, package.version, _licence_of(package)) for package in inner],
    )


def _spdx_packages(document: dict[str, Any]) -> tuple[Sequence[Any], set[str]]:
    # Files, snippets and what people noted of them may be most of a document, and none of it is read here.
    wanted = {name: value for name, value in document.items() if name not in ("files", "snippets", "annotations")}
    related = documents.rows(document, "relationships")
    wanted["relationships"] = [row for row in related if row.get("relationshipType") in ("DESCRIBES", "DESCRIBED_BY")]
    for package in documents.rows(document, "packages"):
        package.pop("hasFiles", None)
    try:
        found = JsonLikeDictParser().parse(wanted)  # type: ignore[no-untyped-call]
    except SPDXParsingError as error:
        told = "; ".join(error.get_messages())  # type: ignore[no-untyped-call]
        raise Unreadable(f"It is not an SPDX document: {told}."[:300]) from error
    except Exception as error:  # its models tell mistakes by whatever they raise
        raise Unreadable(f"It is not an SPDX document: {error or type(error).__name__}."[:300]) from error
    described = {
        row.related_spdx_element_id if row.relationship_type == RelationshipType.DESCRIBES else row.spdx_element_id
        for row in found.relationships
    }
    return found.packages, {str(each) for each in described}


def _purl_of(package: Any) -> PackageURL | None:
    for reference in package.external_references:
        if reference.reference_type == "purl":
            try:
                return PackageURL.from_string(reference.locator)
            except ValueError:
                return None
    return None


def _licence_of(package: Any) -> str:
    said = (package.license_concluded, package.license_declared)
    return next((str(each) for each in said if str(each) not in ("None", "NONE", "NOASSERTION")), "")
