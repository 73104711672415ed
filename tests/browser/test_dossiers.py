"""An auditor opens the dossier of a deployment from its page, follows a line to its entry, and takes the PDF."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect
from pypdf import PdfReader

from apps.deployments import actions as deployment_actions
from apps.deployments.models import Deployment
from tests.approvals.promotions import approve_all, ask
from tests.browser.axe import findings_as_it_stands
from tests.browser.conftest import SignIn
from tests.processes import WebServer
from tests.world import World

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def deployed(world: World) -> Deployment:
    """Ask, approve and queue, in a scope of its own."""
    with world.everything():
        promotion = ask(world, world.dev, now=timezone.now(), starts_by_itself=False)
        promotion = approve_all(promotion, world, now=timezone.now())
        return deployment_actions.start_deployment(promotion, by=world.cast.devops, now=timezone.now())


def test_auditor_reads_a_dossier_and_takes_it_away(
    world: World, portal: WebServer, open_page: Callable[..., Page], sign_in: SignIn, tmp_path: Path
) -> None:
    deployment = deployed(world)
    page = open_page()
    sign_in(page.context, world.cast.auditor)

    page.goto(f"{portal.url}/deployments/{deployment.number}/")
    page.get_by_role("link", name="dossier", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(f"Deployment #{deployment.number} of Greeter")
    digest = page.locator("dt:has-text('SHA-256') + dd").first.inner_text()
    assert list(findings_as_it_stands(page)) == []

    with page.expect_download() as taken:
        page.get_by_role("button", name="PDF").click()
    path = tmp_path / "dossier.pdf"
    taken.value.save_as(path)
    book = PdfReader(io.BytesIO(path.read_bytes()))
    assert all(digest in sheet.extract_text() for sheet in book.pages)

    page.locator("#entries tbody a").first.click()
    expect(page.get_by_role("heading", name="The bytes as stored")).to_be_visible()
