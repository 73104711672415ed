"""A passkey of Chromium's virtual authenticator: registered on its page, then used to decide."""

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from apps.approvals.models import Decision
from tests.approvals.promotions import ask_for_production
from tests.cast import PASSWORD
from tests.processes import WebServer
from tests.world import World

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

AUTHENTICATOR = {
    "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
    "isUserVerified": True, "automaticPresenceSimulation": True,
}  # fmt: skip


def test_a_passkey_is_registered_and_decides(world: World, portal: WebServer, page: Page, settings, tmp_path) -> None:
    settings.ARTIFACT_DIR = tmp_path / "artifacts"
    with world.everything():
        promotion = ask_for_production(world, now=timezone.now())
    portal_by_name = portal.url.replace("127.0.0.1", "localhost")  # passkeys belong to names
    chromium = page.context.new_cdp_session(page)
    chromium.send("WebAuthn.enable")
    key = chromium.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})["authenticatorId"]

    page.goto(f"{portal_by_name}/sign-in/?next=/account/factors/passkey/")
    page.get_by_label("User name").fill("devops")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("Confirm that it is you: your password").fill(PASSWORD)
    page.get_by_role("button", name="Register the passkey").click()
    expect(page.get_by_role("heading", name="Your recovery codes")).to_be_visible()

    page.goto(f"{portal_by_name}/approvals/promotions/{promotion.number}/")
    page.get_by_label("Comment").fill("Read every line")
    chromium.send("WebAuthn.setUserVerified", {"authenticatorId": key, "isUserVerified": False})
    page.get_by_role("button", name="Approve for Production").click()
    expect(page.get_by_text("The passkey was not used")).to_be_visible()

    chromium.send("WebAuthn.setUserVerified", {"authenticatorId": key, "isUserVerified": True})
    page.get_by_role("button", name="Approve for Production").click()
    expect(page.get_by_text("You approved Greeter")).to_be_visible()
    expect(page.locator("#gates")).to_contain_text("confirmed with a passkey")
    with world.everything():
        decision = Decision.objects.get()
        assert (decision.confirmed_with, decision.comment) == ("PASSKEY", "Read every line")
        assert world.cast.devops.second_factors.get().sign_count > 1
