"""What a release is made of: SPDX 3.0 (spdx.github.io/spdx-spec/v3.0.1), in JSON.

JSON-LD may name its fields as it likes, but what SPDX calls its JSON has one context and one form: that is read.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from packageurl import PackageURL

from apps.releases.reports import Unreadable, documents, parts

_CONTEXT = re.compile(r"https://spdx\.org/rdf/v?3\.0(\.[0-9]+)?/spdx-context\.jsonld")
_PACKAGES = {"software_Package", "ai_AIPackage", "dataset_DatasetPackage"}
_COLLECTIONS = {"SpdxDocument", "software_Sbom", "Bom", "Bundle"}
_LICENCES = ("hasConcludedLicense", "hasDeclaredLicense")
_SETS = {
    "expandedlicensing_ConjunctiveLicenseSet": " AND ",
    "expandedlicensing_DisjunctiveLicenseSet": " OR ",
}
_NOTHING = {"NOASSERTION", "NONE", "NoAssertionLicense", "NoneLicense"}
# More licences of one package are not named: what is kept of them is short.
_NAMED = 20


def figures_of(document: dict[str, Any]) -> dict[str, Any]:
    """This function will list packages but the one that the document is about, and the licences found or declared.

    Raises Unreadable: it is another version, has names of its own, or is no document.
    """
    context = documents.text(document.get("@context"))
    if not _CONTEXT.fullmatch(context):
        raise Unreadable("It is not SPDX 3.0: @context is not that of 3.0 and nothing else.")
    elements = documents.rows(document, "@graph")
    packages = [row for row in elements if _type(row) in _PACKAGES]
    parts.require_few(packages)
    about = next((row for row in elements if _type(row) == "SpdxDocument"), None)
    if about is None:
        raise Unreadable("It is not an SPDX document: @graph has no SpdxDocument.")
    roots = {root for row in elements if _type(row) in _COLLECTIONS for root in _texts(row.get("rootElement"))}
    subjects = [package for package in packages if _id(package) in roots]
    # As in SPDX 2: of several nothing is the release itself.
    subject = subjects[0] if len(subjects) == 1 else None
    licence_of = _licences(elements)
    return parts.figures_of(
        f"{_name(subject)} {_version(subject)}" if subject else _name(about),
        [
            parts.make(_purl(package), _name(package), _version(package), licence_of(package))
            for package in packages
            if package is not subject
        ],
    )


def _type(row: dict[str, Any]) -> str:
    return documents.text(row.get("type"))


def _id(row: dict[str, Any]) -> str:
    return documents.text(row.get("spdxId"))


def _name(row: dict[str, Any]) -> str:
    return documents.text(row.get("name"))


def _version(package: dict[str, Any]) -> str:
    return documents.text(package.get("software_packageVersion"))


def _texts(value: object) -> list[str]:
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str)]


def _purl(package: dict[str, Any]) -> PackageURL | None:
    identifiers = documents.rows(package, "externalIdentifier")
    named = (row.get("identifier") for row in identifiers if row.get("externalIdentifierType") == "packageUrl")
    return parts.purl_of(documents.text(package.get("software_packageUrl") or next(named, "")))


def _licences(elements: Sequence[dict[str, Any]]) -> Callable[[dict[str, Any]], str]:
    """Return what says of a package which licences were found in it, or else declared."""
    by_id = {_id(row): row for row in elements}
    said: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in elements:
        if (kind := documents.text(row.get("relationshipType"))) in _LICENCES:
            said[kind, documents.text(row.get("from"))] += _texts(row.get("to"))

    @cache
    def whole(licence: str) -> str:
        row = by_id.get(licence, {})
        glue, members = _SETS.get(_type(row), ""), _texts(row.get("expandedlicensing_member"))
        return glue.join(map(single, members[:_NAMED])) if glue and members else single(licence)

    def single(licence: str) -> str:
        row = by_id.get(licence, {})
        # One of SPDX's own list may be named without being described.
        name = documents.text(row.get("simplelicensing_licenseExpression")) or _name(row) or licence.rpartition("/")[2]
        return "" if name.rpartition("_")[2] in _NOTHING else name

    def of(package: dict[str, Any]) -> str:
        each = (dict.fromkeys(map(whole, said[kind, _id(package)][:_NAMED])) for kind in _LICENCES)
        return next(filter(None, (" AND ".join(filter(None, names)) for names in each)), "")

    return of
