"""What a release is made of: CycloneDX (cyclonedx.org), in JSON."""

from typing import Any

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component
from cyclonedx.model.license import License, LicenseExpression

from apps.releases.reports import Unreadable, documents, parts


def read_cyclonedx(report: bytes) -> dict[str, Any]:
    """This function will list components, those within others too, and their licences."""
    document = documents.json_object(report)
    if document.get("bomFormat") != "CycloneDX":
        raise Unreadable("It is not CycloneDX: bomFormat is missing.")
    try:
        bom = Bom.from_json(document)  # type: ignore[attr-defined]  # a decorator adds it
        found = [part for top in bom.components for part in top.get_all_nested_components(include_self=True)]
    except Exception as error:  # the library tells mistakes by whatever its models raise
        raise Unreadable(f"It is not a bill of materials: {error or type(error).__name__}."[:300]) from error
    subject = bom.metadata.component
    return parts.figures_of(
        f"{subject.name} {subject.version or ''}" if subject else "",
        [parts.make(part.purl, _name_of(part), part.version, _licence_of(part)) for part in found],
    )


def _name_of(part: Component) -> str:
    return f"{part.group}/{part.name}" if part.group else part.name


def _licence_of(part: Component) -> str:
    return " AND ".join(sorted(filter(None, map(_licence_name, part.licenses))))


def _licence_name(licence: License) -> str:
    return licence.value if isinstance(licence, LicenseExpression) else licence.id or licence.name or ""
