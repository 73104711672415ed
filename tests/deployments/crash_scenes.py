"""What the crash tests need of each executor, in the same words for all: a scene, its places, and a judge.

The judge is what stands outside the portal: the fake's record of what it has begun, helm's own revisions, what a client
of the real proxy got. `begun` names deployments (where a client says it: versions) in the order in which they came,
`serves` the version that is there.
"""

import gzip
import json
import shutil
import signal
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import psutil
from django.conf import settings as configured_settings

from apps.configuration import actions as configuration_actions
from apps.deployments import runner
from apps.deployments.engine import orders
from apps.deployments.enums import DeploymentState
from apps.deployments.executors import configured
from apps.deployments.models import Deployment
from apps.environments import actions as environment_actions
from apps.environments.models import Lane
from apps.integrations import http_request
from apps.integrations.artifact_store import ArtifactStore
from apps.releases.enums import ArtifactKind
from tests import charts
from tests.cast import NOW
from tests.deployments.conftest import whole
from tests.deployments.many_lanes import REAL_CLOCKS
from tests.deployments.remote_scene import BETTER, BROKEN, CASES, GOOD, RemoteScene, make_scene
from tests.fakes.kubernetes import FakeKubernetes
from tests.fakes.kubernetes.resources import DEPLOYMENTS, HELM_RELEASES, NAMESPACES, PIPELINE_RUNS, SECRETS
from tests.helm_binaries import helm
from tests.processes import eventually
from tests.world import World, make_lane, make_service, make_world

# The worker dies while helm asks for this; `CUT` is where helm dies in the same moment, and leaves no last word.
HELD, CUT = "held:", "cut:"
HELMS_OWN = "helm.sh/release.v1"
PATIENCE_SECONDS = 150
# A lease, and how long GitHub and GitLab may keep a run in a queue, before it is tried once more.
TAKEN_UP_SECONDS = 150 if REAL_CLOCKS else 60
# A busy machine is slow; what is broken takes half of it (helm) or a quarter until somebody says so.
LIMIT_SECONDS = 60


@dataclass
class CrashScene:
    """A lane with an executor of the portal; `serves` and `begun` are asked of the other side."""

    remote: RemoteScene
    versions: tuple[str, str, str]
    """Two that are good, and one that is not."""
    begun: Callable[[], list[str]]
    """What had an effect there, in order, each as often as it had."""
    serves: Callable[[], str]
    named: Callable[[Deployment], str] = lambda each: str(each.pk)
    """How `begun` names a deployment."""
    require_kept: Callable[[], None] = lambda: None
    """Hold what a restart would bring against what runs."""
    died_at: float = 0.0

    @property
    def world(self) -> World:
        return self.remote.world

    @property
    def lane(self) -> Lane:
        return self.remote.lane

    def deploy(self, version: str) -> Deployment:
        """Bring a good version to the lane by this process."""
        deployment = self.remote.deploy(version)
        self.died_at = time.monotonic()
        self.recover()  # with a lease of 3 s, a busy machine may lose one
        ended = self.fresh(deployment)
        assert ended.state == DeploymentState.SUCCEEDED, f"{ended.state}: {ended.outcome}"
        return ended

    def die_at(self, place: str, version: str) -> Deployment:
        """Let a worker die on the way, and those who come after it as well where the place says `first > second`."""
        first, *then = place.split(" > ")
        if first.startswith((HELD, CUT)):
            deployment = self._die_over(first, version)
        else:
            deployment = self.remote.die_at(first, version)
        for number, point in enumerate(then):
            with self.remote.worker(f"second-{number}", EAIP_CRASHPOINT=point) as worker:
                eventually(
                    lambda worker=worker: not worker.is_running(),
                    within_seconds=TAKEN_UP_SECONDS,
                    because="nobody took it up, or none died",
                )
                assert worker.process.returncode == -signal.SIGKILL
        self.died_at = time.monotonic()
        return deployment

    def recover(self) -> float:
        """Do what the sweeper of another worker does, until nothing is open; return how long that was."""
        while left := self._open():
            assert time.monotonic() - self.died_at < PATIENCE_SECONDS, f"still open: {left}"
            for due in runner.due_work(unclaimed=runner.AT_ONCE):
                runner.handle(due)
            time.sleep(0.1)
        return time.monotonic() - self.died_at

    def effects(self, expected: list[Deployment]) -> tuple[list[str], list[str]]:
        """Return what had an effect there, and what should have had one each, in this order."""
        return self.begun(), [self.named(each) for each in expected]

    def fresh(self, deployment: Deployment) -> Deployment:
        with self.world.everything():
            return Deployment.objects.with_subject().get(pk=deployment.pk)

    def _open(self) -> list[tuple[int, str, str]]:
        with self.world.everything():
            return list(Deployment.objects.open().values_list("number", "state", "probed"))

    def _die_over(self, place: str, version: str) -> Deployment:
        """Kill the worker while the other side stands over a request of its child, which is done all the same."""
        cluster, (how, _, request) = self.remote.fake, place.partition(":")
        cluster.hold(request)
        with self.remote.worker("doomed") as worker:
            deployment = self.remote.deploy(version)
            eventually(lambda: cluster.is_holding, within_seconds=60, because=worker.output)
            if f"{how}:" == CUT:
                worker.freeze()
                for process in _helms(self.remote.logs):
                    process.kill()
            worker.kill()
            eventually(lambda: not _helms(self.remote.logs), because="a helm outlived its worker")
        cluster.let_go()
        return deployment


@contextmanager
def crash_scene(
    kind: str, cast: Any, settings: Any, monkeypatch: Any, folder: Path, built: Callable[[], Any]
) -> Iterator[CrashScene]:
    if not REAL_CLOCKS:
        monkeypatch.setattr(configured, "IN_A_QUEUE", 8.0)
    settings.ENGINE_APPLY_LIMIT = timedelta(seconds=LIMIT_SECONDS)
    _forget_executors()
    try:
        with _scene_of(kind, cast, settings, monkeypatch, folder, built) as scene:
            yield scene
    finally:
        _forget_executors()


@contextmanager
def _scene_of(
    kind: str, cast: Any, settings: Any, monkeypatch: Any, folder: Path, built: Callable[[], Any]
) -> Iterator[CrashScene]:
    if kind == "local":
        with _local(cast, folder, built()) as scene:
            yield scene
        return
    settings.TARGET_DIR = folder / "target"
    if kind == "helm":
        with _helm(cast, settings, monkeypatch, folder) as scene:
            yield scene
        return
    with CASES[kind].made_by() as fake:
        CASES[kind].prepare(fake)
        place = CASES[kind].place
        remote = make_scene(cast, settings, monkeypatch, folder, fake, executor=kind, place=place)
        monkeypatch.setenv("ENGINE_APPLY_LIMIT_SECONDS", str(LIMIT_SECONDS))
        versions = GOOD, BETTER, BROKEN
        yield CrashScene(remote, versions, lambda: CASES[kind].begun(fake), lambda: SERVES[kind](fake))


def _forget_executors() -> None:
    """This process keeps its executors, which know the places of one test: neither take them over nor leave them."""
    orders._made.cache_clear()
    for kind in ("local", "helm", *CASES):
        getattr(configured, f"{kind}_executor").cache_clear()


# ---- what the fakes of services say


def _tag(fake: Any) -> str:
    return str(fake.runs.rows[-1].ref.removeprefix("v"))


def _flux(fake: FakeKubernetes) -> str:
    return str(fake.store.get(HELM_RELEASES, "demo", "hello")["spec"]["chart"]["spec"]["version"])


def _tekton(fake: FakeKubernetes) -> str:
    params = fake.store.all(PIPELINE_RUNS, "demo")[-1]["spec"]["params"]
    return next(str(row["value"]) for row in params if row["name"] == "version")


SERVES: dict[str, Callable[[Any], str]] = {
    "argocd": lambda fake: str(fake.apps["hello"]["spec"]["source"]["targetRevision"]),
    "github": _tag,
    "gitlab": _tag,
    "flux": _flux,
    "tekton": _tekton,
}


# ---- helm


@contextmanager
def _helm(cast: Any, settings: Any, monkeypatch: Any, folder: Path) -> Iterator[CrashScene]:
    with FakeKubernetes() as cluster:
        cluster.store.create(NAMESPACES, None, {"metadata": {"name": "greeter"}})
        kubeconfig = cluster.kubeconfig(folder / "kubeconfig")
        monkeypatch.setenv("EAIP_KUBECONFIGS", f"fake={kubeconfig}")
        monkeypatch.setenv("EAIP_HELM", str(helm(4)))
        monkeypatch.setenv("ENGINE_APPLY_LIMIT_SECONDS", str(LIMIT_SECONDS))
        monkeypatch.setenv("EAIP_TARGET_DIR", str(folder / "target"))
        settings.KUBECONFIGS, settings.HELM = {"fake": kubeconfig}, str(helm(4))
        with whole(cast):
            world = make_world(cast)
            service = make_service(cast.platform, "hello", program=charts.NAME, artifact_kind=ArtifactKind.CHART)
            address = {"cluster": "fake", "namespace": "greeter"}
            lane = environment_actions.create_lane(
                world.dev, service=service, executor="helm", address=address, by=cast.devops, now=NOW
            )
            configuration_actions.write_version(lane, values={"replicas": "1"}, reason="First", by=cast.devops, now=NOW)
        store = ArtifactStore(settings.ARTIFACT_DIR)

        def manifest_of(version: str) -> dict[str, Any]:
            return dict(charts.stored(store, version, tag="broken" if "broken" in version else version).manifest)

        def serves() -> str:
            deployment = cluster.store.get(DEPLOYMENTS, "greeter", lane.target_key)
            return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"].removeprefix("greeter:"))

        remote = RemoteScene(world, lane, service, cluster, manifest_of, folder)
        yield CrashScene(remote, (GOOD, BETTER, BROKEN), lambda: _installed(cluster, lane), serves)


def _installed(cluster: FakeKubernetes, lane: Lane) -> list[str]:
    """Return the deployment of each revision that helm itself called done, by the words that it was given for it.

    One over which helm was ended has other words for ever, whatever its status is later; so has a repair.
    """
    revisions = [_revision(row) for row in cluster.store.all(SECRETS, "greeter") if row["type"] == HELMS_OWN]
    mine = sorted((row for row in revisions if row["name"] == lane.target_key), key=lambda row: int(row["version"]))
    done = [row["info"]["description"] for row in mine if row["info"]["status"] in ("deployed", "superseded")]
    return [words.partition("eaip-deployment=")[2].split()[0] for words in done if "eaip-deployment=" in words]


def _revision(secret: dict[str, Any]) -> dict[str, Any]:
    packed = b64decode(b64decode(secret["data"]["release"]))
    found: dict[str, Any] = json.loads(gzip.decompress(packed))
    return found


def _helms(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["name", "cmdline"]):
        if process.info["name"] == "helm" and any(str(folder) in part for part in process.info["cmdline"] or []):
            found.append(process)
    return found


# ---- local


@dataclass
class Client:
    """Somebody who asks the real proxy all the time, and keeps what came."""

    port: int
    over: threading.Event = field(default_factory=threading.Event)
    answers: list[tuple[int | None, str]] = field(default_factory=list)

    def ask(self) -> None:
        while not self.over.wait(0.02):
            answer = http_request.get("/", to=self.port)
            self.answers.append((answer.status, answer.headers.get("x-release", "")))

    @property
    def versions(self) -> list[str]:
        """Return who answered, each time that it was another than before; no version is what nobody answered."""
        return [version for version, _run in groupby(version for _status, version in self.answers if version)]


def _version(deployment: Deployment) -> str:
    return str(deployment.release.version)


@contextmanager
def _local(cast: Any, folder: Path, built: dict[str, dict[str, Any]]) -> Iterator[CrashScene]:
    slots = configured.local_executor().slots
    shutil.rmtree(ArtifactStore(configured_settings.ARTIFACT_DIR).root / "installed", ignore_errors=True)
    with whole(cast):
        world = make_world(cast)
        service = make_service(cast.platform, "hello", program="greeter", health_path="/health")
        lane = make_lane(world.dev, service)
    client = Client(lane.port)
    thread = threading.Thread(target=client.ask)
    remote = RemoteScene(world, lane, service, client, lambda version: built[f"v{version}"], folder)

    def serves() -> str:
        return http_request.get("/", to=lane.port).headers["x-release"]

    def require_kept() -> None:
        before = slots.proxy.servers(lane.target_key)
        slots.proxy.reload()
        after = slots.proxy.servers(lane.target_key)
        assert {name: row.weight for name, row in after.items()} == {name: row.weight for name, row in before.items()}

    thread.start()
    try:
        yield CrashScene(remote, ("1.0.0", "1.0.1", "2.1.0"), lambda: client.versions, serves, _version, require_kept)
    finally:
        client.over.set()
        thread.join(10)
        # Also those that supervisord has not read yet: their writer was killed.
        for name in {*slots.supervisor.states(), *(path.stem for path in slots.supervisor.config_dir.glob("*.conf"))}:
            slots.supervisor.remove(name)
        for path in slots.proxy.config_dir.glob("lane-*.cfg"):
            path.unlink()
        slots.proxy.reload()
        shutil.rmtree(configured_settings.TARGET_DIR / lane.target_key, ignore_errors=True)
