"""What the fakes of GitHub Actions and GitLab have in common: runs that begin, take their time and end."""

from dataclasses import dataclass, field

SLOW, BROKEN = "slow", "broken"


@dataclass
class FakeRun:
    id: int
    title: str
    ref: str
    values: dict[str, str]
    state: str = "running"
    """running, success, failure or cancelled."""
    shown_after: int = 0
    """How many looks at the list don't show it yet."""


@dataclass
class Runs:
    """A run ends by itself at the first look, but for one of a `slow` tag; one of a `broken` tag fails."""

    rows: list[FakeRun] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)
    late_by: int = 0
    """How many looks a new run takes to be shown."""

    def begin(self, title: str, ref: str, values: dict[str, str]) -> FakeRun:
        run = FakeRun(1000 + len(self.rows), title, ref, values, shown_after=self.late_by)
        self.rows.append(run)
        return run

    def shown(self, page: int, size: int) -> list[FakeRun]:
        """Return the newest first, as far as they are shown yet."""
        found = []
        for run in reversed(self.rows):
            if run.shown_after > 0:
                run.shown_after -= 1
                continue
            self._go_on(run)
            found.append(run)
        return found[(page - 1) * size : page * size]

    def get(self, number: int) -> FakeRun | None:
        return next((run for run in self.rows if run.id == number), None)

    def finish(self) -> None:
        for run in self.rows:
            if run.state == "running":
                run.state = "success"

    def deployments(self) -> list[str]:
        """Return the deployment of each run, in order, as its title says."""
        return [run.title.split(" ")[2] for run in self.rows]

    def _go_on(self, run: FakeRun) -> None:
        if run.state == "running" and (run.values["action"] == "remove" or SLOW not in run.ref):
            run.state = "failure" if BROKEN in run.ref and run.values["action"] == "deploy" else "success"
