"""The pages of environments and services: the same drill for every address."""

import pytest
from django.test import Client

from apps.environments.models import Environment, Freeze, Lane, Resource
from tests.world import World

PLACE = "/environments/{workspace}/{slug}/"
POSTS = {
    "freezes/": {"freeze-reason": "Stock taking"},
    "resources/": {"resource-kind": "DATA_STORE", "resource-uri": "postgresql://db.qa.internal/orders"},
    "windows/": {
        "window-kind": "ALLOW", "window-weekdays": ["2", "3"], "window-starts_at": "10:00", "window-ends_at": "15:00",
        "window-zone": "America/Los_Angeles", "window-label": "Preferred",
    },
}  # fmt: skip


def _at(environment: Environment) -> str:
    return PLACE.format(workspace=environment.workspace.slug, slug=environment.slug)


def _addresses(world: World) -> list[str]:
    configuration = f"/environments/lanes/{world.lane(world.qa).pk}/configuration/"
    return [_at(world.qa), configuration, f"{configuration}?before=0&after=1", f"/services/{world.service.slug}/"]


def test_pages_work_for_members_and_are_404_for_strangers(client: Client, world: World) -> None:
    for person, status in ((world.cast.auditor, 200), (world.cast.outsider, 404)):
        client.force_login(person)
        for address in _addresses(world):
            published = address == f"/services/{world.service.slug}/"
            with world.everything():
                assert client.get(address).status_code == (200 if published else status), address
    for address in ("/environments/", "/services/"):
        assert client.get(address).status_code == 200


def test_a_customer_reads_a_published_service_whose_workspace_they_do_not_see(client: Client, world: World) -> None:
    client.force_login(world.cast.customer_operator)

    response = client.get(f"/services/{world.service.slug}/")

    assert response.status_code == 200
    assert "<dt>Workspace</dt>" not in response.content.decode()


@pytest.mark.parametrize("ends_at", ["9999-12-31T23:59", "0001-01-01T00:00", "3000-01-01T00:00"])
def test_a_freeze_can_not_end_where_no_page_could_show_it(client: Client, world: World, ends_at: str) -> None:
    client.force_login(world.cast.devops)

    response = client.post(_at(world.qa) + "freezes/", {"freeze-reason": "For ever", "freeze-ends_at": ends_at})

    assert response.status_code == 422
    assert "Give a day between 1970 and 2999." in response.content.decode()
    with world.everything():
        assert not Freeze.objects.exists()


@pytest.mark.parametrize("path", list(POSTS))
def test_posts_work_for_their_role_only(client: Client, world: World, path: str) -> None:
    address = _at(world.qa) + path
    client.force_login(world.cast.outsider)
    assert client.post(address, POSTS[path]).status_code == 404
    client.force_login(world.cast.auditor)
    assert client.post(address, POSTS[path]).status_code == 403
    assert client.get(address).status_code == 405
    client.force_login(world.cast.devops)
    assert client.post(address, {}).status_code == 422
    assert client.post(address, POSTS[path]).headers["Location"] == _at(world.qa)


def test_a_freeze_is_set_and_lifted_in_the_browser(client: Client, world: World) -> None:
    client.force_login(world.cast.devops)
    client.post(_at(world.qa) + "freezes/", POSTS["freezes/"])
    with world.everything():
        freeze = Freeze.objects.get(environment=world.qa)

    assert "Stock taking" in client.get(_at(world.qa)).content.decode()
    assert client.post(f"/environments/freezes/{freeze.pk}/lift/").status_code == 302
    assert client.post(f"/environments/freezes/{freeze.pk}/lift/").status_code == 409


def test_a_resource_of_another_environment_is_refused_with_its_owners_name(client: Client, world: World) -> None:
    client.force_login(world.cast.devops)
    client.post(_at(world.qa) + "resources/", POSTS["resources/"])

    refused = client.post(_at(world.staging) + "resources/", POSTS["resources/"])

    assert refused.status_code == 409
    assert "QA" in refused.content.decode()
    with world.everything():
        assert Resource.objects.filter(normalised__contains="orders").count() == 1


def test_a_configuration_version_is_written_and_compared(client: Client, world: World) -> None:
    client.force_login(world.cast.devops)
    address = f"/environments/lanes/{world.lane(world.qa).pk}/configuration/"

    assert client.post(f"{address}new/", {"values": "not a setting", "reason": "More"}).status_code == 422
    assert client.post(f"{address}new/", {"values": "GREETING=Hi\nAPI_KEY=hush", "reason": "More"}).status_code == 302
    page = client.get(address).content.decode()

    assert "<ins>Hi</ins>" in page
    assert "1 of 2" not in page


def test_a_local_environment_comes_and_goes(client: Client, world: World) -> None:
    client.force_login(world.cast.release_engineer)
    values = {"workspace": world.cast.platform.pk, "name": "My own", "tier": "LOCAL", "purpose": "Trying out",
              "data_class": "SYNTHETIC", "url_pattern": "*.localhost", "deployment_method": "By hand"}  # fmt: skip

    made = client.post("/environments/new/", values).headers["Location"]
    assert client.post(f"{made}recreation/").status_code == 302
    assert client.post(f"{made}destruction/").headers["Location"] == "/environments/"
    with world.everything():
        assert Environment.objects.filter(name="My own").standing().count() == 0
        assert Lane.objects.filter(environment=world.qa, removed_at=None).count() == 1
