"""POST /api/v1/admission/<cluster>: a cluster runs in a claimed namespace what is approved for its environment."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.test import Client
from django.utils import timezone

from apps.api.admissions import read_review
from apps.api.problems import FieldInvalid
from apps.approvals import actions as approval_actions
from apps.approvals.enums import PromotionState
from apps.audit.actors import SYSTEM
from apps.audit.models import AuditEvent
from apps.deployments.admission import Approved, verdict_on
from apps.environments import actions as environment_actions
from apps.environments.models import AdmissionDenial, Lane
from apps.integrations.artifact_store import ArtifactStore
from apps.releases import actions as release_actions
from apps.releases.enums import ArtifactKind
from apps.releases.models import Release, Service
from apps.workspaces import actions as workspace_actions
from apps.workspaces.scope import workspace_scope
from tests import charts
from tests.api.admission_reviews import body, container, pod, pod_spec, review, workload
from tests.approvals.promotions import approve_all, move
from tests.cast import NOW
from tests.monitoring import make_token
from tests.world import World, last_event, make_lane, make_service, sealed_release

IMAGE = "registry.example.com/shop/orders"
ONE, TWO, THREE, FOUR, FOREIGN = (f"{IMAGE}@sha256:{digit * 64}" for digit in "1234f")


@dataclass(frozen=True)
class Cluster:
    world: World
    service: Service
    lane: Lane
    token: str

    def release(self, version: str, image: str) -> Release:
        name, digest = image.split("@")
        archive = charts.archive(version)
        manifest = charts.manifest_of(version, archive) | {"images": [{"name": name, "digest": digest}]}
        ArtifactStore(django_settings.ARTIFACT_DIR).put([archive], sha256=manifest["chart"]["sha256"])
        return sealed_release(self.service, version, by=self.world.cast.release_engineer, manifest=manifest)

    def ask(self, document: dict[str, Any] | bytes, *, token: str | None = None, cluster: str = "staging") -> Any:
        sent = document if isinstance(document, bytes) else body(document)
        headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
        address = f"/api/v1/admission/{cluster}?timeout=2s"
        return Client().post(address, sent, content_type="application/json", headers=headers)

    def says(self, document: dict[str, Any], **more: Any) -> str:
        """Return why it is denied; nothing when it is allowed."""
        answer = self.ask(document, **more)
        assert answer.status_code == 200, answer.content
        told = answer.json()
        assert (told["kind"], told["apiVersion"]) == ("AdmissionReview", "admission.k8s.io/v1")
        assert told["response"]["uid"] == document["request"]["uid"]
        assert told["response"]["allowed"] is ("status" not in told["response"])
        return str(told["response"].get("status", {}).get("message", ""))


@pytest.fixture
def cluster(world: World) -> Cluster:
    """Dev runs 2.0.0 and would go back to 1.0.0; 3.0.0 is approved; 4.0.0 nobody asked for."""
    with world.everything():
        service = make_service(world.cast.platform, "orders", program=charts.NAME, artifact_kind=ArtifactKind.CHART)
        lane = make_lane(world.dev, service)
        environment_actions.claim_resource(
            world.dev, kind="NAMESPACE", uri="kubernetes://staging/orders", by=SYSTEM, now=NOW
        )
        made = Cluster(world, service, lane, make_token(world.cast, scope="admission:review"))
        one, two, three, _ = [made.release(f"{n}.0.0", image) for n, image in enumerate((ONE, TWO, THREE, FOUR), 1)]
        move(lane, one)
        move(lane, two)
        asked = approval_actions.request_promotion(
            three, lane=lane, by=world.cast.release_engineer, now=NOW, starts_by_itself=False
        )
        assert approve_all(asked, world).state == PromotionState.READY
    return made


def denials(world: World) -> int:
    with world.everything():
        return AuditEvent.objects.filter(kind="admission.denied").count()


@pytest.mark.parametrize("image", [ONE, TWO, THREE, THREE.replace("@", ":3@"), TWO.replace("registry", "mirror")])
def test_what_runs_may_be_deployed_or_can_come_back_is_admitted(cluster: Cluster, image: str) -> None:
    assert cluster.says(review(pod(pod_spec(image)))) == ""
    assert denials(cluster.world) == 0


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (FOUR, f"{FOUR} is not approved for Dev. Approved there: Orders 1.0.0, Orders 2.0.0, Orders 3.0.0."),
        (FOREIGN, "is not approved for Dev"),
        (f"{IMAGE}:2.0.0", "is not named by its digest"),
        (IMAGE, "is not named by its digest"),
        (f"{IMAGE}@sha256:{'2' * 63}", "is not named by its digest"),
        ("", "An image without a name is not named by its digest"),
    ],
)
def test_everything_else_is_denied_with_the_reason(cluster: Cluster, image: str, why: str) -> None:
    assert why in cluster.says(review(workload("Deployment", pod_spec(TWO, image))))

    with cluster.world.everything():
        event = last_event("admission.denied")
        assert (event.outcome, event.actor_type, event.environment_id) == ("REFUSED", "TOKEN", cluster.world.dev.pk)
        assert event.summary == "Kept Deployment orders out of staging/orders"
        assert why in event.reason
        assert event.target["asked_by"] == "deployer@example.com"


PLACES = {
    "first": {"initContainers": [container(FOREIGN, "first")]},
    "ephemeral": {"ephemeralContainers": [container(FOREIGN, "debugger")]},
    "volume": {"volumes": [{"name": "model", "image": {"reference": FOREIGN, "pullPolicy": "Always"}}]},
}


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Pod"])
def test_every_place_of_an_image_is_read_in_every_workload(kind: str) -> None:
    for more in ({}, *PLACES.values()):
        spec = pod_spec(TWO, **more)
        made = pod(spec) if kind == "Pod" else workload(kind, spec)

        _, read = read_review(review(made), "staging")

        assert sorted(read.images) == sorted({TWO, *([FOREIGN] if more else [])})


def test_only_what_is_new_is_judged_and_what_goes_is_let_go() -> None:
    old, new = workload("Deployment", pod_spec(FOREIGN)), workload("Deployment", pod_spec(FOREIGN, TWO))
    debugged = pod(pod_spec(TWO, **PLACES["ephemeral"])) | {"kind": "Pod"}

    def images(*args: Any, **more: Any) -> list[str]:
        return list(read_review(review(*args, **more), "staging")[1].images)

    assert images(new, operation="UPDATE", oldObject=old) == [TWO]
    assert images(old, operation="UPDATE", oldObject=old) == []
    assert images(None, operation="DELETE", oldObject=old) == []
    assert images(debugged, operation="UPDATE", oldObject=pod(pod_spec(TWO)), subResource="ephemeralcontainers") == [
        FOREIGN
    ]
    assert images(debugged, operation="UPDATE", oldObject=pod(pod_spec(TWO)), subResource="status") == []
    assert images({"kind": "Scale", "metadata": {}}, operation="UPDATE", oldObject=None, subResource="scale") == []


def test_a_dry_run_is_judged_and_leaves_no_trace(cluster: Cluster) -> None:
    assert cluster.says(review(pod(pod_spec(FOREIGN)), dryRun=True))

    assert denials(cluster.world) == 0
    with cluster.world.everything():
        assert not AdmissionDenial.objects.exists()


def test_a_controller_that_tries_again_is_told_of_once_an_hour(cluster: Cluster) -> None:
    for image in (FOREIGN, FOREIGN, FOREIGN, FOUR):
        assert cluster.says(review(pod(pod_spec(image))))
    assert denials(cluster.world) == 2

    with cluster.world.everything():
        assert last_event("admission.denied").target["object"] == "ReplicaSet orders-7d4b9c6b5f"
        AdmissionDenial.objects.update(told_at=timezone.now() - timedelta(hours=1))
    assert cluster.says(review(pod(pod_spec(FOREIGN))))
    assert denials(cluster.world) == 3
    with cluster.world.everything():
        assert (environment_actions.prune_denials(), AdmissionDenial.objects.count()) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_of_reviews_at_once_one_is_told(world: World) -> None:
    def tell(number: int) -> bool:
        try:
            with workspace_scope([world.cast.platform.pk]):
                return environment_actions.tell_denial(
                    world.dev, workspace_id=world.cast.platform.pk, cluster="staging", namespace="orders",
                    subject="Pod x", images=[FOREIGN], asked_by="deployer", reason="Not approved", by=SYSTEM,
                    now=NOW + timedelta(hours=number // 4),
                )  # fmt: skip
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(tell, range(4))) == [False, False, False, True]
        assert sorted(threads.map(tell, range(4, 8))) == [False, False, False, True]


def test_a_namespace_that_nobody_claims_follows_the_setting(cluster: Cluster, settings: Any) -> None:
    foreign = review(pod(pod_spec(FOREIGN)))

    assert cluster.says(foreign, cluster="production") == ""
    assert cluster.says(review(pod(pod_spec(FOREIGN)), namespace="default")) == ""
    settings.ADMISSION_UNCLAIMED = "deny"
    assert "No environment of this workspace claims the namespace" in cluster.says(foreign, cluster="production")


def test_what_is_quarantined_goes_on_where_it_runs_and_never_comes_back(cluster: Cluster) -> None:
    with cluster.world.everything():
        for version in ("1.0.0", "2.0.0"):
            release = Release.objects.get(service=cluster.service, version=version)
            release_actions.quarantine_release(release, reason="It hurts", by=cluster.world.cast.devops, now=NOW)

    assert "is not approved for Dev" in cluster.says(review(pod(pod_spec(ONE))))
    assert cluster.says(review(pod(pod_spec(TWO)))) == ""


def test_releases_that_name_no_image_are_said_to() -> None:
    nameless, nothing = Approved(set(), [], ["Orders 1.0.0"]), Approved(set(), [], [])

    assert "the manifest of no such release names its images" in verdict_on([ONE], "Dev", nameless).sentence
    assert "promote a release to it in the portal first" in verdict_on([ONE], "Dev", nothing).sentence


def test_many_images_are_judged_by_as_few_queries_as_one_and_nothing_is_locked(
    cluster: Cluster, django_assert_max_num_queries
) -> None:
    for images in ((TWO,), tuple(f"{IMAGE}-{n}:{n}@sha256:{'2' * 64}" for n in range(50))):
        with django_assert_max_num_queries(16) as asked:
            assert cluster.says(review(pod(pod_spec(*images)))) == ""
        assert not [query for query in asked if "FOR UPDATE" in query["sql"] or "INSERT" in query["sql"]]


def test_a_token_of_another_workspace_knows_nothing_of_the_namespace(cluster: Cluster, settings: Any) -> None:
    cast, settings.ADMISSION_UNCLAIMED = cluster.world.cast, "deny"
    with cluster.world.everything():
        _, theirs = workspace_actions.create_token(
            cast.elsewhere, name="Theirs", scopes=["admission:review"], days=1, by=cast.outsider, now=timezone.now()
        )

    said = cluster.says(review(pod(pod_spec(TWO))), token=theirs)

    assert said == "No environment of this workspace claims the namespace. Claim it on its page."


@pytest.mark.parametrize(
    ("document", "status", "code"),
    [
        (b"{", 400, "body_unreadable"),
        (b"[]", 400, "body_unreadable"),
        (b"{}", 422, "field_invalid"),
        (b" " * 4_000_001, 413, "body_too_large"),
        (review(pod(pod_spec(TWO))) | {"apiVersion": "admission.k8s.io/v1beta1"}, 422, "field_invalid"),
    ],
)
def test_what_is_no_review_is_refused(cluster: Cluster, document: Any, status: int, code: str) -> None:
    answer = cluster.ask(document)

    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"uid": ""}, "a uid"),
        ({"uid": 7}, "uid must be text"),
        ({"operation": "PATCH"}, "CREATE, UPDATE"),
        ({"kind": "Pod"}, "kind must be an object"),
        ({"object": None}, "object is missing"),
        ({"object": {"spec": {"containers": {"a": 1}}}}, "containers must be a list"),
        ({"object": {"spec": {"containers": ["a"]}}}, "containers must hold objects"),
        ({"object": {"spec": {"containers": [{"image": 1}]}}}, "image must be text"),
        ({"object": {"spec": "x"}}, "spec must hold objects"),
        ({"namespace": ""}, "names no namespace"),
        ({"namespace": "../orders"}, "names no namespace"),
        ({"dryRun": "yes"}, "dryRun must be true or false"),
    ],
)
def test_what_an_api_server_would_not_send_is_refused(change: dict[str, Any], why: str) -> None:
    with pytest.raises(FieldInvalid, match=why):
        read_review(review(pod(pod_spec(TWO)), **change), "staging")


def test_an_address_without_a_cluster_is_refused() -> None:
    with pytest.raises(FieldInvalid, match="names no cluster"):
        read_review(review(pod(pod_spec(TWO))), "a b")


def test_it_wants_a_token_of_its_own_scope(cluster: Cluster) -> None:
    document = review(pod(pod_spec(TWO)))
    with cluster.world.everything():
        other = make_token(cluster.world.cast, scope="alerts:write")

    assert cluster.ask(document, token="eaip_wrong").status_code == 401
    refused = cluster.ask(document, token=other)
    assert (refused.status_code, "admission:review" in refused.json()["detail"]) == (403, True)
    assert Client().get("/api/v1/admission/staging").status_code == 405
