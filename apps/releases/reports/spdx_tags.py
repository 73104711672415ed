"""SPDX 2 as tag-value (spdx.github.io/spdx-spec/v2.3), put into what its JSON would say of packages.

The reader that spdx-tools has builds its grammar anew for each document and takes texts character by character (ADR
0093); what is read here is a tag, a colon and a value.
"""

import re
from collections.abc import Iterator
from typing import Any

from apps.releases.reports import Unreadable, documents, parts

# JSON has no line that begins so. Comments may stand before it, but not for long.
_FIRST = re.compile(rb"^(?:\xef\xbb\xbf)?[ \t]*SPDXVersion:", re.MULTILINE)
_NEAR = 1 << 16
_OF_DOCUMENT = {
    "SPDXVersion": "spdxVersion", "SPDXID": "SPDXID", "DataLicense": "dataLicense", "DocumentName": "name",
    "DocumentNamespace": "documentNamespace",
}  # fmt: skip
_OF_PACKAGE = {
    "SPDXID": "SPDXID", "PackageVersion": "versionInfo", "PackageDownloadLocation": "downloadLocation",
    "PackageLicenseConcluded": "licenseConcluded", "PackageLicenseDeclared": "licenseDeclared",
}  # fmt: skip


def begins(report: bytes) -> bool:
    """This function will say whether a report is tag-value."""
    return _FIRST.search(report[:_NEAR]) is not None


def read(report: bytes) -> dict[str, Any]:
    """This function will return the document as its JSON has it: itself, its packages and relationships.

    Raises Unreadable: a line is none, a text never ends, a package says one thing twice.
    """
    creation: dict[str, Any] = {"creators": []}
    packages: list[dict[str, Any]] = []
    relationships: list[dict[str, Any]] = []
    document: dict[str, Any] = {"creationInfo": creation, "packages": packages, "relationships": relationships}
    element, names = document, _OF_DOCUMENT
    for number, tag, value in _lines(report):
        match tag:
            case "PackageName":
                element, names = {"name": value, "externalRefs": []}, _OF_PACKAGE
                packages.append(element)
                parts.require_few(packages)
            case "FileName":
                names = {}  # files follow the package that they are in, and have ids of their own
            case "Creator":
                creation["creators"].append(value)
            case "Created":
                creation["created"] = value
            case "Relationship":
                fields = ("spdxElementId", "relationshipType", "relatedSpdxElement")
                relationships.append(dict(zip(fields, value.split(), strict=False)))
            case "ExternalRef" if names is _OF_PACKAGE:
                fields = ("referenceCategory", "referenceType", "referenceLocator")
                element["externalRefs"].append(dict(zip(fields, value.split(maxsplit=2), strict=False)))
            case _ if tag in names:
                if names[tag] in element:
                    raise Unreadable(f"Line {number}: {tag} stands there twice.")
                element[names[tag]] = value
    return document


def _lines(report: bytes) -> Iterator[tuple[int, str, str]]:
    """Yield each tag with the number of its line and its value, which may go over several."""
    try:
        text = report.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(f"It is not text in UTF-8: {error}.") from error
    lines = enumerate(text.split("\n"), start=1)
    for number, line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        tag, colon, value = line.partition(":")
        if not colon:
            raise Unreadable(f"Line {number} is no tag with a value: {documents.short(line, 60)}.")
        value = value.strip()
        if value.startswith("<text>"):
            told = [value.removeprefix("<text>")]
            while "</text>" not in told[-1]:
                following = next(lines, None)
                if following is None:
                    raise Unreadable(f"Line {number}: <text> is never closed.")
                told.append(following[1])
            value = "\n".join(told).partition("</text>")[0].strip()
        yield number, tag.strip(), value
