from pathlib import Path

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse

from apps.environments import actions, addresses
from apps.environments.models import Lane, Resource
from tests.cast import NOW
from tests.drill import signed_in, text_of
from tests.world import World, last_event, make_service

PLACES = {
    "argocd": ("shop.orders", {"application": "shop.orders"}),
    "github": ("acme/orders/deploy.yml", {"repository": "acme/orders", "workflow": "deploy.yml"}),
    "gitlab": ("acme/shop/orders", {"project": "acme/shop/orders"}),
    "flux": ("shop/HelmRelease/orders", {"namespace": "shop", "kind": "HelmRelease", "name": "orders"}),
    "tekton": ("shop/deploy", {"namespace": "shop", "pipeline": "deploy"}),
}


@pytest.fixture(autouse=True)
def services(settings) -> None:
    settings.CONNECTIONS = {kind: {"main": Path(f"/etc/eaip/{kind}.json")} for kind in addresses.REMOTE}


@pytest.fixture
def orders(world: World):
    return make_service(world.cast.platform, "orders")


@pytest.mark.parametrize("kind", PLACES)
def test_a_place_is_read_as_it_is_shown(kind: str) -> None:
    text, fields = PLACES[kind]

    assert addresses.parsed(kind, text) == fields
    assert addresses.shown(kind, {"server": "main"} | fields) == f"main/{text}"
    assert (
        addresses.remote(kind, {"server": "main", "token": "x"} | fields, servers={"main"})
        == {"server": "main"} | fields
    )


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        ("argocd", ""),
        ("argocd", "../settings"),
        ("argocd", "Orders"),
        ("github", "acme/orders"),
        ("github", "acme/orders/../deploy.yml"),
        ("github", "acme/orders/deploy.sh"),
        ("github", "acme/.../deploy.yml"),
        ("gitlab", "orders"),
        ("gitlab", "acme/../orders"),
        ("flux", "shop/Secret/orders"),
        ("flux", "shop/HelmRelease/"),
        ("tekton", "shop"),
        ("tekton", "shop/deploy?x=1"),
    ],
)
def test_a_place_that_could_mean_another_is_refused(kind: str, place: str) -> None:
    with pytest.raises(addresses.AddressInvalid, match="is written"):
        addresses.parsed(kind, place)


@pytest.mark.parametrize(
    ("kind", "more", "wrong"),
    [
        ("argocd", {"server": "moon"}, "Known: main"),
        ("argocd", {"revision": "main"}, "{version} in it"),
        ("argocd", {"revision": "v{version} x"}, "{version} in it"),
        ("tekton", {"revision": "v{version}"}, "{version} in it"),
        ("github", {"parameter": "image.tag"}, "only for Argo CD"),
        ("argocd", {"parameter": "image tag"}, "only for Argo CD"),
    ],
)
def test_an_address_is_refused_with_the_reason(kind: str, more: dict[str, str], wrong: str) -> None:
    address = {"server": "main"} | PLACES[kind][1] | more

    with pytest.raises(addresses.AddressInvalid, match=wrong):
        addresses.remote(kind, address, servers={"main"})


def test_a_lane_elsewhere_has_what_it_names_to_itself(world: World, orders) -> None:
    second = make_service(world.cast.platform, "invoices")
    address = {"server": "main", "application": "orders"}
    values = {"executor": "argocd", "address": address, "by": world.cast.devops, "now": NOW}

    lane = actions.create_lane(world.dev, service=orders, **values)

    lane.refresh_from_db()
    assert (lane.port, lane.address, lane.place, lane.place_word) == (None, address, "main/orders", "Argo CD")
    assert Resource.objects.get(environment=world.dev, uri="argocd://main/orders").released_at is None
    assert last_event("lane.created").change["address"]["after"] == address
    for environment in (world.dev, world.qa):
        with pytest.raises(actions.ResourceTaken), transaction.atomic():
            actions.create_lane(environment, service=second, **values)

    actions.remove_lane(lane, by=world.cast.devops, now=NOW)

    assert actions.create_lane(world.qa, service=second, **values).place == "main/orders"


def test_a_workflow_may_serve_many_lanes(world: World, orders) -> None:
    second = make_service(world.cast.platform, "invoices")
    address = {"server": "main", "repository": "acme/shop", "workflow": "deploy.yml"}
    values = {"executor": "github", "address": address, "by": world.cast.devops, "now": NOW}

    lanes = [actions.create_lane(world.dev, service=service, **values) for service in (orders, second)]

    assert {lane.place for lane in lanes} == {"main/acme/shop/deploy.yml"}


def test_the_database_takes_no_lane_elsewhere_without_a_server(world: World, orders) -> None:
    address = {"server": "main", "application": "orders"}
    lane = actions.create_lane(
        world.dev, service=orders, executor="argocd", address=address, by=world.cast.devops, now=NOW
    )

    with pytest.raises(IntegrityError, match="lane_remote_has_server"), transaction.atomic():
        Lane.objects.filter(pk=lane.pk).update(address={"application": "orders"})


@pytest.mark.parametrize(
    ("revision", "more"),
    [("", {}), ("v{version}", {"revision": "v{version}"}), ("image.tag=", {"parameter": "image.tag"})],
)
def test_the_form_prepares_it_and_the_page_shows_where_it_is(
    world: World, orders, revision: str, more: dict[str, str]
) -> None:
    client = signed_in(world.cast.devops)
    place = [world.dev.workspace.slug, world.dev.slug]
    data = {"lane-service": orders.pk, "lane-service_there": "argocd/main", "lane-place": "orders"}

    answer = client.post(
        reverse("environments:lane-create", args=place), data | {"lane-revision": revision}, follow=True
    )

    assert answer.status_code == 200
    assert "main/orders" in text_of(answer)
    lane = Lane.objects.get(service=orders)
    assert (lane.executor, lane.address) == ("argocd", {"server": "main", "application": "orders"} | more)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"lane-place": "Not One"}, "is written application"),
        ({"lane-revision": "main"}, "in it, as in v{version}"),
        ({"lane-port": "45678"}, "leave port, cluster and namespace empty"),
        ({"lane-service_there": ""}, "Choose the service"),
        ({"lane-service_there": "argocd/moon"}, "argocd/moon"),
    ],
)
def test_the_form_says_what_is_wrong_and_keeps_everything_as_it_was(
    world: World, orders, change: dict[str, str], wrong: str
) -> None:
    data = {"lane-service": orders.pk, "lane-service_there": "argocd/main", "lane-place": "orders"} | change
    place = [world.dev.workspace.slug, world.dev.slug]

    answer = signed_in(world.cast.devops).post(reverse("environments:lane-create", args=place), data)

    assert answer.status_code == 422
    assert wrong in text_of(answer)
    assert not Lane.objects.filter(service=orders).exists()


def test_without_a_service_in_the_settings_nothing_of_it_is_asked(world: World, settings) -> None:
    settings.CONNECTIONS = {kind: {} for kind in addresses.REMOTE}

    page = signed_in(world.cast.devops).get(f"/environments/{world.dev.workspace.slug}/{world.dev.slug}/")

    assert "lane-service" in text_of(page)
    assert "lane-place" not in text_of(page)
