"""What scanners found: SARIF 2.1.0 (docs.oasis-open.org/sarif/sarif/v2.1.0)."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from apps.releases.enums import Severity
from apps.releases.reports import Unreadable, documents, findings
from apps.releases.reports.documents import nested, text
from apps.releases.reports.findings import Found

# The bands of CVSS v3.1 (first.org), which `security-severity` follows.
BANDS = ((9.0, Severity.CRITICAL), (7.0, Severity.HIGH), (4.0, Severity.MEDIUM), (0.0, Severity.LOW))
LEVELS = {"error": Severity.HIGH, "warning": Severity.MEDIUM, "note": Severity.LOW, "none": Severity.LOW}


class _Result(NamedTuple):
    tool: str
    rule: dict[str, Any]
    result: dict[str, Any]


def read_sarif(report: bytes) -> dict[str, Any]:
    """This function will count results by severity: the rule's `security-severity`, else the result's level.

    Suppressed results are counted apart, but not while their suppression is under review or once it was rejected; those
    that say of themselves that nothing is wrong are not counted.
    """
    log = documents.json_object(report)
    if log.get("version") != "2.1.0":
        raise Unreadable(f"It is not SARIF 2.1.0: its version is {str(log.get('version'))[:20]!r}.")
    if not isinstance(log.get("runs"), list) or not log["runs"]:
        raise Unreadable("It holds no run of a tool.")
    tools, suppressed = [], 0
    found: list[tuple[Severity, _Result]] = []
    for run in documents.rows(log, "runs"):
        driver = nested(run, "tool", "driver")
        tool = documents.short(driver.get("name", ""), 60)
        tools.append(tool)
        rules = _rules(run, driver)
        for result in documents.rows(run, "results", place="runs: "):
            if result.get("kind", "fail") in ("pass", "notApplicable", "informational"):
                continue
            if _is_suppressed(result):
                suppressed += 1
                continue
            rule = rules.get(_rule_id(result), {})
            found.append((_severity(result, rule), _Result(tool, rule, result)))
    return findings.figures_of(", ".join(dict.fromkeys(filter(None, tools))), found, _described, suppressed=suppressed)


def _rules(run: dict[str, Any], driver: dict[str, Any]) -> dict[str, dict[str, Any]]:
    extensions = documents.rows(nested(run, "tool"), "extensions")
    known = [rule for component in (driver, *extensions) for rule in documents.rows(component, "rules")]
    return {str(rule.get("id")): rule for rule in known}


def _rule_id(result: dict[str, Any]) -> str:
    return str(result.get("ruleId") or nested(result, "rule").get("id"))


def _is_suppressed(result: dict[str, Any]) -> bool:
    suppressions = documents.rows(result, "suppressions")
    return bool(suppressions) and all(found.get("status", "accepted") == "accepted" for found in suppressions)


def _severity(result: dict[str, Any], rule: dict[str, Any]) -> Severity:
    score = nested(rule, "properties").get("security-severity")
    try:
        value = float(str(score))
        return next(band for least, band in BANDS if value >= least)
    except (ValueError, StopIteration):
        usual = nested(rule, "defaultConfiguration").get("level", "warning")
        return LEVELS.get(str(result.get("level", usual)), Severity.MEDIUM)


def _described(severity: Severity, raw: _Result) -> Found:
    tool, rule, result = raw
    name, message = _rule_id(result), text(nested(result, "message").get("text"))
    # Some tools only repeat the rule's name there.
    usual = text(nested(rule, "shortDescription").get("text"))
    places = list(_places(result))
    return findings.make(
        severity,
        rule=name,
        place=places[0] if places else "",
        title=usual if usual and name not in usual else message,
        known_by=(tool, *_known_by(result, places or [message])),
    )


def _known_by(result: dict[str, Any], places: list[str]) -> list[str]:
    """Return what tells a result from others of its rule, the lastingest that the tool gives.

    A partial fingerprint is often of the line's text alone, so the file belongs to it (section 3.27.17).
    """
    if whole := _given(nested(result, "fingerprints")):
        return ["whole", *whole]
    if partial := _given(nested(result, "partialFingerprints")):
        files = [uri for uri, _ in _artifacts(result)]
        return ["partial", *partial, *files]
    return ["place", *places]


def _given(fingerprints: dict[str, Any]) -> list[str]:
    return [f"{name}={value}" for name, value in sorted(fingerprints.items()) if isinstance(value, str) and value]


def _artifacts(result: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for location in documents.rows(result, "locations"):
        yield text(nested(location, "physicalLocation", "artifactLocation").get("uri")), location


def _places(result: dict[str, Any]) -> Iterator[str]:
    """Tell where it is: by the tool's own words, as "image: package@version" is, else by file, line and column."""
    for uri, location in _artifacts(result):
        region = nested(location, "physicalLocation", "region")
        logical = [text(row.get("fullyQualifiedName")) for row in documents.rows(location, "logicalLocations")]
        numbers = [text(region.get(name)) for name in ("startLine", "startColumn")]
        place = ":".join(filter(None, (uri, *numbers))) or ", ".join(filter(None, logical))
        yield text(nested(location, "message").get("text")) or place
