"""The whole way with a service elsewhere: worker, engine, executor, and the fake of the service."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.utils import timezone

from apps.approvals import actions as approval_actions
from apps.configuration import actions as configuration_actions
from apps.deployments import actions
from apps.deployments.models import Deployment
from apps.environments import actions as environment_actions
from apps.environments.models import Lane
from apps.integrations.artifact_store import ArtifactStore
from apps.releases.enums import ArtifactKind
from apps.releases.models import Service
from tests import charts
from tests.cast import NOW
from tests.deployments.conftest import whole
from tests.fakes.argocd import FakeArgocd
from tests.fakes.github import FakeGithub
from tests.fakes.gitlab import FakeGitlab
from tests.fakes.kubernetes import FakeKubernetes
from tests.fakes.kubernetes.resources import HELM_RELEASES, NAMESPACES, PIPELINE_RUNS, PIPELINES
from tests.processes import Child, eventually, start_worker
from tests.world import World, make_service, make_world, sealed_release

GOOD, BETTER, BROKEN = "1.0.0", "1.1.0", "2.0.0-broken"


@dataclass(frozen=True)
class Case:
    made_by: Callable[[], Any]
    place: dict[str, str]
    prepare: Callable[[Any], None]
    begun: Callable[[Any], list[str]]
    """The deployment of everything that the service has begun, in order."""


def _argocd(fake: FakeArgocd) -> None:
    fake.application("hello")
    fake.revisions |= {GOOD, BETTER, BROKEN}


def _tagged(fake: FakeGithub | FakeGitlab) -> None:
    fake.runs.tags |= {f"v{version}" for version in (GOOD, BETTER, BROKEN)}


def _cluster(fake: FakeKubernetes) -> None:
    fake.store.create(NAMESPACES, None, {"metadata": {"name": "demo"}})
    chart = {"chart": "greeter", "version": "0.0.0", "sourceRef": {"kind": "HelmRepository", "name": "acme"}}
    spec = {"interval": "1h", "chart": {"spec": chart}}
    fake.store.create(HELM_RELEASES, "demo", {"metadata": {"name": "hello"}, "spec": spec})
    fake.store.create(PIPELINES, "demo", {"metadata": {"name": "deploy"}, "spec": {}})


def _requested(fake: FakeKubernetes) -> list[str]:
    """Return the deployments that Flux was asked for, from all versions of the object."""
    versions = [event.object for event in fake.store.events if event.resource == HELM_RELEASES]
    marks = [obj["metadata"].get("annotations", {}).get("reconcile.fluxcd.io/requestedAt") for obj in versions]
    return [mark.partition("/")[0] for mark in dict.fromkeys(marks) if mark]


def _runs(fake: FakeKubernetes) -> list[str]:
    rows = fake.store.all(PIPELINE_RUNS, "demo")
    return [run["metadata"]["annotations"]["eaip.operations/run"].split(" ")[2] for run in rows]


CASES = {
    "argocd": Case(
        FakeArgocd,
        {"application": "hello"},
        _argocd,
        lambda fake: [said["eaip.operations/deployment"] for said in fake.syncs],
    ),
    "github": Case(
        FakeGithub,
        {"repository": "acme/greeter", "workflow": "deploy.yml"},
        _tagged,
        lambda fake: fake.runs.deployments(),
    ),
    "gitlab": Case(FakeGitlab, {"project": "acme/greeter"}, _tagged, lambda fake: fake.runs.deployments()),
    "flux": Case(FakeKubernetes, {"namespace": "demo", "kind": "HelmRelease", "name": "hello"}, _cluster, _requested),
    "tekton": Case(FakeKubernetes, {"namespace": "demo", "pipeline": "deploy"}, _cluster, _runs),
}


@dataclass
class RemoteScene:
    world: World
    lane: Lane
    service: Service
    fake: Any
    manifest_of: Callable[[str], dict[str, Any]]
    logs: Path
    begun: Callable[[], list[str]] = list

    def deploy(self, version: str) -> Deployment:
        now, by = timezone.now(), self.world.cast.release_engineer
        manifest = self.manifest_of(version)
        with self.world.everything():
            release = sealed_release(self.service, version, by=by, manifest=manifest)
            promotion = approval_actions.request_promotion(
                release, lane=self.lane, by=by, now=now, starts_by_itself=False
            )
            return actions.start_deployment(promotion, by=by, now=now)

    def ended(self, deployment: Deployment, worker: Child) -> Deployment:
        def look() -> Deployment | None:
            with self.world.everything():
                deployment.refresh_from_db()
                return None if deployment.is_open else deployment

        return eventually(look, within_seconds=60, because=worker.output)

    def rollback_of(self, deployment: Deployment) -> Deployment:
        with self.world.everything():
            return Deployment.objects.get(rolls_back=deployment)

    def live(self) -> str:
        with self.world.everything():
            self.lane.refresh_from_db()
            return str(self.lane.live_release.version) if self.lane.live_release else ""

    @contextmanager
    def worker(self, name: str = "worker", **environment: str) -> Iterator[Child]:
        with start_worker(self.logs, environment=environment, name=name) as running:
            yield running

    def die_at(self, point: str, version: str) -> Deployment:
        """Begin a deployment with a worker that dies at a place; the deployment is left as it is then."""
        with self.worker("doomed", EAIP_CRASHPOINT=point) as worker:
            deployment = self.deploy(version)
            because = "the worker passed the place without dying"
            eventually(lambda: not worker.is_running(), within_seconds=90, because=because)
            assert worker.process.returncode == -signal.SIGKILL
        return deployment


def make_scene(
    cast: Any, settings: Any, monkeypatch: Any, folder: Path, fake: Any, *, executor: str, place: dict[str, str]
) -> RemoteScene:
    connection = fake.connection(folder / "connection.json")
    monkeypatch.setenv(f"EAIP_{executor.upper()}", f"fake={connection}")
    monkeypatch.setenv("EAIP_TARGET_DIR", str(folder / "target"))
    monkeypatch.setenv("ENGINE_APPLY_LIMIT_SECONDS", "20")
    settings.CONNECTIONS = settings.CONNECTIONS | {executor: {"fake": connection}}
    with whole(cast):
        world = make_world(cast)
        service = make_service(cast.platform, "hello", program=charts.NAME, artifact_kind=ArtifactKind.CHART)
        address = {"server": "fake"} | place
        lane = environment_actions.create_lane(
            world.dev, service=service, executor=executor, address=address, by=cast.devops, now=NOW
        )
        configuration_actions.write_version(lane, values={"replicas": "1"}, reason="First", by=cast.devops, now=NOW)
    store = ArtifactStore(settings.ARTIFACT_DIR)
    return RemoteScene(world, lane, service, fake, lambda each: dict(charts.stored(store, each).manifest), folder)
