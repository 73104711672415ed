from pathlib import Path

import pytest
from django.urls import reverse

from apps.environments import actions, addresses
from apps.environments.models import Lane, Resource
from apps.releases.enums import ArtifactKind
from tests.cast import NOW
from tests.drill import signed_in, text_of
from tests.world import World, last_event, make_service

PLACE = {"cluster": "staging", "namespace": "orders"}


@pytest.fixture(autouse=True)
def clusters(settings) -> None:
    settings.KUBECONFIGS = {"staging": Path("/etc/eaip/staging.yaml")}


@pytest.fixture
def chart(world: World):
    return make_service(world.cast.platform, "orders", artifact_kind=ArtifactKind.CHART)


@pytest.mark.parametrize(
    ("address", "wrong"),
    [
        ({}, "No cluster ''"),
        ({"cluster": "moon", "namespace": "orders"}, "Known: staging"),
        ({"cluster": "staging", "namespace": ""}, "at most 63"),
        ({"cluster": "staging", "namespace": "Orders"}, "at most 63"),
        ({"cluster": "staging", "namespace": "-orders"}, "at most 63"),
        ({"cluster": "staging", "namespace": "o" * 64}, "at most 63"),
        ({"cluster": "staging", "namespace": "a/../b"}, "at most 63"),
        ({"cluster": "staging", "namespace": "kube-system"}, "belong to the cluster"),
    ],
)
def test_an_address_that_helm_could_not_find_is_refused(address: dict[str, str], wrong: str) -> None:
    with pytest.raises(addresses.AddressInvalid, match=wrong):
        addresses.kubernetes(address, clusters={"staging"})


def test_a_lane_on_kubernetes_has_its_namespace_and_no_port(world: World, chart) -> None:
    lane = actions.create_lane(
        world.dev, service=chart, executor="helm", address=PLACE | {"token": "x"}, by=world.cast.devops, now=NOW
    )

    lane.refresh_from_db()
    assert (lane.executor, lane.port, lane.address) == ("helm", None, PLACE)
    assert Resource.objects.get(environment=world.dev, kind="NAMESPACE").uri == "kubernetes://staging/orders"
    assert last_event("lane.created").change["address"]["after"] == PLACE


def test_lanes_of_one_environment_share_a_namespace_those_of_two_never(world: World, chart) -> None:
    second = make_service(world.cast.platform, "invoices", artifact_kind=ArtifactKind.CHART)
    values = {"executor": "helm", "address": PLACE, "by": world.cast.devops, "now": NOW}
    first = actions.create_lane(world.dev, service=chart, **values)

    assert actions.create_lane(world.dev, service=second, **values).target_key != first.target_key
    with pytest.raises(actions.ResourceTaken):
        actions.create_lane(world.qa, service=chart, **values)

    assert not Lane.objects.filter(environment=world.qa, service=chart).exists()


def test_an_executor_that_is_not_configured_is_refused(world: World, chart, settings) -> None:
    settings.EXECUTORS = {"local": settings.EXECUTORS["local"]}

    with pytest.raises(actions.LaneInvalid, match="no executor 'helm'"):
        actions.create_lane(world.dev, service=chart, executor="helm", address=PLACE, by=world.cast.devops, now=NOW)


def test_the_form_prepares_it_and_the_page_shows_where_it_is(world: World, chart) -> None:
    client = signed_in(world.cast.devops)
    place = [world.dev.workspace.slug, world.dev.slug]
    data = {"lane-service": chart.pk, "lane-cluster": "staging", "lane-namespace": "orders"}

    answer = client.post(reverse("environments:lane-create", args=place), data, follow=True)

    assert answer.status_code == 200
    assert "staging/orders" in text_of(answer)
    assert Lane.objects.get(service=chart).address == PLACE


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"lane-namespace": "Not One"}, "at most 63"),
        ({"lane-port": "45678"}, "Only a lane of this machine has a port"),
        ({"lane-cluster": ""}, "needs a cluster"),
        ({"lane-cluster": "moon"}, "moon"),
    ],
)
def test_the_form_says_what_is_wrong_and_keeps_everything_as_it_was(
    world: World, chart, change: dict[str, str], wrong: str
) -> None:
    data = {"lane-service": chart.pk, "lane-cluster": "staging", "lane-namespace": "orders"} | change
    place = [world.dev.workspace.slug, world.dev.slug]

    answer = signed_in(world.cast.devops).post(reverse("environments:lane-create", args=place), data)

    assert answer.status_code == 422
    assert wrong in text_of(answer)
    assert not Lane.objects.filter(service=chart).exists()


def test_without_a_cluster_in_the_settings_nothing_of_kubernetes_is_asked(world: World, settings) -> None:
    settings.KUBECONFIGS = {}

    page = signed_in(world.cast.devops).get(f"/environments/{world.dev.workspace.slug}/{world.dev.slug}/")

    assert "lane-service" in text_of(page)
    assert "lane-namespace" not in text_of(page)
