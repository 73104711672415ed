"""What an environment has to be, and how long releases are supported: fit for everyone, and usable without scripts."""

from collections.abc import Callable

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from apps.configuration import actions as configuration_actions
from apps.health import actions as health_actions
from apps.health.models import EndpointCheck
from tests.approvals.promotions import lane_of, move
from tests.browser.axe import findings_in_every_form
from tests.browser.conftest import SignIn
from tests.cast import NOW
from tests.environments.recorded import refresh
from tests.processes import WebServer
from tests.world import World

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_requirements_and_support_are_fit_for_everyone(
    world: World, portal: WebServer, open_page: Callable[..., Page], sign_in: SignIn
) -> None:
    with world.everything():
        lane = lane_of(world.production, world)
        said = {"REPLICAS": "2", "WAF": "enabled", "ZONES": "some", "DEBUG_ENDPOINTS": "disabled"}
        version = configuration_actions.write_version(
            lane, values=said, reason="As it is", by=world.cast.devops, now=NOW
        )
        move(lane, world.release, configuration=version, now=timezone.now())
        world.next_release("1.1.0")
        check = health_actions.create_check(lane, name="Front", url="tls://a.example", by=world.cast.devops, now=NOW)
        EndpointCheck.objects.filter(pk=check.pk).update(tls="1.2", checked_at=timezone.now())
        refresh(world)
    page, plain = open_page(), open_page(java_script_enabled=False)
    sign_in(page.context, world.cast.devops)
    sign_in(plain.context, world.cast.release_engineer)
    support = f"{portal.url}/services/greeter/support/"

    plain.goto(support)
    plain.get_by_text("Announce the end of a line").click()
    plain.get_by_role("combobox", name="Release line").select_option("1.0")
    plain.get_by_label("First day without support").fill("2099-01-01")
    plain.get_by_label("Reason").fill("Nobody uses it")
    plain.get_by_role("button", name="Announce it").click()
    expect(plain.get_by_text("It is announced that Greeter 1.0 ends on 2099-01-01.")).to_be_visible()

    pages = {
        "requirements": f"{portal.url}/environments/{world.cast.platform.slug}/production/requirements/",
        "environment": f"{portal.url}/environments/{world.cast.platform.slug}/production/",
        "data": f"{portal.url}/environments/{world.cast.platform.slug}/staging/data/",
        "environments": f"{portal.url}/environments/",
        "support": support,
        "releases": f"{portal.url}/releases/",
    }
    for name, address in pages.items():
        assert findings_in_every_form(page, address) == [], name
