"""PagerDuty's Events API v2 over TLS on this machine, with what it makes of the events: alerts that are open or over.

Built from developer.pagerduty.com, Events API v2 ("Send an Alert Event", "Response Codes & Retry Logic") and the
OpenAPI description in PagerDuty/api-schema, reference/events-v2. It checks what they say of fields, and says no as they
do. Left out: acknowledgements, change events, images, rulesets, limits that move with the load, and people.
"""

import json
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

KEY = "0123456789abcdef0123456789abcdef"
FIELDS = {"routing_key", "event_action", "dedup_key", "payload", "client", "client_url", "links", "images"}
PAYLOAD = {"summary", "source", "severity", "timestamp", "component", "group", "class", "custom_details"}
Reply = tuple[int, dict[str, str], Any]


@dataclass
class Alert:
    severity: str
    events: int = 1
    is_open: bool = True


class PagerDuty:
    def __init__(self, certificate: Path, ca: str, folder: Path) -> None:
        self.events: list[dict[str, Any]] = []
        self.alerts: dict[str, list[Alert]] = {}
        self.requests = 0
        self.key = KEY
        self.answers: Callable[[dict[str, Any]], Reply | None] = lambda event: None
        """What is said instead, for an event; None: what the event deserves."""
        self._certificate, self._lock, self._ca = certificate, threading.Lock(), folder / "ca.pem"
        self._ca.write_text(ca)
        self.port = 0
        self.connection = folder / "pagerduty.json"
        self.start()

    def start(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate)
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler())
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.write_connection()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def write_connection(self, **more: str) -> None:
        row = {"url": f"https://localhost:{self.port}", "token": KEY, "ca_file": str(self._ca), **more}
        self.connection.write_text(json.dumps(row))

    def of(self, dedup_key: Any) -> list[Alert]:
        return self.alerts.get(str(dedup_key), [])

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with service._lock:
                    service.requests += 1
                status, headers, content = service.answers(event) or service._take(self.path, self.headers, event)
                body = json.dumps(content).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def _take(self, path: str, headers: Any, event: dict[str, Any]) -> Reply:
        if path != "/v2/enqueue" or headers["Content-Type"] != "application/json":
            return 404, {}, {"status": "not found", "message": "Not found"}
        if errors := problems(event, key=self.key):
            return 400, {}, {"status": "invalid event", "message": "Event object is invalid", "errors": errors}
        with self._lock:
            self.events.append(event)
            alerts = self.alerts.setdefault(event["dedup_key"], [])
            is_open = bool(alerts) and alerts[-1].is_open
            if event["event_action"] == "resolve":
                if is_open:
                    alerts[-1].is_open = False
            elif is_open:
                alerts[-1].events += 1
                alerts[-1].severity = event["payload"]["severity"]
            else:
                alerts.append(Alert(event["payload"]["severity"]))
        return 202, {}, {"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]}


def problems(event: dict[str, Any], *, key: str = KEY) -> list[str]:
    """Return what the description finds wrong with an event."""
    found = [f"unknown field {name}" for name in event.keys() - FIELDS]
    if event.get("routing_key") != key:
        found.append(f"Invalid routing key: {event.get('routing_key')}")
    if not 0 < len(event.get("dedup_key", "")) <= 255:
        found.append("Length of 'dedup_key' is incorrect")
    if event.get("event_action") == "resolve":
        return found
    if event.get("event_action") != "trigger":
        found.append("'event_action' is unknown")
    payload = event.get("payload", {})
    found += [f"unknown field payload.{name}" for name in payload.keys() - PAYLOAD]
    found += [f"'payload.{name}' is missing or blank" for name in ("summary", "source") if not payload.get(name)]
    if len(payload.get("summary", "")) > 1024:
        found.append("Length of 'payload.summary' is incorrect")
    if payload.get("severity") not in ("critical", "error", "warning", "info"):
        found.append("'payload.severity' is unknown")
    return found + _optional(event, payload)


def _optional(event: dict[str, Any], payload: dict[str, Any]) -> list[str]:
    found, links = [], event.get("links", [])
    if "timestamp" in payload and datetime.fromisoformat(payload["timestamp"]).tzinfo is None:
        found.append("'payload.timestamp' is invalid")
    if not isinstance(payload.get("custom_details", {}), dict):
        found.append("'payload.custom_details' is invalid")
    texts = [payload.get("component", ""), event.get("client", ""), *(link.get("text", "") for link in links)]
    addresses = [event.get("client_url", "https://"), *(link.get("href", "") for link in links)]
    if not all(isinstance(text, str) for text in texts) or not all(urlsplit(address).scheme for address in addresses):
        found.append("'client', 'client_url' or 'links' is invalid")
    return found
