"""All objects of the fake, their versions, and the events that watchers read."""

import base64
import copy
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.fakes.kubernetes.resources import DEPLOYMENTS, NAMESPACES, SECRETS, SERVICES, Resource

Object = dict[str, Any]
Key = tuple[Resource, str | None, str]


@dataclass(frozen=True)
class Event:
    version: int
    resource: Resource
    namespace: str | None
    kind: str
    object: Object


class Problem(Exception):
    """What the API answers in place of an object."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason = code, reason


class Store:
    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.events: list[Event] = []
        self._objects: dict[Key, Object] = {}
        for name in ("default", "kube-system"):
            self.create(NAMESPACES, None, {"metadata": {"name": name}})

    @property
    def version(self) -> int:
        return len(self.events)

    def all(self, resource: Resource, namespace: str | None = None) -> list[Object]:
        with self.changed:
            return [
                copy.deepcopy(obj)
                for (of, inside, _name), obj in self._objects.items()
                if of == resource and namespace in (None, inside)
            ]

    def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        with self.changed:
            try:
                return copy.deepcopy(self._objects[resource, namespace, name])
            except KeyError:
                raise Problem(404, "NotFound", f'{resource.plural} "{name}" not found') from None

    def create(self, resource: Resource, namespace: str | None, body: Object, *, dry: bool = False) -> Object:
        with self.changed:
            obj = _completed(resource, namespace, body)
            name = obj["metadata"]["name"]
            if namespace and (NAMESPACES, None, namespace) not in self._objects:
                raise Problem(404, "NotFound", f'namespaces "{namespace}" not found')
            if (resource, namespace, name) in self._objects:
                raise Problem(409, "AlreadyExists", f'{resource.plural} "{name}" already exists')
            return obj if dry else self._put(resource, namespace, obj, "ADDED")

    def replace(self, resource: Resource, namespace: str | None, name: str, body: Object, *, part: str = "") -> Object:
        """Replace an object, or only its status. Raises Problem: not there, or the version is no longer the last."""
        with self.changed:
            old = self.get(resource, namespace, name)
            if (body.get("metadata") or {}).get("resourceVersion", "") not in ("", old["metadata"]["resourceVersion"]):
                raise Problem(409, "Conflict", "the object has been modified; apply your changes to the latest version")
            new = old | {"status": body.get("status")} if part == "status" else _kept(old, copy.deepcopy(body))
            return old if new == old else self._put(resource, namespace, new, "MODIFIED")

    def delete(self, resource: Resource, namespace: str | None, name: str) -> Object:
        """Take an object away, and what it owns."""
        with self.changed:
            obj = self.get(resource, namespace, name)
            del self._objects[resource, namespace, name]
            self._tell(resource, namespace, obj, "DELETED")
            uid = obj["metadata"]["uid"]
            for of, inside, owned in [key for key, each in self._objects.items() if uid in _owners(each)]:
                self.delete(of, inside, owned)
            return obj

    def since(self, version: int, *, timeout: float) -> list[Event]:
        """Wait for events after a version."""
        with self.changed:
            self.changed.wait_for(lambda: self.version > version, timeout)
            return self.events[version:]

    def _put(self, resource: Resource, namespace: str | None, obj: Object, kind: str) -> Object:
        self._objects[resource, namespace, obj["metadata"]["name"]] = obj
        self._tell(resource, namespace, obj, kind)
        return copy.deepcopy(obj)

    def _tell(self, resource: Resource, namespace: str | None, obj: Object, kind: str) -> None:
        obj["metadata"]["resourceVersion"] = str(self.version + 1)
        self.events.append(Event(self.version + 1, resource, namespace, kind, copy.deepcopy(obj)))
        self.changed.notify_all()


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _owners(obj: Object) -> Iterator[str]:
    return (row["uid"] for row in obj["metadata"].get("ownerReferences") or [])


def _completed(resource: Resource, namespace: str | None, body: Object) -> Object:
    """What the server adds to a new object."""
    obj = {"apiVersion": resource.api_version, "kind": resource.kind} | copy.deepcopy(body)
    metadata = obj["metadata"]
    if not metadata.get("name"):
        metadata["name"] = metadata["generateName"] + uuid.uuid4().hex[:5]
    metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": now(), "generation": 1}
    if namespace:
        metadata["namespace"] = namespace
    if resource == NAMESPACES:
        obj["status"] = {"phase": "Active"}
    elif resource == SECRETS:
        plain = obj.pop("stringData", None) or {}
        obj.setdefault("data", {}).update({k: base64.b64encode(v.encode()).decode() for k, v in plain.items()})
    elif resource == SERVICES:
        obj["spec"].setdefault("clusterIP", "10.96.0.10")
    elif resource == DEPLOYMENTS:
        obj["spec"] = {"replicas": 1, "progressDeadlineSeconds": 600, "strategy": {"type": "RollingUpdate"}} | obj[
            "spec"
        ]
    return obj


def _kept(old: Object, new: Object) -> Object:
    """What an update can't change."""
    metadata = new["metadata"]
    metadata |= {name: old["metadata"][name] for name in ("uid", "creationTimestamp", "name")}
    metadata["resourceVersion"] = old["metadata"]["resourceVersion"]
    if "namespace" in old["metadata"]:
        metadata["namespace"] = old["metadata"]["namespace"]
    metadata["generation"] = old["metadata"]["generation"] + (new.get("spec") != old.get("spec"))
    if "clusterIP" in old.get("spec", {}):
        new["spec"].setdefault("clusterIP", old["spec"]["clusterIP"])
    if "status" in old:
        new.setdefault("status", old["status"])
    return new
