"""What executors have in common that run something for each deployment: a run is found again by its title.

`eaip <lane> <deployment> <fence>` is the title; who may start runs can write any, so that the right to start them is
the right to deploy there.
"""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from apps.deployments.executors.contract import (
    ArtifactRejected,
    ConfigurationRef,
    Order,
    ReleaseRef,
    TargetRef,
)
from apps.deployments.executors.helm.charts import values_of
from apps.deployments.executors.remote import Phase, RemoteExecutor, Seen

DEPLOY, REMOVE = "deploy", "remove"
NOBODY = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Run:
    title: str
    phase: Phase
    detail: str
    key: str
    ref: str


class RunExecutor(RemoteExecutor):
    """An empty lane is one whose newest run has removed what was there."""

    @abstractmethod
    def runs(self, target: TargetRef) -> Iterator[Run]:
        """Yield the newest runs first, those of other lanes among them."""

    @abstractmethod
    def begin(self, target: TargetRef, ref: str, values: dict[str, str]) -> None:
        """Start a run at a revision; the value `run` is to be its title."""

    def look(self, target: TargetRef) -> Seen | None:
        run = self._newest(target)
        if run is None:
            return None
        _word, _lane, deployment, fence = run.title.split(" ")
        return Seen(
            deployment="" if deployment == str(NOBODY) else deployment,
            fence=int(fence),
            phase=run.phase,
            detail=run.detail,
            run_fence=int(fence),
            key=run.key,
        )

    def start(self, order: Order, seen: Seen | None) -> None:
        values = {
            "run": _title(order.target, order.deployment_id, order.fence),
            "action": DEPLOY,
            "version": order.release.version,
            "digest": order.release.digest,
            "environment": order.target.environment_slug,
            "configuration": values_of(order.configuration.values),
        }
        self.begin(order.target, self.ref_of(order.target, order.release), values)

    def empty(self, target: TargetRef, *, fence: int) -> None:
        run = self._newest(target)
        values = {
            "run": _title(target, NOBODY, fence),
            "action": REMOVE,
            "version": "",
            "digest": "",
            "environment": target.environment_slug,
            "configuration": "{}",
        }
        self.begin(target, run.ref if run else "", values)

    def ref_of(self, target: TargetRef, release: ReleaseRef) -> str:
        return (target.address.get("revision") or "v{version}").replace("{version}", release.version)

    def _newest(self, target: TargetRef) -> Run | None:
        prefix = f"eaip {target.lane_key} "
        return next((run for run in self.runs(target) if _is_title(run.title, prefix)), None)


class TaggedExecutor(RunExecutor):
    """A run is at the tag of its release, with the steps as they were then; so is the one that brings it back."""

    @abstractmethod
    def has_tag(self, target: TargetRef, tag: str) -> bool: ...

    def check(self, target: TargetRef, release: ReleaseRef, configuration: ConfigurationRef) -> str:
        tag = self.ref_of(target, release)
        if not self.has_tag(target, tag):
            raise ArtifactRejected(f"The repository has no tag {tag}.")
        return f"The repository has the tag {tag}."


def _title(target: TargetRef, deployment_id: UUID, fence: int) -> str:
    return f"eaip {target.lane_key} {deployment_id} {fence}"


def _is_title(title: str, prefix: str) -> bool:
    parts = title.split(" ")
    return title.startswith(prefix) and len(parts) == 4 and parts[3].isdecimal()
