"""What Flux and Tekton would do with their objects. Nothing is deployed; the version decides.

Built from the published descriptions of helm.toolkit.fluxcd.io/v2, kustomize.toolkit.fluxcd.io/v1 and tekton.dev/v1
(conditions Ready and Succeeded, observedGeneration, lastHandledReconcileAt, history); never compared with the
controllers.
A version with `broken` in it fails, one with `slow` goes on until the object is told to stop, everything else is done.
"""

from tests.fakes.kubernetes.resources import HELM_RELEASES, KUSTOMIZATIONS, PIPELINE_RUNS, Resource
from tests.fakes.kubernetes.store import Object, Store

REQUESTED = "reconcile.fluxcd.io/requestedAt"
THEN, DIGEST = "2026-01-01T00:00:00Z", f"sha256:{'0' * 64}"


def settle(store: Store) -> None:
    with store.changed:
        for resource in (HELM_RELEASES, KUSTOMIZATIONS):
            for obj in store.all(resource):
                _reconcile(store, resource, obj)
        for run in store.all(PIPELINE_RUNS):
            _go_on(store, run)


def _reconcile(store: Store, resource: Resource, obj: Object) -> None:
    spec, metadata = obj["spec"], obj["metadata"]
    if spec.get("suspend"):
        return
    if resource == HELM_RELEASES:
        version = spec["chart"]["spec"].get("version", "")
    else:
        version = (spec.get("postBuild") or {}).get("substitute", {}).get("EAIP_VERSION", "")
    state, reason, message = "True", "ReconciliationSucceeded", f"applied {version}"
    if "broken" in version:
        state, reason, message = "False", "UpgradeFailed", "context deadline exceeded"
    elif "slow" in version:
        state, reason, message = "Unknown", "Progressing", "running upgrade"
    condition = {"type": "Ready", "status": state, "reason": reason, "message": message, "lastTransitionTime": THEN}
    status = {"conditions": [condition], "observedGeneration": metadata["generation"]}
    if resource == HELM_RELEASES and state == "True":
        status["history"] = [_brought(metadata, spec["chart"]["spec"].get("chart", ""), version)]
    if requested := (metadata.get("annotations") or {}).get(REQUESTED):
        status["lastHandledReconcileAt"] = requested
    if obj.get("status") != status:
        store.replace(resource, metadata["namespace"], metadata["name"], {"status": status}, part="status")


def _brought(metadata: Object, chart: str, version: str) -> Object:
    where = {"name": metadata["name"], "namespace": metadata["namespace"], "version": 1, "status": "deployed"}
    told = {"digest": DIGEST, "configDigest": DIGEST, "firstDeployed": THEN, "lastDeployed": THEN}
    return where | told | {"chartName": chart, "chartVersion": version}


def _go_on(store: Store, run: Object) -> None:
    values = {row["name"]: row["value"] for row in run["spec"].get("params") or []}
    state, reason = "True", "Succeeded"
    if run.get("status", {}).get("completionTime"):
        return
    if run["spec"].get("status") == "Cancelled":
        state, reason = "False", "Cancelled"
    elif "broken" in values["version"]:
        state, reason = "False", "Failed"
    elif "slow" in values["version"]:
        state, reason = "Unknown", "Running"
    condition = {"type": "Succeeded", "status": state, "reason": reason, "message": f"Tasks Completed: {reason}"}
    ended = {} if state == "Unknown" else {"completionTime": THEN}
    status = {"conditions": [condition], **ended}
    if run.get("status") != status:
        where = run["metadata"]
        store.replace(PIPELINE_RUNS, where["namespace"], where["name"], {"status": status}, part="status")
