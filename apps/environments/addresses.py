"""Where the executor of a lane finds its target, in the executor's own words. Pure."""

import re
from collections.abc import Collection, Mapping

LOCAL, HELM = "local", "helm"
_NAMESPACE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


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
