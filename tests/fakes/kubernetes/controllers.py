"""What controllers and nodes would do: replica sets, pods and their states. Nothing runs; the image's tag decides."""

import hashlib
import json
from typing import Any

from tests.fakes.kubernetes.resources import DEPLOYMENTS, JOBS, PODS, REPLICA_SETS
from tests.fakes.kubernetes.store import Object, Store, now

BROKEN = "broken"


def settle(store: Store) -> None:
    with store.changed:
        for job in store.all(JOBS):
            _run(store, job)
        for deployment in store.all(DEPLOYMENTS):
            _roll_out(store, deployment)


def _is_good(template: Object) -> bool:
    return not any(container["image"].endswith(f":{BROKEN}") for container in template["spec"]["containers"])


def _owned_by(owner: Object, objects: list[Object]) -> list[Object]:
    uid = owner["metadata"]["uid"]
    return [each for each in objects if each["metadata"].get("ownerReferences", [{}])[0].get("uid") == uid]


def _reference(owner: Object) -> list[dict[str, Any]]:
    named = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"]}
    return [named | {"uid": owner["metadata"]["uid"], "controller": True, "blockOwnerDeletion": True}]


def _run(store: Store, job: Object) -> None:
    if "completionTime" in job.get("status", {}):
        return
    good = _is_good(job["spec"]["template"])
    condition = {"type": "Complete" if good else "Failed", "status": "True"}
    status = {
        "startTime": now(),
        "completionTime": now(),
        "conditions": [condition],
        ("succeeded" if good else "failed"): 1,
    }
    store.replace(JOBS, job["metadata"]["namespace"], job["metadata"]["name"], {"status": status}, part="status")


def _roll_out(store: Store, deployment: Object) -> None:
    namespace, wanted = deployment["metadata"]["namespace"], deployment["spec"]["replicas"]
    template = deployment["spec"]["template"]
    good = _is_good(template)
    current = _replica_set(store, deployment)
    pods = _owned_by(current, store.all(PODS, namespace))
    for _missing in range(wanted - len(pods)):
        _start_pod(store, current, good=good)
    ready = wanted if good else 0
    _report(store, current, {"replicas": wanted, "readyReplicas": ready, "availableReplicas": ready})
    others = [
        each for each in _owned_by(deployment, store.all(REPLICA_SETS, namespace)) if _name(each) != _name(current)
    ]
    served = [each for each in others if each["spec"]["replicas"]]
    if good:
        for each in served:
            _scale_down(store, each)
    # While the new pods don't get ready the old ones go on serving, as a rolling update does.
    available = ready if good else sum(each["spec"]["replicas"] for each in served)
    status = {
        "replicas": wanted + (0 if good else available),
        "updatedReplicas": wanted,
        "readyReplicas": available,
        "availableReplicas": available,
        "unavailableReplicas": wanted - ready,
        "conditions": [
            {"type": "Available", "status": str(available >= wanted), "reason": "MinimumReplicasAvailable"},
            {
                "type": "Progressing",
                "status": "True",
                "reason": "NewReplicaSetAvailable" if good else "ReplicaSetUpdated",
            },
        ],
    }
    _report(store, deployment, status)


def _replica_set(store: Store, deployment: Object) -> Object:
    template, namespace = deployment["spec"]["template"], deployment["metadata"]["namespace"]
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]
    name = f"{_name(deployment)}-{digest}"
    known = _owned_by(deployment, store.all(REPLICA_SETS, namespace))
    for each in known:
        if _name(each) == name:
            if not each["spec"]["replicas"]:
                each["spec"]["replicas"] = deployment["spec"]["replicas"]
                return store.replace(REPLICA_SETS, namespace, name, each)
            return each
    labels = {**template["metadata"].get("labels", {}), "pod-template-hash": digest}
    return store.create(
        REPLICA_SETS,
        namespace,
        {
            "metadata": {
                "name": name,
                "labels": labels,
                "ownerReferences": _reference(deployment),
                "annotations": {"deployment.kubernetes.io/revision": str(len(known) + 1)},
            },
            "spec": {
                "replicas": deployment["spec"]["replicas"],
                "selector": {
                    "matchLabels": {**deployment["spec"]["selector"]["matchLabels"], "pod-template-hash": digest}
                },
                "template": {**template, "metadata": {**template["metadata"], "labels": labels}},
            },
        },
    )


def _start_pod(store: Store, replica_set: Object, *, good: bool) -> None:
    template = replica_set["spec"]["template"]
    metadata = {
        "generateName": _name(replica_set) + "-",
        "labels": template["metadata"]["labels"],
        "ownerReferences": _reference(replica_set),
    }
    state = {"running": {}} if good else {"waiting": {"reason": "ImagePullBackOff"}}
    told = {"imageID": f"sha256:{'0' * 64}" if good else "", "ready": good, "restartCount": 0, "state": state}
    containers = [{"name": each["name"], "image": each["image"]} | told for each in template["spec"]["containers"]]
    status = {
        "phase": "Running" if good else "Pending",
        "conditions": [{"type": "Ready", "status": str(good)}],
        "containerStatuses": containers,
    }
    body = {"metadata": metadata, "spec": template["spec"], "status": status}
    store.create(PODS, replica_set["metadata"]["namespace"], body)


def _scale_down(store: Store, replica_set: Object) -> None:
    namespace = replica_set["metadata"]["namespace"]
    for pod in _owned_by(replica_set, store.all(PODS, namespace)):
        store.delete(PODS, namespace, _name(pod))
    replica_set["spec"]["replicas"] = 0
    store.replace(REPLICA_SETS, namespace, _name(replica_set), replica_set | {"status": {"replicas": 0}})


def _report(store: Store, obj: Object, status: Object) -> None:
    resource = DEPLOYMENTS if obj["kind"] == "Deployment" else REPLICA_SETS
    status = status | {"observedGeneration": obj["metadata"]["generation"]}
    if obj.get("status") != status:
        store.replace(resource, obj["metadata"]["namespace"], _name(obj), {"status": status}, part="status")


def _name(obj: Object) -> str:
    return str(obj["metadata"]["name"])
