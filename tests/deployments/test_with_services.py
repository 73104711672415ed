"""The whole way to services elsewhere, by their fakes: worker, engine, executor, also with the worker killed on it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from apps.deployments.enums import DeploymentState as S
from apps.environments.models import Hold
from apps.releases.enums import ReleaseState
from apps.releases.models import Release
from tests.deployments.remote_scene import RemoteScene, make_scene
from tests.fakes.argocd import FakeArgocd
from tests.fakes.github import FakeGithub
from tests.fakes.gitlab import FakeGitlab
from tests.fakes.kubernetes import FakeKubernetes
from tests.fakes.kubernetes.resources import HELM_RELEASES, NAMESPACES, PIPELINE_RUNS, PIPELINES

GOOD, BROKEN, SLOW = "1.0.0", "2.0.0-broken", "3.0.0-slow"


@dataclass(frozen=True)
class Case:
    made_by: Callable[[], Any]
    place: dict[str, str]
    prepare: Callable[[Any], None]
    begun: Callable[[Any], list[str]]
    """The deployment of everything that the service has begun, in order."""


def _argocd(fake: FakeArgocd) -> None:
    fake.application("hello")
    fake.revisions |= {GOOD, BROKEN, SLOW}


def _tagged(fake: FakeGithub | FakeGitlab) -> None:
    fake.runs.tags |= {f"v{version}" for version in (GOOD, BROKEN, SLOW)}


def _cluster(fake: FakeKubernetes) -> None:
    fake.store.create(NAMESPACES, None, {"metadata": {"name": "demo"}})
    chart = {"chart": "greeter", "version": "0.0.0"}
    fake.store.create(HELM_RELEASES, "demo", {"metadata": {"name": "hello"}, "spec": {"chart": {"spec": chart}}})
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
POINTS = [
    "before_claim_commit", "after_claim_commit", "after_intent:CHECK", "after_intent:START", "after_effect:START",
    "after_result:START", "after_effect:FOLLOW", "after_result:FOLLOW", "before_success_commit",
]  # fmt: skip
QUICK = {("argocd", "after_effect:START"), ("github", "after_effect:START")}


@pytest.fixture(params=CASES)
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


def _killed() -> list[object]:
    quick = [pytest.param(kind, point, id=f"{kind}-{point}") for kind, point in sorted(QUICK)]
    rest = [(kind, point) for kind in CASES for point in POINTS if (kind, point) not in QUICK]
    return quick + [pytest.param(*each, id="-".join(each), marks=pytest.mark.reliability) for each in rest]


@pytest.mark.parametrize(("scene", "point"), _killed(), indirect=["scene"])
def test_a_killed_worker_leaves_one_beginning_and_a_deployment_that_ends_well(scene: RemoteScene, point: str) -> None:
    lost = scene.die_at(point, GOOD)

    with scene.worker() as worker:
        ended = scene.ended(lost, worker)

    assert ended.state == S.SUCCEEDED, ended.outcome
    assert scene.live() == GOOD
    assert scene.begun() == [str(lost.pk)]


@pytest.mark.reliability
@pytest.mark.parametrize("point", ["after_failure_commit", "before_success_commit"])
def test_a_worker_killed_on_the_way_back_leaves_a_rollback_that_ends_well(scene: RemoteScene, point: str) -> None:
    with scene.worker("first") as worker:
        scene.ended(scene.deploy(GOOD), worker)
    bad = scene.die_at(point, BROKEN)

    with scene.worker() as worker:
        back = scene.ended(scene.rollback_of(bad), worker)

    assert back.state == S.SUCCEEDED, back.outcome
    assert scene.live() == GOOD
    begun = scene.begun()
    assert len(begun) == len(set(begun)) == 3
