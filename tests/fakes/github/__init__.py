"""A FAKE of what the portal asks of GitHub Actions. Not GitHub: nothing runs.

Why a fake: the service can't run here. It is built from the published description of the REST API (github.com, version
2022-11-28: workflow dispatch, list of a workflow's runs, cancel, get a reference), never compared with the service.
A dispatch answers 204 without an id, as servers do that don't know `return_run_details`.
Known gaps: one repository, one workflow; no jobs, no logs, no pull requests, no rate limit but the scripted one.
"""

from typing import Any

from tests.fakes.json_server import Answer, Asked, JsonServer
from tests.fakes.runs import FakeRun, Runs

INPUTS = ("run", "action", "version", "digest", "environment", "configuration")
STATES = {"success": ("completed", "success"), "failure": ("completed", "failure"), "running": ("in_progress", None)}


class FakeGithub(JsonServer):
    def __init__(self) -> None:
        super().__init__()
        self.runs = Runs()

    def answer(self, asked: Asked) -> Any:
        match asked.method, asked.path.strip("/").split("/"):
            case "GET", ["repos", "acme", "greeter", "git", "ref", "tags", tag] if tag in self.runs.tags:
                return {"ref": f"refs/tags/{tag}", "object": {"type": "commit", "sha": "0" * 40}}
            case "POST", ["repos", "acme", "greeter", "actions", "workflows", "deploy.yml", "dispatches"]:
                self._dispatch(asked.body)
            case "GET", ["repos", "acme", "greeter", "actions", "workflows", "deploy.yml", "runs"]:
                rows = self.runs.shown(int(asked.query["page"]), int(asked.query["per_page"]))
                return {"total_count": len(self.runs.rows), "workflow_runs": [_row(run) for run in rows]}
            case "POST", ["repos", "acme", "greeter", "actions", "runs", number, "cancel"]:
                self._cancel(self.runs.get(int(number)))
        raise Answer(404, {"message": "Not Found"})

    def _dispatch(self, body: dict[str, Any]) -> None:
        if body["ref"] not in self.runs.tags:
            raise Answer(422, {"message": f"No ref found for: {body['ref']}"})
        if unknown := set(body["inputs"]) - {f"eaip_{name}" for name in INPUTS}:
            raise Answer(422, {"message": f"Unexpected inputs provided: {sorted(unknown)}"})
        values = {name.removeprefix("eaip_"): value for name, value in body["inputs"].items()}
        self.runs.begin(values["run"], body["ref"], values)
        raise Answer(204)

    def _cancel(self, run: FakeRun | None) -> None:
        if run is None:
            raise Answer(404, {"message": "Not Found"})
        if run.state != "running":
            raise Answer(409, {"message": "Cannot cancel a workflow run that is completed."})
        run.state = "cancelled"
        raise Answer(202, {})


def _row(run: FakeRun) -> dict[str, Any]:
    status, conclusion = STATES.get(run.state, ("completed", run.state))
    named = {"id": run.id, "name": "Deploy", "display_title": run.title, "head_branch": run.ref}
    page = f"https://github.example.test/acme/greeter/actions/runs/{run.id}"
    return named | {"event": "workflow_dispatch", "status": status, "conclusion": conclusion, "html_url": page}
