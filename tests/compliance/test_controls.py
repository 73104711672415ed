"""The mapping says nothing that isn't so, and every check can say both yes and no."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from apps.accounts.models import User
from apps.approvals.models import Decision, Promotion
from apps.audit import actions as audit
from apps.audit.actors import SYSTEM
from apps.audit.kinds import KINDS
from apps.compliance import checks
from apps.compliance.catalogue import find, frameworks
from apps.compliance.checks import CHECKS, Result, Scope
from apps.compliance.enums import ReviewKind, Status, Wish
from apps.compliance.models import Proposal, Review
from apps.deployments.enums import DeploymentState
from apps.deployments.models import Deployment
from apps.environments import actions as environment_actions
from apps.environments.models import Lane
from apps.incidents import actions as incident_actions
from apps.policies import actions as policy_actions
from apps.policies.models import PolicyVersion
from apps.releases.models import Evidence, Finding
from apps.workspaces import actions as workspace_actions
from tests.accounts.factors import register_app
from tests.approvals.promotions import approve_all, ask_for_production, deploy, move, put_in_force
from tests.approvals.test_emergencies import freeze_with_a_patch, hurry
from tests.cast import NOW
from tests.incidents.test_incidents import declare
from tests.policies.proposals import activate, text
from tests.world import World

CONTROLS = [control for framework in frameworks().values() for control in framework.controls]
LATER = NOW + timedelta(days=1)


def say(name: str, world: World, *, now: Any = LATER) -> Result:
    scope = Scope(tuple(workspace.pk for workspace in world.cast.workspaces), now - timedelta(days=90), now)
    return CHECKS[name](scope)


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: f"{control.framework} {control.id}")
def test_control_names_what_there_is(control: Any) -> None:
    nouns = {kind.split(".")[0] for kind in KINDS}

    assert set(control.checks) <= CHECKS.keys()
    assert set(control.kinds) <= KINDS.keys() | nouns
    assert all((control.kinds, control.met_by, control.not_shown.endswith("."), control.asks.endswith(".")))
    assert find(control.framework, control.slug) is control


def test_four_frameworks_use_every_check() -> None:
    assert list(frameworks()) == ["soc2", "gdpr", "hipaa", "pci"]
    assert {name for control in CONTROLS for name in control.checks} == CHECKS.keys()


def test_worst_check_is_the_controls() -> None:
    met, attention, nothing = (Result(status, "") for status in (Status.MET, Status.ATTENTION, Status.NOT_SHOWN))

    assert checks.worst([met, nothing, attention]) == Status.ATTENTION
    assert checks.worst([met, nothing]) == Status.NOT_SHOWN == checks.worst([])
    assert checks.worst([met, met]) == Status.MET


def deployed(world: World, promotion: Promotion) -> Deployment:
    """A deployment that succeeded, as the engine leaves it: its first transition is the ledger's entry."""
    deployment = Deployment.objects.create(
        workspace_id=promotion.workspace_id, lane=promotion.lane, target_key=promotion.lane.target_key,
        promotion=promotion, release=promotion.release, configuration=promotion.configuration,
        state=DeploymentState.SUCCEEDED, requested_at=NOW, requested_by_label="A test", started_at=NOW, ended_at=NOW,
    )  # fmt: skip
    move(promotion.lane, promotion.release, configuration=promotion.configuration)
    return deployment


@pytest.mark.django_db
def test_changes_are_approved_by_two_others_or_named(world: World) -> None:
    assert say("changes_approved_by_two", world).status == Status.NOT_SHOWN
    promotion = approve_all(ask_for_production(world), world)
    deployment = deployed(world, promotion)

    well = say("changes_approved_by_two", world)
    assert (well.status, well.figures["approved_by_two"]) == (Status.MET, 1)
    assert "All 1 production deployments of the last 90 days had two approvals by other people." in well.sentence
    Decision.objects.filter(pk=promotion.decisions.first().pk).update(
        voided_at=NOW - timedelta(hours=1), void_reason="x"
    )
    badly = say("changes_approved_by_two", world)

    assert badly.status == Status.ATTENTION
    assert str(deployment) in badly.sentence
    # That it was an emergency lets nothing pass that was asked for in one, and was not given.
    Promotion.objects.filter(pk=promotion.pk).update(was_emergency=True)
    assert say("changes_approved_by_two", world).figures["without"] == 1


@pytest.mark.django_db
@pytest.mark.parametrize(("hours", "status"), [(2, Status.MET), (30, Status.ATTENTION)])
def test_emergency_is_met_by_the_approvals_that_it_owed_in_time(world: World, hours: int, status: Status) -> None:
    hotfix = freeze_with_a_patch(world)
    promotion = approve_all(hurry(world, hotfix, declare(world)), world)
    deployment = deployed(world, promotion)
    within, after = NOW + timedelta(hours=1), NOW + timedelta(hours=31)
    Promotion.objects.filter(pk=promotion.pk).update(was_emergency=True)

    nobody_is_asked = say("changes_approved_by_two", world, now=within)
    promotion = deploy(promotion)
    waits = say("changes_approved_by_two", world, now=within)
    never = say("changes_approved_by_two", world, now=after)
    promotion.debts.filter(kind="APPROVAL").update(
        paid_at=NOW + timedelta(hours=hours), paid_by=world.cast.engineering_manager, words="Looked at"
    )
    paid = say("changes_approved_by_two", world, now=after)

    assert nobody_is_asked.figures["without"] == 1
    assert (waits.status, waits.figures["emergencies"], waits.figures["waiting"]) == (Status.MET, 1, 1)
    assert "Approvals afterwards of 1 are not due yet." in waits.sentence
    assert (never.status, never.figures["late"]) == (Status.ATTENTION, 1)
    assert f"owed afterwards: {deployment}." in never.sentence
    assert (paid.status, paid.figures["without"], paid.figures["waiting"]) == (status, 0, 0)


@pytest.mark.django_db
def test_changes_are_tested_and_written_down(world: World) -> None:
    promotion = approve_all(ask_for_production(world), world)
    deployment = deployed(world, promotion)
    assert say("changes_tested", world).status == Status.MET
    assert say("changes_written_down", world).status == Status.ATTENTION

    audit.record("deployment.succeeded", by=SYSTEM, target=deployment, summary="Succeeded")
    assert say("changes_written_down", world).status == Status.MET
    assert say("population_complete", world).status == Status.ATTENTION  # what the tests moved through Staging before
    gates = [{**row, "outcome": "FAILED"} if row["name"] == "tests" else row for row in promotion.gates]
    Promotion.objects.filter(pk=promotion.pk).update(gates=gates)

    assert say("changes_tested", world).status == Status.ATTENTION


@pytest.mark.django_db
def test_what_runs_without_an_entry_and_what_drifts_is_seen(world: World) -> None:
    assert say("population_complete", world).status == Status.NOT_SHOWN
    move(world.lane(world.staging), world.release)

    figures = {"running": 1, "drifting": 0, "without_entry": 1, "not_observed": 0}
    assert say("population_complete", world).figures == figures


@pytest.mark.django_db
def test_policy_by_one_person_is_seen(world: World) -> None:
    proposal = policy_actions.propose(text(), tier="QA", reason="More", by=world.cast.devops, now=NOW)
    activate(proposal, by=world.cast.security)
    assert say("policies_changed_by_two", world).status == Status.MET

    PolicyVersion.objects.filter(tier="QA", is_active=True).update(is_active=False)
    PolicyVersion.objects.create(
        workspace=world.cast.platform, tier="QA", number=90, document={}, digest="0" * 64, reason="Alone",
        created_at=NOW, created_by=world.cast.devops,
    )  # fmt: skip

    assert say("policies_changed_by_two", world).status == Status.ATTENTION


@pytest.mark.django_db
def test_policy_of_production_asks_for_two(world: World) -> None:
    assert say("production_asks_for_two", world).status == Status.MET
    put_in_force("PRODUCTION", "tests")

    assert say("production_asks_for_two", world).status == Status.ATTENTION


@pytest.mark.django_db
def test_who_decides_without_a_second_factor_is_counted(world: World) -> None:
    assert say("deciders_have_second_factors", world).status == Status.ATTENTION
    User.objects.exclude(pk=world.cast.devops.pk).update(is_active=False)
    register_app(world.cast.devops)

    assert say("deciders_have_second_factors", world).status == Status.MET


@pytest.mark.django_db
def test_leaver_with_a_role_or_a_token_is_counted(world: World) -> None:
    assert say("leavers_hold_nothing", world).status == Status.MET
    workspace_actions.create_token(
        world.cast.platform, name="CI", scopes=["release:create"], days=30, by=world.cast.release_engineer, now=NOW
    )
    User.objects.filter(pk=world.cast.release_engineer.pk).update(is_active=False)

    found = say("leavers_hold_nothing", world)

    assert (found.status, found.figures["of_closed_accounts"], found.figures["tokens_without_maker"]) == (
        Status.ATTENTION, 1, 1,
    )  # fmt: skip


@pytest.mark.django_db
def test_environments_show_that_they_are_apart(world: World) -> None:
    assert say("environments_are_apart", world).status == Status.ATTENTION
    for environment in (world.production, world.customer_production):
        environment_actions.claim_resource(
            environment, kind="DATA_STORE", uri=f"postgresql://db.example/{environment.slug}", by=SYSTEM, now=NOW
        )

    assert say("environments_are_apart", world).status == Status.MET


@pytest.mark.django_db
def test_production_is_watched_or_not(world: World) -> None:
    assert say("production_is_watched", world).status == Status.NOT_SHOWN
    move(world.lane(world.production), world.release)
    assert say("production_is_watched", world).status == Status.ATTENTION
    Lane.objects.filter(environment=world.production).update(health_checked_at=LATER - timedelta(minutes=1))

    assert say("production_is_watched", world).status == Status.MET


@pytest.mark.django_db
def test_finding_that_nobody_accepted_is_seen(world: World) -> None:
    move(world.lane(world.production), world.release)
    assert say("production_has_no_open_findings", world).status == Status.NOT_SHOWN
    report = Evidence.objects.create(
        workspace=world.cast.platform, release=world.release, kind="SARIF", received_at=NOW, sha256="0" * 64, size=1,
        artifact_digest=world.release.artifact_digest, figures={}, received_from_label="A test",
    )  # fmt: skip
    assert say("production_has_no_open_findings", world).status == Status.MET
    Finding.objects.create(
        workspace=world.cast.platform, evidence=report, severity=4, rule="CVE-1", title="Bad", fingerprint="1" * 64
    )

    assert say("production_has_no_open_findings", world).status == Status.ATTENTION


@pytest.mark.django_db
def test_overdue_debt_of_an_emergency_is_seen(world: World) -> None:
    assert say("incidents_are_followed_up", world).status == Status.NOT_SHOWN
    incident = incident_actions.declare(
        world.cast.platform, title="It fails", severity="SEV2", by=world.cast.devops, now=NOW
    )
    assert say("incidents_are_followed_up", world).status == Status.MET
    incident_actions.owe(incident, promotion_id=world.release.pk, subject="It", roles=(), now=NOW)

    later = NOW + timedelta(days=30)
    assert say("incidents_are_followed_up", world, now=later).status == Status.ATTENTION
    incident.debts.update(paid_at=later, paid_by=world.cast.devops, words="wiki/1")
    assert say("incidents_are_followed_up", world, now=later).figures["late"] == 2


def test_erasure_that_nobody_carries_out_is_seen(world: World) -> None:
    assert say("erasures_are_done", world).status == Status.NOT_SHOWN
    wish = Proposal.objects.create(
        workspace=world.cast.platform, wish=Wish.ERASURE, terms={"person": str(world.cast.devops.pk)},
        legal_basis="NOT_NEEDED", reason="They asked", proposed_by=world.cast.security, proposed_at=NOW,
    )  # fmt: skip
    assert say("erasures_are_done", world, now=NOW + timedelta(days=29)).figures["waiting"] == 1
    assert say("erasures_are_done", world, now=NOW + timedelta(days=31)).status == Status.ATTENTION
    Proposal.objects.filter(pk=wish.pk).update(state="REJECTED", decided_by=world.cast.auditor, decided_at=NOW)
    assert say("erasures_are_done", world, now=NOW + timedelta(days=31)).status == Status.MET


def test_seal_is_fresh_old_or_missing() -> None:
    fresh, old = LATER - timedelta(minutes=5), LATER - timedelta(hours=3)

    assert checks.sealed({uuid4(): fresh, uuid4(): fresh}, now=LATER).status == Status.MET
    assert checks.sealed({uuid4(): fresh, uuid4(): old}, now=LATER).status == Status.ATTENTION
    assert checks.sealed({uuid4(): fresh, uuid4(): None}, now=LATER).status == Status.ATTENTION
    assert checks.sealed({uuid4(): None}, now=LATER).status == Status.NOT_SHOWN


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (ReviewKind.METRICS, "metrics_are_reviewed"), (ReviewKind.POLICY, "policies_are_reviewed"),
        (ReviewKind.RECOVERY, "recovery_is_tested"), (ReviewKind.PENETRATION, "penetration_is_tested"),
        (ReviewKind.ACCESS, "access_is_reviewed"), (ReviewKind.AUDIT, "audit_is_held"),
    ],
)  # fmt: skip
def test_review_is_done_overdue_or_not_yet(world: World, kind: str, name: str) -> None:
    assert say(name, world).status == Status.NOT_SHOWN
    review = Review.objects.create(
        workspace=world.cast.platform, kind=kind, title="It", asks="Look.", interval_months=3,
        owner=world.cast.devops, next_due_date=LATER.date(), set_at=NOW, set_by=world.cast.devops,
    )  # fmt: skip
    assert "not done yet" in say(name, world).sentence
    review.done.create(
        workspace=world.cast.platform, due_date=NOW.date(), done_at=NOW, done_by=world.cast.devops, note="Good"
    )
    assert say(name, world).status == Status.MET

    assert say(name, world, now=LATER + timedelta(days=1)).status == Status.ATTENTION
