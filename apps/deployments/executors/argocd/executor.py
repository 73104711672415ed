"""The Argo CD executor: an Application for each lane, made by whoever runs Argo CD, brought to a release by us.

Who wants what is written into the Application with what is wanted, in one patch: annotations with the deployment and
its fence. The sync then names no revision, so that a late one brings what the last patch says and nothing older.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from apps.deployments.executors.argocd import application
from apps.deployments.executors.argocd.application import DEPLOYMENT, FENCE, STOPPED, Object
from apps.deployments.executors.contract import ArtifactRejected, ConfigurationRef, Order, ReleaseRef, TargetRef
from apps.deployments.executors.remote import Phase, RemoteExecutor, Seen
from apps.integrations.json_api import Refused, part

# Numbers of gRPC, as Argo CD answers them in `code`: these say that nobody could look, not that it isn't there.
NOT_LOOKED = {4, 7, 8, 14, 16}
INVALID = 3


class ArgocdExecutor(RemoteExecutor):
    service = "Argo CD"
    can = replace(RemoteExecutor.can, observe=True)

    def look(self, target: TargetRef) -> Seen | None:
        app = self._application(target)
        found = application.seen(app)
        if found.phase is Phase.DONE:  # compared anew, since what it says may be of before the sync
            found = application.seen(self._application(target, refresh="normal"))
        return found

    def check(self, target: TargetRef, release: ReleaseRef, configuration: ConfigurationRef) -> str:
        app = self._application(target)
        source = application.require_ours_alone(app)
        revision = application.revision_of(target.address, release.version, release.manifest, source)
        try:
            self._request("GET", target, "/manifests", query={"revision": revision})
        except Refused as error:
            if error.code in NOT_LOOKED or error.status in (401, 403):
                raise
            raise ArtifactRejected(f"Argo CD has no {revision} of {source.get('repoURL')}: {error}"[:500]) from error
        return f"Argo CD can make {release.version} from {revision}."

    def start(self, order: Order, seen: Seen | None) -> None:
        target, app = order.target, self._application(order.target)
        source = application.require_ours_alone(app)
        revision = application.revision_of(target.address, order.release.version, order.release.manifest, source)
        if order.rolls_back is not None:
            revision, _entry = application.resolved(app, revision)
        marks = {DEPLOYMENT: str(order.deployment_id), FENCE: str(order.fence)}
        change = {"op": "replace", "path": "/spec/source", "value": application.wanted(order, source, revision)}
        self._patch(target, [*application.noted(app, marks), change])
        # Pruned, since what a release no longer has would go on running beside it.
        infos = [{"name": name, "value": value} for name, value in marks.items()]
        self._request("POST", target, "/sync", body={"name": self._name(target), "prune": True, "infos": infos})

    def stop(self, target: TargetRef, seen: Seen) -> None:
        app = self._application(target)
        self._patch(target, application.noted(app, {STOPPED: f"{seen.deployment}/{seen.run_fence}"}))
        try:
            self._request("DELETE", target, "/operation")
        except Refused as error:
            if error.code != INVALID:  # no operation is in progress any more
                raise

    def empty(self, target: TargetRef, *, fence: int) -> None:
        """Take away what the Application has made; the Application itself belongs to whoever runs Argo CD."""
        app = self._application(target)
        for row in (app.get("status") or {}).get("resources") or []:
            names = {"group": "group", "version": "version", "kind": "kind", "namespace": "namespace"}
            query = {"resourceName": row["name"]} | {name: row[key] for name, key in names.items() if row.get(key)}
            self._request("DELETE", target, "/resource", query=query)
        self._patch(target, application.noted(app, {DEPLOYMENT: "", FENCE: str(fence)}))

    def differs(self, order: Order) -> str:
        return application.differs(self._application(order.target, refresh="normal"), order)

    def hold(self, order: Order, seen: Seen | None) -> None:
        if seen is None or seen.fence < order.fence:
            app = self._application(order.target)
            self._patch(order.target, application.noted(app, {FENCE: str(order.fence)}))

    def _application(self, target: TargetRef, **query: str) -> Object:
        found: Object = self._request("GET", target, query=query)
        return found

    def _patch(self, target: TargetRef, patch: list[Object]) -> None:
        body = {"name": self._name(target), "patch": json.dumps(patch), "patchType": "json"}
        self._request("PATCH", target, body=body)

    def _request(
        self,
        method: str,
        target: TargetRef,
        path: str = "",
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> Any:
        return self.api(target).ask(
            method, f"/api/v1/applications/{part(self._name(target))}{path}", query=query, body=body
        )

    def _name(self, target: TargetRef) -> str:
        return target.address.get("application", "")
