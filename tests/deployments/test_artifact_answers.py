"""What a lane could go back to is asked for where it is taken from: a real docker-registry, and what is kept of it."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.approvals import actions as approval_actions
from apps.audit.models import AuditEvent
from apps.deployments import actions
from apps.deployments.engine import answers
from apps.deployments.engine.answers import Said
from apps.deployments.enums import DeploymentState
from apps.deployments.executors.contract import ConfigurationRef, Readiness, ReleaseRef, Stores, TargetRef
from apps.deployments.models import Deployment
from apps.environments.enums import Answer
from apps.environments.models import ArtifactAnswer, Lane
from apps.integrations.artifact_store import ArtifactStore
from apps.releases.enums import ArtifactKind
from apps.workspaces.scope import workspace_scope
from tests import charts, registry
from tests.deployments.conftest import Stage
from tests.deployments.file_target import FileTarget
from tests.drill import get, text_of
from tests.processes import eventually
from tests.world import make_lane, make_service, sealed_release

LATER = timedelta(hours=5)


class OfCluster(FileTarget):
    """A target that takes the chart from the store, and images from where the manifest says."""

    can = replace(FileTarget.can, keep_warm=False, stores=Stores.CHART)

    def readiness(self, target: TargetRef, release: ReleaseRef, configuration: ConfigurationRef) -> Readiness:
        return replace(super().readiness(target, release, configuration), warm=False)


def cluster() -> OfCluster:
    return OfCluster()


@dataclass
class Shop:
    """A lane in a cluster, whose images are in a registry."""

    stage: Stage
    lane: Lane

    def deploy(self, version: str, **image: str) -> None:
        archive, by, now = charts.archive(version), self.stage.world.cast.release_engineer, timezone.now()
        manifest = charts.manifest_of(version, archive) | ({"images": [image]} if image else {})
        ArtifactStore(django_settings.ARTIFACT_DIR).put([archive], sha256=manifest["chart"]["sha256"])
        with self.stage.everything():
            release = sealed_release(self.lane.service, version, by=by, manifest=manifest)
            asked = approval_actions.request_promotion(release, lane=self.lane, by=by, now=now, starts_by_itself=False)
            deployment = actions.start_deployment(asked, by=by, now=now)
        _bring(self.stage, deployment)

    def ask(self) -> int:
        """Ask although it is not due yet."""
        with self.stage.everything():
            ArtifactAnswer.objects.update(due_at=timezone.now() - timedelta(seconds=1))
        return answers.ask_for(self.lane.workspace_id, self.lane.pk)

    def take(self) -> list[answers.Question]:
        with self.stage.everything():
            return answers.take(self.lane.pk)

    def rows(self) -> dict[str, ArtifactAnswer]:
        with self.stage.everything():
            return {row.release.version: row for row in ArtifactAnswer.objects.select_related("release")}

    def heard(self) -> list[str]:
        with self.stage.everything():
            return list(AuditEvent.objects.filter(kind="artifact.answered").values_list("summary", flat=True))


@pytest.fixture
def shop(stage: Stage, settings) -> Shop:
    settings.EXECUTORS = settings.EXECUTORS | {"helm": "tests.deployments.test_artifact_answers.cluster"}
    settings.OUTBOUND_INTERNAL = {"platform": "127.0.0.0/8"}
    with stage.everything():
        service = make_service(
            stage.world.cast.platform, "orders", program=charts.NAME, artifact_kind=ArtifactKind.CHART
        )
        lane = make_lane(stage.world.dev, service)
        Lane.objects.filter(pk=lane.pk).update(executor="helm", address={"cluster": "one", "namespace": "orders"})
        return Shop(stage, Lane.objects.with_cell().get(pk=lane.pk))


def test_what_is_gone_from_its_registry_is_seen_and_not_offered(shop: Shop, tmp_path: Path) -> None:
    def target() -> object:
        with shop.stage.everything():
            return actions.rollback_target(shop.lane)

    with registry.started(tmp_path) as real:
        name, digests = f"{real.host}/shop/orders", [real.push("shop/orders", f"{n}", f"word {n}") for n in range(3)]
        for n, digest in enumerate(digests):
            shop.deploy(f"1.{n}.0", name=name, digest=digest, tag=f"{n}")
            # What has just come to run is asked for at once, and what was asked for is not asked for again.
            assert answers.due(10) == [(shop.lane.workspace_id, shop.lane.pk)]
            assert answers.ask_for(shop.lane.workspace_id, shop.lane.pk) == 1
            assert answers.due(10) == []
        assert shop.ask() == 3
        # A tag that points elsewhere by now changes nothing for who goes back by digest.
        real.push("shop/orders", "0", "another word")
        assert {row.answer for row in shop.rows().values()} == {Answer.HELD}
        assert target().release.version == "1.1.0"  # type: ignore[attr-defined]

        real.delete("shop/orders", digests[1])
        shop.ask()
        lost = shop.rows()["1.1.0"]
        assert [row.answer for _, row in sorted(shop.rows().items())] == [Answer.HELD, Answer.MISSING, Answer.HELD]
        assert target().release.version == "1.0.0"  # type: ignore[attr-defined]
    shop.ask()

    # Nobody answers any more: nothing is "gone" by that, and what was said stands, with its time.
    kept = shop.rows()
    assert [row.answer for _, row in sorted(kept.items())] == [Answer.HELD, Answer.MISSING, Answer.HELD]
    assert (kept["1.1.0"].answered_at, kept["1.1.0"].detail) == (lost.answered_at, lost.detail)
    assert "does not answer" in kept["1.0.0"].trouble
    assert kept["1.0.0"].asked_at > kept["1.0.0"].answered_at
    told = shop.heard()
    assert len(told) == 1, "none of a first answer that is well, none where nobody answered"
    assert told[0].startswith("Orders in Dev: 1.1.0 is not there. ")
    with shop.stage.everything():
        ArtifactAnswer.objects.filter(release__version="1.0.0").update(answered_at=timezone.now() - LATER)
    page = text_of(get(shop.stage.world.cast.devops, f"/deployments/{_last(shop)}/rollback/"))
    assert "Not there</span>" in page
    assert "which is too long ago to rely on" in page
    assert "does not answer" in page


def test_what_names_no_image_and_an_executor_that_is_off_are_not_known(shop: Shop, settings) -> None:
    shop.deploy("1.0.0")
    shop.ask()
    assert shop.rows()["1.0.0"].answer == Answer.UNKNOWN
    assert "names nothing that a registry could be asked for" in shop.rows()["1.0.0"].detail

    settings.EXECUTORS = {name: path for name, path in settings.EXECUTORS.items() if name != "helm"}
    shop.ask()

    assert "is switched off here" in shop.rows()["1.0.0"].trouble


def test_the_store_says_it_for_a_lane_on_this_machine(shop: Shop) -> None:
    stage = shop.stage
    _bring(stage, stage.start())
    for n in range(1, 6):
        _bring(stage, stage.start(stage.release(f"1.{n}.0")))
    here = Shop(stage, stage.lane())

    assert here.ask() == 6
    stage.judge.behave(v1_3_0={"artifact": "gone"})
    here.ask()

    assert {version: row.answer for version, row in here.rows().items()} == {
        f"1.{n}.0": Answer.MISSING if n == 3 else Answer.HELD for n in range(6)
    }
    # Said of a moment that is over when it is read.
    assert here.rows()["1.4.0"].detail == "It was still running beside what serves."
    assert here.rows()["1.5.0"].detail == "1.5.0 is ready."
    # What is gone back to no more is forgotten.
    _bring(stage, stage.start(stage.release("1.6.0")))
    assert answers.due(10) == [], "its gates look into the store: a deployment alone makes no work"
    here.ask()
    assert set(here.rows()) == {f"1.{n}.0" for n in range(1, 7)}


def test_race_two_workers_never_ask_for_the_same(shop: Shop) -> None:
    shop.deploy("1.0.0")
    shop.deploy("1.1.0")
    barrier = threading.Barrier(2)

    def work(_: int) -> list[answers.Question]:
        barrier.wait()
        try:
            return shop.take()
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        taken = list(threads.map(work, range(2)))

    assert sorted(map(len, taken)) in ([0, 2], [1, 1])
    assert len({question.row for found in taken for question in found}) == 2


def test_who_comes_back_late_writes_nothing(shop: Shop) -> None:
    shop.deploy("1.0.0")
    [slow] = shop.take()
    with shop.stage.everything():
        ArtifactAnswer.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    [quick] = shop.take()

    def keep(question: answers.Question, said: Said) -> bool:
        with shop.stage.everything():
            return answers.keep(question, said)

    assert keep(quick, Said(Answer.HELD, "It is there."))
    assert not keep(slow, Said(Answer.MISSING, "It was not there."))
    assert not keep(quick, Said(Answer.MISSING, "Said twice."))

    assert shop.rows()["1.0.0"].answer == Answer.HELD
    assert shop.heard() == [], "late words are not told either"


def test_an_answer_is_of_its_lanes_workspace_alone(shop: Shop) -> None:
    shop.deploy("1.0.0")
    shop.ask()
    customer, row = shop.stage.world.cast.customer, shop.rows()["1.0.0"]

    with workspace_scope([customer.pk]):
        assert not ArtifactAnswer.objects.exists()
        assert not ArtifactAnswer.objects.update(trouble="none of theirs")
    row.pk, row.workspace_id = None, customer.pk
    with shop.stage.everything():
        ArtifactAnswer.objects.all().delete()
    with pytest.raises(IntegrityError, match="same_workspace"), shop.stage.everything():
        row.save(force_insert=True)


def test_more_releases_take_no_more_queries(shop: Shop) -> None:
    def queries(work: Callable[[], object]) -> int:
        with CaptureQueriesContext(connection) as seen:
            work()
        return len(seen)

    def page() -> object:
        return get(shop.stage.world.cast.devops, f"/deployments/{_last(shop)}/rollback/")

    shop.deploy("1.0.0")
    shop.deploy("1.1.0")
    few = queries(shop.take), (shop.ask(), queries(page))[1]
    for n in range(2, 4):
        shop.deploy(f"1.{n}.0")

    assert (queries(shop.take), (shop.ask(), queries(page))[1]) == few


def _bring(stage: Stage, deployment: Deployment) -> None:
    """Run an attempt to its good end; a machine that stands still may take it from its worker meanwhile."""

    def ended_well() -> bool:
        stage.let_probe(deployment)
        return bool(stage.fresh(deployment).state == DeploymentState.SUCCEEDED)

    eventually(ended_well)


def _last(shop: Shop) -> int:
    with shop.stage.everything():
        return shop.lane.deployments.order_by("-number").values_list("number", flat=True)[0]
