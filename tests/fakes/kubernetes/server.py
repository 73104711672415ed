"""The HTTP side of the fake: one thread for each connection, a log of all requests, and a door that tests can shut."""

import contextlib
import json
import re
import threading
import time
import urllib.parse
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import yaml

from tests import published
from tests.fakes.kubernetes import controllers, operators, protobuf
from tests.fakes.kubernetes.patches import patched
from tests.fakes.kubernetes.resources import RESOURCES, Resource, described
from tests.fakes.kubernetes.selectors import matches
from tests.fakes.kubernetes.store import Event, Problem, Store

SHOWN_WHEN_DELETED = ("pods", "services", "serviceaccounts")
INITIAL_END = {"annotations": {"k8s.io/initial-events-end": "true"}}


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    content_type: str
    status: int


@dataclass(frozen=True)
class Place:
    """What a path names."""

    resource: Resource
    namespace: str | None
    name: str | None
    part: str


class FakeKubernetes:
    """Start it as a context manager; `kubeconfig(path)` writes what clients need to reach it."""

    description = published.described("kubernetes", "flux", "tekton")

    def __init__(self) -> None:
        self.store = Store()
        self.requests: list[Request] = []
        self.exchanges: list[published.Exchange] = []
        self.is_away = False
        self._held: re.Pattern[str] | None = None
        self._door = threading.Condition()
        self._waiting = 0
        self._over = threading.Event()

    def __enter__(self) -> Self:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"fake": self}))
        self.server.daemon_threads = True
        self._threads = [
            threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True),
            threading.Thread(target=self._control, daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self.let_go()
        with self.store.changed:
            self.store.changed.notify_all()
        self.server.shutdown()
        self.server.server_close()
        for thread in self._threads:
            thread.join()
        published.require(self.description, self.exchanges)

    def kubeconfig(self, path: Path) -> Path:
        named = {"clusters": [{"name": "fake", "cluster": {"server": f"http://127.0.0.1:{self.server.server_port}"}}]}
        user = {"users": [{"name": "fake", "user": {"token": "no-secret"}}]}
        context = {"contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}]}
        whole = {"apiVersion": "v1", "kind": "Config", "current-context": "fake", **named, **user, **context}
        path.write_text(yaml.safe_dump(whole))
        path.chmod(0o600)
        return path

    def connection(self, path: Path) -> Path:
        """Write the file that the portal's settings name."""
        path.write_text(json.dumps({"url": f"http://127.0.0.1:{self.server.server_port}", "token": "no-secret"}))
        path.chmod(0o600)
        return path

    def hold(self, pattern: str) -> None:
        """Keep requests waiting whose `METHOD path` matches, until `let_go`."""
        self._held = re.compile(pattern)

    def let_go(self) -> None:
        with self._door:
            self._held = None
            self._door.notify_all()

    @property
    def is_holding(self) -> bool:
        return self._waiting > 0

    def pass_door(self, line: str) -> None:
        with self._door:
            if self._held is None or not self._held.search(line):
                return
            self._waiting += 1
            self._door.wait_for(lambda: self._held is None)
            self._waiting -= 1

    @property
    def is_over(self) -> bool:
        return self._over.is_set()

    def _control(self) -> None:
        seen = 0
        while not self.is_over:
            if self.store.since(seen, timeout=0.2):
                controllers.settle(self.store)
                operators.settle(self.store)
            seen = self.store.version


class _Handler(BaseHTTPRequestHandler):
    fake: FakeKubernetes
    protocol_version = "HTTP/1.1"
    status = 0

    def handle_any(self) -> None:
        if self.fake.is_away:
            self.close_connection = True
            return
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        body = self._body()
        self.fake.pass_door(f"{self.command} {url.path}")
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._answer(url.path, query, body)
        finally:
            kind = self.headers.get("Content-Type", "")
            self.fake.requests.append(Request(self.command, url.path, query, kind, self.status))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def _answer(self, path: str, query: dict[str, str], body: Any) -> None:
        if (found := described(path)) is not None:
            self._send(200, found)
            return
        try:
            place = _place(path)
            if self.command == "GET" and place.name is None and query.get("watch") in ("true", "1"):
                self._watch(place, query)
                return
            status, content = 201 if self.command == "POST" else 200, self._done(place, query, body)
        except Problem as problem:
            told = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": str(problem)}
            status, content = problem.code, told | {"reason": problem.reason, "code": problem.code}
        kind = self.headers.get("Content-Type", "").split(";")[0]
        asked = tuple(query.items())
        self.fake.exchanges.append(published.Exchange(self.command, path, asked, body or None, status, content, kind))
        self._send(status, content)

    def _done(self, place: Place, query: dict[str, str], body: Any) -> dict[str, Any]:
        store, resource, namespace, name = self.fake.store, place.resource, place.namespace, place.name
        dry = "dryRun" in query
        match self.command, name:
            case "GET", None:
                items = [obj for obj in store.all(resource, namespace) if _selected(obj, query)]
                metadata = {"resourceVersion": str(store.version)}
                kind = {"kind": f"{resource.kind}List", "apiVersion": resource.api_version}
                return kind | {"metadata": metadata, "items": items}
            case "GET", str():
                return store.get(resource, namespace, name)
            case "POST", None:
                return store.create(resource, namespace, body, dry=dry)
            case "PUT", str():
                return store.replace(resource, namespace, name, body, part=place.part)
            case "DELETE", str():
                obj = store.get(resource, namespace, name) if dry else store.delete(resource, namespace, name)
                if resource.plural in SHOWN_WHEN_DELETED:
                    return obj
                details = {"name": name, "uid": obj["metadata"]["uid"]}
                return {"kind": "Status", "apiVersion": "v1", "status": "Success", "details": details}
            case "PATCH", str():
                return self._patch(place, body, dry=dry)
        raise Problem(405, "MethodNotAllowed", f"the fake does not know {self.command} here")

    def _patch(self, place: Place, body: Any, *, dry: bool) -> dict[str, Any]:
        store, resource, namespace = self.fake.store, place.resource, place.namespace
        content_type = self.headers.get("Content-Type", "").split(";")[0]
        with store.changed:
            try:
                old = store.get(resource, namespace, str(place.name))
            except Problem:
                if content_type != "application/apply-patch+yaml":
                    raise
                return store.create(resource, namespace, body, dry=dry)
            new = patched(old, body, content_type)
            return new if dry else store.replace(resource, namespace, str(place.name), new, part=place.part)

    def _watch(self, place: Place, query: dict[str, str]) -> None:
        store, initial = self.fake.store, query.get("sendInitialEvents") == "true"
        self.status = 200
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with store.changed:
            seen = int(query.get("resourceVersion") or 0) or store.version
            there = store.all(place.resource, place.namespace) if initial or not query.get("resourceVersion") else []
            seen = store.version if there or initial else seen
        for obj in there:
            self._event("ADDED", obj, query)
        if initial:
            metadata = INITIAL_END | {"resourceVersion": str(seen)}
            kind = {"kind": place.resource.kind, "apiVersion": place.resource.api_version}
            self._chunk({"type": "BOOKMARK", "object": kind | {"metadata": metadata}})
        until = time.monotonic() + float(query.get("timeoutSeconds") or 3600)
        while time.monotonic() < until and not self.fake.is_over:
            for event in store.since(seen, timeout=0.5):
                seen = event.version
                if _concerns(event, place):
                    self._event(event.kind, event.object, query)
        self.wfile.write(b"0\r\n\r\n")

    def _event(self, kind: str, obj: dict[str, Any], query: dict[str, str]) -> None:
        if _selected(obj, query):
            self._chunk({"type": kind, "object": obj})

    def _chunk(self, content: dict[str, Any]) -> None:
        line = json.dumps(content).encode() + b"\n"
        self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")

    def _body(self) -> Any:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kind = self.headers.get("Content-Type", "").split(";")[0]
        if not raw or (self.command == "DELETE" and raw.startswith(protobuf.MAGIC)):
            return {}
        if kind == "application/vnd.kubernetes.protobuf":
            return protobuf.decoded(raw)
        return yaml.safe_load(raw) if kind.endswith("yaml") else json.loads(raw)

    def _send(self, status: int, content: dict[str, Any]) -> None:
        self.status, body = status, json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing: the log of requests is the fake's."""


def _place(path: str) -> Place:
    parts = path.strip("/").split("/")
    group, version, rest = ("", parts[1], parts[2:]) if parts[0] == "api" else (parts[1], parts[2], parts[3:])
    namespace = None
    if len(rest) > 2 and rest[0] == "namespaces":
        namespace, rest = rest[1], rest[2:]
    for resource in RESOURCES:
        if rest and (resource.group, resource.version, resource.plural) == (group, version, rest[0]):
            return Place(resource, namespace, rest[1] if len(rest) > 1 else None, rest[2] if len(rest) > 2 else "")
    raise Problem(404, "NotFound", "the server could not find the requested resource")


def _selected(obj: dict[str, Any], query: dict[str, str]) -> bool:
    return matches(obj, labels=query.get("labelSelector", ""), fields=query.get("fieldSelector", ""))


def _concerns(event: Event, place: Place) -> bool:
    return event.resource == place.resource and place.namespace in (None, event.namespace)
