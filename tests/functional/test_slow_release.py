"""A release that is healthy and slow: its users tell, and it is taken back without a person."""

import pytest
from playwright.sync_api import expect

from apps.deployments.models import Deployment
from apps.environments.models import Hold
from apps.releases.enums import ReleaseState
from tests.browser.axe import assert_fit_for_everyone
from tests.functional import steps
from tests.functional.conftest import NewScene, NewSeat

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_slow_release_is_caught_by_p95_and_rolled_back_without_a_person(new_scene: NewScene, seat: NewSeat) -> None:
    scene = new_scene("Dev")
    scene.push("v1.0.0")
    scene.bring("1.0.0", "Dev")
    scene.push("v2.0.1")
    engineer = seat(scene.cast.release_engineer)

    with scene.users("Dev"):
        steps.ask(engineer, "2.0.1", "Dev")
        engineer.open("/releases/greeter/2.0.1/")
        engineer.see(steps.stop(engineer, "Dev").get_by_role("link", name="#"))
        steps.stop(engineer, "Dev").get_by_role("link", name="#").first.click()
        # It was opened before there was anything to verify, and is not loaded again.
        engineer.see(engineer.page.get_by_role("region", name="Verification"))
        engineer.see(engineer.page.locator("#hero").get_by_text("Failed"))
    engineer.see(engineer.page.locator("#outcome").get_by_text("Rolled back by #"))

    page = engineer.page.locator("main")
    expect(page).to_contain_text("limit 100 ms, in 3 of")
    verification = engineer.page.get_by_role("region", name="Verification")
    expect(verification).to_contain_text("limit 5 %")
    expect(verification.locator("svg .th")).to_have_count(2)
    address = engineer.page.url
    assert_fit_for_everyone(engineer.page, address)
    engineer.page.set_viewport_size({"width": 1440, "height": 900})
    engineer.page.locator("#outcome").get_by_role("link", name="Rolled back by #").click()
    engineer.see(engineer.page.locator("#hero").get_by_text("Succeeded"))
    assert scene.answers("Dev") == "1.0.0"
    with scene.everything():
        slow = Deployment.objects.get(release__version="2.0.1")
        back = Deployment.objects.get(rolls_back=slow)
        assert back.requested_by is None, "nobody asked for it"
        assert slow.release.state == ReleaseState.QUARANTINED
        assert Hold.objects.open().filter(lane=scene.lanes["Dev"]).exists()
        assert not slow.samples.exclude(fault="").exists(), "its health was good all the time"
        assert slow.samples.last().p95_ms > 500
    print(f"{slow.outcome} Taken back after {back.ended_at - slow.started_at}")
