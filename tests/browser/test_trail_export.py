"""Taking the trail away as an auditor does it: ask, see it being written, download; with scripts and without."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.axe import findings_as_it_stands
from tests.browser.conftest import SignIn
from tests.processes import Child, WebServer
from tests.world import World

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_auditor_exports_the_trail_and_downloads_it(
    world: World, portal: WebServer, worker: Child, open_page: Callable[..., Page], sign_in: SignIn
) -> None:
    for scripts in (True, False):
        page = open_page(java_script_enabled=scripts)
        sign_in(page.context, world.cast.auditor)

        page.goto(f"{portal.url}/audit/")
        page.get_by_role("button", name="JSON Lines").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Export of the audit trail as JSON Lines")
        link = page.get_by_role("link", name="Download")
        expect(link).to_be_visible(timeout=20_000)
        with page.expect_download() as download:
            link.click()
        data = Path(download.value.path()).read_bytes()

        assert data.count(b"\n") > 10
        expect(page.locator("#export")).to_contain_text(hashlib.sha256(data).hexdigest())
        if scripts:
            assert list(findings_as_it_stands(page)) == []
        page.get_by_role("link", name="Exports").click()
        expect(page.locator("#exports tbody tr").first).to_contain_text("Ready")
