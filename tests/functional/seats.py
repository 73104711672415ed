"""People at browsers of their own. With scripts nothing is ever reloaded here: what changes has to come by itself."""

from dataclasses import dataclass

from playwright.sync_api import Locator, Page, TimeoutError, expect

from apps.accounts.models import User
from tests.cast import PASSWORD
from tests.processes import WebServer, eventually

PATIENCE = 60


@dataclass(frozen=True)
class Seat:
    page: Page
    portal: WebServer
    user: User
    has_scripts: bool = True

    def sign_in(self) -> None:
        self.open("/")
        self.page.get_by_label("User name").fill(self.user.username)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.press("Sign in")
        expect(self.page.get_by_role("heading", name="Platform status")).to_be_visible()

    def open(self, path: str) -> None:
        self.page.goto(self.portal.url + path)

    def press(self, name: str) -> None:
        self.page.wait_for_load_state()  # before its style sheet a page shows the buttons of phones as well
        self.page.get_by_role("button", name=name, exact=True).click()

    def follow(self, name: str) -> None:
        self.page.wait_for_load_state()
        self.page.get_by_role("link", name=name, exact=True).first.click()

    def see(self, locator: Locator) -> None:
        """Wait until something is on the page; without scripts people reload it."""
        if self.has_scripts:
            expect(locator.first).to_be_visible(timeout=PATIENCE * 1000)
            return
        eventually(lambda: self._sees_now(locator), within_seconds=PATIENCE, every_seconds=0, because=str(locator))

    def _sees_now(self, locator: Locator) -> bool:
        try:
            locator.first.wait_for(timeout=1000)
        except TimeoutError:
            self.page.reload()
            return False
        return True
