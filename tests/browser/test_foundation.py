"""The pages that belong to no other app: sign-in, preferences, refusals, the style guide."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from apps.accounts.models import User
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.workspaces.scope import workspace_scope
from tests.browser.axe import assert_fit_for_everyone
from tests.browser.conftest import SignIn
from tests.processes import WebServer

pytestmark = pytest.mark.browser
PASSWORD = "a long enough password"


@pytest.fixture
def person(portal: WebServer) -> User:
    with workspace_scope([PLATFORM_WORKSPACE_ID]):
        return User.objects.create_user("manager", password=PASSWORD, display_name="Engineering manager", is_staff=True)


def test_pages_are_fit_for_everyone(portal: WebServer, page: Page, person: User, sign_in: SignIn) -> None:
    assert_fit_for_everyone(page, f"{portal.url}/sign-in/")
    sign_in(page.context, person)
    for path in ("/styleguide/", "/account/", "/no-such-page/"):
        assert_fit_for_everyone(page, portal.url + path)


@pytest.mark.parametrize("scripts", [True, False])
def test_signing_in_by_hand(portal: WebServer, open_page: Callable[..., Page], person: User, scripts: bool) -> None:
    page = open_page(java_script_enabled=scripts)
    page.goto(f"{portal.url}/account/")
    page.get_by_label("User name").fill("manager")
    page.get_by_label("Password").fill("not this one")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("do not belong together")

    page.get_by_label("User name").fill("manager")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_role("heading", name="Preferences")).to_be_visible()


@pytest.mark.parametrize("scripts", [True, False])
def test_the_theme_is_changed_from_the_menu(
    portal: WebServer, open_page: Callable[..., Page], person: User, sign_in: SignIn, scripts: bool
) -> None:
    page = open_page(java_script_enabled=scripts)
    sign_in(page.context, person)
    page.goto(f"{portal.url}/account/")

    page.get_by_role("button", name="Theme").click()
    page.get_by_role("button", name="Dark", exact=True).click()

    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page).to_have_url(f"{portal.url}/account/")


def test_dialog_opens_and_closes_without_scripts(
    portal: WebServer, open_page: Callable[..., Page], person: User, sign_in: SignIn
) -> None:
    page = open_page(java_script_enabled=False)
    sign_in(page.context, person)
    page.goto(f"{portal.url}/styleguide/")

    page.get_by_role("button", name="Roll back to 3.3.9").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.get_by_role("button", name="Keep going").click()

    expect(page.get_by_role("dialog")).to_be_hidden()


def test_times_are_shown_in_the_browsers_zone_until_the_profile_names_one(
    portal: WebServer, page: Page, person: User, sign_in: SignIn
) -> None:
    sign_in(page.context, person)
    page.goto(f"{portal.url}/styleguide/")
    expect(page.locator("time[data-form]").first).to_have_attribute("data-zone", "Europe/Berlin")
    expect(page.locator("[data-zone-offer]")).to_be_hidden()

    page.get_by_role("button", name="Time zone").click()
    page.get_by_label("Show times in").fill("Asia/Tokyo")
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.locator("time[data-form]").first).to_contain_text("JST")
    page.get_by_role("button", name="Time zone Asia/Tokyo").click()
    page.get_by_role("button", name="Use that zone").click()
    expect(page.locator("time[data-form]").first).to_have_attribute("data-zone", "Europe/Berlin")


def test_shortcuts_act_until_they_are_switched_off(
    portal: WebServer, page: Page, person: User, sign_in: SignIn
) -> None:
    sign_in(page.context, person)
    page.goto(f"{portal.url}/styleguide/")
    page.keyboard.press("/")
    expect(page.locator("#sg-q")).to_be_focused()
    page.keyboard.type("? g a")
    expect(page.locator("#keys")).to_be_hidden()
    page.locator("#sg-q").blur()
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("Escape")

    page.goto(f"{portal.url}/account/")
    page.get_by_label("Single-key shortcuts").uncheck()
    page.get_by_role("button", name="Save preferences").click()
    page.keyboard.press("?")

    expect(page.locator("#keys")).to_be_hidden()
