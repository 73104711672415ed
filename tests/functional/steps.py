"""What people do on the way of a release; the same with scripts and without."""

from playwright.sync_api import Locator, expect

from tests.functional.seats import Seat


def ask(engineer: Seat, version: str, place: str) -> None:
    """Ask for a promotion from the page of the release."""
    engineer.open(f"/releases/greeter/{version}/")
    engineer.follow(f"Promote to {place}")
    expect(engineer.page.get_by_role("heading", name=f"Promote Greeter {version} to {place}?")).to_be_visible()
    engineer.page.get_by_label("Reason").fill("Greets by name")
    engineer.press(f"Promote to {place}")
    expect(engineer.page.get_by_text(f"Asked for Greeter {version} in {place}.")).to_be_visible()


def arrives(seat: Seat, version: str, place: str) -> None:
    """See on the page of the release that it runs in an environment."""
    seat.open(f"/releases/greeter/{version}/")
    seat.see(stop(seat, place).get_by_text("Live", exact=True))


def approve(approver: Seat, version: str, *, comment: str) -> None:
    """Find what needs one's decision on the dashboard, read it, and approve."""
    approver.open("/")
    needs = approver.page.locator("#needs")
    expect(needs).to_contain_text(f"Greeter {version} to Production")
    needs.get_by_role("link", name=f"Review Greeter {version} to Production").click()
    approver.page.get_by_label("Comment").fill(comment)
    approver.press("Approve for Production")
    expect(approver.page.get_by_text("You approved Greeter")).to_be_visible()


def roll_back(operator: Seat, *, to: str, reason: str) -> None:
    """Roll back from the page of a deployment."""
    operator.follow(f"Roll back to {to}")
    operator.page.get_by_label("Reason").fill(reason)
    operator.press(f"Roll back to {to}")
    operator.see(operator.page.locator("#hero").get_by_text("Succeeded"))


def stop(seat: Seat, place: str) -> Locator:
    """Return an environment's part of the path on the page of a release."""
    heading = seat.page.get_by_role("heading", name=place)
    return seat.page.locator("ol.lane > li").filter(has=heading)


def events(auditor: Seat, query: str = "") -> list[str]:
    """Read the kinds of all events that the trail shows, newest first, page by page."""
    auditor.open(f"/audit/{query}")
    kinds: list[str] = []
    while True:
        kinds += auditor.page.locator("#events tbody td[data-label=Kind]").all_inner_texts()
        older = auditor.page.get_by_role("link", name="Older")
        if not older.count():
            return kinds
        auditor.page.goto(older.evaluate("link => link.href"))
