"""GitLab: a pipeline with variables, named by its `workflow:name` (GitLab 15.11 and later).

Source: REST API of GitLab, version 4, "Pipelines" and "Tags".
"""

from collections.abc import Iterator

from apps.deployments.executors.contract import TargetRef
from apps.deployments.executors.remote import Phase, Seen
from apps.deployments.executors.workflow.executor import Run, TaggedExecutor
from apps.integrations.json_api import Refused, part

PAGE, MOST_PAGES = 100, 10
PHASES = {"success": Phase.DONE, "canceled": Phase.STOPPED, "failed": Phase.FAILED, "skipped": Phase.FAILED}


class GitlabExecutor(TaggedExecutor):
    service = "GitLab"

    def runs(self, target: TargetRef) -> Iterator[Run]:
        for page in range(1, MOST_PAGES + 1):
            query = {"source": "api", "per_page": str(PAGE), "page": str(page)}
            rows = self.api(target).ask("GET", f"{_project(target)}/pipelines", query=query)
            yield from (_run(row) for row in rows)
            if len(rows) < PAGE:
                return

    def begin(self, target: TargetRef, ref: str, values: dict[str, str]) -> None:
        variables = [{"key": f"EAIP_{name.upper()}", "value": value} for name, value in values.items()]
        self.api(target).ask("POST", f"{_project(target)}/pipeline", body={"ref": ref, "variables": variables})

    def stop(self, target: TargetRef, seen: Seen) -> None:
        self.api(target).ask("POST", f"{_project(target)}/pipelines/{seen.key}/cancel")

    def has_tag(self, target: TargetRef, tag: str) -> bool:
        try:
            self.api(target).ask("GET", f"{_project(target)}/repository/tags/{part(tag)}")
        except Refused as error:
            if error.status != 404:
                raise
            return False
        return True


def _project(target: TargetRef) -> str:
    return f"/api/v4/projects/{part(target.address.get('project', ''))}"


def _run(row: dict[str, str]) -> Run:
    status = row["status"]
    detail = f"Pipeline {row['id']} is {status}: {row.get('web_url', '')}."
    return Run(row.get("name") or "", PHASES.get(status, Phase.RUNNING), detail, str(row["id"]), row.get("ref") or "")
