"""The kinds that the fake knows, and how it describes them to clients."""

from dataclasses import dataclass
from typing import Any

VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


@dataclass(frozen=True)
class Resource:
    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def root(self) -> str:
        return f"apis/{self.api_version}" if self.group else f"api/{self.version}"


NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
PODS = Resource("", "v1", "pods", "Pod")
SECRETS = Resource("", "v1", "secrets", "Secret")
SERVICES = Resource("", "v1", "services", "Service")
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
REPLICA_SETS = Resource("apps", "v1", "replicasets", "ReplicaSet")
JOBS = Resource("batch", "v1", "jobs", "Job")
HELM_RELEASES = Resource("helm.toolkit.fluxcd.io", "v2", "helmreleases", "HelmRelease")
KUSTOMIZATIONS = Resource("kustomize.toolkit.fluxcd.io", "v1", "kustomizations", "Kustomization")
PIPELINES = Resource("tekton.dev", "v1", "pipelines", "Pipeline")
PIPELINE_RUNS = Resource("tekton.dev", "v1", "pipelineruns", "PipelineRun")

RESOURCES = (
    NAMESPACES,
    PODS,
    SECRETS,
    SERVICES,
    Resource("", "v1", "configmaps", "ConfigMap"),
    Resource("", "v1", "serviceaccounts", "ServiceAccount"),
    Resource("", "v1", "events", "Event"),
    Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim"),
    DEPLOYMENTS,
    REPLICA_SETS,
    Resource("apps", "v1", "statefulsets", "StatefulSet"),
    Resource("apps", "v1", "daemonsets", "DaemonSet"),
    JOBS,
    Resource("networking.k8s.io", "v1", "ingresses", "Ingress"),
    HELM_RELEASES,
    KUSTOMIZATIONS,
    PIPELINES,
    PIPELINE_RUNS,
)

GROUP_VERSIONS = tuple(dict.fromkeys((each.group, each.version) for each in RESOURCES))
VERSION = {
    "major": "1",
    "minor": "34",
    "gitVersion": "v1.34.0-fake",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "2026-01-01T00:00:00Z",
    "goVersion": "none",
    "compiler": "none",
    "platform": "linux/amd64",
}


def described(path: str) -> dict[str, Any] | None:
    """Answer what a client asks before it asks for objects; None for any other path."""
    match path.strip("/").split("/"):
        case ["version"]:
            return VERSION
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
        case ["apis"]:
            return {
                "kind": "APIGroupList",
                "apiVersion": "v1",
                "groups": [_group(*gv) for gv in GROUP_VERSIONS if gv[0]],
            }
        case ["openapi", "v3"]:
            roots = dict.fromkeys(each.root for each in RESOURCES)
            return {"paths": {root: {"serverRelativeURL": f"/openapi/v3/{root}?hash=fake"} for root in roots}}
        case ["openapi", "v3", *root]:
            return _openapi("/".join(root))
        case ["api", version]:
            return _resource_list("", version)
        case ["apis", group, version]:
            return _resource_list(group, version)
    return None


def _group(group: str, version: str) -> dict[str, Any]:
    named = {"groupVersion": f"{group}/{version}", "version": version}
    return {"name": group, "versions": [named], "preferredVersion": named}


def _resource_list(group: str, version: str) -> dict[str, Any] | None:
    rows = []
    for each in RESOURCES:
        if (each.group, each.version) == (group, version):
            row = {
                "name": each.plural,
                "singularName": each.kind.lower(),
                "namespaced": each.namespaced,
                "kind": each.kind,
            }
            rows += [
                row | {"verbs": VERBS},
                row | {"name": f"{each.plural}/status", "verbs": ["get", "patch", "update"]},
            ]
    if not rows:
        return None
    named = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": named, "resources": rows}


def _openapi(root: str) -> dict[str, Any]:
    """A document whose PATCH knows `fieldValidation`: then clients leave validation to the server."""
    paths, schemas = {}, {}
    for each in (each for each in RESOURCES if each.root == root):
        gvk = {"group": each.group, "version": each.version, "kind": each.kind}
        parameters = [
            {"name": name, "in": "query", "schema": {"type": "string"}} for name in ("fieldValidation", "dryRun")
        ]
        operation = {"x-kubernetes-group-version-kind": gvk, "parameters": parameters, "responses": {}}
        base = f"/{root}{'/namespaces/{namespace}' if each.namespaced else ''}/{each.plural}"
        paths[base] = {"post": operation | {"x-kubernetes-action": "post"}}
        paths[base + "/{name}"] = {"patch": operation | {"x-kubernetes-action": "patch"}}
        schemas[each.kind] = {
            "type": "object", "x-kubernetes-group-version-kind": [gvk], "x-kubernetes-preserve-unknown-fields": True,
        }  # fmt: skip
    named = {"openapi": "3.0.0", "info": {"title": "fake", "version": "1"}}
    return named | {"paths": paths, "components": {"schemas": schemas}}
