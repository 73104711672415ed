"""The main job, end to end: a release goes from Dev to Production in the browser, and back."""

from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.functional import steps
from tests.functional.conftest import NewScene, NewSeat
from tests.functional.scene import PLACES
from tests.functional.seats import Seat

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_release_goes_from_dev_to_production_and_back(new_scene: NewScene, seat: NewSeat, tmp_path: Path) -> None:
    scene = new_scene(*PLACES)
    scene.push("v1.0.0")
    scene.bring("1.0.0", *PLACES)
    watcher = seat(scene.cast.security)
    watcher.page.evaluate("window.isTheSamePage = true")
    expect(_cell(watcher, "Production")).to_contain_text("1.0.0")

    engineer = seat(scene.cast.release_engineer)
    scene.push("v1.0.1")
    engineer.open("/releases/")
    engineer.page.get_by_role("link", name="Greeter 1.0.1").click()
    expect(engineer.page.get_by_role("link", name="Promote to Production")).to_have_count(0)
    with scene.everything():
        release, lane = scene.release("1.0.1"), scene.lanes["Production"]
    engineer.open(f"/approvals/promotions/{release.pk}/to/{lane.pk}/")
    engineer.press("Promote to Production")
    expect(engineer.page.locator("main")).to_contain_text("has not succeeded in Staging")

    for place in ("Dev", "QA", "Staging"):
        steps.ask(engineer, "1.0.1", place)
        steps.arrives(engineer, "1.0.1", place)
    watcher.see(_cell(watcher, "Staging").get_by_text("1.0.1"))

    steps.ask(engineer, "1.0.1", "Production")
    refused = engineer.page.locator(".refused")
    expect(refused.get_by_role("button", name="Approve for Production")).to_be_disabled()
    expect(refused).to_contain_text("You asked for")

    with scene.users("Production") as answers:
        steps.approve(seat(scene.cast.engineering_manager), "1.0.1", comment="Read the changes")
        assert scene.answers("Production") == "1.0.0"
        operator = seat(scene.cast.devops)
        steps.approve(operator, "1.0.1", comment="Watched Staging")
        watcher.see(_cell(watcher, "Production").get_by_text("1.0.1"))
        steps.arrives(engineer, "1.0.1", "Production")
        assert scene.answers("Production") == "1.0.1"

        steps.stop(engineer, "Production").get_by_role("link").first.click()
        operator.page.goto(engineer.page.url)
        steps.roll_back(operator, to="1.0.0", reason="Greets nobody by name")
        watcher.see(_cell(watcher, "Production").get_by_text("1.0.0"))
        assert scene.answers("Production") == "1.0.0"
    print(f"Production under load: {answers.total()} requests, {dict(answers)}")
    assert set(answers) == {"1.0.0", "1.0.1"}
    assert min(answers.values()) > 20
    assert watcher.page.evaluate("window.isTheSamePage") is True

    auditor = seat(scene.cast.auditor)
    kinds = steps.events(auditor, f"?service={scene.service.pk}")
    steps.assert_tells_the_journey(kinds)
    rows = steps.export(auditor, tmp_path)
    steps.assert_exported(rows, kinds)
    assert {row["actor_label"] for row in rows if row["kind"] == "decision.approved"} == {
        "Engineering manager", "DevOps",
    }  # fmt: skip


def _cell(seat: Seat, place: str) -> Locator:
    return seat.page.locator(f"#matrix td [data-env='{place}']")
