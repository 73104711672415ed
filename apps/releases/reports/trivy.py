"""What Trivy found, in its own JSON (trivy.dev): vulnerabilities, misconfigurations and secrets.

Of a secret only its rule and line are read: what stands around it may hold others.
"""

from typing import Any

from apps.releases.enums import Severity
from apps.releases.reports import Unreadable, documents, findings
from apps.releases.reports.documents import nested, text
from apps.releases.reports.findings import Found

_Row = tuple[str, dict[str, Any], dict[str, Any]]

LISTS = ("Vulnerabilities", "Misconfigurations", "Secrets")


def read_trivy(report: bytes) -> dict[str, Any]:
    """This function will count findings by their own severity; an unknown one counts as medium.

    What Trivy was told to ignore, by a file or a VEX document, is counted apart if the report tells of it.
    """
    document = documents.json_object(report)
    if document.get("SchemaVersion") != 2 or not text(document.get("ArtifactName")):
        raise Unreadable("It is not a report of Trivy in JSON: SchemaVersion 2 and ArtifactName are expected.")
    suppressed = 0
    found: list[tuple[Severity, _Row]] = []
    for result in documents.rows(document, "Results"):
        suppressed += len(documents.rows(result, "ExperimentalModifiedFindings"))
        for name in LISTS:
            for row in documents.rows(result, name, place="Results: "):
                status = row.get("Status") if name == "Misconfigurations" else None
                if status == "EXCEPTION":
                    suppressed += 1
                elif status != "PASS":
                    found.append((_severity(row), (name, result, row)))
    # Scans of several images or folders add up, as several scanners do.
    tool = f"Trivy of {documents.short(document['ArtifactName'], 100)}"
    return findings.figures_of(tool, found, _described, suppressed=suppressed)


def _severity(row: dict[str, Any]) -> Severity:
    word = row.get("Severity")
    return Severity[word] if isinstance(word, str) and word in Severity.names else Severity.MEDIUM


def _described(severity: Severity, raw: _Row) -> Found:
    name, result, row = raw
    target, title = text(result.get("Target")), text(row.get("Title"))
    match name:
        case "Vulnerabilities":
            package, file = text(row.get("PkgName")), text(row.get("PkgPath"))
            version, fixed = text(row.get("InstalledVersion")), text(row.get("FixedVersion"))
            # The target of a system's packages is the image with its tag, another one for each release.
            where = file or (target if result.get("Class") == "lang-pkgs" else "")
            return findings.make(
                severity,
                rule=text(row.get("VulnerabilityID")),
                place=" in ".join(filter(None, (f"{package} {version}".strip(), file or target))),
                title=f"{title} (fixed in {fixed})" if fixed else title,
                known_by=(name, text(result.get("Type")), package, where),
            )
        case "Misconfigurations":
            cause = nested(row, "CauseMetadata")
            spot = text(cause.get("Resource")) or text(cause.get("StartLine"))
            return findings.make(
                severity,
                rule=text(row.get("ID")),
                place=": ".join(filter(None, (target, spot))),
                title=text(row.get("Message")) or title,
                known_by=(name, target, spot),
            )
        case _:
            line = text(row.get("StartLine"))
            return findings.make(
                severity,
                rule=text(row.get("RuleID")),
                place=":".join(filter(None, (target, line))),
                title=title,
                known_by=(name, target, line),
            )
