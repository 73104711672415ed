"""What the apps above offer as choices of the trail's filters."""

import pytest
from django.test import Client

from tests.world import World


@pytest.mark.parametrize("field", ["workspace", "environment", "service"])
def test_choices_name_what_the_person_may_see(client: Client, world: World, field: str) -> None:
    client.force_login(world.cast.auditor)

    labels = [label for _, label in client.get("/audit/").context["form"].fields[field].choices]

    assert labels[0] == "Any"
    assert {"workspace": "EAIP platform", "environment": "Production", "service": "Greeter"}[field] in labels
    assert "North Bank" not in labels


def test_environment_filter_finds_its_events(client: Client, world: World) -> None:
    client.force_login(world.cast.auditor)

    page = client.get("/audit/", {"environment": str(world.staging.pk)}).context["page"]

    assert page.rows
    assert {event.environment_id for event in page.rows} == {world.staging.pk}
