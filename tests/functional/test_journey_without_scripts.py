"""The main job with scripts switched off: every step is a page and a form, and pages load themselves anew."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.functional import steps
from tests.functional.conftest import NewScene, NewSeat
from tests.functional.scene import PLACES

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.reliability]


def test_the_journey_needs_no_scripts(new_scene: NewScene, seat: NewSeat, tmp_path: Path) -> None:
    scene = new_scene(*PLACES)
    scene.push("v1.0.0")
    scene.bring("1.0.0", *PLACES)
    scene.push("v1.0.1")

    engineer = seat(scene.cast.release_engineer, scripts=False)
    for place in ("Dev", "QA", "Staging"):
        steps.ask(engineer, "1.0.1", place)
        steps.arrives(engineer, "1.0.1", place)
    steps.ask(engineer, "1.0.1", "Production")
    expect(engineer.page.locator(".refused").get_by_role("button", name="Approve for Production")).to_be_disabled()
    expect(engineer.page.locator("noscript meta[http-equiv=refresh]")).to_have_count(1)

    with scene.users("Production") as answers:
        steps.approve(seat(scene.cast.engineering_manager, scripts=False), "1.0.1", comment="Read the changes")
        operator = seat(scene.cast.devops, scripts=False)
        steps.approve(operator, "1.0.1", comment="Watched Staging")
        steps.arrives(operator, "1.0.1", "Production")
        assert scene.answers("Production") == "1.0.1"

        steps.stop(operator, "Production").get_by_role("link").first.click()
        expect(operator.page.locator("#log")).to_contain_text("Switch traffic to 1.0.1")
        steps.roll_back(operator, to="1.0.0", reason="Greets nobody by name")
        assert scene.answers("Production") == "1.0.0"
    print(f"Production under load: {answers.total()} requests, {dict(answers)}")
    assert set(answers) == {"1.0.0", "1.0.1"}

    auditor = seat(scene.cast.auditor, scripts=False)
    kinds = steps.events(auditor, f"?service={scene.service.pk}")
    steps.assert_tells_the_journey(kinds)
    rows = steps.export(auditor, tmp_path)
    steps.assert_exported(rows, kinds)
