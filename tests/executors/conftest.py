import json
import os
import signal
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from uuid import uuid4

import pytest

from apps.deployments.executors.builder import build
from apps.deployments.executors.contract import (
    ConfigurationRef,
    Order,
    ReleaseRef,
    Slot,
    StepKind,
    StepResult,
    TargetRef,
)
from apps.deployments.executors.installation import Installation
from apps.deployments.executors.local import Clocks, LocalExecutor
from apps.deployments.executors.slots import Slots
from apps.integrations import http_request
from apps.integrations.artifact_store import ArtifactStore
from apps.integrations.git_repository import GitRepository
from apps.integrations.haproxy import Haproxy
from apps.integrations.package_index import PackageIndex
from apps.integrations.supervisord import Supervisor
from deploy.launcher.paths import ROOT
from deploy.launcher.ports import free_ports
from deploy.local import make_greeter
from tests.deployments.conftest import judge
from tests.fakes.argocd import FakeArgocd
from tests.fakes.github import FakeGithub
from tests.fakes.gitlab import FakeGitlab
from tests.fakes.kubernetes import FakeKubernetes
from tests.mirror import Mirror
from tests.processes import DeploymentTarget, eventually

__all__ = ["judge"]

_fences = count(1)
_lanes = count(1)


@pytest.fixture(scope="session")
def fetched() -> Mirror:
    """Two versions of a real program, fetched from the package index before the first test that deploys them."""
    return Mirror.of(("wsgidav", "4.0.1"), ("wsgidav", "4.0.2"))


@pytest.fixture
def mirror(fetched: Mirror) -> Iterator[Mirror]:
    with Mirror(wheels=fetched.wheels) as running:
        yield running


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> GitRepository:
    return make_greeter.make(tmp_path_factory.mktemp("repositories") / "greeter.git")


@pytest.fixture(scope="session")
def session_store(tmp_path_factory: pytest.TempPathFactory) -> ArtifactStore:
    return ArtifactStore(tmp_path_factory.mktemp("artifacts"))


@pytest.fixture(scope="session")
def greeter(repository: GitRepository, session_store: ArtifactStore) -> Callable[[str], ReleaseRef]:
    """Builds a version of the greeter; what was built before comes from memory."""
    built: dict[str, ReleaseRef] = {}

    def release(tag: str) -> ReleaseRef:
        if tag not in built:
            lines: list[str] = []
            artifact = build(repository, repository.resolve(tag), store=session_store, log=lines.append)
            built[tag] = ReleaseRef(tag.removeprefix("v"), artifact.digest, artifact.manifest)
        return built[tag]

    return release


@dataclass
class Site:
    """An executor on the real proxy and supervisord, and what it said."""

    executor: LocalExecutor
    lines: list[str] = field(default_factory=list)

    def new_target(self, health_path: str = "/health") -> TargetRef:
        number = next(_lanes)
        return TargetRef(f"greeter-{number}-{os.getpid()}", "greeter", "dev", free_ports(1)[0], health_path)

    def order(self, target: TargetRef, release: ReleaseRef, **more: object) -> Order:
        values = {"configuration": ConfigurationRef(1), "fence": next(_fences), "deployment_id": uuid4()} | more
        return Order(target=target, release=release, **values)  # type: ignore[arg-type]

    def step(self, kind: StepKind, order: Order) -> StepResult:
        return self.executor.apply(kind, order, log=self.lines.append)

    def deploy(self, order: Order) -> dict[StepKind, StepResult]:
        steps = [step.kind for step in self.executor.plan(order) if step.kind is not StepKind.VERIFY]
        return {kind: self.step(kind, order) for kind in steps}

    def read(self, target: TargetRef, path: str = "/") -> tuple[str, str]:
        with urllib.request.urlopen(f"http://127.0.0.1:{target.port}{path}", timeout=10) as answer:
            return answer.read().decode(), answer.headers["X-Release"]

    def replace_program(self, target: TargetRef, slot: Slot, *, version: str) -> None:
        """Let a slot's program answer as another version, as whoever is at the machine can."""
        slots = self.executor.slots
        lane = slots.lane(target)
        path = lane.slot_folder(slot) / "program.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"version": version}))
        state = slots.supervisor.state(slots.program_name(lane, slot))
        os.kill(state.pid, signal.SIGTERM)
        eventually(lambda: self._answer(target, slot) == version, within_seconds=10)

    def _answer(self, target: TargetRef, slot: Slot) -> str | None:
        socket = self.executor.slots.socket_of(self.executor.slots.lane(target), slot)
        return http_request.get("/health", to=socket).headers.get("x-release")

    def fence_on(self, target: TargetRef) -> int:
        path = self.executor.slots.lane(target).folder / "fence.json"
        return int(json.loads(path.read_text())["fence"])


@pytest.fixture
def site(
    deployment_target: DeploymentTarget, session_store: ArtifactStore, tmp_path: Path, mirror: Mirror
) -> Iterator[Site]:
    sockets = Path(os.environ["EAIP_HAPROXY_SOCKET"]).parent
    proxy = Haproxy(
        runtime=sockets / "haproxy.sock",
        master=sockets / "haproxy-master.sock",
        config_dir=Path(os.environ["EAIP_HAPROXY_CONFIG_DIR"]),
    )
    supervisor = Supervisor(
        socket_path=sockets / "supervisor.sock", config_dir=Path(os.environ["EAIP_SUPERVISOR_CONFIG_DIR"])
    )
    slots = Slots(
        target_dir=tmp_path / "target",
        socket_dir=sockets,
        launcher=ROOT / "deploy" / "local" / "serve.py",
        installation=Installation(session_store, PackageIndex(mirror.url), silence=20, limit=120),
        proxy=proxy,
        supervisor=supervisor,
    )
    yield Site(LocalExecutor(slots, Clocks(patience=2, start=15, check=10, drain=5)))
    for name in supervisor.states():
        supervisor.remove(name)
    for path in proxy.config_dir.glob("lane-*.cfg"):
        path.unlink()
    proxy.reload()


@pytest.fixture
def cluster() -> Iterator[FakeKubernetes]:
    with FakeKubernetes() as running:
        yield running


@pytest.fixture
def argocd() -> Iterator[FakeArgocd]:
    with FakeArgocd() as running:
        yield running


@pytest.fixture
def github() -> Iterator[FakeGithub]:
    with FakeGithub() as running:
        yield running


@pytest.fixture
def gitlab() -> Iterator[FakeGitlab]:
    with FakeGitlab() as running:
        yield running
