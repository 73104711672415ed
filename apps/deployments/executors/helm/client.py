"""The helm program: its arguments, and what it says as JSON. What it says in prose is for people and never read."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from apps.deployments.executors.guard import ALLOWED_ENVIRONMENT

READ_LIMIT = 30.0
# One more than the five releases that rollback looks back (`engine.rollback.DEPTH`), and room for repairs.
HISTORY = 10
_REVISION = (
    '{"number": {{.Release.Version}}, "status": {{printf "%q" .Release.Info.Status}}, '
    '"chart": {{printf "%q" .Release.Chart.Metadata.Version}}, "labels": '
    '{ {{range $name, $value := .Release.Labels}}{{printf "%q: %q, " $name $value}}{{end}}"": ""} }'
)


class HelmAway(Exception):
    """Helm is not there, or has not got an answer from the cluster."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One entry of a release's history; `status` as helm names it: deployed, failed, pending-upgrade and so on."""

    number: int
    status: str
    chart: str
    """The version of its chart."""
    labels: Mapping[str, str]

    @property
    def is_stuck(self) -> bool:
        """Was it left by a helm that died? As long as it stands, every later helm refuses to work."""
        return self.status.startswith("pending-") or self.status == "uninstalling"


def find(named: str) -> Path:
    """Return the helm that the settings name, else the first on PATH. Raises HelmAway: there is none."""
    found = named or shutil.which("helm")
    if not found or not os.access(found, os.X_OK):
        raise HelmAway(
            f"There is no helm at {named}." if named else "There is no helm on PATH; EAIP_HELM can name one."
        )
    return Path(found)


class Helm:
    """Helm on one namespace of one cluster. `home` is the folder for its own files, so that no plug-in is found."""

    def __init__(self, binary: Path, *, kubeconfig: Path, namespace: str, home: Path) -> None:
        self.binary, self.kubeconfig, self.namespace, self.home = binary, kubeconfig, namespace, home

    @property
    def environment(self) -> dict[str, str]:
        return {"HOME": str(self.home), "HELM_PLUGINS": str(self.home / "no-plugins"), "HELM_DRIVER": "secret"}

    @cached_property
    def major(self) -> int:
        return int(self._said("version", "--template", "{{.Version}}").removeprefix("v").split(".")[0])

    def latest(self, release: str) -> Revision | None:
        """Return the newest revision of a release, in whatever state it is. Raises HelmAway: nobody could say."""
        everything = ("--all",) if self.major == 3 else ()
        if not json.loads(self._asked("list", "--output", "json", "--filter", f"^{release}$", *everything)):
            return None
        row = json.loads(self._asked("get", "all", release, "--template", _REVISION))
        return Revision(row["number"], row["status"], row["chart"], row["labels"])

    def last_good(self, release: str) -> int | None:
        """Return the revision that helm holds for deployed, else the last that was; None where none ever was."""
        rows = json.loads(self._asked("history", release, "--output", "json", "--max", str(HISTORY)))
        for status in ("deployed", "superseded"):
            if numbers := [int(row["revision"]) for row in rows if row["status"] == status]:
                return max(numbers)
        return None

    def values(self, release: str) -> dict[str, Any]:
        """Return the values that a release was given."""
        return json.loads(self._asked("get", "values", release, "--output", "json")) or {}

    def rendered(self, release: str) -> list[dict[str, Any]]:
        """Return the objects of a release as its chart was rendered."""
        text = self._asked("get", "manifest", release)
        return [obj for obj in yaml.safe_load_all(text) if obj]

    def resources(self, release: str) -> list[dict[str, Any]]:
        """Return the objects of a release as the cluster has them now, the pods they made not among them."""
        shown = ("--show-resources",) if self.major == 3 else ()
        told = json.loads(self._asked("status", release, "--output", "json", *shown))
        found = told["info"].get("resources") or {}
        return [obj for kind, objects in found.items() if not kind.endswith("(related)") for obj in objects]

    def upgrade(
        self, release: str, chart: Path, *, values: Path, labels: Mapping[str, str], description: str, seconds: float
    ) -> list[str]:
        """Return the command that installs or upgrades. It doesn't wait for workloads and brings nothing back."""
        return self._command(
            "upgrade", release, str(chart), "--install", "--reset-values", "--values", str(values),
            "--labels", ",".join(f"{name}={value}" for name, value in labels.items()),
            "--description", description, "--history-max", str(HISTORY), "--timeout", f"{seconds:.0f}s",
        )  # fmt: skip

    def rollback(self, release: str, revision: int, *, seconds: float) -> list[str]:
        limits = ("--history-max", str(HISTORY), "--timeout", f"{seconds:.0f}s")
        return self._command("rollback", release, str(revision), *limits)

    def uninstall(self, release: str, *, seconds: float) -> list[str]:
        return self._command("uninstall", release, "--ignore-not-found", "--timeout", f"{seconds:.0f}s")

    def pull(self, reference: str, folder: Path) -> list[str]:
        plain = ("--plain-http",) if reference.startswith("oci://127.0.0.1:") else ()
        return [str(self.binary), "pull", reference, "--destination", str(folder), *plain]

    def _command(self, *arguments: str) -> list[str]:
        where = ("--kubeconfig", str(self.kubeconfig), "--namespace", self.namespace)
        return [str(self.binary), *arguments, *where]

    def _asked(self, *arguments: str) -> str:
        return self._said(*self._command(*arguments)[1:])

    def _said(self, *arguments: str) -> str:
        """Run what changes nothing. Raises HelmAway: it failed or took too long."""
        allowed = {name: os.environ[name] for name in ALLOWED_ENVIRONMENT if name in os.environ}
        command: Sequence[str] = [str(self.binary), *arguments]
        try:
            answer = subprocess.run(
                command, env=allowed | self.environment, capture_output=True, text=True, timeout=READ_LIMIT, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise HelmAway(f"helm {arguments[0]} gave no answer: {error}") from error
        if answer.returncode:
            last = next((line for line in reversed(answer.stderr.splitlines()) if line.strip()), "no output")
            raise HelmAway(f"helm {arguments[0]} ended with {answer.returncode}: {last}"[:500])
        return answer.stdout
