"""Are the workloads of a release ready? Pure: objects as the Kubernetes API gives them in, sentences out."""

from collections.abc import Callable, Iterable
from typing import Any

Object = dict[str, Any]
Counts = Callable[[Object, Object], tuple[int, int, int, int]]
"""From spec and status: pods wanted, pods of this version, pods ready, pods in all."""


class NeverReady(Exception):
    """The cluster itself has given up on a workload."""


def waiting_for(objects: Iterable[Object]) -> list[str]:
    """Return a sentence for each workload that isn't ready yet. Raises NeverReady: one never will be."""
    return [said for obj in objects if (said := _unready(obj))]


def _unready(obj: Object) -> str:
    kind, spec, status = obj["kind"], obj.get("spec") or {}, obj.get("status") or {}
    if kind not in _COUNTS:
        return ""
    name = f"{kind} {obj['metadata']['name']}"
    for condition in status.get("conditions") or []:
        if condition.get("type") == "Progressing" and condition.get("status") == "False":
            raise NeverReady(f"{name}: {condition.get('reason', 'it makes no progress')}")
    if status.get("observedGeneration", 0) < obj["metadata"].get("generation", 0):
        return f"{name} has not been looked at yet"
    wanted, updated, available, total = _COUNTS[kind](spec, status)
    if updated < wanted:
        return f"{name}: {updated} of {wanted} pods are of this version"
    if available < wanted:
        return f"{name}: {available} of {wanted} pods are ready"
    return f"{name}: {total - wanted} pods of another version are still there" if total > wanted else ""


def _replicas(ready: str) -> Counts:
    def counts(spec: Object, status: Object) -> tuple[int, int, int, int]:
        return (
            spec.get("replicas", 1),
            status.get("updatedReplicas", 0),
            status.get(ready, 0),
            status.get("replicas", 0),
        )

    return counts


def _daemon_set(_spec: Object, status: Object) -> tuple[int, int, int, int]:
    wanted = status.get("desiredNumberScheduled", 0)
    return wanted, status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0), wanted


_COUNTS: dict[str, Counts] = {
    "Deployment": _replicas("availableReplicas"),
    "StatefulSet": _replicas("readyReplicas"),
    "DaemonSet": _daemon_set,
}
