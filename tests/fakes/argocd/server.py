"""The fake's Applications, and what is answered about them."""

import copy
import json
from datetime import UTC, datetime
from hashlib import sha1
from typing import Any

from tests.fakes.json_server import Answer, Asked, JsonServer
from tests.fakes.kubernetes.patches import json_pointed
from tests.published import described

Object = dict[str, Any]
NOT_FOUND, INVALID, FAILED_PRECONDITION, UNKNOWN = 5, 3, 9, 2


class FakeArgocd(JsonServer):
    description = described("argocd")
    stranger = {"error": "token has expired", "message": "invalid session: token has expired", "code": 16}

    def __init__(self) -> None:
        super().__init__()
        self.apps: dict[str, Object] = {}
        self.revisions: set[str] = set()
        self.moved: dict[str, str] = {}
        self.syncs: list[dict[str, str]] = []
        """What was said of each sync that has begun, in order."""

    # ---- what tests do

    def application(self, name: str, **source: Any) -> None:
        """Make an Application as whoever runs Argo CD would; it has not been synced yet."""
        whole = {"repoURL": "https://charts.example.test", "chart": "greeter", "targetRevision": "0.0.0"} | source
        self.apps[name] = {
            "metadata": {"name": name, "namespace": "argocd", "resourceVersion": "1"},
            "spec": {"project": "default", "source": whole, "destination": {"namespace": "greeter"}},
            "status": {"sync": {"status": "OutOfSync"}, "health": {"status": "Missing"}, "history": []},
        }

    def finish(self) -> None:
        """End every slow sync."""
        with self.lock:
            for app in self.apps.values():
                if "operation" in app:
                    self._end(app, "Succeeded", "successfully synced (all tasks run)")

    def somebody_synced(self, name: str, revision: str = "", **source: Any) -> None:
        """Change the source and sync it, past the portal; `revision` is that of the sync alone, as of a rollback."""
        with self.lock:
            app = self.apps[name]
            app["spec"]["source"] = app["spec"]["source"] | source
            wanted = revision or app["spec"]["source"]["targetRevision"]
            self._begin(app, {"sync": {"revision": self._resolved(wanted)}, "info": []})
            self._end(app, "Succeeded", "successfully synced (all tasks run)")
            if revision:
                app["status"]["sync"] = {"status": "OutOfSync", "revision": app["spec"]["source"]["targetRevision"]}

    def differs(self, name: str, *, compared_with: str = "") -> None:
        """Let what runs differ from what the Application says: a change by kubectl, or a revision that has moved on."""
        with self.lock:
            revision = compared_with or self.apps[name]["status"]["sync"]["revision"]
            self.apps[name]["status"]["sync"] = {"status": "OutOfSync", "revision": revision}

    def somebody_syncs(self, name: str) -> None:
        """Begin a sync that another has asked for and that goes on until `finish`."""
        with self.lock:
            self._begin(self.apps[name], {"sync": {"revision": "slow"}})

    def vanish(self, name: str) -> None:
        with self.lock:
            del self.apps[name]

    # ---- what the API does

    def answer(self, asked: Asked) -> Any:
        match asked.path.strip("/").split("/")[2:]:
            case ["applications", name]:
                return self._application(asked, self._app(name))
            case ["applications", name, what]:
                return self._part(asked, self._app(name), what)
        raise _problem(404, NOT_FOUND, "Not Found")

    def _app(self, name: str) -> Object:
        if name not in self.apps:
            raise _problem(404, NOT_FOUND, f'applications.argoproj.io "{name}" not found')
        return self.apps[name]

    def _application(self, asked: Asked, app: Object) -> Object:
        if asked.method == "PATCH":
            self._patch(app, json.loads(asked.body["patch"]))
        self._advance(app)
        return copy.deepcopy(app)

    def _part(self, asked: Asked, app: Object, what: str) -> Object:
        match asked.method, what:
            case "GET", "manifests":
                self._resolved(asked.query["revision"])
                return {"manifests": ["{}"], "revision": asked.query["revision"]}
            case "POST", "sync":
                return self._sync(asked, app)
            case "DELETE", "operation":
                if "operation" not in app:
                    raise _problem(400, INVALID, "Unable to terminate operation. No operation is in progress")
                self._end(app, "Failed", "Operation terminated")
                return {}
            case "DELETE", "resource":
                rows = app["status"].get("resources", [])
                app["status"]["resources"] = [row for row in rows if row["name"] != asked.query["resourceName"]]
                app["status"] |= {"sync": {"status": "OutOfSync"}, "health": {"status": "Missing"}}
                return {}
        raise _problem(404, NOT_FOUND, "Not Found")

    def _patch(self, app: Object, patch: list[Object]) -> None:
        new = copy.deepcopy(app)
        for operation in patch:
            if operation["op"] == "test":
                if json_pointed(new, operation["path"]) != operation["value"]:
                    raise _problem(500, UNKNOWN, f"testing value {operation['path']} failed: test failed")
                continue
            *parents, last = [each.replace("~1", "/").replace("~0", "~") for each in operation["path"].split("/")[1:]]
            place = new
            for parent in parents:
                if parent not in place:
                    raise _problem(500, UNKNOWN, f"add operation does not apply: doc is missing path: {parent}")
                place = place[parent]
            place[last] = operation["value"]
        # The server takes the spec and the metadata of what was patched, and nothing of its status.
        app["spec"], app["metadata"] = new["spec"], new["metadata"]
        app["metadata"]["resourceVersion"] = str(int(app["metadata"]["resourceVersion"]) + 1)

    def _sync(self, asked: Asked, app: Object) -> Object:
        if "operation" in app:
            raise _problem(400, FAILED_PRECONDITION, "another operation is already in progress")
        revision = asked.body.get("revision") or app["spec"]["source"]["targetRevision"]
        operation = {"sync": {"revision": self._resolved(revision)}, "info": asked.body.get("infos") or []}
        self.syncs.append({row["name"]: row["value"] for row in operation["info"]})
        self._begin(app, operation)
        return copy.deepcopy(app)

    def _begin(self, app: Object, operation: Object) -> None:
        app["operation"] = operation
        app["status"]["operationState"] = {"operation": operation, "phase": "Running", "startedAt": _now()}

    def _advance(self, app: Object) -> None:
        """Let a sync go on: one look is all the time it takes, but for a slow one."""
        if "operation" not in app:
            source = app["spec"]["source"]
            synced = app["status"]["sync"].get("comparedTo")
            if synced is not None and synced["source"] != source:
                app["status"]["sync"] = {"status": "OutOfSync", "comparedTo": synced}
            return
        revision = app["operation"]["sync"]["revision"] + app["spec"]["source"]["targetRevision"]
        if "failing" in revision:
            self._end(app, "Failed", "one or more objects failed to apply")
        elif "slow" not in revision:
            self._end(app, "Succeeded", "successfully synced (all tasks run)")

    def _end(self, app: Object, phase: str, message: str) -> None:
        operation, status = app.pop("operation"), app["status"]
        status["operationState"] |= {"phase": phase, "message": message, "finishedAt": _now()}
        if phase != "Succeeded" or "info" not in operation:
            return
        source, revision = copy.deepcopy(app["spec"]["source"]), operation["sync"]["revision"]
        status["sync"] = {
            "status": "Synced",
            "revision": revision,
            "comparedTo": {"source": source, "destination": app["spec"]["destination"]},
        }
        status["health"] = {"status": "Degraded" if "broken" in source["targetRevision"] else "Healthy"}
        named = {"version": "v1", "namespace": "greeter", "name": "greeter"}
        status["resources"] = [named | {"kind": "Service"}, named | {"group": "apps", "kind": "Deployment"}]
        entry = {"id": len(status["history"]), "revision": revision, "source": source, "deployedAt": _now()}
        status["history"].append(entry)

    def _resolved(self, revision: str) -> str:
        """Return the commit that a tag names; the version of a chart is a revision by itself."""
        if revision in self.moved.values() or revision in self.revisions:
            return self.moved.get(revision, revision)
        raise _problem(500, UNKNOWN, f"Unable to resolve '{revision}' to a commit SHA")

    def move_tag(self, tag: str, content: str) -> str:
        """Let a tag name another commit; return the commit."""
        self.moved[tag] = sha1(content.encode()).hexdigest()  # noqa: S324  as git names commits
        self.revisions |= {tag, self.moved[tag]}
        return self.moved[tag]


def _problem(status: int, code: int, message: str) -> Answer:
    return Answer(status, {"error": message, "message": message, "code": code})


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
