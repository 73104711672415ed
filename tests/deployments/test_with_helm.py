"""The whole way with the real helm: worker, engine and executor, on the fake Kubernetes."""

import signal
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from django.utils import timezone

from apps.approvals import actions as approval_actions
from apps.configuration import actions as configuration_actions
from apps.deployments import actions
from apps.deployments.enums import DeploymentState as S
from apps.deployments.executors.helm import HelmStep
from apps.deployments.models import Deployment, Step
from apps.environments import actions as environment_actions
from apps.environments.models import Hold, Lane
from apps.integrations.artifact_store import ArtifactStore
from apps.releases.enums import ArtifactKind, ReleaseState
from apps.releases.models import Release, Service
from tests import charts
from tests.cast import NOW
from tests.deployments.conftest import whole
from tests.fakes.kubernetes import FakeKubernetes
from tests.fakes.kubernetes.resources import DEPLOYMENTS, NAMESPACES
from tests.helm_binaries import helm
from tests.processes import Child, eventually, start_worker
from tests.world import World, make_service, make_world, sealed_release

PLACE = {"cluster": "fake", "namespace": "greeter"}


@dataclass
class Scene:
    world: World
    lane: Lane
    service: Service
    cluster: FakeKubernetes
    store: ArtifactStore

    def deploy(self, version: str, **chart: str) -> Deployment:
        now, by = timezone.now(), self.world.cast.release_engineer
        manifest = dict(charts.stored(self.store, version, **chart).manifest)
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

        return eventually(look, within_seconds=90, because=worker.output)

    def image(self) -> str:
        deployment = self.cluster.store.get(DEPLOYMENTS, "greeter", self.lane.target_key)
        return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])


# The contract of executors is held against both with every `make test`.
@pytest.fixture(params=[pytest.param(3, marks=pytest.mark.reliability), 4])
def scene(request, transactional_db: None, cast, settings, tmp_path: Path, monkeypatch, redis_url: str):
    with FakeKubernetes() as cluster:
        cluster.store.create(NAMESPACES, None, {"metadata": {"name": "greeter"}})
        kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
        monkeypatch.setenv("EAIP_KUBECONFIGS", f"fake={kubeconfig}")
        monkeypatch.setenv("EAIP_HELM", str(helm(request.param)))
        monkeypatch.setenv("EAIP_TARGET_DIR", str(tmp_path / "target"))
        monkeypatch.setenv("ENGINE_APPLY_LIMIT_SECONDS", "20")
        settings.KUBECONFIGS = {"fake": kubeconfig}
        with whole(cast):
            world = make_world(cast)
            service = make_service(cast.platform, "hello", program=charts.NAME, artifact_kind=ArtifactKind.CHART)
            lane = environment_actions.create_lane(
                world.dev, service=service, executor="helm", address=PLACE, by=cast.devops, now=NOW
            )
            configuration_actions.write_version(lane, values={"replicas": "1"}, reason="First", by=cast.devops, now=NOW)
        yield Scene(world, lane, service, cluster, ArtifactStore(settings.ARTIFACT_DIR))


def test_a_chart_comes_goes_wrong_and_is_taken_back_without_a_person(scene: Scene, tmp_path: Path) -> None:
    with start_worker(tmp_path) as worker:
        first = scene.ended(scene.deploy("1.0.0"), worker)
        assert first.state == S.SUCCEEDED, first.outcome

        bad = scene.ended(scene.deploy("1.1.0", tag="broken"), worker)
        assert bad.state == S.FAILED, bad.outcome
        with scene.world.everything():
            back = Deployment.objects.get(rolls_back=bad)
        assert scene.ended(back, worker).state == S.SUCCEEDED, back.outcome

    assert scene.image() == "greeter:1.0.0"
    with scene.world.everything():
        scene.lane.refresh_from_db()
        assert (scene.lane.live_release.version, scene.lane.live_slot) == ("1.0.0", "")
        assert Hold.objects.open().filter(lane=scene.lane).exists()
        assert Release.objects.get(pk=bad.release_id).state == ReleaseState.QUARANTINED


@pytest.mark.reliability
def test_a_helm_killed_in_the_middle_is_mended_by_the_engine_without_a_person(scene: Scene, tmp_path: Path) -> None:
    with start_worker(tmp_path) as worker:
        first = scene.ended(scene.deploy("1.0.0"), worker)
        scene.cluster.hold("PATCH .*/deployments")
        lost = scene.deploy("1.1.0")
        eventually(lambda: scene.cluster.is_holding, within_seconds=30, because=worker.output)
        for child in psutil.Process().children(recursive=True):
            if child.name() == "helm":
                child.send_signal(signal.SIGKILL)
        scene.cluster.let_go()
        ended = scene.ended(lost, worker)

    assert (first.state, ended.state) == (S.SUCCEEDED, S.SUCCEEDED), ended.outcome
    assert ended.attempt == 2
    assert scene.image() == "greeter:1.1.0"
    with scene.world.everything():
        repair = Step.objects.get(deployment=lost, kind=HelmStep.REPAIR, attempt=2)
    assert repair.evidence["stuck_status"] == "pending-upgrade"
    assert "brought back to revision 1" in repair.detail
