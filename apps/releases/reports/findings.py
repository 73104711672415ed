"""What scanners found: SARIF 2.1.0 (docs.oasis-open.org/sarif/sarif/v2.1.0)."""

from typing import Any

from apps.releases.reports import Unreadable, documents

# The bands of CVSS v3.1 (first.org), which `security-severity` follows.
BANDS = ((9.0, "critical"), (7.0, "high"), (4.0, "medium"), (0.0, "low"))
LEVELS = {"error": "high", "warning": "medium", "note": "low", "none": "low"}


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
    counts = dict.fromkeys(("critical", "high", "medium", "low", "suppressed"), 0)
    tools = []
    for run in documents.rows(log, "runs"):
        driver = documents.nested(run, "tool", "driver")
        tools.append(documents.short(driver.get("name", ""), 60))
        rules = _rules(run, driver)
        for result in documents.rows(run, "results", place="runs: "):
            if result.get("kind", "fail") in ("pass", "notApplicable", "informational"):
                continue
            counts["suppressed" if _is_suppressed(result) else _severity(result, rules)] += 1
    return {"tool": ", ".join(dict.fromkeys(filter(None, tools)))[:200], **counts}


def _rules(run: dict[str, Any], driver: dict[str, Any]) -> dict[str, dict[str, Any]]:
    extensions = documents.rows(documents.nested(run, "tool"), "extensions")
    known = [rule for component in (driver, *extensions) for rule in documents.rows(component, "rules")]
    return {str(rule.get("id")): rule for rule in known}


def _is_suppressed(result: dict[str, Any]) -> bool:
    suppressions = documents.rows(result, "suppressions")
    return bool(suppressions) and all(found.get("status", "accepted") == "accepted" for found in suppressions)


def _severity(result: dict[str, Any], rules: dict[str, dict[str, Any]]) -> str:
    rule = rules.get(str(result.get("ruleId") or documents.nested(result, "rule").get("id")), {})
    score = documents.nested(rule, "properties").get("security-severity")
    try:
        value = float(str(score))
        return next(band for least, band in BANDS if value >= least)
    except (ValueError, StopIteration):
        usual = documents.nested(rule, "defaultConfiguration").get("level", "warning")
        return LEVELS.get(str(result.get("level", usual)), "medium")
