"""One rig for each executor: what the contract's tests need of it, in the same words for all."""

import dataclasses
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

from apps.deployments.executors.argocd import ArgocdExecutor
from apps.deployments.executors.contract import (
    ConfigurationRef,
    Executor,
    ExecutorError,
    LaneRow,
    Observation,
    Order,
    ReleaseRef,
    Slot,
    SlotRow,
    StepKind,
    StepResult,
    TargetRef,
)
from apps.deployments.executors.flux import FluxExecutor
from apps.deployments.executors.helm import Clocks, HelmExecutor
from apps.deployments.executors.remote import Clocks as RemoteClocks
from apps.deployments.executors.remote import RemoteExecutor
from apps.deployments.executors.tekton import TektonExecutor
from apps.deployments.executors.workflow import GithubExecutor, GitlabExecutor
from apps.integrations.artifact_store import ArtifactStore
from apps.integrations.haproxy import Haproxy
from apps.releases import manifests
from deploy.local import make_greeter
from tests import charts
from tests.deployments.file_target import FileTarget, Judge, Place
from tests.executors.conftest import Site
from tests.fakes.argocd import FakeArgocd
from tests.fakes.github import FakeGithub
from tests.fakes.gitlab import FakeGitlab
from tests.fakes.json_server import JsonServer
from tests.fakes.kubernetes import FakeKubernetes
from tests.fakes.kubernetes.resources import (
    DEPLOYMENTS,
    HELM_RELEASES,
    KUSTOMIZATIONS,
    NAMESPACES,
    PIPELINE_RUNS,
    PIPELINES,
    SECRETS,
)

_numbers = count(1)


class Rig:
    """`old` and `new` are good releases, `broken` never works, `gone` can't be had any more, `endless` hangs."""

    executor: Executor
    target: TargetRef
    old: ReleaseRef
    new: ReleaseRef
    broken: ReleaseRef
    gone: ReleaseRef
    lines: list[str]

    def order(self, release: ReleaseRef, **more: object) -> Order:
        values = {"configuration": ConfigurationRef(1), "fence": next(_numbers), "deployment_id": uuid4()} | more
        return Order(target=self.target, release=release, **values)  # type: ignore[arg-type]

    def endless(self) -> Order:
        return self.order(self.new)

    def deploy(self, order: Order) -> list[StepResult]:
        kinds = [step.kind for step in self.executor.plan(order) if step.kind != StepKind.VERIFY]
        return [self.executor.apply(kind, order, log=self.lines.append) for kind in kinds]

    def live(self, order: Order) -> LaneRow:
        """Deploy, and return what the database says of the lane afterwards."""
        slots = [result.slot for result in self.deploy(order) if result.slot]
        row = SlotRow(slots[-1] if slots else None, order.deployment_id, order.release, order.configuration)
        return LaneRow(self.target, order.fence, row)

    def change_by_hand(self) -> None:
        """Make another version run, past the portal."""
        raise NotImplementedError

    def look(self, order: Order) -> Observation:
        """Ask what became of an attempt, as whoever takes it over: under the next fence."""
        return self.executor.probe(dataclasses.replace(order, fence=next(_numbers)))

    def start(self, order: Order) -> tuple[threading.Thread, list[ExecutorError]]:
        """Deploy in a thread of its own; the list is where its error comes to."""
        errors: list[ExecutorError] = []

        def carry_out() -> None:
            try:
                self.deploy(order)
            except ExecutorError as error:
                errors.append(error)

        thread = threading.Thread(target=carry_out)
        thread.start()
        return thread, errors

    def effects(self) -> object:
        """Return what stands on the target, so that two looks can be compared."""
        raise NotImplementedError

    @contextmanager
    def hanging(self) -> Iterator[Callable[[], bool]]:
        """Make the deployment of `endless` hang; yield the question whether it does."""
        raise NotImplementedError
        yield

    @contextmanager
    def away(self) -> Iterator[None]:
        raise NotImplementedError
        yield


class LocalRig(Rig):
    def __init__(self, site: Site, greeter: Callable[[str], ReleaseRef]) -> None:
        self.site, self.executor, self.lines, self.target = site, site.executor, site.lines, site.new_target()
        self.old, self.new, self.broken = greeter("v1.0.0"), greeter("v1.0.1"), greeter(make_greeter.BROKEN)
        self._unhealthy = greeter(make_greeter.UNHEALTHY)
        self.gone = _without_files(self.old)

    def endless(self) -> Order:
        return self.order(self._unhealthy, configuration=ConfigurationRef(1, {"longest_seconds": -1}))

    def effects(self) -> object:
        proxy = self.site.executor.slots.proxy
        servers = proxy.servers(self.target.lane_key) if proxy.knows(self.target.lane_key) else {}
        weights = {name: server.weight for name, server in servers.items()}
        return weights, {name: state.pid for name, state in self.site.executor.slots.supervisor.states().items()}

    def change_by_hand(self) -> None:
        (slot,) = self.site.executor.slots.loaded(self.site.executor.slots.lane(self.target))
        self.site.replace_program(self.target, slot, version="9.9.9")

    @contextmanager
    def hanging(self) -> Iterator[Callable[[], bool]]:
        yield lambda: any(line.startswith("health check of") for line in self.lines)

    @contextmanager
    def away(self) -> Iterator[None]:
        slots, nowhere = self.site.executor.slots, Path("/nonexistent")
        proxy, slots.proxy = slots.proxy, Haproxy(runtime=nowhere, master=nowhere, config_dir=slots.proxy.config_dir)
        yield
        slots.proxy = proxy


class FileRig(Rig):
    def __init__(self, judge: Judge) -> None:
        self.judge, self.executor, self.lines = judge, FileTarget(), []
        self.target = TargetRef(f"files-{next(_numbers)}", "greeter", "dev", 0)
        self.old, self.new, self.broken, self.gone = (
            ReleaseRef(version, f"sha256:{version}", {}) for version in ("1.0.0", "1.1.0", "2.0.0", "3.0.0")
        )
        judge.behave(v2_0_0={StepKind.START_GREEN: "fail"}, v3_0_0={"artifact": "gone"})

    def effects(self) -> object:
        return self.judge.effects(self.target.lane_key)

    def change_by_hand(self) -> None:
        place = Place(self.target.lane_key)
        line = {"slot": Slot(place.standings().live or "").other, "fence": 0, "deployment": "", "digest": ""}
        for effect in ("start", "switch"):
            place.append({"effect": effect, "version": "9.9.9", **line})

    @contextmanager
    def hanging(self) -> Iterator[Callable[[], bool]]:
        self.judge.hold(StepKind.CHECK_GREEN)
        yield lambda: self.judge.is_waiting(StepKind.CHECK_GREEN)
        self.judge.let_go(StepKind.CHECK_GREEN)

    @contextmanager
    def away(self) -> Iterator[None]:
        self.judge.behave(v1_0_0={"probe": "UNREACHABLE"})
        yield
        self.judge.behave()


class HelmRig(Rig):
    def __init__(self, cluster: FakeKubernetes, binary: Path, folder: Path) -> None:
        self.cluster, self.lines, self.folder = cluster, [], folder
        self.store = ArtifactStore(folder / "artifacts")
        self.kubeconfigs = {"fake": cluster.kubeconfig(folder / "kubeconfig")}
        self.executor: HelmExecutor = HelmExecutor(
            binary=str(binary),
            kubeconfigs=self.kubeconfigs,
            store=self.store,
            target_dir=folder / "target",
            clocks=Clocks(patience=2, limit=60, grace=5, ready=2, poll=0.1),
        )
        address = {"cluster": "fake", "namespace": "demo"}
        self.target = TargetRef(f"greeter-dev-{next(_numbers)}-{os.getpid()}", "greeter", "dev", 0, address=address)
        cluster.store.create(NAMESPACES, None, {"metadata": {"name": "demo"}})
        self.old, self.new = charts.stored(self.store, "1.0.0"), charts.stored(self.store, "1.1.0")
        self.broken = charts.stored(self.store, "2.0.0", tag="broken")
        self.gone = _without_files(self.old)

    def effects(self) -> object:
        return [
            (obj["metadata"]["name"], obj["metadata"]["uid"], obj["metadata"]["generation"])
            for resource in (DEPLOYMENTS, SECRETS)
            for obj in self.cluster.store.all(resource, "demo")
        ]

    def change_by_hand(self) -> None:
        """As `kubectl set image` does it."""
        deployment = self.cluster.store.get(DEPLOYMENTS, "demo", self.target.lane_key)
        deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "greeter:9.9.9"
        self.cluster.store.replace(DEPLOYMENTS, "demo", self.target.lane_key, deployment)

    def revisions(self) -> list[tuple[str, str]]:
        """Return number and status of what helm keeps of this lane."""
        labels = [obj["metadata"]["labels"] for obj in self.cluster.store.all(SECRETS, "demo")]
        return [(row["version"], row["status"]) for row in labels if row["name"] == self.target.lane_key]

    def image(self) -> str:
        deployment = self.cluster.store.get(DEPLOYMENTS, "demo", self.target.lane_key)
        return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])

    @contextmanager
    def hanging(self) -> Iterator[Callable[[], bool]]:
        self.cluster.hold("(POST|PATCH) .*/deployments")
        yield lambda: self.cluster.is_holding
        self.cluster.let_go()

    @contextmanager
    def away(self) -> Iterator[None]:
        path = self.folder / "nowhere"
        path.write_text(self.kubeconfigs["fake"].read_text().replace("127.0.0.1", "127.0.0.127"))
        here, self.kubeconfigs["fake"] = self.kubeconfigs["fake"], path
        yield
        self.kubeconfigs["fake"] = here


class RemoteRig(Rig):
    """What rigs of services elsewhere share: charts for releases, and a connection that can lead nowhere."""

    CLOCKS = RemoteClocks(patience=2, appear=3, ready=3, hopeless=0.2, stop=3, poll=0.05)

    def __init__(
        self, fake: JsonServer | FakeKubernetes, made_by: type[RemoteExecutor], folder: Path, **address: str
    ) -> None:
        self.fake, self.lines, self.folder = fake, [], folder
        self.store = ArtifactStore(folder / "artifacts")
        self.connection = fake.connection(folder / "connection.json")
        self.executor: RemoteExecutor = made_by(
            connections={"fake": self.connection}, store=self.store, target_dir=folder / "target", clocks=self.CLOCKS
        )
        place = {"server": "fake"} | address
        self.target = TargetRef(f"greeter-dev-{next(_numbers)}-{os.getpid()}", "greeter", "dev", 0, address=place)
        self.old, self.new, self.broken, self.slow = (
            charts.stored(self.store, version) for version in ("1.0.0", "1.1.0", "2.0.0-broken", "3.0.0-slow")
        )
        self.gone = _without_files(self.old)

    def endless(self) -> Order:
        return self.order(self.slow)

    @contextmanager
    def hanging(self) -> Iterator[Callable[[], bool]]:
        """What is followed is told to the log; nothing before it is."""
        yield lambda: bool(self.lines)

    @contextmanager
    def away(self) -> Iterator[None]:
        here = self.connection.read_text()
        self.connection.write_text(json.dumps({"url": "http://127.0.0.127:1", "token": "x"}))
        yield
        self.connection.write_text(here)


class ArgocdRig(RemoteRig):
    def __init__(self, argocd: FakeArgocd, folder: Path) -> None:
        super().__init__(argocd, ArgocdExecutor, folder, application="greeter")
        self.argocd = argocd
        argocd.application("greeter")
        argocd.revisions |= {release.version for release in (self.old, self.new, self.broken, self.slow)}

    @property
    def app(self) -> dict[str, Any]:
        return self.argocd.apps["greeter"]

    def effects(self) -> object:
        return self.argocd.syncs[:], json.dumps([self.app["spec"], self.app["metadata"]["annotations"]])

    def change_by_hand(self) -> None:
        """As `argocd app set` does it."""
        self.app["spec"]["source"]["targetRevision"] = "9.9.9"


class WorkflowRig(RemoteRig):
    def __init__(self, fake: FakeGithub | FakeGitlab, folder: Path) -> None:
        github = isinstance(fake, FakeGithub)
        place = {"repository": "acme/greeter", "workflow": "deploy.yml"} if github else {"project": "acme/greeter"}
        super().__init__(fake, GithubExecutor if github else GitlabExecutor, folder, **place)
        self.runs = fake.runs
        self.runs.tags |= {f"v{release.version}" for release in (self.old, self.new, self.broken, self.slow)}

    def effects(self) -> object:
        return [(run.id, run.title, run.ref, run.state) for run in self.runs.rows]


class FluxRig(RemoteRig):
    def __init__(self, cluster: FakeKubernetes, folder: Path, kind: str) -> None:
        super().__init__(cluster, FluxExecutor, folder, namespace="demo", kind=kind, name="greeter")
        self.cluster, self.resource = cluster, HELM_RELEASES if kind == "HelmRelease" else KUSTOMIZATIONS
        cluster.store.create(NAMESPACES, None, {"metadata": {"name": "demo"}})
        chart = {"chart": "greeter", "version": "0.0.0", "sourceRef": {"kind": "HelmRepository", "name": "acme"}}
        applied = {"prune": True, "sourceRef": {"kind": "OCIRepository", "name": "acme"}}
        spec = {"interval": "1h"} | ({"chart": {"spec": chart}} if kind == "HelmRelease" else applied)
        cluster.store.create(self.resource, "demo", {"metadata": {"name": "greeter"}, "spec": spec})

    @property
    def object(self) -> dict[str, Any]:
        return self.cluster.store.get(self.resource, "demo", "greeter")

    def effects(self) -> object:
        return self.object["spec"], self.object["metadata"]["annotations"]

    def change_by_hand(self) -> None:
        """As `kubectl edit` does it."""
        obj = self.object
        if self.resource == HELM_RELEASES:
            obj["spec"]["chart"]["spec"]["version"] = "9.9.9"
        else:
            obj["spec"]["postBuild"]["substitute"]["EAIP_VERSION"] = "9.9.9"
        self.cluster.store.replace(self.resource, "demo", "greeter", obj)


class TektonRig(RemoteRig):
    def __init__(self, cluster: FakeKubernetes, folder: Path) -> None:
        super().__init__(cluster, TektonExecutor, folder, namespace="demo", pipeline="deploy")
        self.cluster = cluster
        cluster.store.create(NAMESPACES, None, {"metadata": {"name": "demo"}})
        cluster.store.create(PIPELINES, "demo", {"metadata": {"name": "deploy"}, "spec": {"tasks": []}})

    @property
    def runs(self) -> list[dict[str, Any]]:
        return self.cluster.store.all(PIPELINE_RUNS, "demo")

    def effects(self) -> object:
        return [(run["metadata"]["name"], run["spec"]) for run in self.runs]


def _without_files(release: ReleaseRef) -> ReleaseRef:
    """A release whose files nobody has."""
    text = json.dumps(dict(release.manifest))
    for file in release.manifest.get("wheels") or [release.manifest["chart"]]:
        text = text.replace(file["sha256"], "0" * 64)
    manifest = json.loads(text)
    return dataclasses.replace(release, manifest=manifest, digest=manifests.digest_of(manifest))
