"""A release that fails its health checks once it serves: taken back without a person, and it stays away."""

import pytest
from playwright.sync_api import expect

from apps.approvals.models import Promotion
from apps.deployments.models import Deployment
from tests.functional import steps
from tests.functional.conftest import NewScene, NewSeat

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.reliability]


def test_a_failing_release_is_taken_back_without_a_person_and_stays_away(new_scene: NewScene, seat: NewSeat) -> None:
    scene = new_scene("Dev")
    scene.push("v1.0.0")
    scene.bring("1.0.0", "Dev")
    scene.push("v2.1.0")
    engineer = seat(scene.cast.release_engineer)

    with scene.users("Dev"):
        steps.ask(engineer, "2.1.0", "Dev")
        engineer.open("/releases/greeter/2.1.0/")
        engineer.see(steps.stop(engineer, "Dev").get_by_text("Failed"))
    failed = engineer.page.locator("ol.lane").get_by_role("link", name="#").first
    failed.click()
    engineer.see(engineer.page.locator("#outcome").get_by_text("Rolled back by #"))
    expect(engineer.page.locator("#log")).to_contain_text("health through the proxy: 503")
    engineer.page.locator("#outcome").get_by_role("link", name="Rolled back by #").click()
    engineer.see(engineer.page.locator("#hero").get_by_text("Succeeded"))
    assert scene.answers("Dev") == "1.0.0"
    with scene.everything():
        back = Deployment.objects.get(rolls_back__release__version="2.1.0")
        assert back.requested_by is None, "nobody asked for it"
        lane = scene.lanes["Dev"]

    # Neither its page, nor its address, nor another push of the same commit brings it back.
    engineer.open("/releases/greeter/2.1.0/")
    expect(engineer.page.get_by_role("heading", name="In quarantine since")).to_be_visible()
    expect(engineer.page.get_by_role("link", name="Promote to Dev")).to_have_count(0)
    with scene.everything():
        release = scene.release("2.1.0")
    engineer.open(f"/approvals/promotions/{release.pk}/to/{lane.pk}/")
    engineer.press("Promote to Dev")
    expect(engineer.page.locator("main")).to_contain_text("2.1.0 is quarantined")
    pushed = scene.push_again("v2.1.0")
    assert "2.1.0" in pushed.outcome

    # A newer release waits as well, until a person has looked and lifts the hold.
    scene.push("v2.3.1")
    steps.ask(engineer, "2.3.1", "Dev")
    expect(engineer.page.locator("#gates")).to_contain_text("On hold")
    with scene.everything():
        assert Promotion.objects.get(release__version="2.3.1").deployments.count() == 0
    assert scene.answers("Dev") == "1.0.0"

    operator = seat(scene.cast.devops)
    operator.open(f"/deployments/{back.number}/")
    operator.follow("Lift the hold")
    operator.page.get_by_label("Reason").fill("Seen: the visits of 2.1.0 fill its memory")
    operator.press("Lift the hold")
    steps.arrives(engineer, "2.3.1", "Dev")
    assert scene.answers("Dev") == "2.3.1"
