"""A FAKE of what the portal asks of GitLab. Not GitLab: nothing runs.

Why a fake: the service can't run here. It is built from the published description of the REST API (version 4, pages
"Pipelines" and "Tags" of GitLab 17: create, list, cancel), never compared with the service. All that is said here is
held to `description.py`, which was written by hand: GitLab's own description comes in no package.
Known gaps: one project; no jobs, no child pipelines, no rate limit but the scripted one.
"""

from typing import Any

from tests.fakes.gitlab.description import DESCRIPTION
from tests.fakes.json_server import Answer, Asked, JsonServer
from tests.fakes.runs import FakeRun, Runs
from tests.published import Description

STATES = {"failure": "failed", "cancelled": "canceled"}


class FakeGitlab(JsonServer):
    description = Description(DESCRIPTION, reads_null=True)

    def __init__(self) -> None:
        super().__init__()
        self.runs = Runs()

    def answer(self, asked: Asked) -> Any:
        match asked.method, asked.path.removeprefix("/api/v4/projects/acme/greeter/").split("/"):
            case "GET", ["repository", "tags", tag] if tag in self.runs.tags:
                return {"name": tag, "target": "0" * 40, "protected": True}
            case "POST", ["pipeline"]:
                raise Answer(201, self._create(asked.body))
            case "GET", ["pipelines"]:
                rows = self.runs.shown(int(asked.query["page"]), int(asked.query["per_page"]))
                return [_row(run) | {"name": run.title} for run in rows]
            case "POST", ["pipelines", number, "cancel"] if run := self.runs.get(int(number)):
                run.state = "cancelled" if run.state == "running" else run.state
                return _row(run)
        raise Answer(404, {"message": "404 Not Found"})

    def _create(self, body: dict[str, Any]) -> dict[str, Any]:
        if body["ref"] not in self.runs.tags:
            raise Answer(400, {"message": {"base": ["Reference not found"]}})
        values = {row["key"].removeprefix("EAIP_").lower(): row["value"] for row in body["variables"]}
        return _row(self.runs.begin(values["run"], body["ref"], values))


def _row(run: FakeRun) -> dict[str, Any]:
    page = f"https://gitlab.example.test/acme/greeter/-/pipelines/{run.id}"
    named = {"id": run.id, "iid": run.id, "project_id": 1, "sha": "0" * 40, "ref": run.ref, "source": "api"}
    times = dict.fromkeys(("created_at", "updated_at"), "2026-01-01T00:00:00.000Z")
    return named | times | {"status": STATES.get(run.state, run.state), "web_url": page}
