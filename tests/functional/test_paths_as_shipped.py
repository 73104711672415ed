"""Ways to Production under its policy as it is shipped: in the browser, with what comes before done by actions.

The engine works here on a target made of files, once somebody has pressed the button; git is asked when the sweeper
would ask it. Each path begins where the one before has left Production.
"""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest
from django.conf import settings
from django.utils import timezone
from playwright.sync_api import Locator, Page, expect

from apps.accounts.models import User
from apps.approvals.enums import PromotionState
from apps.approvals.jobs import see_to_approvals
from apps.approvals.models import Promotion
from apps.audit.actors import SYSTEM
from apps.deployments import actions as deployment_actions
from apps.deployments import runner
from apps.deployments.enums import DeploymentState
from apps.deployments.models import Deployment
from apps.environments.enums import Tier
from apps.environments.models import Environment
from apps.incidents.models import Incident
from apps.integrations.git_repository import GitRepository
from apps.policies import actions as policy_actions
from apps.policies import sources
from apps.policies.models import PolicyVersion
from apps.releases.models import Release
from apps.workspaces import actions as workspace_actions
from tests.approvals.promotions import approve_all, ask, bring, tick_all
from tests.approvals.test_hotfixes import commit
from tests.browser.conftest import SignIn, sign_in  # noqa: F401  a fixture
from tests.cast import NOW, make_person
from tests.deployments.conftest import Stage, judge, stage  # noqa: F401  fixtures
from tests.environments.recorded import record_all
from tests.functional.office import Office, approve, confirm, page_of, press
from tests.policies.proposals import activate, in_force
from tests.processes import WebServer, eventually
from tests.releases.data_migrations import forward_only, migration, with_migrations
from tests.reported import reported

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.reliability, pytest.mark.django_db(transaction=True)]


@dataclass(frozen=True, kw_only=True)
class Works(Office):
    """The office, what is deployed to, the repository, and people of roles that few changes ask for."""

    stage: Stage
    repository: GitRepository
    board: User
    data_steward: User

    def tried_out(self, version: str, **fields: object) -> Release:
        """Make a release that has been in Staging for days."""
        with self.world.everything():
            release = self.world.next_release(version, **fields)
            bring(self.world, self.world.staging, release)
        return release

    def ask_in_browser(self, page: Page, release: Release, link: str, environment: Environment) -> Promotion:
        """Ask on the page of the release, by the link that it has for it."""
        page.goto(f"{self.portal.url}/releases/greeter/{release.version}/")
        page.get_by_role("link", name=link, exact=True).locator("visible=true").first.click()
        page.get_by_label("Reason").fill("Greets better")
        page.get_by_label("Wait for a person before it starts").check()
        press(page, f"Promote to {environment.name}")
        expect(page.locator("#gate-box")).to_be_visible()
        with self.world.everything():
            return Promotion.objects.get(release=release, lane=self.world.lane(environment))

    def prepared(self, promotion: Promotion) -> None:
        """Tick what is to be ticked before the start."""
        with self.world.everything():
            tick_all(promotion, self.world, now=timezone.now())

    def start(self, page: Page, promotion: Promotion) -> Deployment:
        """Press the button, and do what a worker does."""
        page.goto(self.portal.url + page_of(promotion))
        expect(page.locator("#gate-box").get_by_role("heading").first).to_have_text(
            "Ready. It waits for somebody to start it."
        )
        press(page, "Start now")
        expect(page.locator("#hero")).to_be_visible()
        with self.world.everything():
            deployment = promotion.deployments.get()
        self.work_on(page, deployment)
        assert self.state(promotion) == PromotionState.COMPLETED
        return deployment

    def work_on(self, page: Page, deployment: Deployment) -> None:
        run_to_its_end(self.stage, deployment)
        page.goto(f"{self.portal.url}/deployments/{deployment.number}/")
        expect(page.locator("#hero").get_by_text("Succeeded")).to_be_visible()

    def assert_told(self, *kinds: str, of: object) -> None:
        """Find these events in this order in the history of something, as the auditor reads it."""
        page = self.seat(self.world.cast.auditor, f"/audit/?object={of._meta.model_name}:{of.pk}")  # type: ignore[attr-defined]
        told = page.locator("#events tbody td[data-label=Kind]").all_inner_texts()[::-1]
        rest = iter(told)
        missing = [kind for kind in kinds if kind not in rest]
        assert not missing, f"no {missing[0]} where it belongs in {told}"


def run_to_its_end(stage: Stage, deployment: Deployment) -> None:  # noqa: F811
    """Work on it as a worker does, and go on with it where the machine stood still for longer than a lease."""

    def ran() -> Deployment | None:
        runner.run(deployment.pk)
        return stage.ended(deployment)()

    assert eventually(ran, within_seconds=120).state == DeploymentState.SUCCEEDED


def box_of(page: Page) -> Locator:
    return page.locator("#gate-box")


def tick(page: Page, *lines: str, within: str = "#gate-box") -> None:
    for line in lines:
        press(page, f"Tick {line}")
        row = page.locator(f"{within} li[id^=line-]").filter(has_text=line)
        expect(row).to_contain_text("ticked it")


def an_ordinary_release_has_its_checklists_and_two_who_approve(works: Works) -> None:
    world, cast = works.world, works.world.cast
    release = works.tried_out("1.0.1", tag="v1.0.1")
    engineer = works.seat(cast.release_engineer)
    promotion = works.ask_in_browser(engineer, release, "Promote to Production", world.production)
    expect(box_of(engineer).get_by_role("heading").first).to_contain_text("Held back by")
    expect(engineer.locator("#gates")).to_contain_text("Backup")
    with world.everything():
        record_all(world, at=timezone.now())

    engineer.goto(works.portal.url + page_of(promotion))
    tick(engineer, "Release notes prepared")
    expect(engineer.locator("#gates")).to_contain_text("Soaked in Staging (Staging): 60 min of soak.")
    manager = works.seat(cast.engineering_manager, page_of(promotion))
    tick(manager, "Customer communication sent, if needed")
    approve(manager, "Read the changes")
    operator = works.seat(cast.devops, "/approvals/")
    operator.get_by_role("link", name="Review Greeter 1.0.1 to Production").click()
    tick(operator, "On-call engineer assigned", "Monitoring dashboards ready")
    approve(operator, "Watched Staging")
    works.start(engineer, promotion)

    operator.goto(works.portal.url)
    operator.locator("#needs").get_by_role("link", name="Post-deployment checklist, Greeter 1.0.1").first.click()
    afterwards = (
        "Health checks pass", "Metrics are within their normal range", "The error rate has not risen",
        "Performance is stable",
    )  # fmt: skip
    tick(operator, *afterwards, within="#checklists")
    manager.goto(works.portal.url + page_of(promotion))
    tick(manager, "Customer reports verified", within="#checklists")
    see_to_approvals()
    manager.goto(works.portal.url + page_of(promotion))
    expect(manager.locator("#checklists").get_by_text("Done", exact=True)).to_be_visible()
    works.assert_told(
        "promotion.requested", "tick.given", "decision.approved", "tick.given", "decision.approved", "promotion.ready",
        "promotion.deploying", "promotion.completed", of=promotion,
    )  # fmt: skip


def a_change_of_infrastructure_waits_for_the_advisory_board(works: Works) -> None:
    world, cast = works.world, works.world.cast
    release = works.tried_out("1.1.0", tag="v1.1.0")
    engineer = works.seat(cast.release_engineer)
    promotion = works.ask_in_browser(engineer, release, "Promote to Production", world.production)
    works.prepared(promotion)
    approve(works.seat(cast.devops, page_of(promotion)), "Watched Staging")

    security = works.seat(cast.security, "/releases/greeter/1.1.0/")
    security.get_by_role("link", name="Declare one").click()
    security.get_by_label("What it is").select_option(label="Infrastructure change")
    security.get_by_label("Reason").fill("It moves the load balancer")
    press(security, "Declare it")
    expect(security.get_by_text("Greeter 1.1.0 is an infrastructure change.")).to_be_visible()

    engineer.goto(works.portal.url + page_of(promotion))
    gates = engineer.locator("#gates")
    expect(gates).to_contain_text("no longer counts")
    expect(gates.get_by_text("The change advisory board approves a change of infrastructure.").first).to_be_visible()
    asked = engineer.get_by_role("complementary", name="What was asked")
    expect(asked).to_contain_text("Infrastructure change 1.1.0, Security: It moves the load balancer")
    works.prepared(promotion)  # the ticks were of the plan before
    for person, comment in ((cast.engineering_manager, "Read the changes"), (cast.devops, "Watched it again")):
        approve(works.seat(person, page_of(promotion)), comment)
    assert works.state(promotion) == PromotionState.PENDING

    board = works.seat(works.board, "/approvals/")
    board.get_by_role("link", name="Review Greeter 1.1.0 to Production").click()
    expect(board.get_by_role("heading", name="Waiting for you, as Change advisory board.")).to_be_visible()
    approve(board, "Agreed in the meeting of the week")
    assert works.told("decision.approved").summary.endswith("as Change advisory board, confirmed with the password")
    works.start(engineer, promotion)
    works.assert_told(
        "promotion.requested", "decision.approved", "decision.voided", *("decision.approved",) * 3, "promotion.ready",
        "promotion.completed", of=promotion,
    )  # fmt: skip
    works.assert_told("release.trait_declared", of=release)


def an_emergency_from_the_incident_to_its_publication(works: Works) -> None:
    world, cast = works.world, works.world.cast
    operator = works.seat(cast.devops, f"/environments/{cast.platform.slug}/{world.production.slug}/")
    operator.get_by_role("link", name="Declare an incident").click()
    operator.get_by_label("What goes wrong").fill("Nobody is greeted")
    operator.get_by_label("Service (optional)").select_option(label="Greeter")
    press(operator, "Declare it")
    expect(operator.get_by_role("heading", name="Nobody is greeted")).to_be_visible()
    with world.everything():
        incident = Incident.objects.get()
        main, runs = works.repository.resolve("main"), Release.objects.get(version="1.1.0").commit
        fix = commit(works.repository, runs, "fix: greet again")
        works.repository.run("tag", "v1.1.1", fix)

    engineer = works.seat(cast.release_engineer, "/releases/new/")
    engineer.get_by_label("Service", exact=True).select_option("greeter")
    engineer.get_by_label("Version", exact=True).fill("1.1.1")
    engineer.get_by_label("Git tag (optional)").fill("v1.1.1")
    moves_data = migration(**{"id": "0050", "class": "FORWARD_COMPATIBLE"})
    engineer.get_by_label("Manifest", exact=True).fill(json.dumps(with_migrations("1.1.1", moves_data)))
    press(engineer, "Create release")
    expect(engineer.get_by_text("Greeter 1.1.1 is sealed.").first).to_be_visible()
    with world.everything():
        hotfix = reported(Release.objects.get(version="1.1.1"), but=("SARIF", "LCOV"))  # no time for a scan
    in_staging = works.ask_in_browser(engineer, hotfix, "Promote to Staging as an emergency", world.staging)
    expect(engineer.get_by_text("Emergency:")).to_be_visible()
    works.start(engineer, in_staging)

    promotion = works.ask_in_browser(engineer, hotfix, "Promote to Production as an emergency", world.production)
    gates = engineer.locator("#gates")
    expect(gates).to_contain_text("The repository is being asked whether 1.1.1 was cut from 1.1.0")
    expect(gates).not_to_contain_text("Engineering manager")
    see_to_approvals()
    engineer.goto(works.portal.url + page_of(promotion))
    expect(gates).to_contain_text("1.1.1 was cut from 1.1.0, which Production runs.")
    approve(works.seat(cast.second_devops, page_of(promotion)), "Read the patch")
    assert works.state(promotion) == PromotionState.PENDING
    approve(works.seat(works.data_steward, page_of(promotion)), "Adds a column, nothing else")
    deployment = works.start(engineer, promotion)
    expect(engineer.get_by_text("Watched closely").first).to_be_visible()
    works.assert_told(
        "promotion.requested", "promotion.origin_found", "decision.approved", "decision.approved", "promotion.ready",
        "promotion.completed", of=promotion,
    )  # fmt: skip
    works.assert_told("deployment.queued", "deployment.succeeded", of=deployment)

    operator.get_by_label("What resolved it").fill("1.1.1 greets again")
    press(operator, "Resolve")
    expect(operator.get_by_role("heading", name="Resolved by DevOps")).to_be_visible()
    operator.goto(works.portal.url)
    needs = operator.locator("#needs")
    owed = (
        "Approval afterwards as Engineering manager", "Approval afterwards as DevOps", "Hotfix merged back",
        "Post-mortem", "Publication of the post-mortem",
    )  # fmt: skip
    for what in owed:
        row = needs.get_by_role("listitem").filter(has_text=f"{what}, incident {incident}")
        expect(row.get_by_text("due", exact=False).first).to_be_visible()
    _pay_what_is_owed(works, incident, operator)

    works.repository.run("update-ref", "HEAD", commit(works.repository, main, "merge: the hotfix", fix))
    see_to_approvals()
    operator.goto(f"{works.portal.url}/incidents/{incident.number}/")
    expect(_debt(operator, "Hotfix merged back")).to_contain_text(
        f"The main branch of the repository contains {fix[:12]}"
    )
    operator.goto(works.portal.url)
    expect(needs).not_to_contain_text(f"incident {incident}")
    works.assert_told(
        "incident.declared", "incident.owed", "incident.resolved", *("incident.paid",) * 5, of=incident
    )  # fmt: skip


def _debt(page: Page, what: str) -> Locator:
    return page.locator("li[id^=debt-]").filter(has=page.get_by_text(what, exact=True))


def _pay_what_is_owed(works: Works, incident: Incident, operator: Page) -> None:
    """Give the approvals that were not asked for, and say where the documents are."""
    address = f"{works.portal.url}/incidents/{incident.number}/"
    manager = works.seat(works.world.cast.engineering_manager)
    for page, role in ((manager, "Engineering manager"), (operator, "DevOps")):
        page.goto(address)
        owed = _debt(page, f"Approval afterwards as {role}")
        owed.get_by_label("What you found").fill("It was right")
        owed.get_by_role("button", name="Approve afterwards").click()
        confirm(page)
        press(page, "Approve afterwards")
        expect(owed).to_contain_text("It was right")
    for what in ("Post-mortem", "Publication of the post-mortem"):
        owed = _debt(operator, what)
        owed.get_by_label("Where it is").fill("https://wiki.example.com/greetings")
        owed.get_by_role("button", name="It is done").click()
        expect(owed).to_contain_text("https://wiki.example.com/greetings")


def a_migration_is_approved_for_itself_and_decides_how_to_go_back(works: Works) -> None:
    world, cast = works.world, works.world.cast
    manifest = with_migrations("1.2.0", migration(), forward_only(id="0043"))
    with world.everything():
        release, lane = world.next_release("1.2.0", manifest=manifest), world.lane(world.production)
    engineer = works.seat(cast.release_engineer, f"/approvals/promotions/{release.pk}/to/{lane.pk}/")
    expect(engineer.locator("main")).to_contain_text(
        "no deployment of 1.2.0 that ran them has succeeded in Staging yet"
    )
    with world.everything():
        bring(world, world.staging, release)
    promotion = works.ask_in_browser(engineer, release, "Promote to Production", world.production)
    works.prepared(promotion)

    steward = works.seat(works.data_steward, page_of(promotion))
    gates = steward.locator("#gates")
    gates.locator("summary").filter(has_text="passed").first.click()
    expect(gates).to_contain_text("each with its checksum and a written way back; tried out in Staging")
    expect(gates).to_contain_text("Only a person can go back, after restoring the data: 0043 is forward-only.")
    steward.get_by_text("How the data is restored of 0043").click()
    expect(steward.get_by_text("Restore the snapshot.").first).to_be_visible()
    expect(steward.get_by_role("heading", name="Waiting for you, as Migration approver.")).to_be_visible()
    press(steward, "Approve for Production")
    expect(steward.get_by_text("You are not confirmed. Nothing was changed.")).to_be_visible()
    approve(steward, "Tried on a copy of the data")
    assert works.told("decision.approved").approval["confirmed_with"] == "PASSWORD"
    for person in (cast.engineering_manager, cast.devops):
        approve(works.seat(person, page_of(promotion)), "Read the changes")
    deployment = works.start(engineer, promotion)
    works.assert_told(
        "promotion.requested", *("decision.approved",) * 3, "promotion.ready", "promotion.completed", of=promotion
    )

    operator = works.seat(cast.devops, f"/deployments/{deployment.number}/")
    expect(operator.locator("#roll-back")).to_contain_text("Only a person brings 1.1.1 back, once the data is restored")
    operator.locator("#roll-back").get_by_role("link", name="Roll back to 1.1.1").click()
    expect(operator.locator("#confirm")).to_contain_text("Run downgrade 0041.")
    expect(operator.locator("#confirm")).to_contain_text("Restore the snapshot.")
    operator.get_by_label("Reason").fill("Totals are wrong")
    press(operator, "Roll back to 1.1.1")
    expect(operator.get_by_text("Nothing was changed. Restore the data")).to_be_visible()
    operator.get_by_role("link", name="Back", exact=True).click()
    operator.get_by_label("Reason").fill("Totals are wrong")
    operator.get_by_label("The data was restored as the procedures say").check()
    press(operator, "Roll back to 1.1.1")
    expect(operator.locator("#hero")).to_be_visible()
    with world.everything():
        back = Deployment.objects.latest("number")
    works.work_on(operator, back)
    held = operator.locator(".strip-note").filter(has_text="On hold:")
    expect(held).to_contain_text("run the rollback procedure of 0042")
    operator.get_by_role("link", name="Lift the hold").click()
    operator.get_by_label("Reason").fill("The totals are right again")
    press(operator, "Lift the hold")
    expect(operator.get_by_text("The hold is lifted").first).to_be_visible()
    expect(held).to_have_count(0)
    assert "The data was restored to before 0043, says DevOps." in works.told("deployment.queued").summary
    works.assert_told("deployment.queued", "deployment.succeeded", of=back)
    assert works.told("hold.lifted").reason == "The totals are right again"


PATHS = [
    an_ordinary_release_has_its_checklists_and_two_who_approve,
    a_change_of_infrastructure_waits_for_the_advisory_board,
    an_emergency_from_the_incident_to_its_publication,
    a_migration_is_approved_for_itself_and_decides_how_to_go_back,
]


@pytest.fixture
def works(
    stage: Stage,  # noqa: F811
    history: object,
    portal: WebServer,
    open_page: Callable[..., Page],
    sign_in: SignIn,  # noqa: F811
) -> Iterator[Works]:
    """1.0.0 runs in Production, whose policy is the one that is shipped."""
    world, place = stage.world, settings.REPOSITORY_DIR / "greeter.git"
    subprocess.run(["git", "clone", "--quiet", "--mirror", str(history), place], check=True)
    with world.everything():
        platform = world.cast.platform
        board = make_person("board", "Head of the board", ("CAB",), platform)
        steward = make_person("data-steward", "Data steward", ("MIGRATION_APPROVER",), platform)
        workspace_actions.grant_role(
            world.cast.second_devops, role="SENIOR_ENGINEER", workspace=platform, by=SYSTEM, now=NOW
        )
        bring(world, world.staging)
        first = ask(world, world.production, now=timezone.now(), starts_by_itself=False)
        approve_all(first, world, now=timezone.now())
        deployment = deployment_actions.start_deployment(first, by=world.cast.release_engineer, now=timezone.now())
    run_to_its_end(stage, deployment)
    with world.everything():
        as_shipped(world.cast.devops, world.cast.security)
    yield Works(
        world=world, portal=portal, open_page=open_page, sign_in=sign_in,
        stage=stage, repository=GitRepository(place), board=board, data_steward=steward,
    )  # fmt: skip
    shutil.rmtree(place)


def as_shipped(author: User, decider: User) -> None:
    """Let Production's policy say again what it says where nobody has changed it."""
    reduced = in_force(Tier.PRODUCTION)
    shipped = PolicyVersion.objects.get(tier=Tier.PRODUCTION, number=reduced.number - 1)
    text = sources.written(shipped.document, schema_url="s")
    proposal = policy_actions.propose(text, tier=Tier.PRODUCTION, reason="As shipped", by=author, now=NOW)
    assert activate(proposal, by=decider).digest == shipped.digest


def test_every_path_is_gone_in_the_browser_under_the_shipped_policy(works: Works, subtests: pytest.Subtests) -> None:
    expect.set_options(timeout=20_000)  # a password is hashed slowly, and others may use the machine
    for path in PATHS:
        with subtests.test(path.__name__):
            path(works)
        works.leave()


def test_the_ordinary_path_is_gone_without_scripts(works: Works) -> None:
    expect.set_options(timeout=20_000)
    an_ordinary_release_has_its_checklists_and_two_who_approve(replace(works, has_scripts=False))
