"""What an Application says, and how it is changed. Pure: objects as Argo CD gives them in, plain data out."""

import json
from collections.abc import Mapping
from typing import Any

from apps.deployments.executors.contract import Order, TargetUntouched
from apps.deployments.executors.helm.charts import values_of
from apps.deployments.executors.remote import Phase, Seen

Object = dict[str, Any]
DEPLOYMENT, FENCE, STOPPED = "eaip.operations/deployment", "eaip.operations/fence", "eaip.operations/stopped"
PHASES = {"Running": Phase.RUNNING, "Terminating": Phase.RUNNING, "Succeeded": Phase.DONE}


def seen(app: Object) -> Seen:
    """Return who brought what the Application is about, and how far it is."""
    notes, status = notes_of(app), app.get("status") or {}
    deployment, fence = notes.get(DEPLOYMENT, ""), _number(notes.get(FENCE))
    state = status.get("operationState") or {}
    infos = infos_of(app)
    is_ours = deployment != "" and infos.get(DEPLOYMENT) == deployment
    is_at_work = "operation" in app or state.get("phase") in ("Running", "Terminating")
    phase = PHASES.get(state.get("phase", ""), Phase.FAILED) if is_ours else Phase.WANTED
    if is_at_work:
        phase = Phase.RUNNING if is_ours else Phase.BUSY
    elif phase is Phase.FAILED and notes.get(STOPPED) == f"{deployment}/{infos.get(FENCE)}":
        phase = Phase.STOPPED
    health, sync = (status.get("health") or {}).get("status"), (status.get("sync") or {}).get("status")
    return Seen(
        deployment=deployment,
        fence=fence,
        phase=phase,
        detail=_detail(state, health, sync, is_ours=is_ours),
        healthy=health == "Healthy" and sync == "Synced",
        hopeless=phase is Phase.DONE and health == "Degraded",
        run_fence=_number(infos.get(FENCE)) if is_ours else 0,
        key=state.get("startedAt", ""),
    )


def notes_of(app: Object) -> Mapping[str, str]:
    return app["metadata"].get("annotations") or {}


def infos_of(app: Object) -> dict[str, str]:
    """Return what was said of the operation that is wanted, else of the last one."""
    operation = app.get("operation") or ((app.get("status") or {}).get("operationState") or {}).get("operation") or {}
    return {row["name"]: row["value"] for row in operation.get("info") or []}


def require_ours_alone(app: Object) -> Object:
    """Return the Application's one source. Raises TargetUntouched: two would deploy to it, or it has several."""
    spec = app["spec"]
    automated = (spec.get("syncPolicy") or {}).get("automated")
    if automated is not None and automated.get("enabled", True):
        said = "The Application syncs by itself, which would bring a bad release back: turn automatic sync off."
        raise TargetUntouched(said, retry=False, code="automatic-sync")
    if spec.get("sources") or not spec.get("source"):
        said = "The Application has several sources: only one with a single source can be deployed to."
        raise TargetUntouched(said, retry=False, code="several-sources")
    source: Object = spec["source"]
    return source


def revision_of(address: Mapping[str, str], version: str, manifest: Mapping[str, Any], source: Object) -> str:
    """Return the revision that a release is: of a chart in an OCI registry its digest, else as the address forms it."""
    if address.get("parameter"):
        return str(source.get("targetRevision") or "HEAD")
    origin = (manifest.get("chart") or {}).get("source", "")
    if str(source.get("repoURL", "")).startswith("oci://") and "@" in origin:
        return str(origin.rpartition("@")[2])
    return (address.get("revision") or "{version}").replace("{version}", version)


def resolved(app: Object, revision: str) -> tuple[str, int | None]:
    """Return what a revision was when it last ran here, from the history, and the id of that entry.

    A tag may have been moved since: a rollback brings back what ran, and not what bears its name today.
    """
    for entry in reversed((app.get("status") or {}).get("history") or []):
        if (entry.get("source") or {}).get("targetRevision") == revision and entry.get("revision"):
            return entry["revision"], entry["id"]
    return revision, None


def wanted(order: Order, source: Object, revision: str) -> Object:
    """Return the source that brings a release with its configuration; what else it says stays."""
    result, helm = dict(source), dict(source.get("helm") or {})
    result["targetRevision"] = revision
    if order.configuration.values or helm.get("values") or helm.get("valuesObject"):
        helm.pop("valuesObject", None)
        helm["values"] = values_of(order.configuration.values)
    if name := order.target.address.get("parameter"):
        others = [row for row in helm.get("parameters") or [] if row.get("name") != name]
        helm["parameters"] = [*others, {"name": name, "value": order.release.version, "forceString": True}]
    if helm:
        result["helm"] = helm
    return result


def differs(app: Object, order: Order) -> str:
    """Say how the Application differs from what this order has left, though nobody here has deployed since.

    Raises TargetUntouched: Argo CD is at work, or compares with a revision that has moved by itself.
    """
    status, source = app.get("status") or {}, app["spec"].get("source") or {}
    state, sync, history = status.get("operationState") or {}, status.get("sync") or {}, status.get("history") or []
    if "operation" in app or state.get("phase") in ("Running", "Terminating"):
        raise TargetUntouched("The Application is being synced by somebody else.", code="busy")
    is_ours = infos_of(app).get(DEPLOYMENT) == str(order.deployment_id)
    brought: Object = (state.get("syncResult") or (history or [{}])[-1]) if is_ours else {}
    if source != (brought.get("source") or _left(order, source, history)):
        seen = source.get("targetRevision")
        return f"Somebody has changed the source of the Application, which is now at {seen}."
    if not is_ours and len(_synced(order, source, history)) > 1:
        return "Somebody has synced the Application to something else of the same name."
    if sync.get("status") == "Synced":
        return ""
    compared, ran = sync.get("revision"), brought.get("revision")
    if sync.get("status") == "OutOfSync" and (not compared or not ran or compared == ran):
        return "The Application is OutOfSync: what runs is not what was deployed."
    raise TargetUntouched("Argo CD can't say whether what was deployed still runs.", code="not-compared")


def _left(order: Order, source: Object, history: list[Object]) -> Object:
    """Return the source as this order would write it; a rollback may have written what its tag was when it ran."""
    revision = revision_of(order.target.address, order.release.version, order.release.manifest, source)
    ran = {row.get("revision") for row in history if (row.get("source") or {}).get("targetRevision") == revision}
    seen = source.get("targetRevision", "")
    return wanted(order, source, seen if seen in ran else revision)


def _synced(order: Order, source: Object, history: list[Object]) -> set[tuple[str, str]]:
    """Return what ran under revision and values of an order: several where a tag or the repository was moved."""
    seen = source.get("targetRevision", "")
    rows = [row for row in history if (row.get("source") or {}).get("targetRevision") == seen]
    return {
        (json.dumps(row["source"], sort_keys=True), row.get("revision", ""))
        for row in rows
        if wanted(order, row["source"], seen) == row["source"]
    }


def noted(app: Object, notes: Mapping[str, str]) -> list[Object]:
    """Return the JSON patch that writes notes, unless the fence has changed since the Application was read."""
    known = notes_of(app)
    if not known:
        return [{"op": "add", "path": "/metadata/annotations", "value": dict(notes)}]
    test = [{"op": "test", "path": _pointer(FENCE), "value": known[FENCE]}] if FENCE in known else []
    return [*test, *({"op": "add", "path": _pointer(name), "value": value} for name, value in notes.items())]


def _pointer(name: str) -> str:
    return "/metadata/annotations/" + name.replace("~", "~0").replace("/", "~1")


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0


def _detail(state: Object, health: str | None, sync: str | None, *, is_ours: bool) -> str:
    told = f"The Application is {sync or 'not compared'} and {health or 'of unknown health'}."
    if not state:
        return told
    whose = "The sync" if is_ours else "A sync of somebody else"
    message = f": {state['message']}" if state.get("message") else ""
    return f"{whose} is {state.get('phase')}{message}. {told}"[:400]
