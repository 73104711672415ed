"""Every page that can be reached is fit for everyone, as the person who sees most of them."""

import pytest
from django.utils import timezone
from playwright.sync_api import Page

from apps.approvals import actions as approval_actions
from tests.browser import crawl
from tests.browser.axe import findings_in_every_form
from tests.browser.conftest import SignIn
from tests.deployments.conftest import Stage, judge, stage  # noqa: F401  fixtures
from tests.processes import WebServer

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# Views without which the crawl has lost its way.
EXPECTED = {
    "dashboards:dashboard",
    "approvals:inbox",
    "releases:release-list",
    "releases:release-detail",
    "deployments:deployment-list",
    "deployments:deployment-detail",
    "audit:event-list",
    "accounts:preferences",
}


def test_every_page_is_fit_for_everyone(stage: Stage, portal: WebServer, page: Page, sign_in: SignIn) -> None:  # noqa: F811
    stage.deploy()
    stage.judge.behave(v1_1_0={"health": "bad"})
    stage.deploy("1.1.0")
    with stage.everything():
        approval_actions.request_promotion(
            stage.world.release,
            lane=stage.world.lane(stage.world.qa),
            by=stage.world.cast.release_engineer,
            now=timezone.now(),
        )
    sign_in(page.context, stage.world.cast.devops)
    found: list[str] = []

    def visit(url: str) -> None:
        found.extend(f"{url.removeprefix(portal.url)} {finding}" for finding in findings_in_every_form(page, url))

    seen = crawl.pages(page, portal.url, visit=visit)

    assert found == []
    assert not [view for view in seen if view.startswith("nothing at")]
    assert set(seen) >= EXPECTED
