"""What a release names is asked for at its registry before an attempt begins: the real docker-registry says so."""

from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.utils import timezone

from apps.approvals import actions as approval_actions
from apps.deployments import actions, runner
from apps.deployments.engine.registry import references_of
from apps.deployments.enums import DeploymentState as S
from apps.deployments.models import Deployment, LogChunk
from apps.integrations.artifact_store import ArtifactStore
from apps.integrations.oci_registry import Reference
from apps.releases.enums import ArtifactKind
from tests import charts, registry
from tests.deployments.conftest import Stage
from tests.world import make_lane, make_service, sealed_release


def test_what_is_gone_from_its_registry_stops_the_deployment_before_it_touches_anything(
    stage: Stage, settings, tmp_path: Path
) -> None:
    settings.OUTBOUND_INTERNAL = {"platform": "127.0.0.0/8"}
    world = stage.world
    with world.everything():
        service = make_service(world.cast.platform, "orders", program=charts.NAME, artifact_kind=ArtifactKind.CHART)
        lane = make_lane(world.dev, service)

    def deployed(version: str, image: dict[str, str]) -> Deployment:
        archive = charts.archive(version)
        manifest = charts.manifest_of(version, archive) | {"images": [image]}
        ArtifactStore(django_settings.ARTIFACT_DIR).put([archive], sha256=manifest["chart"]["sha256"])
        now, by = timezone.now(), world.cast.release_engineer
        with world.everything():
            release = sealed_release(service, version, by=by, manifest=manifest)
            asked = approval_actions.request_promotion(release, lane=lane, by=by, now=now, starts_by_itself=False)
            deployment = actions.start_deployment(asked, by=by, now=now)
        runner.run(deployment.pk)
        return stage.fresh(deployment)

    with registry.started(tmp_path) as real:
        name, digests = f"{real.host}/shop/orders", [real.push("shop/orders", f"{n}", f"word {n}") for n in range(3)]
        real.delete("shop/orders", digests[1])
        real.push("shop/orders", "2", "another word")
        good = deployed("1.0.0", {"name": name, "tag": "0", "digest": digests[0]})
        gone = deployed("1.1.0", {"name": name, "digest": digests[1]})
        moved = deployed("1.2.0", {"name": name, "tag": "2", "digest": digests[2]})
    away = deployed("1.3.0", {"name": name, "digest": digests[0]})

    assert [each.state for each in (good, gone, moved, away)] == [S.SUCCEEDED, S.FAILED, S.FAILED, S.ERRORED]
    assert "is not in its registry any more. Nothing was deployed." in gone.outcome
    assert "gives sha256:" in moved.outcome
    assert "does not answer" in away.outcome
    assert stage.judge.serves(lane.target_key) == "1.0.0"
    with world.everything():
        told = [line for chunk in LogChunk.objects.filter(deployment=good) for _, line in chunk.lines]
        assert f"{name}:0@{digests[0]} is in its registry." in told


@pytest.mark.parametrize(
    ("manifest", "named"),
    [
        ({"program": "a", "wheels": [{"filename": "a.whl"}]}, ()),
        ({"program": "a", "chart": {"source": "store"}}, ()),
        (
            {
                "chart": {"source": "oci://r.example:5000/charts/a@sha256:1"},
                "images": [{"name": "q/b/c", "digest": "2"}],
            },
            (Reference("r.example:5000", "charts/a", "sha256:1"), Reference("q", "b/c", "2")),
        ),
    ],
)
def test_a_manifest_names_its_chart_and_its_images(manifest, named) -> None:
    assert references_of(manifest) == named
