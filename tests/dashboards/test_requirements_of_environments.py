"""The pages that show whether environments are what their tiers ask."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.environments.models import Environment
from apps.health import actions as health_actions
from apps.health.models import EndpointCheck
from tests.approvals.promotions import lane_of, move, put_in_force
from tests.approvals.test_environment_gate import say
from tests.cast import NOW
from tests.drill import get, post, text_of
from tests.policies.documents import REQUIREMENTS
from tests.world import World, make_environment, make_lane, make_service

pytestmark = pytest.mark.django_db

LIST = reverse("environments:environment-list")


def page(environment: Environment) -> str:
    return reverse("environments:requirement-list", args=[environment.workspace.slug, environment.slug])


def test_each_requirement_shows_what_was_seen_where_and_what_is_asked(world: World) -> None:
    configured = say(world, world.production, REPLICAS="2", ENCRYPTION_AT_REST="https://ann:hush@vault.example")
    move(lane_of(world.production, world), world.release, configuration=configured)
    check = health_actions.create_check(
        world.lane(world.production), name="Front door", url="tls://app.example", by=world.cast.devops, now=NOW
    )
    EndpointCheck.objects.filter(pk=check.pk).update(tls="1.1", checked_at=NOW)

    shown = text_of(get(world.cast.auditor, page(world.production)))

    assert "0 of 16 met, 3 not met, 13 unknown" in shown
    assert "Greeter: configuration version 2" in shown
    assert "TLS 1.1 is the lowest it takes" in shown
    assert "hush" not in shown
    assert "The policy holds no promotion back by them." in shown
    put_in_force("PRODUCTION", "environment", requirements=REQUIREMENTS)
    assert "A promotion waits until all are met" in text_of(get(world.cast.auditor, page(world.production)))


def test_what_nobody_deployed_yet_says_nothing(world: World) -> None:
    say(world, world.production, REPLICAS="3")

    assert text_of(get(world.cast.auditor, page(world.production))).count("Nothing is deployed here yet") == 15
    move(lane_of(world.production, world), world.release, configuration=world.configuration(world.production))
    shown = text_of(get(world.cast.auditor, page(world.production)))
    assert "Nothing is deployed here yet" not in shown
    assert "1 of 16 met" in shown


def test_environments_that_nothing_is_asked_of_say_so_and_strangers_see_none(world: World) -> None:
    assert "Nothing is asked of it" in text_of(get(world.cast.auditor, page(world.dev)))
    assert get(world.cast.outsider, page(world.dev)).status_code == 404
    assert post(world.cast.devops, page(world.dev)).status_code == 405


def test_the_list_counts_them_with_the_same_queries_for_any_number(world: World) -> None:
    def shown() -> tuple[str, int]:
        with CaptureQueriesContext(connection) as captured:
            text = text_of(get(world.cast.devops, LIST))
        return text, len(captured)

    first, few = shown()
    for name in ("Second", "Third"):
        another = make_environment(world.cast.platform, name, "STAGING")
        lane = make_lane(another, make_service(world.cast.platform, name.lower(), program=name.lower()))
        move(lane, world.release, configuration=lane.configuration_versions.get())
    second, many = shown()

    assert first.count("0 of 9 met, 9 unknown") == 1
    assert second.count("0 of 9 met, 9 unknown") == 3
    assert few == many
