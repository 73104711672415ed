"""What people do when a release does not go its usual way: in the browser, with what comes before done by actions.

One server and one browser serve all of them; each path begins where the one before has left Production.
"""

import re
from collections.abc import Callable

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from apps.approvals import actions
from apps.approvals.enums import PromotionState
from apps.approvals.models import Promotion
from apps.audit.actors import SYSTEM
from apps.environments import actions as environment_actions
from apps.environments.enums import FreezeScope
from apps.incidents.models import Incident
from apps.releases.models import Release
from apps.workspaces import actions as workspace_actions
from tests.approvals.promotions import ask, bring, deploy, put_in_force
from tests.approvals.test_evidence_gates import report, sarif
from tests.browser.conftest import SignIn, sign_in  # noqa: F401  a fixture
from tests.cast import PASSWORD
from tests.functional.office import Office, approve, page_of, press
from tests.processes import WebServer
from tests.world import World

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.reliability, pytest.mark.django_db(transaction=True)]

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 3}


def an_emergency_passes_a_freeze_for_its_reason_and_leaves_debts(office: Office) -> None:
    world, cast = office.world, office.world.cast
    with world.everything():
        patch, now = world.next_release("1.0.1"), timezone.now()
        of_it = {"environment": world.production, "workspace_id": cast.platform.pk, "ends_at": None}
        freeze = environment_actions.freeze(
            scope=FreezeScope.ENVIRONMENT, reason="Audit week", by=cast.devops, now=now, **of_it
        )
        workspace_actions.grant_role(
            cast.second_devops, role="SENIOR_ENGINEER", workspace=cast.platform, by=SYSTEM, now=now
        )

    operator = office.seat(cast.devops, f"/environments/{cast.platform.slug}/{world.production.slug}/")
    operator.get_by_role("link", name="Declare an incident").click()
    operator.get_by_label("What goes wrong").fill("Sign-in fails")
    press(operator, "Declare it")
    expect(operator.get_by_role("heading", name="Sign-in fails")).to_be_visible()
    with world.everything():
        incident = Incident.objects.get()
        deploy(ask(world, world.staging, patch, incident=incident, now=now), now=timezone.now())

    engineer = office.seat(cast.release_engineer, "/releases/greeter/1.0.1/")
    engineer.get_by_role("link", name="Promote to Production", exact=True).first.click()
    engineer.get_by_label("As an emergency").select_option(label=f"{incident} {incident.severity}: Sign-in fails")
    engineer.get_by_label("Reason").fill("Greets nobody")
    engineer.get_by_label("Wait for a person before it starts").check()
    press(engineer, "Promote to Production")
    expect(engineer.get_by_text("Emergency:")).to_be_visible()
    expect(engineer.locator("#gates")).to_contain_text(f"because of incident {incident}, although frozen")
    with world.everything():
        promotion = Promotion.objects.get(release=patch, lane__environment=world.production)

    senior = office.seat(cast.second_devops, page_of(promotion))
    approve(senior, "Read the patch")
    assert office.state(promotion) == PromotionState.READY
    assert office.told("promotion.requested").summary.endswith(f"as an emergency, for incident {incident}")
    with world.everything():
        deploy(promotion, now=timezone.now())

    operator.goto(office.portal.url)
    expect(operator.locator("#needs")).to_contain_text(f"Post-mortem, incident {incident}")
    manager = office.seat(cast.engineering_manager, f"/incidents/{incident.number}/")
    owed = manager.locator("li[id^=debt-]").filter(has_text="Approval afterwards as Engineering manager")
    owed.get_by_label("What you found").fill("It was right")
    owed.get_by_role("button", name="Approve afterwards").click()
    manager.get_by_label("Confirm that it is you: your password").fill(PASSWORD)
    press(manager, "Approve afterwards")
    expect(owed).to_contain_text("It was right")
    assert office.told("incident.paid").actor_label == "Engineering manager"
    with world.everything():
        environment_actions.lift_freeze(freeze, by=cast.devops, now=timezone.now())


def a_rejection_is_read_by_who_asked(office: Office) -> None:
    cast = office.world.cast
    with office.world.everything():
        newer = office.world.next_release("1.1.0")
        bring(office.world, office.world.staging, newer)
    promotion = office.ask(newer)

    approver = office.seat(cast.devops, "/approvals/")
    approver.get_by_role("link", name="Review Greeter 1.1.0 to Production").click()
    press(approver, "Reject")
    expect(approver.get_by_text("Say why you reject it").first).to_be_visible()
    approver.get_by_label("Comment").fill("Errors rose in Staging")
    approver.get_by_label("Confirm that it is you: your password").fill(PASSWORD)
    press(approver, "Reject")
    expect(approver.get_by_text("You rejected Greeter")).to_be_visible()

    engineer = office.seat(cast.release_engineer, page_of(promotion))
    box = engineer.locator("#gate-box")
    expect(box.get_by_role("heading")).to_contain_text("Rejected. DevOps rejected it as DevOps: Errors rose in Staging")
    expect(box.locator("q")).to_have_text("Errors rose in Staging")
    assert office.told("promotion.rejected").reason == "Errors rose in Staging"


def what_expires_while_its_page_is_open_is_approved_by_nobody(office: Office) -> None:
    cast = office.world.cast
    with office.world.everything():
        promotion = office.ask(Release.objects.get(version="1.1.0"))
    approver = office.seat(cast.devops, page_of(promotion))
    expect(approver.get_by_text("Waiting for you, as DevOps.")).to_be_visible()
    with office.world.everything():
        actions.settle(promotion, now=promotion.expires_at)

    expect(approver.locator("#gate-news")).to_contain_text("xpired")
    approver.get_by_label("Confirm that it is you: your password").fill(PASSWORD)
    press(approver, "Approve for Production")
    expect(approver.locator("#refusal")).to_contain_text("is expired: nothing is left to decide as DevOps.")

    engineer = office.seat(cast.release_engineer, page_of(promotion))
    expect(engineer.locator("#gate-box").get_by_role("heading")).to_contain_text("Expired.")
    assert office.state(promotion) == PromotionState.EXPIRED


def a_phone_approves_with_three_taps(office: Office) -> None:
    with office.world.everything():
        promotion = office.ask(Release.objects.get(version="1.1.0"))
    phone = office.seat(office.world.cast.devops, "/approvals/", **PHONE)

    phone.get_by_role("link", name="Review Greeter 1.1.0 to Production").tap()
    phone.get_by_label("Confirm that it is you: your password").tap()
    phone.keyboard.type(PASSWORD)
    phone.get_by_label("Your decision").last.get_by_role("button", name="Approve for Production").tap()

    expect(phone.get_by_text("You approved Greeter")).to_be_visible()
    assert phone.evaluate("document.documentElement.scrollWidth <= innerWidth")
    with office.world.everything():
        assert promotion.decisions.get().decided_by == office.world.cast.devops
        actions.withdraw(promotion, reason="Later", by=office.world.cast.release_engineer, now=timezone.now())


def a_security_update_waits_for_security_who_answers_for_what_stays(office: Office) -> None:
    world, cast = office.world, office.world.cast
    with world.everything():
        put_in_force("PRODUCTION", "security_scan", roles=("SECURITY",))
        update = world.next_release("1.1.1")
        bring(world, world.staging, update)
        report(world, "SARIF", sarif("semgrep", "error"), release=update)
    promotion = office.ask(update)

    page = office.seat(cast.security, page_of(promotion))
    gates = page.locator("#gates")
    expect(gates).to_contain_text("1 high, 0 medium, 0 low, by scanner and semgrep. Asked: no finding above medium.")
    gates.get_by_role("link", name="Findings").first.click()
    page.get_by_role("link", name=re.compile("^Accept ")).first.click()
    page.get_by_label("For how many days").fill("7")
    page.get_by_label("Reason").fill("No input reaches it")
    press(page, "Accept it")
    expect(page.get_by_text("is accepted for 7 days")).to_be_visible()
    page.goto(office.portal.url + page_of(promotion))
    expect(gates).to_contain_text("1 accepted by Security until")
    page.get_by_label("Comment").fill("The advisory is closed")
    press(page, "Approve for Production")
    expect(page.get_by_text("You approved Greeter")).to_be_visible()

    assert office.state(promotion) == PromotionState.READY


PATHS = [
    an_emergency_passes_a_freeze_for_its_reason_and_leaves_debts,
    a_rejection_is_read_by_who_asked,
    what_expires_while_its_page_is_open_is_approved_by_nobody,
    a_phone_approves_with_three_taps,
    a_security_update_waits_for_security_who_answers_for_what_stays,
]


def test_every_path_is_gone_in_the_browser(
    world: World,
    portal: WebServer,
    open_page: Callable[..., Page],
    sign_in: SignIn,  # noqa: F811
    subtests: pytest.Subtests,
) -> None:
    with world.everything():
        bring(world, world.production)
    office = Office(world, portal, open_page, sign_in)
    expect.set_options(timeout=20_000)  # a password is hashed slowly, and others may use the machine
    for path in PATHS:
        with subtests.test(path.__name__):
            path(office)
        office.leave()
