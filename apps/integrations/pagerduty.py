"""PagerDuty's Events API v2: an alert is triggered, told more of and resolved, under one key that is ours.

Of events with the same key the first opens an alert and the others are added to it while it is open, so what is sent
twice counts once. Source: developer.pagerduty.com, Events API v2, "Send an Alert Event" and "Response Codes".
"""

import json
import logging
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from apps.integrations import json_api, outbound
from apps.integrations import outbound_addresses as addresses
from apps.integrations.apart import run_apart
from apps.integrations.outbound_addresses import Network, NotAllowed, Policy

log = logging.getLogger(__name__)

SUMMARY = 1024
WORDS = 300
SECONDS = 5.0
# An answer that asks for more patience than this is not believed.
LONGEST_WAIT = 3600.0
# No reason to be silent for ever: a timeout of its own, and too many events at a time.
PASSING = frozenset({408, 429})


class NotTaken(Exception):
    """It did not take the event, or nobody knows whether it has: send it again, not before `seconds` are over."""

    def __init__(self, message: str, *, seconds: float = 0) -> None:
        super().__init__(message)
        self.seconds = seconds


class Refused(Exception):
    """It will never take this event as it is; the text says why."""


@dataclass(frozen=True, slots=True)
class Alert:
    """`severity` is one of critical, error, warning and info; `links` are addresses with their texts."""

    dedup_key: str
    summary: str
    source: str
    severity: str
    at: datetime
    component: str
    details: Mapping[str, Any]
    client_url: str
    links: Sequence[tuple[str, str]]


def triggered(alert: Alert) -> dict[str, Any]:
    """This function will return the event that opens an alert, or says more of one that is open."""
    payload = {
        "summary": alert.summary[:SUMMARY],
        "source": alert.source,
        "severity": alert.severity,
        "timestamp": alert.at.isoformat(),
        "custom_details": dict(alert.details),
        **({"component": alert.component} if alert.component else {}),
    }
    return {
        "event_action": "trigger",
        "dedup_key": alert.dedup_key,
        "payload": payload,
        "client": "EAIP Operations",
        "client_url": alert.client_url,
        "links": [{"href": href, "text": text} for href, text in alert.links],
    }


def resolved(dedup_key: str) -> dict[str, Any]:
    """This function will return the event that ends an alert; it ends none where none is open."""
    return {"event_action": "resolve", "dedup_key": dedup_key}


def send(path: Path, event: Mapping[str, Any], *, inside: tuple[Network, ...] = (), seconds: float = SECONDS) -> None:
    """This function will send an event and return once PagerDuty has taken it. Not within a transaction.

    Shapes: `path` is that of a connection as `json_api.read` reads it, anew for each event, its token the integration
    key; `inside` are networks that it may lead into. Units: `seconds` for all of it. Raises NotTaken, Refused.
    """
    try:
        connection = json_api.read(path)
        trust = ssl.create_default_context(cafile=connection.ca_file) if connection.ca_file else None
        destination = addresses.read(f"{connection.url}/v2/enqueue", schemes=("https",))
    except (json_api.ApiProblem, OSError, NotAllowed) as error:
        log.warning("PagerDuty can't be told: %s", error)
        raise NotTaken("Its connection can't be read. Whoever runs the portal finds why in the log.") from error
    try:
        answer = run_apart(
            outbound.post(
                destination,
                Policy(frozenset({destination.port}), inside),
                body=json.dumps({"routing_key": connection.token, **event}).encode(),
                headers={"Content-Type": "application/json"},
                seconds=seconds,
                trust=trust,
            )
        )
    except (outbound.NoAnswer, NotAllowed) as error:
        raise NotTaken(str(error)) from error
    if 200 <= answer.status < 300:
        return
    said = f"It answered {answer.status}{_reason(answer.body)}".replace(connection.token, "…")[:WORDS]
    if 400 <= answer.status < 500 and answer.status not in PASSING:
        raise Refused(said)
    raise NotTaken(said, seconds=_wait(answer.headers.get("retry-after", "")))


def _reason(body: bytes) -> str:
    try:
        row = json.loads(body)
        told = [row.get("message") or "", *(row.get("errors") or ())]
    except (ValueError, AttributeError, TypeError):
        return "."
    words = "; ".join(str(word) for word in told if word)
    return f": {words}" if words else "."


def _wait(after: str) -> float:
    """Return how many seconds an answer asks for: `Retry-After` is a number or a date (RFC 9110, section 10.2.3)."""
    if after.isdecimal():
        seconds = float(after)
    else:
        try:
            until = parsedate_to_datetime(after)
        except ValueError:
            return 0
        seconds = (until.astimezone(UTC) - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0), LONGEST_WAIT)
