"""A long log in a real browser: followed while it grows, searched, and fit for everyone."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from apps.deployments.log import LogWriter
from apps.deployments.models import Deployment
from tests.browser.axe import findings_as_it_stands
from tests.browser.conftest import SignIn, sign_in  # noqa: F401  a fixture
from tests.deployments.conftest import Stage, judge, stage  # noqa: F401  fixtures
from tests.processes import WebServer

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.reliability]

NUMBERS = "[...document.querySelectorAll('#log-lines li')].map(line => Number(line.id.slice(1)))"
COLOURS = ("\x1b[31mred", "\x1b[1;38;5;46mbold green", "\x1b[38;2;30;90;220mblue", "\x1b[90mgrey", "plain")


def _write(log: LogWriter, first: int, last: int) -> None:
    for number in range(first, last + 1):
        log.write(f"{COLOURS[number % len(COLOURS)]}\x1b[0m step {number} " + "and more " * (number % 23))


def _begun(stage: Stage) -> tuple[Deployment, LogWriter]:  # noqa: F811
    deployment = stage.start()
    log = LogWriter(deployment, deployment.fence)
    _write(log, 1, 3000)
    log.flush()
    return deployment, log


def test_a_long_log_is_followed_and_fit_for_everyone(
    stage: Stage,  # noqa: F811
    portal: WebServer,
    open_page: Callable[..., Page],
    sign_in: SignIn,  # noqa: F811
) -> None:
    deployment, log = _begun(stage)
    page = open_page(reduced_motion="reduce")
    sign_in(page.context, stage.world.cast.devops)
    page.goto(f"{portal.url}/deployments/{deployment.number}/")
    expect(page.locator("#live")).to_have_text("Live")
    assert page.evaluate(NUMBERS) == list(range(1001, 3001))

    page.locator("#log-state").scroll_into_view_if_needed()

    for number in range(3001, 3006):
        _write(log, number, number)
        log.flush()
        expect(page.locator(f"#L{number}")).to_be_in_viewport(timeout=10_000)

    _write(log, 3006, 5000)
    log.flush()
    expect(page.locator("#L5000")).to_be_in_viewport(timeout=10_000)
    expect(page.locator("#log-extent")).to_have_text("5000 lines")
    between, lines = page.get_by_text("Load the lines between"), page.locator("#log-lines li")
    expect(between.first).to_be_visible()
    while between.count():  # one row for each update that was longer than what is shown of one
        before = lines.count()
        between.first.click()
        expect(lines).not_to_have_count(before, timeout=20_000)
    assert page.evaluate(NUMBERS) == list(range(1001, 5001))

    # A hundred lines have all that thousands have, and are looked through in seconds.
    page.goto(f"{portal.url}/deployments/{deployment.number}/?after=4900")
    assert page.evaluate(NUMBERS) == list(range(4901, 5001))
    assert list(findings_as_it_stands(page)) == []
    page.get_by_role("searchbox", name="Search this log").fill("step 4999")
    page.keyboard.press("Enter")
    expect(page.locator("#log-extent")).to_have_text(re.compile("1 line found"))


def test_a_page_that_polls_has_each_line_once(
    stage: Stage,  # noqa: F811
    portal: WebServer,
    open_page: Callable[..., Page],
    sign_in: SignIn,  # noqa: F811
) -> None:
    deployment, log = _begun(stage)
    page = open_page(reduced_motion="reduce")
    sign_in(page.context, stage.world.cast.devops)
    page.route("**/live/**", lambda route: route.fulfill(status=503, body="No stream today."))
    page.goto(f"{portal.url}/deployments/{deployment.number}/")

    for number in (3001, 3002):
        _write(log, number, number)
        log.flush()
        expect(page.locator(f"#L{number}")).to_have_count(1, timeout=30_000)
        assert page.evaluate(NUMBERS) == list(range(number - 1999, number + 1))
