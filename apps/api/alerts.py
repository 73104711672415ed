"""What Alertmanager sends to a webhook (prometheus.io, Alertmanager configuration, webhook_config, version 4). Pure."""

import re
from datetime import datetime
from typing import Any

from apps.api.bodies import field
from apps.api.problems import FieldInvalid
from apps.health.alerts import Report

AT_MOST = 500
_INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028-\u202e\u2066-\u2069]+")
_FINGERPRINT = re.compile(r"[0-9A-Za-z]{1,64}")


class Unreadable(ValueError):
    """One alert of many that can't be kept; the others are all the same."""


def alerts_of(payload: dict[str, Any]) -> list[Any]:
    """This function will return the alerts of a message as they are. Raises FieldInvalid: no message of version 4."""
    if field(payload, "version", str) != "4":
        raise FieldInvalid("Only version 4 of Alertmanager's webhook is read here.")
    alerts: list[Any] = field(payload, "alerts", list)
    if len(alerts) > AT_MOST:
        raise FieldInvalid(f"At most {AT_MOST} alerts are read at once; set max_alerts of Alertmanager's webhook.")
    return alerts


def read_alert(raw: Any) -> Report:
    """This function will read one alert. Raises Unreadable: with the reason why it can't be kept."""
    if not isinstance(raw, dict):
        raise Unreadable("It is not an object.")
    labels, annotations = _texts(raw, "labels"), _texts(raw, "annotations")
    fingerprint = raw.get("fingerprint")
    if not isinstance(fingerprint, str) or not _FINGERPRINT.fullmatch(fingerprint):
        raise Unreadable("It has no fingerprint.")
    if raw.get("status") not in ("firing", "resolved"):
        raise Unreadable("It is neither firing nor resolved.")
    generator = raw.get("generatorURL")
    return Report(
        service=labels.get("service", ""),
        environment=labels.get("environment", ""),
        fingerprint=fingerprint,
        name=labels.get("alertname", "")[:120] or "Alert without a name",
        severity=labels.get("severity", "").lower()[:40],
        summary=(annotations.get("summary") or annotations.get("description") or "")[:300],
        starts_at=_moment(raw, "startsAt"),
        ends_at=_moment(raw, "endsAt") if raw["status"] == "resolved" else None,
        # One that was cut would lead elsewhere.
        generator_url=_plain(generator) if isinstance(generator, str) and len(generator) <= 500 else "",
    )


def _texts(raw: dict[str, Any], name: str) -> dict[str, str]:
    found = raw.get(name) or {}
    if not isinstance(found, dict):
        raise Unreadable(f"Its {name} are not an object.")
    return {key: _plain(value) for key, value in found.items() if isinstance(value, str)}


def _moment(raw: dict[str, Any], name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(str(raw.get(name)))
    except ValueError as error:
        raise Unreadable(f"Its {name} is not a time.") from error
    if moment.tzinfo is None or moment.year < 2000:
        raise Unreadable(f"Its {name} is not a time with a zone.")
    return moment


def _plain(text: str) -> str:
    return _INVISIBLE.sub(" ", text).strip()
