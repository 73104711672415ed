"""What a release is made of: SPDX 2.2 and 2.3 (spdx.github.io/spdx-spec), in JSON or as tag-value, and 3.0 in JSON."""

from collections.abc import Sequence
from typing import Any

from packageurl import PackageURL
from spdx_tools.spdx.parser.error import SPDXParsingError
from spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser import JsonLikeDictParser

from apps.releases.reports import Unreadable, documents, parts, spdx3, spdx_tags

TAKEN = "SPDX 2.2 and 2.3 are read in JSON or as tag-value, and SPDX 3.0 in JSON."


def read_spdx(report: bytes) -> dict[str, Any]:
    """This function will list packages but the one that the document describes, and the licences found or declared."""
    try:
        document = spdx_tags.read(report) if spdx_tags.begins(report) else documents.json_object(report)
        return spdx3.figures_of(document) if "@context" in document else _figures_of(document)
    except Unreadable as error:
        raise Unreadable(f"{error} {TAKEN}") from error


def _figures_of(document: dict[str, Any]) -> dict[str, Any]:
    if document.get("spdxVersion") not in ("SPDX-2.2", "SPDX-2.3"):
        raise Unreadable("It is not SPDX 2.2 or 2.3: spdxVersion is missing or another.")
    parts.require_few(documents.rows(document, "packages"))
    packages, described = _packages(document), _described(document)
    subjects = [package for package in packages if package.spdx_id in described]
    # A document of a folder describes all that it lists; then nothing of it is the release itself.
    inner = [package for package in packages if package.spdx_id not in described] if len(subjects) == 1 else packages
    subject = subjects[0] if len(subjects) == 1 else None
    return parts.figures_of(
        f"{subject.name} {subject.version or ''}" if subject else document["name"],
        [parts.make(_purl_of(package), package.name, package.version, _licence_of(package)) for package in inner],
    )


def _described(document: dict[str, Any]) -> set[str]:
    """Return the ids of what the document is about, in all three ways to say so."""
    ends = {"DESCRIBES": "relatedSpdxElement", "DESCRIBED_BY": "spdxElementId"}
    related = documents.rows(document, "relationships")
    found = [row.get(end) for row in related if (end := ends.get(documents.text(row.get("relationshipType"))))]
    more = document.get("documentDescribes")
    return {documents.text(each) for each in (*found, *(more if isinstance(more, list) else ()))}


def _packages(document: dict[str, Any]) -> Sequence[Any]:
    # Files, snippets, relationships and what people noted may be most of a document, and none of it is read here.
    unread = ("files", "snippets", "annotations", "relationships", "documentDescribes")
    wanted = {name: value for name, value in document.items() if name not in unread}
    for package in documents.rows(document, "packages"):
        package.pop("hasFiles", None)
    try:
        found = JsonLikeDictParser().parse(wanted)  # type: ignore[no-untyped-call]
    except SPDXParsingError as error:
        told = "; ".join(error.get_messages())  # type: ignore[no-untyped-call]
        raise Unreadable(f"It is not an SPDX document: {told}."[:300]) from error
    except Exception as error:  # its models tell mistakes by whatever they raise
        raise Unreadable(f"It is not an SPDX document: {error or type(error).__name__}."[:300]) from error
    packages: Sequence[Any] = found.packages
    return packages


def _purl_of(package: Any) -> PackageURL | None:
    named = (reference.locator for reference in package.external_references if reference.reference_type == "purl")
    return parts.purl_of(next(named, ""))


def _licence_of(package: Any) -> str:
    said = (package.license_concluded, package.license_declared)
    return next((str(each) for each in said if str(each) not in ("None", "NONE", "NOASSERTION")), "")
