"""A roll-out over two workspaces, from its form to the guest's decision, without scripts; looked at with them."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from apps.audit.actors import SYSTEM
from apps.environments.enums import Tier
from apps.workspaces import actions as workspace_actions
from tests.browser.axe import findings_in_every_form
from tests.browser.conftest import SignIn
from tests.cast import NOW
from tests.processes import WebServer
from tests.world import World, make_environment, make_lane

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_it_is_started_for_two_workspaces_and_held_by_one(
    world: World, portal: WebServer, open_page: Callable[..., Page], sign_in: SignIn
) -> None:
    cast = world.cast
    with world.everything():
        workspace_actions.grant_role(
            cast.release_engineer, role="RELEASE_ENGINEER", workspace=cast.customer, by=SYSTEM, now=NOW
        )
        for name in ("Canary", "Branch"):
            make_lane(make_environment(cast.customer, name, Tier.DEV), world.service)
    plain, theirs, seen = open_page(java_script_enabled=False), open_page(java_script_enabled=False), open_page()
    sign_in(plain.context, cast.release_engineer)
    sign_in(theirs.context, cast.customer_operator)
    sign_in(seen.context, cast.release_engineer)

    plain.goto(f"{portal.url}/releases/greeter/1.0.0/")
    plain.get_by_role("link", name="Roll out in waves").click()
    form = plain.url
    plain.get_by_label("Wave of Canary of North Bank").select_option("1")
    plain.get_by_label("Wave of Branch of North Bank").select_option("3")
    plain.get_by_label("Wave of Dev of EAIP platform").select_option("2")
    plain.get_by_role("button", name="Start the roll-out").click()
    expect(plain.get_by_role("row", name="Branch")).to_contain_text("North Bank")

    theirs.goto(plain.url)
    expect(theirs.get_by_text("EAIP platform")).to_have_count(0)
    theirs.get_by_role("link", name="Hold or leave").click()
    part = theirs.url
    theirs.get_by_label("Hold").check()
    theirs.get_by_label("Reason").fill("Month's end")
    theirs.get_by_role("button", name="Do it").click()
    expect(theirs.get_by_role("row", name="Branch")).to_contain_text("Month's end")

    found = [line for url in (form, plain.url) for line in findings_in_every_form(seen, url)]
    sign_in(seen.context, cast.customer_operator)
    found += [line for url in (part, plain.url) for line in findings_in_every_form(seen, url)]
    assert found == []
