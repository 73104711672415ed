"""Security answers for a finding: it stops counting for a while, in the sight of all, and never by who wrote it."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import Error, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.approvals import actions
from apps.approvals.enums import PromotionState
from apps.approvals.models import Promotion
from apps.audit.actors import SYSTEM
from apps.core.texts import TextInvalid
from apps.core.verdict import Denied
from apps.releases.models import Acceptance, Finding, Release
from apps.workspaces import actions as workspace_actions
from tests.accounts.factors import by_password
from tests.approvals.promotions import ask, put_in_force, sentence_of
from tests.approvals.test_evidence_gates import report
from tests.approvals.test_races import at_once
from tests.cast import NOW, PASSWORD
from tests.drill import get, post, text_of
from tests.policies.documents import clause
from tests.releases.test_findings import sarif
from tests.world import World, last_event

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


@pytest.fixture
def promotion(world: World) -> Promotion:
    put_in_force("DEV", "security_scan")
    report(world, "SARIF", sarif("error", "warning"))
    return ask(world, world.dev, starts_by_itself=False)


def finding(release: Release | None = None, severity: int = 3) -> Finding:
    found = Finding.objects.select_related("evidence__release__service").filter(severity=severity)
    return found.filter(evidence__release=release).get() if release else found.latest("evidence__received_at")


def accept(world: World, *, by: Any = None, days: int = 30, now: Any = NOW, what: Finding | None = None) -> Acceptance:
    by = by or world.cast.security
    return actions.accept_finding(
        what or finding(), reason="No input reaches it", days=days, by=by, now=now, confirmation=by_password(by, now)
    )


def closed(promotion: Promotion, *, now: Any = NOW) -> list[str]:
    """Say what holds it back, as the claim would."""
    return [result.sentence for result in actions.recheck(promotion, now=now) if not result.outcome.lets_pass]


def test_an_accepted_finding_opens_the_gate_at_once_and_says_by_whom_until_when(
    world: World, promotion: Promotion
) -> None:
    assert promotion.state == PromotionState.PENDING

    acceptance = accept(world)

    settled = Promotion.objects.get(pk=promotion.pk)
    assert settled.state == PromotionState.READY
    assert sentence_of(settled, "security_scan") == (
        "0 critical, 0 high, 1 medium, 0 low, by semgrep. Asked: no finding above medium. "
        "Not counted: 1 accepted by Security until 2026-12-18 19:00 UTC."
    )
    event = last_event("finding.accepted")
    assert (event.actor_label, event.reason, event.target_id) == ("Security", "No input reaches it", str(acceptance.pk))


def test_one_that_ends_between_the_approval_and_the_claim_stops_the_claim(world: World, promotion: Promotion) -> None:
    accept(world, days=1)

    assert closed(promotion, now=NOW + DAY - timedelta(seconds=1)) == []
    assert closed(promotion, now=NOW + DAY) == [
        "0 critical, 1 high, 1 medium, 0 low, by semgrep. Asked: no finding above medium."
    ]
    assert actions.settle(promotion, now=NOW + DAY).state == PromotionState.PENDING


def test_a_withdrawn_one_counts_again_and_ends_once(world: World, promotion: Promotion) -> None:
    acceptance = accept(world)

    actions.withdraw_acceptance(acceptance, reason="An exploit", by=world.cast.security, now=NOW + DAY)

    assert Promotion.objects.get(pk=promotion.pk).state == PromotionState.PENDING
    assert last_event("acceptance.withdrawn").reason == "An exploit"
    with pytest.raises(actions.AcceptanceOver):
        actions.withdraw_acceptance(acceptance, reason="Again", by=world.cast.security, now=NOW + DAY)
    with pytest.raises(Denied):
        actions.withdraw_acceptance(accept(world), reason="No", by=world.cast.devops, now=NOW)


@pytest.mark.parametrize("name", ["release_engineer", "engineering_manager", "devops", "auditor", "administrator"])
def test_only_security_may(world: World, promotion: Promotion, name: str) -> None:
    with pytest.raises(Denied):
        accept(world, by=getattr(world.cast, name))
    assert not Acceptance.objects.exists()


def test_a_program_may_not(world: World, promotion: Promotion) -> None:
    with pytest.raises(Denied, match="Only a person"):
        accept(world, by=SYSTEM)


def test_who_wrote_the_release_may_not_and_their_word_counts_in_no_release_of_theirs(
    world: World, promotion: Promotion
) -> None:
    author = world.cast.release_engineer
    workspace_actions.grant_role(author, role="SECURITY", workspace=world.cast.platform, by=SYSTEM, now=NOW)
    with pytest.raises(Denied, match=r"You (wrote|entered) 1\.0\.0"):
        accept(world, by=author)

    accept(world)
    theirs = world.next_release("1.1.0", author=world.cast.security)
    report(world, "SARIF", sarif("error"), release=theirs)
    waiting = ask(world, world.dev, theirs, starts_by_itself=False)
    assert closed(waiting) != [], "Security wrote 1.1.0"
    assert closed(promotion) == []


def test_a_finding_that_turned_out_worse_counts(world: World, promotion: Promotion) -> None:
    report(world, "SARIF", sarif("warning"), now=NOW + DAY)
    accept(world, what=finding(severity=2), now=NOW + DAY)

    report(world, "SARIF", sarif("error"), now=NOW + 2 * DAY)

    assert closed(promotion, now=NOW + 2 * DAY) != []
    accept(world, now=NOW + 2 * DAY)
    assert closed(promotion, now=NOW + 2 * DAY) == []


@pytest.mark.parametrize("days", [0, -1, 91])
def test_it_lasts_at_most_as_the_policies_say(world: World, promotion: Promotion, days: int) -> None:
    with pytest.raises(actions.AcceptanceInvalid, match="1 to 90 days"):
        accept(world, days=days)
    with pytest.raises(TextInvalid):
        actions.accept_finding(finding(), reason=" ", days=1, by=world.cast.security, now=NOW)


def test_a_stricter_tier_stops_counting_it_earlier(world: World, promotion: Promotion) -> None:
    accept(world, days=90)
    rows = {"tolerated": "medium", "accepted_days": 7}
    put_in_force("DEV", clauses=[*put_in_force("QA").document["clauses"], clause(9, "security_scan", settings=rows)])

    assert closed(promotion, now=NOW + 7 * DAY - timedelta(seconds=1)) == []
    assert closed(promotion, now=NOW + 7 * DAY) != []


def test_it_is_accepted_once_and_anew_when_it_has_ended(world: World, promotion: Promotion) -> None:
    first = accept(world, days=1)
    with pytest.raises(actions.AlreadyAccepted, match="until 2026-11-19 19:00 UTC"):
        accept(world)

    accept(world, now=NOW + DAY)

    first.refresh_from_db()
    assert (first.ended_at, first.end_reason) == (NOW + DAY, "Accepted anew.")
    assert Acceptance.objects.standing(NOW + DAY).count() == 1


@pytest.mark.parametrize("change", ["SET reason = 'x'", "SET expires_at = expires_at + interval '1 day'"])
def test_what_was_said_never_changes(world: World, promotion: Promotion, change: str) -> None:
    accept(world)

    with pytest.raises(Error, match="can not be changed"), transaction.atomic():
        connection.cursor().execute(f"UPDATE releases_acceptance {change}")


def test_a_look_costs_the_same_for_few_acceptances_and_many(world: World, promotion: Promotion) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as asked:
            actions.recheck(promotion, now=NOW)
        return len(asked)

    few = cost()
    for number in range(5):
        report(world, "SARIF", sarif("error", tool=f"scanner {number}"), now=NOW + number * DAY)
        accept(world)

    assert cost() == few


def test_the_pages_say_who_accepted_what_and_let_security_withdraw(world: World, promotion: Promotion) -> None:
    page = reverse("releases:finding-list", args=["greeter", "1.0.0"])
    form = reverse("approvals:finding-acceptance", args=[finding().pk])
    assert form in text_of(get(world.cast.security, page))
    assert form not in text_of(get(world.cast.devops, page))
    assert "At most 90" in text_of(get(world.cast.security, form))
    assert get(world.cast.devops, form).status_code == 403
    assert post(world.cast.security, form, {"days": "91", "reason": "Why"}).status_code == 422

    given = {"days": "30", "reason": "No input reaches it"}
    unconfirmed = post(world.cast.security, form, given)
    assert unconfirmed.status_code == 403
    assert "Confirm that it is you: your password" in text_of(unconfirmed)
    assert not Acceptance.objects.exists()
    given["password"] = PASSWORD
    assert post(world.cast.security, form, given).status_code == 302
    assert last_event("finding.accepted").change["confirmed_with"]["after"] == "PASSWORD"
    assert post(world.cast.security, form, given).status_code == 409

    with world.everything():
        acceptance = Acceptance.objects.get()
    back = reverse("approvals:acceptance-withdrawal", args=[acceptance.pk])
    listed = reverse("releases:acceptance-list", args=["greeter"])
    assert "No input reaches it" in text_of(get(world.cast.auditor, page))
    assert back in text_of(get(world.cast.security, listed))
    assert back not in text_of(get(world.cast.auditor, listed))
    assert get(world.cast.devops, back).status_code == 403
    assert post(world.cast.security, back, {"reason": ""}).status_code == 422
    assert post(world.cast.security, back, {"reason": "An exploit"}).status_code == 302
    assert "An exploit" in text_of(get(world.cast.auditor, listed))
    assert post(world.cast.security, back, {"reason": "Again"}).status_code == 409


def test_the_list_of_acceptances_costs_the_same_for_many(world: World, promotion: Promotion) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as asked:
            get(world.cast.security, reverse("releases:acceptance-list", args=["greeter"]))
        return len(asked)

    accept(world, days=1)
    few = cost()
    with world.everything():
        for day in range(1, 5):
            accept(world, days=1, now=NOW + day * DAY)

    assert cost() == few


@pytest.mark.django_db(transaction=True)
def test_of_two_who_accept_at_once_one_does(world: World) -> None:
    with world.everything():
        report(world, "SARIF", sarif("error"))
        what = finding()

    results = at_once(world, lambda: accept(world, what=what), lambda: accept(world, what=what, days=2))

    assert [type(result) for result in results].count(actions.AlreadyAccepted) == 1
    with world.everything():
        [standing] = Acceptance.objects.filter(ended_at=None)
    again = at_once(
        world,
        *[lambda: actions.withdraw_acceptance(standing, reason="No", by=world.cast.security, now=NOW)] * 2,
    )
    assert [type(result) for result in again].count(actions.AcceptanceOver) == 1
