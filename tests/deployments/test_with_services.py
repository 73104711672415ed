"""The whole way to services elsewhere, by their fakes: worker, engine, executor."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.deployments.enums import DeploymentState as S
from apps.environments.models import Hold
from apps.releases.enums import ReleaseState
from apps.releases.models import Release
from tests.deployments.remote_scene import BROKEN, CASES, GOOD, RemoteScene, make_scene

# One that is told what to run and one that runs what it is told, with every run of the suite; github is killed in it.
QUICK = {"argocd", "gitlab"}


@pytest.fixture(params=[pytest.param(kind, marks=[] if kind in QUICK else [pytest.mark.reliability]) for kind in CASES])
def scene(
    request, transactional_db: None, cast, settings, tmp_path: Path, monkeypatch, redis_url: str
) -> Iterator[RemoteScene]:
    case = CASES[request.param]
    with case.made_by() as fake:
        case.prepare(fake)
        made = make_scene(cast, settings, monkeypatch, tmp_path, fake, executor=request.param, place=case.place)
        made.begun = lambda: case.begun(fake)
        yield made


def test_a_release_comes_and_a_bad_one_is_taken_back_without_a_person(scene: RemoteScene) -> None:
    with scene.worker() as worker:
        first = scene.ended(scene.deploy(GOOD), worker)
        assert first.state == S.SUCCEEDED, first.outcome

        bad = scene.ended(scene.deploy(BROKEN), worker)
        assert bad.state == S.FAILED, bad.outcome
        back = scene.ended(scene.rollback_of(bad), worker)
        assert back.state == S.SUCCEEDED, back.outcome

    assert scene.live() == GOOD
    assert scene.begun() == [str(first.pk), str(bad.pk), str(back.pk)]
    with scene.world.everything():
        assert Hold.objects.open().filter(lane=scene.lane).exists()
        assert Release.objects.get(pk=bad.release_id).state == ReleaseState.QUARANTINED
