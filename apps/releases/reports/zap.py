"""What OWASP ZAP found by trying the running release out: its traditional report in JSON (zaproxy.org)."""

from collections import Counter
from typing import Any
from urllib.parse import urlsplit

from apps.releases.enums import Severity
from apps.releases.reports import Unreadable, documents, findings
from apps.releases.reports.documents import text
from apps.releases.reports.findings import Found

RISKS = {"1": Severity.LOW, "2": Severity.MEDIUM, "3": Severity.HIGH}
INFORMATIONAL, FALSE_POSITIVE = "0", "0"

_Row = tuple[dict[str, Any], dict[str, Any]]


def read_zap(report: bytes) -> dict[str, Any]:
    """This function will count each place of each alert by the alert's risk; an unknown one counts as medium.

    What ZAP calls informational is not counted; what somebody marked as a false positive is counted apart. Of an alert
    with very many places a report lists some and tells their number: the others are counted, too.
    """
    document = documents.json_object(report)
    if "site" not in document or not text(document.get("@version")):
        raise Unreadable("It is not ZAP's traditional report in JSON: site and @version are expected.")
    suppressed, unlisted = 0, Counter[Severity]()
    found: list[tuple[Severity, _Row]] = []
    for site in documents.rows(document, "site"):
        for alert in documents.rows(site, "alerts", place="site: "):
            risk = text(alert.get("riskcode"))
            places = documents.rows(alert, "instances", place="alerts: ") or [{}]
            if risk == INFORMATIONAL:
                continue
            if text(alert.get("confidence")) == FALSE_POSITIVE:
                suppressed += len(places)
                continue
            severity = RISKS.get(risk, Severity.MEDIUM)
            found += [(severity, (alert, place)) for place in places]
            unlisted[severity] += max(0, _number(alert.get("count")) - len(places))
    return findings.figures_of("ZAP", found, _described, suppressed=suppressed, unlisted=unlisted)


def _number(value: object) -> int:
    told = text(value)
    return int(told) if told.isascii() and told.isdigit() and len(told) < 10 else 0


def _described(severity: Severity, raw: _Row) -> Found:
    alert, place = raw
    method, uri, parameter = text(place.get("method")), text(place.get("uri")), text(place.get("param"))
    try:
        path = urlsplit(uri).path
    except ValueError:
        path = uri
    where = f"{method} {uri}".strip()
    return findings.make(
        severity,
        rule=text(alert.get("alertRef")) or text(alert.get("pluginid")),
        place=f"{where} ({parameter})" if parameter else where,
        title=text(alert.get("name")) or text(alert.get("alert")),
        # The host is another one in each environment, and what stands after the path in each run.
        known_by=(method, path, parameter),
    )
