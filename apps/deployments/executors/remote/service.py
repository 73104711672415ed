"""What an executor says of its service: how to look, to start and to stop."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from apps.deployments.executors.contract import (
    Abilities,
    ArtifactRejected,
    ConfigurationRef,
    Order,
    Readiness,
    ReleaseRef,
    StaleFence,
    TargetRef,
    TargetUntouched,
)
from apps.deployments.executors.helm import charts
from apps.deployments.executors.lane import Lane
from apps.deployments.executors.lifelines import Lifelines
from apps.deployments.executors.remote.seen import Clocks, Seen
from apps.integrations.artifact_store import ArtifactStore
from apps.integrations.json_api import JsonApi
from apps.releases import manifests


class Service(ABC):
    """A service that deploys: what a subclass has to say of it."""

    # What it has begun is all that is known of what runs, unless a subclass can look further.
    can = Abilities(probe=True, cancel=True, roll_back=True, keep_warm=False, repeat=True, observe=False)
    service: str
    """Its name, for people."""
    scheme = "Bearer"
    accept = "application/json"

    def __init__(
        self,
        *,
        connections: Mapping[str, Path],
        store: ArtifactStore,
        target_dir: Path,
        clocks: Clocks | None = None,
    ) -> None:
        self.connections, self.store, self.target_dir = connections, store, target_dir
        self.clocks = clocks or Clocks()
        self._apis: dict[Path, JsonApi] = {}
        self._ready: dict[tuple[str, str], tuple[float, Readiness]] = {}
        self._lifelines = Lifelines()

    # ---- what an executor says of its service; all may raise ApiProblem

    @abstractmethod
    def look(self, target: TargetRef) -> Seen | None:
        """Return the newest attempt in the lane, None where the service knows none."""

    @abstractmethod
    def check(self, target: TargetRef, release: ReleaseRef, configuration: ConfigurationRef) -> str:
        """Say in one sentence that the service could deploy it. Raises ArtifactRejected, TargetUntouched."""

    @abstractmethod
    def start(self, order: Order, seen: Seen | None) -> None:
        """Ask for the deployment, in a way that `look` finds it by its deployment and its fence."""

    @abstractmethod
    def stop(self, target: TargetRef, seen: Seen) -> None:
        """Ask for the end of what runs. Nothing runs any more: no error."""

    @abstractmethod
    def empty(self, target: TargetRef, *, fence: int) -> None:
        """End all that runs of the lane, or ask for it; afterwards `look` finds no deployment there."""

    def differs(self, order: Order) -> str:
        """Say how what is there differs from what this order has brought; nothing where it doesn't.

        Asked only of who can `observe`. Raises TargetUntouched: nobody can tell now, so that what was flagged stays.
        """
        return ""

    def hold(self, order: Order, seen: Seen | None) -> None:  # noqa: B027  most services have no place for it
        """Leave the fence with the service, where it can keep one, so that no machine comes in under a lower one."""

    # ---- what is built on it

    def api(self, target: TargetRef) -> JsonApi:
        """Return the service that the lane's address names. Raises TargetUntouched: the settings don't know it."""
        server = target.address.get("server", "")
        path = self.connections.get(server)
        if path is None:
            said = f"The settings know no {self.service} called {server!r}."
            raise TargetUntouched(said, retry=False, code="server-unknown")
        return self._apis.setdefault(path, JsonApi(path, scheme=self.scheme, accept=self.accept))

    def lane(self, target: TargetRef) -> Lane:
        return Lane(self.target_dir, target.lane_key, parts=())

    def accepted(self, order: Order) -> Seen | None:
        """Look at the target, and hold its fence against ours. Raises StaleFence: a higher one was here."""
        seen = self.look(order.target)
        if seen is not None and seen.fence > order.fence:
            told = f"{self.service} has heard of fence {seen.fence} for this lane; {order.fence} is too late."
            raise StaleFence(told)
        return seen

    def checked(self, target: TargetRef, release: ReleaseRef, configuration: ConfigurationRef) -> str:
        try:
            sealed = manifests.digest_of(release.manifest)
        except (KeyError, TypeError) as error:
            raise ArtifactRejected(f"The manifest of {release.version} can't be read.") from error
        if sealed != release.digest:
            raise ArtifactRejected(f"The artifact of {release.version} is not the one that it was sealed with.")
        if "chart" in release.manifest and release.manifest["chart"].get("source", manifests.STORE) == manifests.STORE:
            charts.verified(release, self.store)
        return self.check(target, release, configuration)
