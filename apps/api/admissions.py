"""What a Kubernetes API server asks of a validating webhook, and how it is answered. Pure.

Source: kubernetes.io, "Dynamic Admission Control" and the reference of admission.k8s.io/v1. It sends what an object
will be, defaults filled in and mutated. Subresources but `ephemeralcontainers` bring no new container.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from apps.api.bodies import field
from apps.api.problems import FieldInvalid
from apps.core.verdict import Verdict
from apps.deployments.admission import Review
from apps.environments.resource_uris import UriInvalid, normalised

# An object may have 1.5 MB in etcd, and comes with what it was before.
LIMIT = 4_000_000
API, KIND = "admission.k8s.io/v1", "AdmissionReview"
OPERATIONS = ("CREATE", "UPDATE", "DELETE", "CONNECT")
LONGEST = 253
_TEMPLATE = ("spec", "template", "spec")
PLACES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("", "Pod"): ("spec",),
    ("", "PodTemplate"): ("template", "spec"),
    ("", "ReplicationController"): _TEMPLATE,
    ("apps", "DaemonSet"): _TEMPLATE,
    ("apps", "Deployment"): _TEMPLATE,
    ("apps", "ReplicaSet"): _TEMPLATE,
    ("apps", "StatefulSet"): _TEMPLATE,
    ("batch", "CronJob"): ("spec", "jobTemplate", *_TEMPLATE),
    ("batch", "Job"): _TEMPLATE,
}
CONTAINERS = ("initContainers", "containers", "ephemeralContainers")
_NAMESPACE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028-\u202e\u2066-\u2069]+")


def read_review(payload: dict[str, Any], cluster: str) -> tuple[str, Review]:
    """This function will read the uid, which the answer repeats, and what is to be judged.

    Raises FieldInvalid: it is no request of admission.k8s.io/v1, or not as the API server writes one.
    """
    if (payload.get("apiVersion"), payload.get("kind")) != (API, KIND):
        raise FieldInvalid(f"Only {KIND} of {API} is read here: set admissionReviewVersions to [v1].")
    request = field(payload, "request", dict)
    uid, operation = _text(request, "uid"), _text(request, "operation")
    if not uid or operation not in OPERATIONS:
        raise FieldInvalid(f"A request has a uid and one of the operations {', '.join(OPERATIONS)}.")
    kind = field(request, "kind", dict)
    place = PLACES.get((_text(kind, "group"), _text(kind, "kind")))
    namespace, images = _text(request, "namespace"), []
    subject = f"{_text(kind, 'kind')} {_text(request, 'name')}".strip()
    if operation in ("CREATE", "UPDATE") and place and _text(request, "subResource") in ("", "ephemeralcontainers"):
        made = field(request, "object", dict)
        before = _object(request.get("oldObject"), "oldObject") if operation == "UPDATE" else {}
        known = set(_images(before, place))
        images = [image for image in dict.fromkeys(_images(made, place)) if image not in known]
        subject = _maker(made) or f"{_text(kind, 'kind')} {_name(request, made)}"
    if images and not _NAMESPACE.fullmatch(namespace):
        raise FieldInvalid("The field namespace names no namespace.")
    return uid, Review(
        cluster=cluster,
        namespace=namespace,
        place=_place(cluster, namespace) if images else "",
        subject=_plain(subject)[:LONGEST],
        images=images,
        asked_by=_plain(_text(_object(request.get("userInfo"), "userInfo"), "username"))[:LONGEST],
        is_dry_run=field(request, "dryRun", bool, False),
    )


def answer(uid: str, verdict: Verdict) -> dict[str, Any]:
    """This function will return what the API server reads; the person at `kubectl` is shown the sentence."""
    response: dict[str, Any] = {"uid": uid, "allowed": bool(verdict)}
    if not verdict:
        response["status"] = {"code": 403, "reason": "Forbidden", "message": verdict.sentence}
    return {"apiVersion": API, "kind": KIND, "response": response}


def _images(made: Mapping[str, Any], place: tuple[str, ...]) -> Iterator[str]:
    spec: Any = made
    for step in place:
        spec = _object(spec.get(step), step)
    for name in CONTAINERS:
        for container in _objects(spec, name):
            yield _text(container, "image")
    for volume in _objects(spec, "volumes"):
        if "image" in volume:
            yield _text(_object(volume["image"], "image"), "reference")


def _objects(spec: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = spec.get(name)
    if found is None:
        return []
    if not isinstance(found, list):
        raise FieldInvalid(f"The field {name} must be a list.")
    return [_object(row, name) for row in found]


def _object(value: Any, name: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise FieldInvalid(f"The field {name} must hold objects.")
    return value


def _text(row: dict[str, Any], name: str) -> str:
    return "" if row.get(name) is None else str(field(row, name, str))


def _maker(made: dict[str, Any]) -> str:
    for owner in _objects(_object(made.get("metadata"), "metadata"), "ownerReferences"):
        if owner.get("controller") is True:
            return f"{_text(owner, 'kind')} {_text(owner, 'name')}"
    return ""


def _name(request: dict[str, Any], made: dict[str, Any]) -> str:
    metadata = _object(made.get("metadata"), "metadata")
    return _text(request, "name") or _text(metadata, "name") or _text(metadata, "generateName")


def _place(cluster: str, namespace: str) -> str:
    try:
        return normalised(f"kubernetes://{cluster}/{namespace}")
    except UriInvalid as error:
        raise FieldInvalid(f"The address names no cluster: {error}") from error


def _plain(text: str) -> str:
    return _INVISIBLE.sub(" ", text)
