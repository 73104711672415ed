"""What is recorded, written in Git and brought out: pages that are fit for everyone, and forms that need no scripts."""

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.utils import timezone
from playwright.sync_api import FilePayload, Page, expect
from psycopg import Connection

from apps.accounts.models import User
from apps.audit.sealer import Sealer
from apps.compliance.anchors import see_to_anchors
from apps.configuration import actions as configuration_actions
from apps.health import actions as health_actions
from apps.integrations.git_repository import GitRepository
from tests.approvals.promotions import lane_of, move
from tests.audit.test_seal import all_sealed, own, sealer, url
from tests.browser.axe import findings_in_every_form
from tests.browser.conftest import SignIn, sign_in  # noqa: F401  a fixture
from tests.cast import PASSWORD
from tests.environments.recorded import TESTED, record, refresh
from tests.functional.office import Office, press
from tests.policies.proposals import text
from tests.policies.test_repository import Clone
from tests.processes import WebServer
from tests.releases.ends import announced_end
from tests.world import World

__all__ = ["own", "sealer", "url"]
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.reliability, pytest.mark.django_db(transaction=True)]

PLAIN = {"java_script_enabled": False, "timezone_id": "UTC"}
SUPPORT = "/services/greeter/support/"
PLACES = (
    "production", "production/requirements", "production/recovery", "staging", "staging/requirements", "staging/data",
)  # fmt: skip
NOWHERE = {
    "AUDIT_ANCHOR_WEBHOOK": "http://127.0.0.1:1/in",
    "AUDIT_ANCHOR_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}


@pytest.fixture
def places(settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Bring checkpoints to a folder that takes them, and to an address where nobody answers."""
    outside = tmp_path / "outside"
    outside.mkdir()
    settings.AUDIT_ANCHOR_DIR = str(outside)
    monkeypatch.setenv("EAIP_AUDIT_ANCHOR_DIR", str(outside))
    for name, value in NOWHERE.items():
        setattr(settings, name, value)
        monkeypatch.setenv(name, value)


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Clone]:
    """Keep the policies in Git, where the portal looks for them."""
    bare = django_settings.REPOSITORY_DIR / "policies.git"
    (tmp_path / "clone").mkdir()
    GitRepository.create(bare)
    yield Clone(tmp_path / "clone", bare)
    shutil.rmtree(bare)


@pytest.fixture
def office(
    places: None,
    world: World,
    portal: WebServer,
    open_page: Callable[..., Page],
    sign_in: SignIn,  # noqa: F811
) -> Office:
    return Office(world, portal, open_page, sign_in)


def in_reach(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M")


def people_record_data_and_backups(office: Office) -> None:
    world, hour_ago = office.world, timezone.now() - timedelta(hours=1)
    report: FilePayload = {"name": "report.txt", "mimeType": "text/plain", "buffer": b"No row holds a name."}
    page = office.seat(world.cast.devops, f"/environments/{world.cast.platform.slug}/staging/data/", **PLAIN)
    page.get_by_label("Taken from").select_option(label="Production")
    page.get_by_label("Data", exact=True).select_option(label="Anonymised")
    page.get_by_label("Refreshed", exact=True).fill(in_reach(hour_ago))
    press(page, "Record the refresh")
    expect(page.get_by_text("needs a report that says it was anonymised").first).to_be_visible()
    refresh = page.get_by_role("region", name="Record a refresh")
    refresh.get_by_label("Report (optional)", exact=True).set_input_files(report)
    press(page, "Record the refresh")
    expect(page.locator("#refreshes")).to_contain_text("report.txt")

    page.goto(f"{office.portal.url}/environments/{world.cast.platform.slug}/production/recovery/")
    page.get_by_label("What was done").select_option(label="Backup")
    page.get_by_label("Done", exact=True).fill(in_reach(hour_ago))
    page.get_by_label("Daily backups kept").fill("30")
    page.get_by_label("Monthly backups kept").fill("12")
    page.get_by_label("Report (optional)", exact=True).set_input_files(report)
    press(page, "Record it")
    expect(page.locator("#records")).to_contain_text("report.txt")
    assert office.told("backup.recorded").actor_label == "DevOps"


def a_commit_becomes_the_policy(office: Office) -> None:
    cast = office.world.cast
    seen = office.seat(cast.devops)
    found = _findings(office, seen, "/policies/")
    seen.goto(f"{office.portal.url}/policies/")
    commits = [link.get_attribute("href") for link in seen.locator("a[href*=commits]").all()]
    assert len(commits) == 2

    page = office.seat(cast.devops, "/policies/", **PLAIN)
    page.get_by_role("link", name="QA: More of the code is tested").click()
    page.get_by_label("Reason").fill("As reviewed")
    press(page, "Propose it")
    expect(page.get_by_role("heading", name="Another policy of QA")).to_be_visible()
    proposal = page.url.removeprefix(office.portal.url)
    found += [line for path in (*commits, proposal, "/policies/qa/") for line in _findings(office, seen, str(path))]
    decider = office.seat(cast.security, proposal, **PLAIN)
    found += _findings(office, office.seat(cast.security), proposal)
    decider.get_by_label("Confirm that it is you: your password").fill(PASSWORD)
    press(decider, "Put it in force")
    expect(decider.get_by_role("button", name="Put it in force")).to_have_count(0)
    assert office.told("policy.activated").actor_label == "Security"
    assert found == []


def what_is_recorded_and_brought_out_is_seen(office: Office) -> None:
    world = office.world
    places = f"/environments/{world.cast.platform.slug}"
    visits: dict[User, tuple[str, ...]] = {
        world.cast.devops: ("/", "/environments/", *(f"{places}/{path}/" for path in PLACES)),
        world.cast.release_engineer: (SUPPORT,),
        world.cast.auditor: (f"{places}/production/recovery/", f"{places}/staging/data/", SUPPORT, "/audit/seals/"),
    }
    found = []
    for person, paths in visits.items():
        page = office.seat(person)
        found += [line for path in paths for line in _findings(office, page, path)]
    assert found == []

    plain = office.seat(world.cast.auditor, "/audit/seals/", **PLAIN)
    expect(plain.get_by_text("Fails").first).to_be_visible()
    with plain.expect_download() as download:
        plain.get_by_role("link", name="Note of").first.click()
    assert Path(download.value.path()).read_text().startswith("eaip-operations/audit/")


def _findings(office: Office, page: Page, path: str) -> list[str]:
    return [f"{path} {finding}" for finding in findings_in_every_form(page, office.portal.url + path)]


def test_records_policies_and_seals_need_no_scripts_and_are_fit_for_everyone(
    office: Office, clone: Clone, sealer: Sealer, own: Connection, subtests: pytest.Subtests
) -> None:
    world, now = office.world, timezone.now()
    with world.everything():
        clone.push(text(least=90))
        clone.push("tier: [", name="staging.yaml")
        lane = lane_of(world.production, world)
        said = {"REPLICAS": "2", "WAF": "enabled", "ZONES": "some", "DEBUG_ENDPOINTS": "disabled"}
        version = configuration_actions.write_version(
            lane, values=said, reason="As it is", by=world.cast.devops, now=now
        )
        move(lane, world.release, configuration=version, now=now)
        health_actions.create_check(lane, name="Front", url="tls://a.example", by=world.cast.devops, now=now)
        refresh(world, at=now - timedelta(days=9))
        record(world, at=now)
        record(world, "RESTORE_TEST", at=now, succeeded=False, figures={})
        record(world, "RECOVERY_TEST", at=now - timedelta(days=99), figures=TESTED | {"rto_minutes": 900})
        announced_end(world)
    all_sealed(sealer, own)
    see_to_anchors()
    expect.set_options(timeout=20_000)  # others may use the machine
    for part in (people_record_data_and_backups, a_commit_becomes_the_policy, what_is_recorded_and_brought_out_is_seen):
        with subtests.test(part.__name__):
            part(office)
        office.leave()
