"""Lines of a checklist, ticked in place where scripts run and by plain forms where they don't."""

from collections.abc import Callable

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from apps.approvals import actions
from apps.approvals.models import Tick
from apps.workspaces.models import ApiToken
from tests.api.test_create_release import make_token
from tests.approvals.promotions import ask
from tests.approvals.test_checklists import ask_for_checklists
from tests.approvals.test_lines_of_jobs import RUN, ask_for_lines, words
from tests.browser.axe import findings_as_it_stands
from tests.browser.conftest import SignIn
from tests.processes import WebServer
from tests.world import World

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_lines_are_ticked_with_scripts_and_without(
    world: World, portal: WebServer, open_page: Callable[..., Page], sign_in: SignIn
) -> None:
    with world.everything():
        ask_for_checklists()
        promotion = ask(world, world.dev, now=timezone.now(), starts_by_itself=False)
    address = f"{portal.url}/approvals/promotions/{promotion.number}/"
    theirs, plain = open_page(), open_page(java_script_enabled=False)
    sign_in(theirs.context, world.cast.devops)
    sign_in(plain.context, world.cast.release_engineer)

    theirs.goto(address)
    assert list(findings_as_it_stands(theirs)) == []
    theirs.get_by_label("Note on: On-call engineer assigned").fill("DevOps, until Monday")
    theirs.get_by_role("button", name="Tick On-call engineer assigned").click()
    expect(theirs.locator("#pre-before")).to_contain_text("DevOps ticked it")
    expect(theirs.locator("#gates")).to_contain_text("2 of 3 lines ticked.")

    plain.goto(address)
    plain.get_by_role("button", name="Tick Release notes prepared").click()
    expect(plain.get_by_role("heading", name="Ready. It waits for somebody to start it.")).to_be_visible()

    theirs.goto(address)
    theirs.locator("#pre-before > summary").click()
    theirs.get_by_role("link", name="Take it back On-call engineer assigned").click()
    theirs.get_by_label("Reason").fill("They are ill")
    theirs.get_by_role("button", name="Take it back").click()
    expect(theirs.locator("#pre-before")).to_contain_text("DevOps took it back: They are ill")
    with world.everything():
        assert list(Tick.objects.standing().values_list("line__line", flat=True)) == ["notes"]


def test_what_a_job_ticked_is_shown_with_its_proof(
    world: World, portal: WebServer, open_page: Callable[..., Page], sign_in: SignIn
) -> None:
    with world.everything():
        ask_for_lines()
        now = timezone.now()
        promotion = ask(world, world.dev, now=now, starts_by_itself=False)
        make_token(world.cast)
        by = ApiToken.objects.get(name="Pipeline").actor
        actions.report_lines(world.release, environment=world.dev, report=words(at=now), by=by, now=now)
    page = open_page()
    sign_in(page.context, world.cast.devops)

    page.goto(f"{portal.url}/approvals/promotions/{promotion.number}/")

    lines = page.locator("#pre-before")
    expect(lines).to_contain_text("Pipeline (a job) ticked it")
    expect(lines.get_by_role("link", name=RUN)).to_have_attribute("href", RUN)
    expect(lines.get_by_role("link", name="What it sent on Smoke tests ran")).to_be_visible()
    assert list(findings_as_it_stands(page)) == []
