"""What people do on the way of a release; the same with scripts and without."""

import csv
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Locator, expect

from tests.cast import PASSWORD
from tests.functional.seats import Seat

PUSHED = ("push.received", "release.created", "release.sealed")
DEPLOYED = (
    "deployment.queued", "deployment.starting", "deployment.applying", "deployment.verifying", "deployment.succeeded",
    "lane.switched",
)  # fmt: skip
PROMOTED = ("promotion.requested", "promotion.ready", *DEPLOYED, "promotion.completed")
# Of the release before, of this one, and the way back.
JOURNEY = (
    *PUSHED, *PROMOTED * 3, *PROMOTED,
    *PUSHED, *PROMOTED * 3, "promotion.requested", "decision.approved", "decision.approved", *PROMOTED[1:],
    *DEPLOYED, "hold.set",
)  # fmt: skip


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
    password = approver.page.get_by_label("Confirm that it is you: your password")
    if password.count():  # not again within five minutes
        password.fill(PASSWORD)
    approver.press("Approve for Production")
    expect(approver.page.get_by_text("You approved Greeter")).to_be_visible()


def roll_back(operator: Seat, *, to: str, reason: str) -> None:
    """Roll back from the page of a deployment: the reason, and one click."""
    operator.page.get_by_label("Reason").fill(reason)
    operator.press(f"Roll back to {to}")
    operator.see(operator.page.locator("#hero").get_by_text("Succeeded"))


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


def export(auditor: Seat, folder: Path) -> list[dict[str, str]]:
    """Take what the trail shows away as CSV."""
    auditor.press("CSV")
    link = auditor.page.get_by_role("link", name="Download")
    auditor.see(link)
    with auditor.page.expect_download() as download:
        link.click()
    download.value.save_as(folder / "trail.csv")
    with (folder / "trail.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def assert_exported(rows: Sequence[dict[str, str]], kinds: Sequence[str]) -> None:
    """See the events of the pages in an export that was asked for later, so may begin with newer ones."""
    exported = [row["kind"] for row in rows]
    assert exported[-len(kinds) :] == list(kinds)


def assert_tells_the_journey(kinds: Sequence[str]) -> None:
    """Find each step of the way to Production and back, in its order, among the newest events."""
    wanted = iter(JOURNEY)
    step = next(wanted, None)
    for kind in reversed(kinds):
        if kind == step:
            step = next(wanted, None)
    assert step is None, f"no {step} where it belongs in {kinds}"


def stop(seat: Seat, place: str) -> Locator:
    """Return an environment's part of the path on the page of a release."""
    heading = seat.page.get_by_role("heading", name=place)
    return seat.page.locator("ol.lane > li").filter(has=heading)
