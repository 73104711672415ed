"""Search of the trail as an auditor does it: words, chips, a saved filter, and what takes long; without scripts too."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from apps.audit import actions as audit
from apps.audit import saved_filters
from apps.audit.actors import SYSTEM
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.workspaces import actions as workspace_actions
from apps.workspaces.models import Membership
from tests.audit.months import spread_over_months
from tests.browser.axe import findings_as_it_stands
from tests.browser.conftest import SignIn
from tests.cast import NOW, Cast
from tests.engines import Engines
from tests.processes import WebServer
from tests.world import World

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_auditor_searches_saves_and_opens_a_filter(
    world: World, portal: WebServer, open_page: Callable[..., Page], sign_in: SignIn
) -> None:
    with world.everything():
        for words in ("A needle in the hay", "A needle that was refused", "Only straw"):
            audit.record(
                "release.sealed", by=SYSTEM, target=None, summary=words, workspace_id=PLATFORM_WORKSPACE_ID,
                outcome="REFUSED" if "refused" in words else "SUCCESS",
            )  # fmt: skip
    for scripts in (True, False):
        page = open_page(java_script_enabled=scripts)
        sign_in(page.context, world.cast.auditor)

        page.goto(f"{portal.url}/audit/")
        page.get_by_label("Words, or an id").fill("needle")
        page.get_by_label("Outcome").select_option("REFUSED")
        page.get_by_role("button", name="Filter").click()
        events = page.locator("#events")
        expect(events.locator("tbody tr")).to_have_count(1)
        expect(events).to_contain_text("1 event")

        page.get_by_text("Save these filters", exact=True).click()
        page.get_by_label("Save these filters as").fill(f"Refused needles {scripts}")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("link", name=f"Refused needles {scripts}")).to_have_attribute("aria-current", "page")
        if scripts:
            assert list(findings_as_it_stands(page)) == []

        page.get_by_role("link", name="Take the filter away: Outcome, Refused").click()
        expect(events.locator("tbody tr")).to_have_count(2)
        page.get_by_role("link", name=f"Refused needles {scripts}").click()
        expect(events.locator("tbody tr")).to_have_count(1)

        page.get_by_text(f"Rename or remove “Refused needles {scripts}”").click()
        page.get_by_role("button", name="Remove this filter").click()
        expect(page.get_by_role("link", name=f"Refused needles {scripts}")).to_have_count(0)


def test_shared_filter_of_somebody_who_left_is_taken_over(
    world: World, portal: WebServer, open_page: Callable[..., Page], sign_in: SignIn
) -> None:
    cast = world.cast
    with world.everything():
        shared = [
            saved_filters.save_filter(
                f"Refusals {scripts}", "outcome=REFUSED", workspace_id=cast.platform.pk, is_shared=True,
                person_id=cast.auditor.pk, by=cast.auditor, now=NOW,
            ) for scripts in (True, False)
        ]  # fmt: skip
        workspace_actions.end_role(Membership.objects.get(user=cast.auditor), by=SYSTEM, now=NOW)
    for scripts, each in zip((True, False), shared, strict=True):
        page = open_page(java_script_enabled=scripts)
        sign_in(page.context, cast.security)

        page.goto(f"{portal.url}/audit/filters/{each.pk}/")
        expect(page.locator("main")).to_contain_text(f"Auditor, who shared “{each.name}”, reads this trail no more")
        if scripts:
            assert list(findings_as_it_stands(page)) == []
        page.get_by_role("button", name="Take it over").click()
        expect(page.get_by_text(f"Rename or remove “{each.name}”")).to_be_visible()


@pytest.fixture
def impatient(cast: Cast, engines: Engines, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger of several months, and a portal that is to be started: its searches look at one slice each."""
    spread_over_months(engines, database)
    monkeypatch.setenv("AUDIT_SEARCH_SECONDS", "0")


def test_search_that_takes_long_goes_on_by_itself_or_by_its_link(
    impatient: None, cast: Cast, portal: WebServer, open_page: Callable[..., Page], sign_in: SignIn
) -> None:
    never, rare = f"{portal.url}/audit/?q=created&kind=release.sealed", f"{portal.url}/audit/?q=rarely"
    for scripts in (True, False):
        page = open_page(java_script_enabled=scripts)
        sign_in(page.context, cast.auditor)
        events = page.locator("#events")

        page.goto(never)
        if not scripts:
            expect(events).to_contain_text("Nothing was found since")
            while (further := events.get_by_role("link", name="look further")).count():
                page.goto(f"{portal.url}/audit/{further.get_attribute('href')}")
        expect(events).to_contain_text("No further event matches")

        page.goto(rare)
        expect(events).to_contain_text("These are all since")
        newest = events.locator("tbody tr").first.inner_text()
        if scripts:
            assert list(findings_as_it_stands(page)) == []
        events.get_by_role("link", name="look further").click()
        expect(events.locator("tbody tr").first).not_to_have_text(newest)
