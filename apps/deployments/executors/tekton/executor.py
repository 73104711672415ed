"""The Tekton executor: a PipelineRun for each attempt, named by its lane and fence, so that none can be made twice.

Source: tekton.dev/v1.
"""

from collections.abc import Iterator
from typing import Any

from apps.deployments.executors.contract import ConfigurationRef, ReleaseRef, TargetRef, TargetUntouched
from apps.deployments.executors.remote import Phase, Seen
from apps.deployments.executors.workflow.executor import DEPLOY, Run, RunExecutor
from apps.integrations.json_api import Refused, part

LANE, TITLE = "eaip.operations/lane", "eaip.operations/run"
GONE, CONFLICT = 404, 409
STOPPED = {"Cancelled", "CancelledRunningFinally", "CancelledRunFinally", "StoppedRunFinally", "PipelineRunCancelled"}


class TektonExecutor(RunExecutor):
    service = "Tekton"

    def runs(self, target: TargetRef) -> Iterator[Run]:
        query = {"labelSelector": f"{LANE}={target.lane_key}"}
        rows = self.api(target).ask("GET", _path(target, "pipelineruns"), query=query)["items"]
        yield from (_run(row) for row in sorted(rows, key=_age, reverse=True))

    def begin(self, target: TargetRef, ref: str, values: dict[str, str]) -> None:
        fence, action = values["run"].rpartition(" ")[2], values["action"]
        name = f"eaip-{target.lane_key}-{fence}{'' if action == DEPLOY else f'-{action}'}"
        body = {
            "apiVersion": "tekton.dev/v1",
            "kind": "PipelineRun",
            "metadata": {"name": name, "labels": {LANE: target.lane_key}, "annotations": {TITLE: values["run"]}},
            "spec": {
                "pipelineRef": {"name": target.address.get("pipeline", "")},
                "params": [{"name": key, "value": value} for key, value in values.items()],
            },
        }
        try:
            self.api(target).ask("POST", _path(target, "pipelineruns"), body=body)
        except Refused as error:
            if error.status != CONFLICT:  # it is there already: this very attempt has made it
                raise

    def stop(self, target: TargetRef, seen: Seen) -> None:
        kind = "application/merge-patch+json"
        path, body = f"{_path(target, 'pipelineruns')}/{part(seen.key)}", {"spec": {"status": "Cancelled"}}
        self.api(target).ask("PATCH", path, body=body, content_type=kind)

    def check(self, target: TargetRef, release: ReleaseRef, configuration: ConfigurationRef) -> str:
        pipeline = target.address.get("pipeline", "")
        try:
            self.api(target).ask("GET", f"{_path(target, 'pipelines')}/{part(pipeline)}")
        except Refused as error:
            if error.status != GONE:
                raise
            raise TargetUntouched(f"There is no Pipeline {pipeline}.", retry=False, code="no-pipeline") from error
        return f"The Pipeline {pipeline} is there for {release.version}."


def _path(target: TargetRef, what: str) -> str:
    return f"/apis/tekton.dev/v1/namespaces/{part(target.address.get('namespace', ''))}/{what}"


def _age(row: dict[str, Any]) -> tuple[str, int, bool]:
    """Times have whole seconds; of one second, the higher fence is the later, and taking away comes last."""
    title, params = row["metadata"]["annotations"].get(TITLE, ""), row["spec"].get("params") or []
    fence = title.rpartition(" ")[2]
    removes = any(each["name"] == "action" and each["value"] != DEPLOY for each in params)
    return row["metadata"]["creationTimestamp"], int(fence) if fence.isdecimal() else 0, removes


def _run(row: dict[str, Any]) -> Run:
    told = (row.get("status") or {}).get("conditions") or []
    done: dict[str, str] = next((each for each in told if each["type"] == "Succeeded"), {})
    phase = {"True": Phase.DONE, "False": Phase.FAILED}.get(done.get("status", ""), Phase.RUNNING)
    if phase is Phase.FAILED and done.get("reason") in STOPPED:
        phase = Phase.STOPPED
    name = row["metadata"]["name"]
    detail = f"PipelineRun {name}: {done.get('message') or done.get('reason') or 'not begun yet'}."
    return Run(row["metadata"]["annotations"].get(TITLE, ""), phase, detail, name, "")
