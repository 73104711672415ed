"""Where people sit down at browsers on one portal, and what all of them do there."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.utils import timezone
from playwright.sync_api import Page, expect

from apps.accounts.models import User
from apps.approvals.models import Promotion
from apps.audit.models import AuditEvent
from apps.releases.models import Release
from tests.approvals.promotions import ask
from tests.browser.conftest import SignIn
from tests.cast import PASSWORD
from tests.processes import WebServer
from tests.world import World


@dataclass(frozen=True)
class Office:
    """The world, and a browser for whoever sits down."""

    world: World
    portal: WebServer
    open_page: Callable[..., Page]
    sign_in: SignIn
    has_scripts: bool = True
    pages: list[Page] = field(default_factory=list)

    def seat(self, person: User, path: str = "/", **options: Any) -> Page:
        page = self.open_page(**{"java_script_enabled": self.has_scripts, **options})
        page.context.set_default_timeout(30_000)
        self.pages.append(page)
        self.sign_in(page.context, person)
        page.goto(self.portal.url + path)
        return page

    def leave(self) -> None:
        """Close what everybody has open: each page follows what happens for as long as it is there."""
        while self.pages:
            self.pages.pop().context.close()

    def ask(self, release: Release) -> Promotion:
        with self.world.everything():
            return ask(self.world, self.world.production, release, now=timezone.now(), starts_by_itself=False)

    def state(self, promotion: Promotion) -> str:
        with self.world.everything():
            return Promotion.objects.get(pk=promotion.pk).state

    def told(self, kind: str) -> AuditEvent:
        with self.world.everything():
            return AuditEvent.objects.filter(kind=kind).latest("recorded_at", "event_id")


def page_of(promotion: Promotion) -> str:
    return f"/approvals/promotions/{promotion.number}/"


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).locator("visible=true").click()


def confirm(page: Page) -> None:
    page.get_by_label("Confirm that it is you: your password").fill(PASSWORD)


def approve(page: Page, comment: str) -> None:
    page.get_by_label("Comment").fill(comment)
    confirm(page)
    press(page, "Approve for Production")
    expect(page.get_by_text("You approved Greeter")).to_be_visible()
