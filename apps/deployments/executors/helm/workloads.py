"""Are the workloads of a release ready, and as they were rendered? Pure: objects as Kubernetes has them, sentences."""

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


def changed(rendered: Iterable[Object], live: Iterable[Object]) -> list[str]:
    """Return a sentence for each image that was rendered and isn't the one that the cluster has.

    One that an admission controller has pinned by its digest is the same; what was added beside it is not judged.
    """
    there = {(obj["kind"], obj["metadata"]["name"]): _images(obj) for obj in live if obj["kind"] in _RUN}
    found = []
    for obj in rendered:
        kind, name = obj["kind"], obj["metadata"]["name"]
        if kind not in _RUN:
            continue
        if (seen := there.get((kind, name))) is None:
            found.append(f"{kind} {name} is gone")
            continue
        for container, image in _images(obj).items():
            has = seen.get(container, "nothing")
            if has != image and not has.startswith(f"{image}@sha256:"):
                found.append(f"{kind} {name} has {has} for {container}, not {image}")
    return found


def _images(obj: Object) -> dict[str, str]:
    spec = obj.get("spec") or {}
    pods = ((spec.get("jobTemplate") or {}).get("spec") or spec).get("template") or {}
    pod = pods.get("spec") or {}
    both = [*(pod.get("initContainers") or []), *(pod.get("containers") or [])]
    return {container["name"]: container.get("image", "") for container in both}


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
# What goes on running. A Job has run, and may have been cleared away since.
_RUN = {*_COUNTS, "CronJob"}
