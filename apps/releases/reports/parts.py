"""What a release is made of: CycloneDX (cyclonedx.org), in JSON."""

from typing import Any

from cyclonedx.model.bom import Bom
from cyclonedx.model.license import License, LicenseExpression

from apps.releases.reports import Unreadable, documents


def read_cyclonedx(report: bytes) -> dict[str, Any]:
    """This function will count components and their licences."""
    document = documents.json_object(report)
    if document.get("bomFormat") != "CycloneDX":
        raise Unreadable("It is not CycloneDX: bomFormat is missing.")
    try:
        bom = Bom.from_json(document)  # type: ignore[attr-defined]  # a decorator adds it
    except Exception as error:  # the library tells mistakes by whatever its models raise
        raise Unreadable(f"It is not a bill of materials: {error or type(error).__name__}."[:300]) from error
    subject = bom.metadata.component
    licences = {_name_of(licence) for part in bom.components for licence in part.licenses}
    return {
        "subject": documents.short(f"{subject.name} {subject.version or ''}") if subject else "",
        "components": len(bom.components),
        "licences": sorted(licences)[:50],
        "without_licence": sum(not part.licenses for part in bom.components),
    }


def _name_of(licence: License) -> str:
    if isinstance(licence, LicenseExpression):
        return documents.short(licence.value)
    return documents.short(licence.id or licence.name or "")
