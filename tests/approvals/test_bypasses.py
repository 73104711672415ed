"""Every way around four eyes that somebody thought of: each fails, and the trail tells who tried (S1).

`docs/reference/separation-of-duties.md` has the same list; the last test holds one to the other.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from guardian.shortcuts import assign_perm

from apps.accounts import actions as account_actions
from apps.approvals import actions
from apps.approvals.enums import PromotionState
from apps.approvals.models import Decision, Delegation, Promotion, Waiver
from apps.audit.actors import SYSTEM
from apps.audit.models import AuditEvent
from apps.configuration import actions as configuration_actions
from apps.deployments import actions as deployment_actions
from apps.deployments import rollouts, runner
from apps.deployments.models import Deployment
from apps.environments import actions as environment_actions
from apps.environments.enums import FreezeScope
from apps.incidents import actions as incident_actions
from apps.incidents.models import Debt
from apps.policies import actions as policy_actions
from apps.policies.gates import lets_pass
from apps.policies.models import PolicyVersion
from apps.releases import actions as release_actions
from apps.releases.models import Acceptance, Release
from apps.workspaces import actions as workspace_actions
from apps.workspaces.models import Membership
from tests.api.test_create_release import post as post_release
from tests.api.test_create_release import release_body
from tests.approvals.promotions import (
    approve_all,
    ask,
    ask_for_production,
    bring,
    deploy,
    lane_of,
    lend,
    move,
    put_in_force,
    say,
)
from tests.approvals.test_accept_finding import finding
from tests.approvals.test_emergencies import freeze_with_a_patch, hurry
from tests.approvals.test_evidence_gates import report, sarif
from tests.approvals.test_page_approvals import address, decision
from tests.approvals.test_waive import let_waive, waive
from tests.cast import NOW, make_person
from tests.drill import signed_in
from tests.incidents.test_incidents import declare
from tests.policies.proposals import text
from tests.world import World

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "reference" / "separation-of-duties.md"
HOUR, REASON = timedelta(hours=1), {"reason": "Because of a test"}


@dataclass(frozen=True)
class Try:
    """A change as somebody asks for it at a page."""

    by: Any
    address: str
    data: dict[str, Any] = field(default_factory=dict)
    client: Client | None = None


@dataclass(frozen=True)
class Door:
    """`status` and `code` are what the one who tries gets, and what the trail keeps of it."""

    words: str
    status: int
    code: str
    try_it: Callable[[World], Try]
    kind: str = "access.refused"

    @property
    def row(self) -> str:
        kept = f"`{self.kind}`" + (f", `{self.code}`" if self.code else "")
        return f"| {self.words} | {self.status} | {kept} |"


DOORS: list[Door] = []


def door(words: str, status: int, code: str, **more: str) -> Callable[[Callable[[World], Try]], None]:
    return lambda try_it: DOORS.append(Door(words, status, code, try_it, **more))


def waiting(world: World, release: Release | None = None, **fields: Any) -> Promotion:
    return ask_for_production(world, release, **{"now": timezone.now(), **fields})


def asked_by_devops(world: World) -> Promotion:
    return waiting(world, by=world.cast.devops)


def approving(by: Any, promotion: Promotion, role: str = "DEVOPS", client: Client | None = None, **changes: Any) -> Try:
    given = decision(Promotion.objects.get(pk=promotion.pk), role, **changes)
    return Try(by, address(promotion, "decision-create"), given, client)


def give_role(world: World, person: Any, role: str) -> None:
    workspace_actions.grant_role(person, role=role, workspace=world.cast.platform, by=SYSTEM, now=NOW)


def end_role(person: Any, role: str) -> None:
    held = Membership.objects.current().get(user=person, role_id=role)
    workspace_actions.end_role(held, by=SYSTEM, now=NOW)


# Whose decision it may not be.


@door("Who asked for it approves it", 403, "own_request")
def _(world: World) -> Try:
    return approving(world.cast.devops, asked_by_devops(world))


@door("Who asked for it is given the role afterwards, and approves", 403, "own_request")
def _(world: World) -> Try:
    promotion = waiting(world)
    give_role(world, world.cast.release_engineer, "DEVOPS")
    return approving(world.cast.release_engineer, promotion)


@door("The author of the release approves it", 403, "own_change")
def _(world: World) -> Try:
    return approving(world.cast.devops, waiting(world, world.next_release("1.1.0", author=world.cast.devops)))


@door("The committer of the release approves it", 403, "own_commit")
def _(world: World) -> Try:
    return approving(world.cast.devops, waiting(world, world.next_release("1.1.0", committer=world.cast.devops)))


@door("Who entered a release of no known author approves it", 403, "own_release")
def _(world: World) -> Try:
    give_role(world, world.cast.release_engineer, "DEVOPS")
    return approving(world.cast.release_engineer, asked_by_devops(world))


@door("Who made an API token releases by it, names another author, and approves", 403, "own_token")
def _(world: World) -> Try:
    maker, author = world.cast.second_devops, world.cast.security
    type(author).objects.filter(pk=author.pk).update(email="security@example.com")
    give_role(world, maker, "RELEASE_ENGINEER")
    made = {"name": "Pipeline", "scopes": ["release:create"], "days": 1, "now": timezone.now()}
    _, token = workspace_actions.create_token(world.cast.platform, by=maker, **made)
    assert post_release(token, release_body(author_email="security@example.com")).status_code == 201
    with world.everything():
        return approving(maker, waiting(world, Release.objects.get(version="1.1.0")))


@door("Who started a roll-out approves one of its waves", 403, "own_request")
def _(world: World) -> Try:
    put_in_force("DEV", roles=("DEVOPS",))
    waves = {world.lane(world.dev): 1, world.lane(world.qa): 2}
    begun = {"pause": timedelta(0), "reason": "", "by": world.cast.devops, "now": timezone.now()}
    rollout = rollouts.start_rollout(world.release, waves_of=waves, **begun)
    rollouts.go_on(rollout.pk, now=timezone.now())
    return approving(world.cast.devops, Promotion.objects.get())


@door("A superuser approves", 404, "not_found")
def _(world: World) -> Try:
    root = make_person("root", "Root", (), world.cast.platform)
    type(root).objects.filter(pk=root.pk).update(is_superuser=True, is_staff=True)
    return approving(root, waiting(world))


@door("A superuser who is a member approves", 403, "role_missing")
def _(world: World) -> Try:
    root = make_person("root", "Root", ("AUDITOR",), world.cast.platform)
    type(root).objects.filter(pk=root.pk).update(is_superuser=True, is_staff=True)
    return approving(root, waiting(world))


@door("An administrator of the workspace approves by their grant", 403, "role_missing")
def _(world: World) -> Try:
    give_role(world, world.cast.administrator, "AUDITOR")
    return approving(world.cast.administrator, waiting(world))


@door("Somebody is put into a group that may operate the workspace, and approves", 403, "role_missing")
def _(world: World) -> Try:
    group = Group.objects.create(name="Operators")
    assign_perm("operate_workspace", group, world.cast.platform)
    world.cast.auditor.groups.add(group)
    return approving(world.cast.auditor, waiting(world))


@door("Another role approves", 403, "role_missing")
def _(world: World) -> Try:
    return approving(world.cast.security, waiting(world))


@door("One person with two roles approves twice", 403, "counted_already")
def _(world: World) -> Try:
    give_role(world, world.cast.devops, "ENGINEERING_MANAGER")
    promotion = say(waiting(world), "DEVOPS", world.cast.devops, now=timezone.now())
    return approving(world.cast.devops, promotion, "ENGINEERING_MANAGER")


@door("Who left the role since the page was opened approves", 403, "role_missing")
def _(world: World) -> Try:
    promotion = waiting(world)
    give_role(world, world.cast.devops, "AUDITOR")
    end_role(world.cast.devops, "DEVOPS")
    return approving(world.cast.devops, promotion)


@door("A closed account approves in a session that was open", 302, "not_signed_in")
def _(world: World) -> Try:
    client, promotion = signed_in(world.cast.devops), waiting(world)
    type(world.cast.devops).objects.filter(pk=world.cast.devops.pk).update(is_active=False)
    return approving(None, promotion, client=client)


@door("A member of another workspace, with every role there, approves", 404, "not_found")
def _(world: World) -> Try:
    return approving(world.cast.outsider, waiting(world))


@door("The platform's DevOps approves for a customer", 404, "not_found")
def _(world: World) -> Try:
    bring(world, world.staging)
    return approving(world.cast.devops, ask(world, world.customer_production, now=timezone.now()), "CUSTOMER_OPERATOR")


# Lent roles.


@door("The delegate of who asked approves", 403, "own_request")
def _(world: World) -> Try:
    promotion = asked_by_devops(world)
    lend(world.cast.devops, "DEVOPS", to=world.cast.security, now=timezone.now())
    return approving(world.cast.security, promotion)


@door("The delegate of the author approves", 403, "own_change")
def _(world: World) -> Try:
    promotion = waiting(world, world.next_release("1.1.0", author=world.cast.devops))
    lend(world.cast.devops, "DEVOPS", to=world.cast.security, now=timezone.now())
    return approving(world.cast.security, promotion)


@door("Who asked is lent the role by somebody else, and approves", 403, "own_request")
def _(world: World) -> Try:
    promotion = waiting(world)
    lend(world.cast.devops, "DEVOPS", to=world.cast.release_engineer, now=timezone.now())
    return approving(world.cast.release_engineer, promotion)


@door("Who lent their role approves as well, in another role", 403, "counted_already")
def _(world: World) -> Try:
    now, promotion = timezone.now(), waiting(world)
    lend(world.cast.devops, "DEVOPS", to=world.cast.security, now=now)
    say(promotion, "DEVOPS", world.cast.security, now=now)
    give_role(world, world.cast.devops, "ENGINEERING_MANAGER")
    return approving(world.cast.devops, promotion, "ENGINEERING_MANAGER")


@door("A delegate lends on what was lent to them", 422, "not_offered")
def _(world: World) -> Try:
    lend(world.cast.devops, "DEVOPS", to=world.cast.security, now=timezone.now())
    held = Membership.objects.get(user=world.cast.devops, role_id="DEVOPS")
    until = (timezone.now() + HOUR).strftime("%Y-%m-%dT%H:%M")
    given = {"membership": held.pk, "to": world.cast.auditor.pk, "ends_at": until, **REASON}
    return Try(world.cast.security, reverse("approvals:delegation-list"), given)


# Forged, replayed and stale requests.


@door("An API token approves", 302, "not_signed_in")
def _(world: World) -> Try:
    made = {"name": "Pipeline", "scopes": ["release:create"], "days": 1, "now": timezone.now()}
    _, token = workspace_actions.create_token(world.cast.platform, by=world.cast.release_engineer, **made)
    return approving(None, waiting(world), client=Client(headers={"Authorization": f"Bearer {token}"}))


@door("Another site lets a signed-in browser approve, without the form's token", 403, "form_token")
def _(world: World) -> Try:
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.cast.devops)
    return approving(world.cast.devops, waiting(world), client=client)


@door("A direct request approves without confirming who it is", 403, "confirmation_missing")
def _(world: World) -> Try:
    return approving(world.cast.devops, waiting(world), password="")


@door("Somebody at an unlocked screen confirms with a guessed password", 422, "", kind="confirmation.refused")
def _(world: World) -> Try:
    return approving(world.cast.devops, waiting(world), password="guessed")


@door("A form is sent again after it was answered", 409, "already_decided")
def _(world: World) -> Try:
    promotion = waiting(world)
    again = approving(world.cast.devops, promotion)
    say(promotion, "DEVOPS", world.cast.devops, now=timezone.now())
    return again


@door("A form is sent again after its decision was voided", 409, "stale_plan")
def _(world: World) -> Try:
    promotion = waiting(world)
    again = approving(world.cast.devops, promotion)
    say(promotion, "DEVOPS", world.cast.devops, now=timezone.now())
    move(promotion.lane, world.release)
    actions.settle(promotion, now=timezone.now())
    return again


@door("A form is sent whose plan is no longer so", 409, "stale_plan")
def _(world: World) -> Try:
    promotion = waiting(world)
    shown = approving(world.cast.devops, promotion)
    move(promotion.lane, world.release)
    return shown


@door("A plan hash is made up", 409, "stale_plan")
def _(world: World) -> Try:
    return approving(world.cast.devops, waiting(world), plan_hash="0" * 64)


@door("A plan hash is none", 422, "not_offered")
def _(world: World) -> Try:
    return approving(world.cast.devops, waiting(world), plan_hash="*")


@door("The requirement of another promotion is put into the form", 404, "not_found")
def _(world: World) -> Try:
    mine, other = asked_by_devops(world), waiting(world, world.next_release("1.1.0"))
    own = mine.requirements.get(role_id="DEVOPS").pk
    return approving(world.cast.devops, other, requirement=own)


@door("A promotion is approved after its time", 409, "not_waiting")
def _(world: World) -> Try:
    return approving(world.cast.devops, waiting(world, now=timezone.now() - timedelta(days=31)))


@door("A promotion is approved that a higher version took the place of", 409, "not_waiting")
def _(world: World) -> Try:
    promotion = waiting(world)
    waiting(world, world.next_release("1.1.0"))
    return approving(world.cast.devops, promotion)


@door("A promotion is approved that somebody rejected", 409, "not_waiting")
def _(world: World) -> Try:
    promotion, reject = waiting(world), {"choice": "REJECT", "comment": "No", "now": timezone.now()}
    say(promotion, "ENGINEERING_MANAGER", world.cast.engineering_manager, **reject)
    return approving(world.cast.devops, promotion)


@door("A requirement is answered that the policy no longer has", 409, "not_waiting")
def _(world: World) -> Try:
    promotion = waiting(world)
    put_in_force("PRODUCTION", roles=("SECURITY",))
    return approving(world.cast.devops, promotion)


# Past the approvals.


def starting(by: Any, promotion: Promotion) -> Try:
    return Try(by, reverse("deployments:deployment-create", args=[promotion.pk]))


@door("Who asked presses Start before anybody approved", 409, "not_ready")
def _(world: World) -> Try:
    return starting(world.cast.release_engineer, waiting(world))


@door("Somebody starts it who may not", 403, "role_missing")
def _(world: World) -> Try:
    return starting(world.cast.auditor, approve_all(waiting(world), world, now=timezone.now()))


@door("A member of another workspace starts it", 404, "not_found")
def _(world: World) -> Try:
    return starting(world.cast.outsider, approve_all(waiting(world), world, now=timezone.now()))


def waiving(by: Any, promotion: Promotion, gate: str = "tests") -> Try:
    given = {"plan_hash": promotion.plan_hash, "hours": "2", **REASON}
    return Try(by, reverse("approvals:waiver-create", args=[promotion.number, gate]), given)


def stopped_by_tests(world: World, release: Release | None = None, **fields: Any) -> Promotion:
    let_waive()
    return ask(world, world.dev, release, now=timezone.now(), starts_by_itself=False, **fields)


@door("Who asked waives a gate", 403, "own_request")
def _(world: World) -> Try:
    return waiving(world.cast.devops, stopped_by_tests(world, by=world.cast.devops))


@door("The author waives a gate", 403, "own_change")
def _(world: World) -> Try:
    return waiving(world.cast.devops, stopped_by_tests(world, world.next_release("1.1.0", author=world.cast.devops)))


@door("Another role than the clause names waives a gate", 403, "role_missing")
def _(world: World) -> Try:
    return waiving(world.cast.security, stopped_by_tests(world))


@door("Approvals themselves are waived", 404, "not_found")
def _(world: World) -> Try:
    return waiving(world.cast.devops, waiting(world), "approvals")


def accepting(world: World, by: Any) -> Try:
    report(world, "SARIF", sarif("semgrep", "error"))
    return Try(by, reverse("approvals:finding-acceptance", args=[finding().pk]), {"days": "30", **REASON})


@door("Who made the release accepts what a scanner found in it", 403, "own_release")
def _(world: World) -> Try:
    give_role(world, world.cast.release_engineer, "SECURITY")
    return accepting(world, world.cast.release_engineer)


@door("An administrator accepts a finding by their grant", 403, "role_missing")
def _(world: World) -> Try:
    give_role(world, world.cast.administrator, "AUDITOR")
    return accepting(world, world.cast.administrator)


def deciding_on_policy(world: World, by: Any) -> Try:
    proposal = policy_actions.propose(text(), tier="QA", reason="A test", by=world.cast.devops, now=NOW)
    return Try(by, reverse("policies:proposal-decision", args=[proposal.pk]), {"choice": "ACTIVATE"})


@door("Who proposed a policy puts it in force", 403, "own_proposal")
def _(world: World) -> Try:
    return deciding_on_policy(world, world.cast.devops)


@door("An administrator puts a policy in force by their grant", 403, "role_missing")
def _(world: World) -> Try:
    give_role(world, world.cast.administrator, "AUDITOR")
    return deciding_on_policy(world, world.cast.administrator)


@door("A customer puts a policy of all in force", 404, "not_found")
def _(world: World) -> Try:
    return deciding_on_policy(world, world.cast.customer_operator)


# Emergencies.


def hurrying(world: World, release: Release, incident: Any) -> Try:
    place = reverse("approvals:promotion-create", args=[release.pk, world.lane(world.production).pk])
    return Try(world.cast.release_engineer, place, {"incident": incident.pk, **REASON})


@door("An emergency is asked for with an incident that is over, while another is open", 422, "not_offered")
def _(world: World) -> Try:
    hotfix, over = freeze_with_a_patch(world), declare(world)
    incident_actions.resolve(over, resolution="Over", by=world.cast.devops, now=NOW)
    declare(world)
    return hurrying(world, hotfix, over)


@door("An emergency is asked for with an incident that is none", 422, "not_offered")
def _(world: World) -> Try:
    hotfix, incident = freeze_with_a_patch(world), declare(world)
    incident.pk = uuid.uuid4()
    return hurrying(world, hotfix, incident)


@door("An emergency is asked for with more than a patch", 409, "no_emergency")
def _(world: World) -> Try:
    freeze_with_a_patch(world)
    minor = world.next_release("1.1.0")
    bring(world, world.staging, minor)
    return hurrying(world, minor, declare(world))


@door("Who asked for an emergency approves it as senior engineer", 403, "own_request")
def _(world: World) -> Try:
    hotfix = freeze_with_a_patch(world)
    give_role(world, world.cast.release_engineer, "SENIOR_ENGINEER")
    promotion = hurry(world, hotfix, declare(world), now=timezone.now())
    return approving(world.cast.release_engineer, promotion, "SENIOR_ENGINEER")


@door("Who asked for an emergency gives the approval that it left owed", 403, "own_request")
def _(world: World) -> Try:
    hotfix, incident = freeze_with_a_patch(world), declare(world)
    give_role(world, world.cast.release_engineer, "DEVOPS")
    deploy(approve_all(hurry(world, hotfix, incident), world))
    owed = incident.debts.get(role="DEVOPS")
    given = {"words": "Fine"}
    return Try(world.cast.release_engineer, reverse("incidents:debt-pay", args=[incident.number, owed.pk]), given)


def standing() -> dict[str, int]:
    """Return what somebody could have won."""
    return {
        "decisions": Decision.objects.standing().count(),
        "waivers": Waiver.objects.count(),
        "acceptances": Acceptance.objects.count(),
        "delegations": Delegation.objects.count(),
        "policies": PolicyVersion.objects.count(),
        "promotions": Promotion.objects.count(),
        "ready": Promotion.objects.filter(state=PromotionState.READY).count(),
        "deployments": Deployment.objects.count(),
        "debts": Debt.objects.filter(paid_at__isnull=False).count(),
    }


@pytest.mark.django_db
@pytest.mark.parametrize("tried", DOORS, ids=[each.words for each in DOORS])
def test_it_is_refused_wins_nothing_and_stands_in_the_trail(world: World, tried: Door) -> None:
    with world.everything():
        attempt = tried.try_it(world)
    with world.everything():
        before, told = standing(), AuditEvent.objects.filter(kind=tried.kind).count()

    response = (attempt.client or signed_in(attempt.by)).post(attempt.address, attempt.data)

    assert response.status_code == tried.status
    with world.everything():
        assert standing() == before
        events = AuditEvent.objects.filter(kind=tried.kind).order_by("-recorded_at")
        assert events.count() == told + 1
        event = events[0]
        assert (event.outcome, event.actor_id) == ("REFUSED", str(attempt.by.pk) if attempt.by else "")
        assert event.change.get("code", {}).get("after", "") == tried.code
        assert tried.kind != "access.refused" or f"POST {attempt.address}" in event.summary


# What was approved, and then something changed: the claim judges anew, and takes nobody's word for it.


@dataclass(frozen=True)
class Turn:
    words: str
    kind: str
    turn: Callable[[World, Promotion], datetime | None]

    @property
    def row(self) -> str:
        return f"| {self.words} | `{self.kind}` |"


TURNS: list[Turn] = []


def turn(words: str, kind: str) -> Callable[[Callable[[World, Promotion], Any]], None]:
    return lambda change: TURNS.append(Turn(words, kind, change))


@turn("an approver left the role", "decision.voided")
def _(world: World, promotion: Promotion) -> None:
    end_role(world.cast.devops, "DEVOPS")


@turn("the account of an approver was closed", "decision.voided")
def _(world: World, promotion: Promotion) -> None:
    type(world.cast.devops).objects.filter(pk=world.cast.devops.pk).update(is_active=False)


@turn("the approvals are a day old", "decision.voided")
def _(world: World, promotion: Promotion) -> datetime:
    return NOW + timedelta(days=1)


@turn("the promotion's own time has passed", "promotion.expired")
def _(world: World, promotion: Promotion) -> datetime:
    return promotion.expires_at


@turn("another release came there", "promotion.replanned")
def _(world: World, promotion: Promotion) -> None:
    move(promotion.lane, world.release)


@turn("another policy came into force", "promotion.replanned")
def _(world: World, promotion: Promotion) -> None:
    put_in_force("PRODUCTION", roles=("ENGINEERING_MANAGER", "DEVOPS", "SECURITY"))


@turn("the environment was frozen: nobody deploys around a freeze", "promotion.pending")
def _(world: World, promotion: Promotion) -> None:
    of_all = {"environment": world.production, "workspace_id": world.cast.platform.pk, "ends_at": None}
    environment_actions.freeze(
        scope=FreezeScope.ENVIRONMENT, reason="Audit week", by=world.cast.devops, now=NOW, **of_all
    )


@turn("a hold was set", "promotion.pending")
def _(world: World, promotion: Promotion) -> None:
    environment_actions.set_hold(promotion.lane, reason="Look first", deployment_id=None, by=SYSTEM, now=NOW)


@turn("the release was put into quarantine", "promotion.pending")
def _(world: World, promotion: Promotion) -> None:
    release_actions.quarantine_release(promotion.release, reason="It hurts", by=world.cast.devops, now=NOW)


@pytest.mark.django_db
@pytest.mark.parametrize("turned", TURNS, ids=[each.words for each in TURNS])
def test_what_turns_after_the_approval_stops_the_claim(world: World, turned: Turn) -> None:
    promotion = approve_all(ask_for_production(world), world)
    assert lets_pass(actions.recheck(promotion, now=NOW))

    now = turned.turn(world, promotion) or NOW

    if turned.kind != "promotion.expired":  # judged by whoever asks first, before the claim too
        assert not lets_pass(actions.recheck(promotion, now=now))
    assert actions.settle(promotion, now=now).state in {PromotionState.PENDING, PromotionState.EXPIRED}
    with pytest.raises(deployment_actions.NotReady):
        deployment_actions.start_deployment(promotion, by=world.cast.release_engineer, now=now)
    event = AuditEvent.objects.filter(kind=turned.kind, target_id=str(promotion.pk)).latest("recorded_at")
    assert event.actor_type == "SYSTEM"
    assert not Deployment.objects.exists()


@pytest.mark.django_db
def test_an_incident_that_ends_after_the_approval_takes_the_emergency_with_it(world: World) -> None:
    hotfix, incident = freeze_with_a_patch(world), declare(world)
    promotion = approve_all(hurry(world, hotfix, incident), world)
    incident_actions.resolve(incident, resolution="Over", by=world.cast.devops, now=NOW)

    assert not lets_pass(actions.recheck(promotion, now=NOW))
    assert actions.settle(promotion, now=NOW).state == PromotionState.PENDING
    assert AuditEvent.objects.filter(kind="decision.voided", target_id=str(promotion.pk)).exists()
    with pytest.raises(IntegrityError), transaction.atomic():
        Decision.objects.filter(promotion=promotion).update(voided_at=None, void_reason="")


@pytest.mark.django_db
def test_a_waiver_ends_with_the_role_of_who_gave_it(world: World) -> None:
    let_waive()
    promotion = waive(ask(world, world.dev, starts_by_itself=False), world.cast.devops)
    end_role(world.cast.devops, "DEVOPS")

    gates = {result.name: result.outcome for result in actions.recheck(promotion, now=NOW)}

    assert gates["tests"] == "WAITING"


@pytest.mark.django_db
def test_a_configuration_that_is_written_after_the_approval_is_not_what_is_deployed(world: World) -> None:
    promotion = approve_all(ask_for_production(world, starts_by_itself=False), world)
    approved = promotion.configuration

    configuration_actions.write_version(
        lane_of(world.production, world), values={"GREETING": "Another"}, reason="Later", by=world.cast.devops, now=NOW
    )
    deployment = deployment_actions.start_deployment(promotion, by=world.cast.release_engineer, now=NOW)

    assert (deployment.configuration, deployment.plan_hash) == (approved, promotion.plan_hash)


@pytest.mark.django_db
def test_a_forged_message_to_a_worker_starts_nothing(world: World) -> None:
    promotion = ask_for_production(world, now=timezone.now())
    told = AuditEvent.objects.count()

    for name in (promotion.pk, promotion.lane_id, uuid.uuid4()):
        runner.start_ready(name)
        runner.run(name)

    with world.everything():
        assert not Deployment.objects.exists()
        assert AuditEvent.objects.count() == told


@pytest.mark.django_db
def test_one_address_has_one_account(world: World) -> None:
    made = {"display_name": "Twin", "password": "a-long-enough-password", "by": SYSTEM, "now": NOW}
    account_actions.create_account(username="twin", email="twin@example.com", **made)

    with pytest.raises(account_actions.AccountInvalid, match="There is an account with this address already"):
        account_actions.create_account(username="other-twin", email="Twin@Example.com", **made)


# What the application's own role can't do, should somebody have its password: (words, statement).
STATEMENTS = [
    ("An event is changed", "UPDATE audit_event SET summary = 'nothing happened'"),
    ("An event is removed", "DELETE FROM audit_event"),
    ("A rejection becomes an approval", "UPDATE approvals_decision SET choice = 'APPROVE'"),
    ("A decision becomes somebody else's", "UPDATE approvals_decision SET decided_by_id = %(somebody)s"),
    ("A decision is bound to another plan", "UPDATE approvals_decision SET plan_hash = repeat('0', 64)"),
    ("A decision is removed", "DELETE FROM approvals_decision"),
    (
        "A decision is copied to the other requirement",
        "INSERT INTO approvals_decision (id, workspace_id, promotion_id, requirement_id, choice, comment, plan_hash, "
        "decided_at, decided_by_id, confirmed_with) SELECT gen_random_uuid(), workspace_id, promotion_id, "
        "(SELECT id FROM approvals_requirement other WHERE other.promotion_id = said.promotion_id "
        "AND other.id <> said.requirement_id LIMIT 1), 'APPROVE', '', plan_hash, decided_at, decided_by_id, '' "
        "FROM approvals_decision said",
    ),
    ("A rejected promotion waits again", "UPDATE approvals_promotion SET state = 'READY', ended_at = NULL"),
    ("A sealed release gets another content", "UPDATE releases_release SET content_hash = repeat('0', 64)"),
    ("A sealed release gets another digest", "UPDATE releases_release SET artifact_digest = 'sha256:0'"),
    ("A configuration that was approved is rewritten", "UPDATE configuration_configurationversion SET values = '{}'"),
    ("A policy in force is rewritten", "UPDATE policies_policyversion SET document = '{}'"),
    ("Somebody else's workspace is named", "UPDATE approvals_promotion SET workspace_id = %(elsewhere)s"),
]


def _runs(statement: str, names: dict[str, Any]) -> bool:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement, names if "%(" in statement else None)
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    except DatabaseError:
        return False
    return True


@pytest.mark.django_db
def test_the_applications_own_role_can_not_do_it_by_sql(world: World) -> None:
    promotion = ask_for_production(world)
    say(promotion, "DEVOPS", world.cast.devops, choice="REJECT", comment="No")
    names = {"somebody": world.cast.security.pk, "elsewhere": uuid.uuid4()}

    done = [words for words, statement in STATEMENTS if _runs(statement, names)]

    assert done == []
    assert Decision.objects.get().choice == "REJECT"
    assert Promotion.objects.get(pk=promotion.pk).state == PromotionState.REJECTED


# Doors whose surroundings stand elsewhere: (words, the test that tries it).
ELSEWHERE = [
    (
        "One person resolves alone, in Production, what nobody can tell",
        "tests/deployments/test_abandon.py::test_in_production_the_second_person_ends_it_and_the_lane_is_held",
    ),
    (
        "A release that never ran there is named for a rollback",
        "tests/deployments/test_roll_back.py::test_a_release_that_never_ran_there_is_no_target",
    ),
    (
        "A worker writes a step of an attempt that is no longer its own, or of another lane",
        "tests/deployments/test_ownership.py::test_a_stale_owner_can_write_no_step",
    ),
    (
        "A gate turns between the press of Start and the worker's claim",
        "tests/deployments/test_start.py::test_a_gate_that_turns_before_the_claim_stops_it",
    ),
    (
        "Two people, or one person twice, decide at the same moment",
        "tests/approvals/test_races.py::test_a_double_click_counts_once",
    ),
    (
        "An incident ends after its emergency was approved",
        "tests/approvals/test_bypasses.py::test_an_incident_that_ends_after_the_approval_takes_the_emergency_with_it",
    ),
    (
        "Who waived a gate leaves the role",
        "tests/approvals/test_bypasses.py::test_a_waiver_ends_with_the_role_of_who_gave_it",
    ),
    (
        "A configuration is written after the approval",
        "tests/approvals/test_bypasses.py::"
        "test_a_configuration_that_is_written_after_the_approval_is_not_what_is_deployed",
    ),
    (
        "A worker is sent a message that nobody of the portal wrote",
        "tests/approvals/test_bypasses.py::test_a_forged_message_to_a_worker_starts_nothing",
    ),
    (
        "One person has two accounts with one address",
        "tests/approvals/test_bypasses.py::test_one_address_has_one_account",
    ),
]


@pytest.mark.parametrize("test", [test for _, test in ELSEWHERE])
def test_what_is_tried_elsewhere_is_there(test: str) -> None:
    path, name = test.split("::")

    assert f"def {name}(" in (ROOT / path).read_text()


def listed() -> list[str]:
    """Return the tables of the document."""
    return [
        "| what is tried | answer | in the trail |", "| --- | --- | --- |", *(each.row for each in DOORS), "",
        "| after the approval | in the trail |", "| --- | --- |", *(each.row for each in TURNS), "",
        "| with the password of the application's role | by |", "| --- | --- |",
        *(f"| {words} | refused by the database |" for words, _ in STATEMENTS), "",
        "| tried elsewhere | test |", "| --- | --- |",
        *(f"| {words} | `{test.replace('::', '` `')}` |" for words, test in ELSEWHERE),
    ]  # fmt: skip


def test_the_document_lists_every_door() -> None:
    assert len(DOORS) + len(TURNS) + len(STATEMENTS) + len(ELSEWHERE) >= 25

    said = DOCUMENT.read_text().splitlines()

    missing = [line for line in listed() if line not in said]
    assert missing == [], "docs/reference/separation-of-duties.md lacks these lines"
    rows = [line for line in said if line.startswith("|")]
    assert rows == [line for line in listed() if line], "it has others, or another order"
