"""The Flux executor: a HelmRelease or Kustomization for each lane, made by whoever runs Flux, changed by us.

Every write replaces the object under the version that was read, so that the Kubernetes API itself refuses who was
overtaken. Source: helm.toolkit.fluxcd.io/v2, kustomize.toolkit.fluxcd.io/v1.
"""

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

from apps.deployments.executors.contract import (
    ConfigurationRef,
    Order,
    ReleaseRef,
    StaleFence,
    TargetRef,
    TargetUntouched,
)
from apps.deployments.executors.helm.charts import values_of
from apps.deployments.executors.remote import Phase, RemoteExecutor, Seen
from apps.integrations.json_api import Refused

Object = dict[str, Any]
DEPLOYMENT, FENCE, RUN = "eaip.operations/deployment", "eaip.operations/fence", "eaip.operations/run"
REQUESTED = "reconcile.fluxcd.io/requestedAt"
PATHS = {
    "HelmRelease": "/apis/helm.toolkit.fluxcd.io/v2/namespaces/{namespace}/helmreleases/{name}",
    "Kustomization": "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/{namespace}/kustomizations/{name}",
}
NOT_YET = {"Progressing", "ProgressingWithRetry", "DependencyNotReady"}
CONFLICT, GONE, MOST_CONFLICTS = 409, 404, 5


class FluxExecutor(RemoteExecutor):
    service = "Flux"
    # Its controller brings to an end what it is at, whatever it is told meanwhile: nobody is promised a cancel.
    can = replace(RemoteExecutor.can, cancel=False, observe=True)

    def look(self, target: TargetRef) -> Seen | None:
        try:
            return _seen(self._object(target))
        except Refused as error:
            if error.status != GONE:
                raise
            return None

    def check(self, target: TargetRef, release: ReleaseRef, configuration: ConfigurationRef) -> str:
        try:
            obj = self._object(target)
        except Refused as error:
            if error.status != GONE:
                raise
            said = f"There is no {_named(target)}: whoever runs Flux has to make it."
            raise TargetUntouched(said, retry=False, code="object-missing") from error
        if obj["kind"] == "HelmRelease" and not (obj["spec"].get("chart") or {}).get("spec"):
            said = f"{_named(target)} names no chart of its own (spec.chart), so its version can't be set."
            raise TargetUntouched(said, retry=False, code="no-chart")
        return f"{_named(target)} is there for {release.version}."

    def start(self, order: Order, seen: Seen | None) -> None:
        marks = {DEPLOYMENT: str(order.deployment_id), FENCE: str(order.fence), RUN: str(order.fence)}

        def change(obj: Object) -> None:
            _notes(obj).update(marks | {REQUESTED: f"{order.deployment_id}/{order.fence}"})
            obj["spec"]["suspend"] = False
            _wish(obj, order)

        self._write(order.target, order.fence, change)

    def stop(self, target: TargetRef, seen: Seen) -> None:
        """Flux begins nothing more; what its controller is at in this moment it brings to an end."""
        self._write(target, seen.fence, lambda obj: obj["spec"].update(suspend=True))

    def empty(self, target: TargetRef, *, fence: int) -> None:
        """Flux takes away what it has made when its object is deleted, and in no other way."""
        self.api(target).ask("DELETE", _path(target))

    def differs(self, order: Order) -> str:
        obj = self._object(order.target)
        wished = deepcopy(obj)
        _wish(wished, order)
        if obj["spec"] != wished["spec"]:
            return f"Somebody has changed {_named(order.target)}, which now asks for {_asked(obj)}."
        if obj["spec"].get("suspend"):
            said = f"{_named(order.target)} is suspended, so Flux doesn't look after what was deployed."
            raise TargetUntouched(said, code="suspended")
        runs, chart = _runs(obj), _chart(order)
        is_same = runs.removeprefix("v").partition("+")[0] == chart.removeprefix("v").partition("+")[0]
        return f"Flux has brought the chart {runs}, not {chart}." if runs and not is_same else ""

    def hold(self, order: Order, seen: Seen | None) -> None:
        if seen is not None and seen.fence < order.fence:
            self._write(order.target, order.fence, lambda obj: _notes(obj).update({FENCE: str(order.fence)}))

    def _object(self, target: TargetRef) -> Object:
        found: Object = self.api(target).ask("GET", _path(target))
        return found

    def _write(self, target: TargetRef, fence: int, change: Callable[[Object], None]) -> None:
        """Raises StaleFence: a higher fence came in between. Raises Refused."""
        for left in reversed(range(MOST_CONFLICTS)):
            obj = self._object(target)
            if (known := _number(_notes(obj).get(FENCE))) > fence:
                raise StaleFence(f"Flux has heard of fence {known} for this lane; {fence} is too late.")
            change(obj)
            try:
                self.api(target).ask("PUT", _path(target), body=obj)
            except Refused as error:  # its controllers write to it too, so that the next try may come through
                if error.status != CONFLICT or not left:
                    raise
            else:
                return


def _wish(obj: Object, order: Order) -> None:
    """Write down what a release with its configuration asks of Flux; what else the object says is its owner's."""
    if obj["kind"] == "HelmRelease":
        obj["spec"].setdefault("chart", {}).setdefault("spec", {})["version"] = _chart(order)
        obj["spec"]["values"] = json.loads(values_of(order.configuration.values))
    else:
        version = {"EAIP_VERSION": order.release.version}
        obj["spec"].setdefault("postBuild", {})["substitute"] = dict(order.configuration.values) | version


def _chart(order: Order) -> str:
    version: str = (order.release.manifest.get("chart") or {}).get("version") or order.release.version
    return version


def _asked(obj: Object) -> str:
    """Return the version that an object asks for; other values of the same version are a change all the same."""
    spec = obj["spec"]
    if obj["kind"] == "HelmRelease":
        return f"{((spec.get('chart') or {}).get('spec') or {}).get('version')}"
    return f"{((spec.get('postBuild') or {}).get('substitute') or {}).get('EAIP_VERSION')}"


def _runs(obj: Object) -> str:
    """Return the version of the chart that Flux has brought last; it has one to say of a HelmRelease only."""
    history = (obj.get("status") or {}).get("history") or [{}]
    return str(history[0].get("chartVersion") or "")


def _path(target: TargetRef) -> str:
    return PATHS.get(target.address.get("kind", ""), "/{namespace}/{name}").format_map(target.address)


def _named(target: TargetRef) -> str:
    return f"{target.address.get('kind')} {target.address.get('namespace')}/{target.address.get('name')}"


def _notes(obj: Object) -> dict[str, str]:
    notes: dict[str, str] = obj["metadata"].setdefault("annotations", {})
    return notes


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0


def _seen(obj: Object) -> Seen:
    notes, status = _notes(obj), obj.get("status") or {}
    ready: Object = next((row for row in status.get("conditions") or [] if row["type"] == "Ready"), {})
    is_handled = status.get("lastHandledReconcileAt") == notes.get(REQUESTED)
    is_seen = is_handled and status.get("observedGeneration", 0) >= obj["metadata"].get("generation", 0)
    phase = {"True": Phase.DONE, "False": Phase.FAILED}.get(ready.get("status", ""), Phase.RUNNING)
    if not is_seen or ready.get("reason") in NOT_YET:
        phase = Phase.RUNNING
    if obj["spec"].get("suspend"):
        phase = Phase.STOPPED
    deployment = notes.get(DEPLOYMENT, "")
    told = ready.get("message") or "not ready yet"
    return Seen(
        deployment=deployment,
        fence=_number(notes.get(FENCE)),
        phase=phase if deployment else Phase.WANTED,
        detail=f"{obj['kind']} {obj['metadata']['name']}{' is suspended' if phase is Phase.STOPPED else ''}: {told}.",
        run_fence=_number(notes.get(RUN)),
        key=obj["metadata"].get("resourceVersion", ""),
    )
