"""Where the executor of a lane finds its target, in the executor's own words. Pure."""

import re
from collections.abc import Collection, Mapping

LOCAL, HELM = "local", "helm"
ARGOCD, GITHUB, GITLAB, FLUX, TEKTON = "argocd", "github", "gitlab", "flux", "tekton"
WORDS = {
    HELM: "Kubernetes, by helm",
    ARGOCD: "Argo CD",
    GITHUB: "GitHub Actions",
    GITLAB: "GitLab pipeline",
    FLUX: "Flux",
    TEKTON: "Tekton",
}
# What is named there is one lane's alone; workflows and pipelines may serve many.
ALONE = {ARGOCD, FLUX}
REVISED = {ARGOCD, GITHUB, GITLAB}
LONGEST = 200

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME = rf"{_LABEL}(?:\.{_LABEL})*"
_WORD = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}"
_NAMESPACE = re.compile(_LABEL)
_REVISION = re.compile(r"[A-Za-z0-9_./+-]*\{version\}[A-Za-z0-9_./+-]*")
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}")
_PLACES = {
    ARGOCD: re.compile(rf"(?P<application>{_NAME})"),
    GITHUB: re.compile(rf"(?P<repository>{_WORD}/{_WORD})/(?P<workflow>{_WORD}\.ya?ml)"),
    GITLAB: re.compile(rf"(?P<project>{_WORD}(?:/{_WORD})+)"),
    FLUX: re.compile(rf"(?P<namespace>{_LABEL})/(?P<kind>HelmRelease|Kustomization)/(?P<name>{_NAME})"),
    TEKTON: re.compile(rf"(?P<namespace>{_LABEL})/(?P<pipeline>{_NAME})"),
}
REMOTE = tuple(_PLACES)
EXAMPLES = {
    ARGOCD: "application",
    GITHUB: "owner/repository/deploy.yml",
    GITLAB: "group/project",
    FLUX: "namespace/HelmRelease/name",
    TEKTON: "namespace/pipeline",
}


class AddressInvalid(ValueError):
    """Not a place where the executor could find anything."""


def kubernetes(address: Mapping[str, str], *, clusters: Collection[str]) -> dict[str, str]:
    """This function will return the address of a lane on Kubernetes, complete and without anything else.

    Shapes: `cluster` is a name that the settings know a kubeconfig for, so that no secret is kept here; `namespace` as
    Kubernetes allows it (RFC 1123 label).
    Raises AddressInvalid: with the first thing that is wrong with it.
    """
    cluster, namespace = address.get("cluster", ""), address.get("namespace", "")
    if cluster not in clusters:
        known = ", ".join(sorted(clusters)) or "none"
        raise AddressInvalid(f"No cluster {cluster!r} is known here. Known: {known}.")
    if not _NAMESPACE.fullmatch(namespace):
        raise AddressInvalid("A namespace has at most 63 lower-case letters, digits and hyphens, none at its ends.")
    if namespace.startswith("kube-"):
        raise AddressInvalid("Namespaces that begin with kube- belong to the cluster itself.")
    return {"cluster": cluster, "namespace": namespace}


def parsed(executor: str, place: str, revision: str = "") -> dict[str, str]:
    """This function will read a place as people write it: `EXAMPLES` says how, for each executor.

    Shapes: a revision has `{version}` in it; for Argo CD a text that ends in `=` names a Helm parameter in its place.
    Raises AddressInvalid: with what is wrong with it.
    """
    found = _PLACES[executor].fullmatch(place)
    if found is None or len(place) > LONGEST:
        raise AddressInvalid(f"A place of {WORDS[executor]} is written {EXAMPLES[executor]}.")
    result = found.groupdict()
    if revision.endswith("=") and executor == ARGOCD:
        result["parameter"] = revision.removesuffix("=")
    elif revision:
        result["revision"] = revision
    return result


def remote(executor: str, address: Mapping[str, str], *, servers: Collection[str]) -> dict[str, str]:
    """This function will return the address of a lane at a service elsewhere, complete and without anything else.

    Shapes: `server` is a name that the settings know a connection for, so that no secret is kept here.
    Raises AddressInvalid: with the first thing that is wrong with it.
    """
    server = address.get("server", "")
    if server not in servers:
        known = ", ".join(sorted(servers)) or "none"
        raise AddressInvalid(f"No {WORDS[executor]} {server!r} is known here. Known: {known}.")
    result = {"server": server} | parsed(executor, _place(executor, address))
    if revision := address.get("revision", ""):
        if executor not in REVISED or not _REVISION.fullmatch(revision) or len(revision) > LONGEST:
            raise AddressInvalid("A revision has {version} in it, as in v{version}, where the service has revisions.")
        result["revision"] = revision
    if parameter := address.get("parameter", ""):
        if executor != ARGOCD or not _PARAMETER.fullmatch(parameter):
            raise AddressInvalid("A Helm parameter is named as in image.tag, and only for Argo CD.")
        result["parameter"] = parameter
    return result


def shown(executor: str, address: Mapping[str, str]) -> str:
    """This function will return an address in one line; empty for a lane of this machine."""
    if executor in _PLACES:
        return f"{address.get('server', '')}/{_place(executor, address)}"
    return f"{address['cluster']}/{address['namespace']}" if "cluster" in address else ""


def uri(executor: str, address: Mapping[str, str]) -> str:
    """This function will return what a lane has to itself there; empty where lanes may share it."""
    return f"{executor}://{shown(executor, address)}" if executor in ALONE else ""


def _place(executor: str, address: Mapping[str, str]) -> str:
    return "/".join(address.get(field, "") for field in _PLACES[executor].groupindex)
