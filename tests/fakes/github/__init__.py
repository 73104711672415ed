"""A FAKE of what the portal asks of GitHub Actions. Not GitHub: nothing runs.

Why a fake: the service can't run here. It is built from the published description of the REST API (github.com, version
2022-11-28: workflow dispatch, list of a workflow's runs, cancel, get a reference), and all that is said here is held to
it (`tests/descriptions/github.json`). Never compared with the service.
A dispatch answers 204 without an id, as servers do that don't know `return_run_details`.
Known gaps: one repository, one workflow; no jobs, no logs, no pull requests, no rate limit but the scripted one.
"""

from typing import Any

from tests.fakes.json_server import Answer, Asked, JsonServer
from tests.fakes.runs import FakeRun, Runs
from tests.published import described

INPUTS = ("run", "action", "version", "digest", "environment", "configuration")
RUNS = "/repos/{owner}/{repo}/actions/workflows/{workflow_id}/runs"
EXAMPLE = described("github", reads_null=True).example("GET", RUNS)["workflow_runs"][0]
STATES = {"success": ("completed", "success"), "failure": ("completed", "failure"), "running": ("in_progress", None)}


class FakeGithub(JsonServer):
    description = described("github", reads_null=True)
    stranger = {"message": "Bad credentials", "status": "401"}

    def __init__(self) -> None:
        super().__init__()
        self.runs = Runs()

    def answer(self, asked: Asked) -> Any:
        match asked.method, asked.path.strip("/").split("/"):
            case "GET", ["repos", "acme", "greeter", "git", "ref", "tags", tag] if tag in self.runs.tags:
                page = f"https://api.github.example.test/repos/acme/greeter/git/refs/tags/{tag}"
                commit = {"type": "commit", "sha": "0" * 40, "url": page.replace("refs/tags", "commits")}
                return {"ref": f"refs/tags/{tag}", "node_id": "node", "url": page, "object": commit}
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
    """Return a run: the one that GitHub's description gives for an example, with what is our own of this one."""
    status, conclusion = STATES.get(run.state, ("completed", run.state))
    named = {"id": run.id, "name": "Deploy", "display_title": run.title, "head_branch": run.ref}
    page = f"https://github.example.test/acme/greeter/actions/runs/{run.id}"
    told = {"event": "workflow_dispatch", "status": status, "conclusion": conclusion, "html_url": page}
    return EXAMPLE | named | told
