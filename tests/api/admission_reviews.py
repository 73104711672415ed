"""AdmissionReviews as a Kubernetes API server sends them.

No package that can be had here carries recorded ones. These have every field that an API server of version 1.30 writes
(kubernetes.io: "Dynamic Admission Control", "Webhook request and response", and the reference of admission.k8s.io/v1):
what people leave out has its default, and who asked is known by groups and extras.
"""

import json
from collections.abc import Mapping
from typing import Any

GROUPS = {"Deployment": "apps", "StatefulSet": "apps", "DaemonSet": "apps", "ReplicaSet": "apps", "Job": "batch"}
PERSON = {
    "username": "deployer@example.com",
    "uid": "014fbff9a07c",
    "groups": ["developers", "system:authenticated"],
    "extra": {"authentication.kubernetes.io/credential-id": ["X509SHA256=0ae9d0f6"]},
}
CONTROLLER = {
    "username": "system:serviceaccount:kube-system:replicaset-controller",
    "uid": "7f4cb1ee-0ab5-4a4d-8f38-d4a0b8e3b6ce",
    "groups": ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"],
}
OWNER = {
    "apiVersion": "apps/v1",
    "kind": "ReplicaSet",
    "name": "orders-7d4b9c6b5f",
    "uid": "f27a8f5c-6cf8-4dd2-8a3e-1f2d0f5b3c11",
    "controller": True,
    "blockOwnerDeletion": True,
}


def container(image: str, name: str = "main") -> dict[str, Any]:
    return {
        "name": name,
        "image": image,
        "ports": [{"containerPort": 8080, "protocol": "TCP"}],
        "resources": {},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
    }


def pod_spec(*images: str, **more: Any) -> dict[str, Any]:
    return {
        "containers": [container(image, f"main-{number}") for number, image in enumerate(images)],
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "securityContext": {},
        "schedulerName": "default-scheduler",
    } | more


def template(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"metadata": {"creationTimestamp": None, "labels": {"app": "orders"}}, "spec": spec}


def pod(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A pod as the controller of a ReplicaSet makes it: it gets its name after it was admitted."""
    metadata = {"generateName": "orders-7d4b9c6b5f-", "namespace": "orders", "ownerReferences": [OWNER]}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": spec, "status": {"phase": "Pending"}}


def workload(kind: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    made = {"template": template(spec), "selector": {"matchLabels": {"app": "orders"}}}
    if kind == "CronJob":
        made = {"schedule": "0 3 * * *", "jobTemplate": {"metadata": {}, "spec": {"template": template(spec)}}}
    metadata = {"name": "orders", "namespace": "orders", "generation": 1, "managedFields": []}
    return {"kind": kind, "apiVersion": f"{GROUPS.get(kind, 'batch')}/v1", "metadata": metadata, "spec": made}


def review(made: Mapping[str, Any] | None, *, operation: str = "CREATE", **more: Any) -> dict[str, Any]:
    """Return the whole document; `more` are fields of the request."""
    kind = (made or more["oldObject"])["kind"]
    group = "" if kind == "Pod" else GROUPS.get(kind, "batch")
    named = {"group": group, "version": "v1", "kind": kind}
    resource = {"group": group, "version": "v1", "resource": f"{kind.lower()}s"}
    name = (made or more["oldObject"])["metadata"].get("name")
    request = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": named,
        "resource": resource,
        "requestKind": named,
        "requestResource": resource,
        **({"name": name} if name else {}),
        "namespace": "orders",
        "operation": operation,
        "userInfo": CONTROLLER if kind == "Pod" else PERSON,
        "object": made,
        "oldObject": None,
        "dryRun": False,
        "options": {"kind": f"{operation.capitalize()}Options", "apiVersion": "meta.k8s.io/v1"},
    }
    return {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request | more}


def body(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"
