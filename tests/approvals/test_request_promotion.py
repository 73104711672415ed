from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.approvals import actions
from apps.approvals.enums import PromotionState
from apps.approvals.models import Promotion
from apps.audit.actors import SYSTEM, Actor
from apps.configuration import actions as configuration_actions
from apps.core.texts import TextInvalid
from apps.core.verdict import Denied
from apps.environments import actions as environment_actions
from apps.environments.enums import Answer
from apps.environments.models import ArtifactAnswer, Lane
from apps.integrations.artifact_store import ArtifactStore
from apps.policies.models import PolicyVersion
from apps.releases import actions as release_actions
from tests.approvals.promotions import ask, ask_for_production, bring, lane_of, move, outcome_of, sentence_of, store
from tests.approvals.test_replanning import put_in_force
from tests.cast import NOW
from tests.world import last_event, make_manifest, make_service, sealed_release

pytestmark = pytest.mark.django_db


def test_dev_is_ready_at_once_and_wakes_the_engine(world, woken):
    promotion = ask(world, world.dev, reason="First try")

    assert promotion.state == PromotionState.READY
    assert promotion.ready_at == NOW
    assert promotion.reason == "First try"
    assert woken == [("deployments.start_ready", promotion.pk)]
    event = last_event("promotion.requested")
    assert event.target_id == str(promotion.pk)
    assert event.actor_id == str(world.cast.release_engineer.pk)
    assert event.change["plan_hash"]["after"] == promotion.plan_hash
    assert event.environment_id == world.dev.pk
    assert last_event("promotion.ready").actor_type == "SYSTEM"


def test_one_that_waits_for_a_person_wakes_nobody(world, woken):
    promotion = ask(world, world.dev, starts_by_itself=False)

    assert promotion.state == PromotionState.READY
    assert woken == []


def test_production_waits_for_two_roles(world):
    promotion = ask_for_production(world)

    assert promotion.state == PromotionState.PENDING
    assert [row.role_id for row in promotion.requirements.all()] == ["ENGINEERING_MANAGER", "DEVOPS"]
    assert promotion.requirements.first().reason == "PROD-3: An engineering manager approves."
    assert outcome_of(promotion, "approvals") == "WAITING"
    assert outcome_of(promotion, "rollback_readiness") == "NOT_REQUIRED"
    assert promotion.expires_at == NOW + timedelta(days=30)


def test_the_customers_production_waits_for_the_customer(world):
    bring(world, world.staging)

    promotion = ask(world, world.customer_production)

    assert promotion.workspace_id == world.cast.customer.pk
    assert [row.role_id for row in promotion.requirements.all()] == ["CUSTOMER_OPERATOR"]
    assert outcome_of(promotion, "previous_tier") == "PASSED"


@pytest.mark.parametrize(
    ("passed", "missing", "first"),
    [(None, "Dev, QA, Staging", "Dev"), ("dev", "QA, Staging", "QA"), ("qa", "Staging", "Staging")],
)
def test_a_tier_that_was_skipped_is_named(world, passed, missing, first):
    if passed:
        bring(world, getattr(world, passed))

    with pytest.raises(actions.TierSkipped) as refusal:
        ask(world, world.production)

    assert f"Missing: {missing}." in str(refusal.value)
    assert refusal.value.next_step == f"Ask for {first} first."
    assert refusal.value.status == 409


def test_only_a_success_counts_for_the_next_tier(world):
    actions.mark(ask(world, world.dev), PromotionState.DEPLOYING, by=SYSTEM, now=NOW)

    with pytest.raises(actions.TierSkipped):
        ask(world, world.qa)


def test_another_release_of_the_service_counts_for_nothing(world):
    bring(world, world.dev)

    with pytest.raises(actions.TierSkipped):
        ask(world, world.qa, world.next_release("1.1.0"))


def test_a_lower_version_than_what_runs_is_a_rollback(world):
    newer = world.next_release("2.0.0")
    bring(world, world.dev, newer)

    with pytest.raises(actions.VersionTooLow, match=r"1\.0\.0 is lower than 2\.0\.0, which runs in Dev") as refusal:
        ask(world, world.dev)

    assert "rollback" in refusal.value.next_step


def test_a_quarantined_release_is_refused_with_the_reason(world):
    release_actions.quarantine_release(world.release, reason="It leaks", by=world.cast.security, now=NOW)

    with pytest.raises(actions.NotDeployable, match=r"1\.0\.0 is quarantined: “It leaks”"):
        ask(world, world.dev)


def test_a_retired_release_is_refused(world):
    world.next_release("1.1.0")
    release_actions.retire_release(world.release, by=world.cast.release_engineer, now=NOW)

    with pytest.raises(actions.NotDeployable, match=r"1\.0\.0 is retired\."):
        ask(world, world.dev)


def test_a_draft_is_refused(world):
    draft = release_actions.create_release(
        world.service,
        version="1.4.0",
        manifest=make_manifest("greeter", "1.4.0"),
        source="FORM",
        by=world.cast.release_engineer,
        now=NOW,
    )

    with pytest.raises(actions.NotDeployable, match=r"1\.4\.0 is draft\."):
        ask(world, world.dev, draft)


def test_an_open_promotion_of_the_same_release_is_named(world):
    first = ask(world, world.dev)

    with pytest.raises(
        actions.AlreadyOpen, match=rf"Promotion #{first.number} asks for .* in Dev already; it is ready"
    ):
        ask(world, world.dev)


def test_what_runs_already_is_refused(world):
    bring(world, world.dev)

    with pytest.raises(actions.AlreadyRuns, match="with configuration version 1"):
        ask(world, world.dev)


def test_the_same_release_with_a_newer_configuration_is_news(world):
    bring(world, world.dev)
    lane = lane_of(world.dev, world)
    configuration_actions.write_version(lane, values={"A": "1"}, reason="New", by=world.cast.devops, now=NOW)

    promotion = ask(world, world.dev)

    assert promotion.configuration.number == 2
    assert "runs there already" in next(row["sentence"] for row in promotion.gates if row["name"] == "version_order")


def test_an_older_configuration_may_be_asked_for(world):
    lane = lane_of(world.dev, world)
    first = configuration_actions.current_version(lane)
    configuration_actions.write_version(lane, values={"A": "1"}, reason="New", by=world.cast.devops, now=NOW)

    assert ask(world, world.dev, configuration=first).configuration == first


def test_a_configuration_of_another_lane_is_refused(world):
    with pytest.raises(actions.WrongLane, match="is not one of Greeter in Dev"):
        ask(world, world.dev, configuration=world.configuration(world.qa))


def test_a_release_of_another_service_is_refused(world):
    other = sealed_release(make_service(world.cast.platform, "other"), "1.0.0", by=world.cast.release_engineer)

    with pytest.raises(actions.WrongLane, match="Other does not run in this lane of Dev, Greeter does"):
        ask(world, world.dev, other)


def test_a_lane_without_configuration_is_refused(world):
    service = make_service(world.cast.platform, "other")
    lane = environment_actions.create_lane(world.dev, service=service, by=SYSTEM, now=NOW)
    release = sealed_release(service, "1.0.0", by=world.cast.release_engineer)

    with pytest.raises(actions.NoConfiguration):
        actions.request_promotion(release, lane=lane, by=world.cast.release_engineer, now=NOW)


def test_a_removed_lane_is_refused(world):
    lane = lane_of(world.dev, world)
    environment_actions.remove_lane(lane, by=world.cast.devops, now=NOW)

    with pytest.raises(actions.LaneGone):
        ask(world, world.dev)


def test_a_tier_without_a_policy_takes_nothing(world):
    PolicyVersion.objects.in_force("DEV").update(is_active=False)

    with pytest.raises(actions.NoPolicy, match="No policy is in force for Dev"):
        ask(world, world.dev)


def test_a_role_that_does_not_exist_is_told(world):
    put_in_force("DEV", roles=("CHIEF",))

    with pytest.raises(actions.UnknownRole, match="CHIEF"):
        ask(world, world.dev)


@pytest.mark.parametrize("person", ["auditor", "security", "outsider", "customer_operator"])
def test_who_may_not_ask_is_refused(world, person):
    with pytest.raises(Denied):
        ask(world, world.dev, by=getattr(world.cast, person))


def test_no_program_asks_where_people_must_approve(world):
    bring(world, world.staging)

    with pytest.raises(Denied, match="Only a person can ask"):
        ask(world, world.production, by=SYSTEM)


def test_the_portal_itself_asks_where_nobody_must_approve(world):
    promotion = ask(world, world.dev, by=SYSTEM)

    assert promotion.requested_by is None
    assert promotion.requested_by_label == "EAIP Operations"


def test_a_token_does_not_ask(world):
    with pytest.raises(Denied):
        ask(world, world.dev, by=Actor("TOKEN", "00000000-0000-0000-0000-000000000000", "CI"))


def test_a_reason_with_control_characters_is_refused(world):
    with pytest.raises(TextInvalid):
        ask(world, world.dev, reason="a\x00b")


def test_a_higher_version_supersedes_what_waits(world):
    older = ask_for_production(world)
    newer_release = world.next_release("1.1.0")

    newer = ask_for_production(world, newer_release)

    older.refresh_from_db()
    assert older.state == PromotionState.SUPERSEDED
    assert older.ended_at == NOW
    assert older.outcome == f"Promotion #{newer.number} asks for the higher version 1.1.0."
    assert str(older.number) in last_event("promotion.superseded").summary


def test_a_lower_version_supersedes_nothing(world):
    newer_release = world.next_release("1.1.0")
    bring(world, world.staging)
    newer = ask_for_production(world, newer_release)

    ask(world, world.production)

    newer.refresh_from_db()
    assert newer.state == PromotionState.PENDING


def test_what_is_being_deployed_is_not_superseded(world):
    running = actions.mark(ask(world, world.dev), PromotionState.DEPLOYING, by=SYSTEM, now=NOW)

    ask(world, world.dev, world.next_release("1.1.0"))

    running.refresh_from_db()
    assert running.state == PromotionState.DEPLOYING


def test_a_refused_request_leaves_nothing(world):
    with pytest.raises(actions.TierSkipped):
        ask(world, world.qa)

    assert not Promotion.objects.exists()


def test_a_way_back_is_asked_for_once_something_runs(world):
    bring(world, world.production)
    newer = world.next_release("1.1.0")

    promotion = ask_for_production(world, newer)

    assert outcome_of(promotion, "rollback_readiness") == "PASSED"


def test_a_way_back_through_a_registry_goes_by_what_was_heard_of_it(world):
    bring(world, world.production)
    newer = world.next_release("1.1.0")
    bring(world, world.staging, newer)
    lane = lane_of(world.production, world)
    with CaptureQueriesContext(connection) as of_store:
        promotion = ask(world, world.production, newer)
    Lane.objects.filter(pk=lane.pk).update(executor="helm", address={"cluster": "one", "namespace": "greeter"})
    ArtifactStore(settings.ARTIFACT_DIR).path(world.release.artifact.manifest["wheels"][0]["sha256"]).unlink()

    def judged() -> tuple[str, str]:
        seen = actions.settle(Promotion.objects.get(pk=promotion.pk), now=NOW)
        return outcome_of(seen, "rollback_readiness"), sentence_of(seen, "rollback_readiness")

    unasked = judged()
    answer = ArtifactAnswer.objects.create(
        workspace=lane.workspace, lane=lane, release=world.release, digest=world.release.artifact_digest, due_at=NOW,
        answer=Answer.HELD, detail="r.example has it.", answered_at=NOW, asked_at=NOW, asked_by="worker-1",
    )  # fmt: skip
    held = judged()
    ArtifactAnswer.objects.filter(pk=answer.pk).update(answer=Answer.MISSING, detail="It is gone.")
    gone = judged()

    assert unasked[0] == "PASSED"
    assert "Not known whether 1.0.0 can run again: it was not asked for yet where it is taken from." in unasked[1]
    assert held[0] == "PASSED"
    assert held[1].startswith("1.0.0 can run again: artifact and configuration are there.")
    assert gone[0] == "FAILED"
    assert gone[1].endswith("UTC: It is gone.")
    assert not [row for row in of_store.captured_queries if "artifactanswer" in row["sql"]], "the store is here"


def test_no_way_back_when_the_store_lost_what_runs(world):
    bring(world, world.staging)
    move(world.lane(world.production), world.release, configuration=world.configuration(world.production))
    newer = world.next_release("1.1.0")
    bring(world, world.staging, newer)
    wheel = world.release.artifact.manifest["wheels"][0]
    ArtifactStore(settings.ARTIFACT_DIR).path(wheel["sha256"]).unlink()

    promotion = ask(world, world.production, newer)

    assert outcome_of(promotion, "rollback_readiness") == "FAILED"
    store(world.release)
    assert outcome_of(actions.settle(promotion, now=NOW), "rollback_readiness") == "PASSED"
