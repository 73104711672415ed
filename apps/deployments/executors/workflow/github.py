"""GitHub Actions: a run of a workflow that `workflow_dispatch` starts, titled by its `run-name`.

A dispatch can answer with the run's id (`return_run_details`, 2026). It is not asked for: after a lost answer the run
has to be found by its title all the same, and servers of one's own don't know the parameter yet.
Source: REST API of GitHub, version 2022-11-28, "Actions" and "Git references".
"""

from collections.abc import Iterator

from apps.deployments.executors.contract import TargetRef
from apps.deployments.executors.remote import Phase, Seen
from apps.deployments.executors.workflow.executor import Run, TaggedExecutor
from apps.integrations.json_api import Refused, part

PAGE, MOST_PAGES = 100, 10
OVER = 409


class GithubExecutor(TaggedExecutor):
    service = "GitHub Actions"
    accept = "application/vnd.github+json, application/json;q=0.9"

    def runs(self, target: TargetRef) -> Iterator[Run]:
        for page in range(1, MOST_PAGES + 1):
            query = {"event": "workflow_dispatch", "per_page": str(PAGE), "page": str(page)}
            rows = self.api(target).ask("GET", f"{_workflow(target)}/runs", query=query)["workflow_runs"]
            yield from (_run(row) for row in rows)
            if len(rows) < PAGE:
                return

    def begin(self, target: TargetRef, ref: str, values: dict[str, str]) -> None:
        inputs = {f"eaip_{name}": value for name, value in values.items()}
        self.api(target).ask("POST", f"{_workflow(target)}/dispatches", body={"ref": ref, "inputs": inputs})

    def stop(self, target: TargetRef, seen: Seen) -> None:
        try:
            self.api(target).ask("POST", f"{_repository(target)}/actions/runs/{seen.key}/cancel")
        except Refused as error:
            if error.status != OVER:
                raise

    def has_tag(self, target: TargetRef, tag: str) -> bool:
        try:
            self.api(target).ask("GET", f"{_repository(target)}/git/ref/tags/{part(tag)}")
        except Refused as error:
            if error.status != 404:
                raise
            return False
        return True


def _repository(target: TargetRef) -> str:
    return f"/repos/{target.address.get('repository', '')}"


def _workflow(target: TargetRef) -> str:
    return f"{_repository(target)}/actions/workflows/{part(target.address.get('workflow', ''))}"


def _run(row: dict[str, str]) -> Run:
    status, conclusion = row["status"], row.get("conclusion")
    if status != "completed":
        phase = Phase.RUNNING
    else:
        phase = {"success": Phase.DONE, "cancelled": Phase.STOPPED}.get(conclusion or "", Phase.FAILED)
    detail = f"Run {row['id']} is {conclusion or status}: {row.get('html_url', '')}."
    return Run(row.get("display_title") or "", phase, detail, str(row["id"]), row.get("head_branch") or "")
