from datetime import time, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.approvals import actions
from apps.approvals.actions.facts import path_of
from apps.approvals.enums import PromotionState
from apps.approvals.models import Promotion
from apps.audit.actors import SYSTEM
from apps.audit.models import AuditEvent
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.environments import actions as environment_actions
from apps.environments.models import Lane, Window
from apps.health import actions as health_actions
from apps.health.models import Alert, EndpointCheck
from apps.policies.models import PolicyVersion
from apps.releases import actions as release_actions
from apps.releases.models import Release
from apps.workspaces.scope import workspace_scope
from tests.approvals.promotions import (
    approve_all,
    ask,
    ask_for_production,
    bring,
    lane_of,
    move,
    outcome_of,
    sentence_of,
)
from tests.cast import NOW, make_person
from tests.world import last_event

pytestmark = pytest.mark.django_db


def freeze(world, environment):
    return environment_actions.freeze(
        scope="ENVIRONMENT",
        environment=environment,
        lane=None,
        workspace_id=environment.workspace_id,
        reason="Audit week",
        ends_at=None,
        by=world.cast.devops,
        now=NOW,
    )


def test_a_freeze_takes_readiness_away_and_gives_it_back(world, woken):
    promotion = ask(world, world.dev)
    frozen = freeze(world, world.dev)

    [waiting] = actions.settle_for_lane(lane_of(world.dev, world), now=NOW)
    assert waiting.state == PromotionState.PENDING
    assert "Audit week" in waiting.outcome
    assert last_event("promotion.pending").target_id == str(promotion.pk)

    environment_actions.lift_freeze(frozen, by=world.cast.devops, now=NOW)
    [ready] = actions.settle_for_lane(lane_of(world.dev, world), now=NOW)
    assert ready.state == PromotionState.READY
    assert woken == [("deployments.start_ready", promotion.pk)] * 2


def test_in_a_customers_scope_the_platforms_catalogue_and_freezes_are_known(world):
    bring(world, world.staging)
    customer = world.cast.customer
    colleague = make_person("colleague", "Colleague", ("CUSTOMER_OPERATOR",), customer)
    with workspace_scope([customer.pk]):
        promotion = ask(world, world.customer_production, by=colleague)
        assert outcome_of(promotion, "previous_tier") == "PASSED"
        assert approve_all(promotion, world).state == PromotionState.READY
    environment_actions.freeze(
        scope="ALL",
        environment=None,
        lane=None,
        workspace_id=PLATFORM_WORKSPACE_ID,
        reason="Audit week",
        ends_at=None,
        by=world.cast.devops,
        now=NOW,
    )

    with workspace_scope([customer.pk]):
        [held] = actions.settle_waiting(workspace_id=customer.pk, now=NOW)

    assert (held.state, outcome_of(held, "freeze")) == (PromotionState.PENDING, "WAITING")


def test_what_the_release_has_behind_it_is_told_only_to_who_may_see_it(world):
    bring(world, world.dev)
    Release.objects.filter(pk=world.release.pk).update(is_published=False)

    with workspace_scope([world.cast.customer.pk]):
        assert path_of(world.release, "QA")[-1].at is None
    assert path_of(world.release, "QA")[-1].at == NOW


def test_soak_counts_from_success_or_from_being_healthy_again_and_is_longer_under_a_close_watch(world):
    bring(world, world.dev)
    lane = Lane.objects.filter(pk=lane_of(world.dev, world).pk)

    def told():
        passed = path_of(world.release, "QA")[-1]
        return passed.soaks_since, passed.watched_closely

    hour = timedelta(hours=1)
    assert told() == (NOW, False)
    lane.update(health="FAULTY", health_since=NOW + hour)
    assert told() == (None, False)
    lane.update(health="HEALTHY", health_since=NOW + 2 * hour)
    assert told() == (NOW + 2 * hour, False)
    lane.update(health_since=NOW - hour)
    environment_actions.set_close_watch(
        lane.get(), until=NOW, reason="Before it came", by=world.cast.devops, now=NOW - hour
    )
    assert told() == (NOW, False)
    environment_actions.set_close_watch(
        lane.get(), until=NOW + 2 * hour, reason="After", by=world.cast.devops, now=NOW + hour
    )
    assert told() == (NOW, True)


def test_a_release_does_not_soak_while_anything_is_wrong_that_would_take_it_back(world, settings):
    bring(world, world.dev)
    lane = lane_of(world.dev, world)
    check, certificate, deaf = [
        health_actions.create_check(lane, name=name, url=url, rolls_back=rolls_back, by=world.cast.devops, now=NOW)
        for name, url, rolls_back in (
            ("Front door", "https://app.example.com/", True),
            ("Certificate", "tls://app.example.com", True),
            ("Partner", "https://partner.example.com/", False),
        )
    ]
    alert = Alert(workspace_id=lane.workspace_id, lane=lane, fingerprint="1", name="ManyErrors", starts_at=NOW)

    def soaks_since():
        return path_of(world.release, "QA")[-1].soaks_since

    def hear(of, verdict, hours):
        moment = NOW + timedelta(hours=hours)
        EndpointCheck.objects.filter(pk=of.pk).update(verdict=verdict, verdict_since=moment, checked_at=moment)

    assert soaks_since() == NOW
    hear(certificate, "FAULTY", 1)
    hear(deaf, "FAULTY", 1)
    assert soaks_since() == NOW, "they say nothing of the release"
    hear(check, "FAULTY", 1)
    assert soaks_since() is None
    hear(check, "HEALTHY", 2)
    assert soaks_since() == NOW + timedelta(hours=2)
    alert.severity, alert.told_at = "critical", NOW
    alert.save()
    assert soaks_since() is None
    alert.ends_at = NOW + timedelta(hours=3)
    alert.save()
    assert soaks_since() == NOW + timedelta(hours=3)
    settings.ALERT_SEVERITIES = frozenset()
    assert soaks_since() == NOW + timedelta(hours=2), "alerts are switched off"


def test_a_promotion_waits_for_the_soak_and_becomes_ready_by_time(world):
    bring(world, world.dev)
    old = PolicyVersion.objects.in_force("QA").get()
    rows = [row | ({"settings": {"soak_minutes": 30}} if row["gate"] == "previous_tier" else {})
            for row in old.document["clauses"]]  # fmt: skip
    PolicyVersion.objects.filter(pk=old.pk).update(is_active=False)
    PolicyVersion.objects.create(
        workspace_id=old.workspace_id, tier=old.tier, number=old.number + 1, digest="0" * 64, reason="A test",
        document={**old.document, "clauses": rows}, created_at=old.created_at, is_active=True,
    )  # fmt: skip

    promotion = approve_all(ask(world, world.qa), world)

    assert (promotion.state, outcome_of(promotion, "previous_tier")) == (PromotionState.PENDING, "WAITING")
    [ready] = actions.settle_for_lane(lane_of(world.qa, world), now=NOW + timedelta(minutes=30))
    assert ready.state == PromotionState.READY


def test_a_hold_takes_readiness_away(world):
    promotion = ask(world, world.dev)
    environment_actions.set_hold(
        lane_of(world.dev, world), reason="Rolled back", deployment_id=None, by=SYSTEM, now=NOW
    )

    assert actions.settle(promotion, now=NOW).state == PromotionState.PENDING


def test_an_approved_promotion_becomes_ready_when_the_window_opens(world, woken):
    Window.objects.filter(environment=world.production).delete()
    environment_actions.set_window(
        world.production,
        kind="ALLOW",
        weekdays=[2, 3, 4],
        starts_at=time(10),
        ends_at=time(15),
        zone="America/Los_Angeles",
        label="Tuesday to Thursday",
        by=world.cast.devops,
        now=NOW,
    )
    friday, tuesday = NOW + timedelta(days=2), NOW + timedelta(days=5, hours=23)
    promotion = ask_for_production(world)
    woken.clear()

    closed = approve_all(promotion, world, now=friday)
    assert closed.state == PromotionState.PENDING
    assert outcome_of(closed, "approvals") == "PASSED"
    assert next(row["next_open"] for row in closed.gates if row["name"] == "window") == "2026-11-24T18:00:00+00:00"
    assert woken == []

    [opened] = actions.settle_waiting(workspace_id=PLATFORM_WORKSPACE_ID, now=tuesday)
    assert opened.state == PromotionState.READY
    assert woken == [("deployments.start_ready", promotion.pk)]


def test_an_environment_without_windows_takes_deployments_at_any_time(world):
    Window.objects.filter(environment=world.production).delete()

    assert outcome_of(ask_for_production(world), "window") == "NOT_REQUIRED"


def test_a_quarantine_takes_readiness_away(world):
    promotion = ask(world, world.dev)
    release_actions.quarantine_release(world.release, reason="It leaks", by=world.cast.security, now=NOW)

    settled = actions.settle(promotion, now=NOW)

    assert settled.state == PromotionState.PENDING
    assert "It leaks" in sentence_of(settled, "quarantine")


def test_a_waiting_promotion_expires(world):
    promotion = ask_for_production(world)

    ended = actions.settle(promotion, now=promotion.expires_at)

    assert ended.state == PromotionState.EXPIRED
    assert last_event("promotion.expired").actor_type == "SYSTEM"


def test_a_promotion_to_a_lane_that_was_removed_is_over(world):
    promotion = ask(world, world.dev)
    environment_actions.remove_lane(lane_of(world.dev, world), by=world.cast.devops, now=NOW)

    ended = actions.settle(promotion, now=NOW)

    assert (ended.state, ended.outcome) == (PromotionState.EXPIRED, "Greeter is no longer in Dev.")


def test_what_was_rolled_back_in_staging_does_not_go_on(world):
    promotion = approve_all(ask_for_production(world), world)
    Lane.objects.filter(pk=world.lane(world.staging).pk).update(rolled_back_from=world.release)

    settled = actions.settle(promotion, now=NOW)

    assert settled.state == PromotionState.PENDING
    assert outcome_of(settled, "previous_tier") == "FAILED"


def test_what_is_being_deployed_or_over_is_left_alone(world):
    promotion = actions.mark(ask(world, world.dev), PromotionState.DEPLOYING, by=SYSTEM, now=NOW)

    assert actions.settle(promotion, now=promotion.expires_at).state == PromotionState.DEPLOYING


def test_settling_twice_changes_and_tells_nothing(world):
    promotion = ask_for_production(world)
    events = AuditEvent.objects.count()

    with CaptureQueriesContext(connection) as asked:
        actions.settle(promotion, now=NOW)

    assert AuditEvent.objects.count() == events
    assert not [query for query in asked if '"gates" = ' in query["sql"]]


def test_all_that_waits_in_a_workspace_is_settled_the_least_recently_judged_first(world):
    first, second = ask(world, world.dev), ask_for_production(world, world.next_release("1.1.0"))
    Promotion.objects.filter(pk=second.pk).update(gates_at=NOW - timedelta(hours=1))

    settled = actions.settle_waiting(workspace_id=PLATFORM_WORKSPACE_ID, now=NOW)

    assert [promotion.pk for promotion in settled if promotion.pk in {first.pk, second.pk}] == [second.pk]
    first.refresh_from_db()
    assert first.state == PromotionState.SUPERSEDED


def test_what_was_judged_a_moment_ago_is_left_to_the_next_time(world):
    recent, older = ask(world, world.dev), ask_for_production(world, world.next_release("1.1.0"))
    Promotion.objects.filter(pk=older.pk).update(gates_at=NOW - timedelta(seconds=15))

    settled = actions.settle_waiting(workspace_id=PLATFORM_WORKSPACE_ID, now=NOW, judged=timedelta(seconds=15))

    assert [promotion.pk for promotion in settled] == [older.pk] != [recent.pk]


def test_one_that_can_not_be_judged_does_not_stop_the_others(world):
    ask(world, world.dev)
    other = ask_for_production(world, world.next_release("1.1.0"))
    ask(world, world.dev, world.next_release("1.2.0"))
    PolicyVersion.objects.in_force("DEV").update(is_active=False)

    settled = actions.settle_waiting(workspace_id=PLATFORM_WORKSPACE_ID, now=NOW)

    assert [promotion.pk for promotion in settled] == [other.pk]


def test_the_claim_judges_without_changing_anything(world):
    promotion = approve_all(ask_for_production(world), world)
    freeze(world, world.production)

    results = actions.recheck(promotion, now=NOW)

    assert [result.name for result in results if not result.outcome.lets_pass] == ["freeze"]
    promotion.refresh_from_db()
    assert promotion.state == PromotionState.READY


def test_approvals_of_another_plan_do_not_count_at_the_claim(world):
    promotion = approve_all(ask_for_production(world), world)
    move(promotion.lane, world.release, configuration=None)

    results = {result.name: result.outcome for result in actions.recheck(promotion, now=NOW)}

    assert results["approvals"] == "WAITING"


def test_the_role_must_be_held_at_the_claim(world):
    promotion = approve_all(ask_for_production(world), world)
    world.cast.devops.is_active = False
    world.cast.devops.save()

    results = {result.name: result for result in actions.recheck(promotion, now=NOW)}

    assert results["approvals"].sentence.startswith("1 of 2 approvals given. Waiting for DevOps.")


def test_settling_asks_a_fixed_number_of_questions(world, django_assert_max_num_queries):
    promotion = approve_all(ask_for_production(world), world)

    with django_assert_max_num_queries(26):
        actions.settle(promotion, now=NOW)
