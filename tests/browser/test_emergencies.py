"""What a patch is offered while an incident is open: on the release's page, and before it is asked for."""

from collections.abc import Callable

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from tests.approvals.promotions import ask, bring, deploy
from tests.browser.axe import findings_as_it_stands
from tests.browser.conftest import SignIn
from tests.incidents.test_incidents import declare
from tests.processes import WebServer
from tests.world import World

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_hotfix_is_offered_as_an_emergency_and_shown_before_it_is_asked_for(
    world: World, portal: WebServer, open_page: Callable[..., Page], sign_in: SignIn
) -> None:
    with world.everything():
        bring(world, world.production)
        patch, incident = world.next_release("1.0.1"), declare(world)
    address = f"{portal.url}{reverse('releases:release-detail', args=['greeter', '1.0.1'])}"
    for place in (world.staging, world.production):
        for scripts in (True, False):
            page = open_page(java_script_enabled=scripts)
            sign_in(page.context, world.cast.release_engineer)
            page.goto(address)
            hurry = page.get_by_role("link", name=f"Promote to {place.name} as an emergency")
            expect(hurry).to_be_visible()
            if scripts:
                assert list(findings_as_it_stands(page)) == []
            hurry.click()

            expect(page.locator("main")).to_contain_text("As an emergency:")
            if scripts:
                assert list(findings_as_it_stands(page)) == []
        if place == world.staging:
            with world.everything():
                deploy(ask(world, place, patch, incident=incident))
