"""The whole way with real programs: worker, proxy, supervisor, and releases built from the greeter's repository."""

import urllib.request
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from apps.approvals import actions as approval_actions
from apps.approvals.enums import PromotionState
from apps.deployments import actions
from apps.deployments.enums import DeploymentState as S
from apps.deployments.executors.builder import build
from apps.deployments.log import read_lines
from apps.deployments.models import Deployment
from apps.environments.models import Hold, Lane
from apps.integrations.artifact_store import ArtifactStore
from apps.releases.enums import ReleaseState
from apps.releases.models import Release
from deploy.local import make_greeter
from tests.deployments.conftest import whole
from tests.processes import DeploymentTarget, eventually, start_worker
from tests.world import World, make_lane, make_service, make_world, sealed_release

VERSIONS = ("v1.0.0", "v1.0.1", "v2.1.0")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """The manifests of some versions; their wheels are in the store that the settings name."""
    repository = make_greeter.make(tmp_path_factory.mktemp("repositories") / "greeter.git")
    store = ArtifactStore(settings.ARTIFACT_DIR)
    return {
        tag: build(repository, repository.resolve(tag), store=store, log=lambda _line: None).manifest
        for tag in VERSIONS
    }


def test_a_release_comes_goes_wrong_and_is_taken_back_without_a_person(
    transactional_db: None, cast, redis_url: str, tmp_path: Path, deployment_target: DeploymentTarget, built
) -> None:
    with whole(cast):
        world = make_world(cast)
        service = make_service(cast.platform, "hello", program="greeter", health_path="/health")
        lane = make_lane(world.dev, service)
        releases = {
            tag: sealed_release(service, tag[1:], by=cast.release_engineer, manifest=built[tag]) for tag in VERSIONS
        }

    with start_worker(tmp_path, environment={"ENGINE_VERIFY_INTERVAL_SECONDS": "1.5"}) as worker:
        first = _deploy(world, lane, releases["v1.0.0"])
        assert _ended(world, first, worker).state == S.SUCCEEDED
        assert _read(lane) == ("Hello!", "1.0.0")

        second = _deploy(world, lane, releases["v1.0.1"])
        assert _ended(world, second, worker).state == S.SUCCEEDED
        assert _read(lane)[1] == "1.0.1"

        bad = _deploy(world, lane, releases["v2.1.0"])
        assert _ended(world, bad, worker).state == S.FAILED
        back = eventually(lambda: _rollback_of(world, bad), within_seconds=10)
        assert _ended(world, back, worker).state == S.SUCCEEDED
        assert _read(lane)[1] == "1.0.1"

    with world.everything():
        lane.refresh_from_db()
        assert lane.live_release == releases["v1.0.1"]
        assert Hold.objects.open().filter(lane=lane).exists()
        assert Release.objects.get(pk=releases["v2.1.0"].pk).state == ReleaseState.QUARANTINED
        bad.promotion.refresh_from_db()
        assert bad.promotion.state == PromotionState.FAILED
        assert any("health" in line.text for line in read_lines(bad, 1, 10_000))


def _deploy(world: World, lane: Lane, release: Release) -> Deployment:
    now = timezone.now()
    with world.everything():
        promotion = approval_actions.request_promotion(
            release, lane=lane, by=world.cast.release_engineer, now=now, starts_by_itself=False
        )
        return actions.start_deployment(promotion, by=world.cast.release_engineer, now=now)


def _ended(world: World, deployment: Deployment, worker) -> Deployment:
    def look() -> Deployment | None:
        with world.everything():
            deployment.refresh_from_db()
            return None if deployment.is_open else deployment

    return eventually(look, within_seconds=60, because=worker.output)


def _rollback_of(world: World, deployment: Deployment) -> Deployment | None:
    with world.everything():
        return Deployment.objects.filter(rolls_back=deployment).first()


def _read(lane: Lane) -> tuple[str, str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{lane.port}/", timeout=5) as answer:
        return answer.read().decode().strip(), answer.headers["X-Release"]
