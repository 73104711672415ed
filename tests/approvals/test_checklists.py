"""Checklists: ticked by roles and gates on the plan that was shown before the start, owed for a time after it."""

from datetime import timedelta

import pytest
from django.db import Error, IntegrityError, connection, transaction
from django.urls import reverse

from apps.approvals import actions, jobs
from apps.approvals.checklists import mine_in, owed_in, shown_checklists
from apps.approvals.enums import PromotionState
from apps.approvals.models import ChecklistLine, Promotion, Tick
from apps.audit.actors import SYSTEM
from apps.audit.models import AuditEvent
from apps.core.texts import TextInvalid
from apps.core.verdict import Denied
from apps.policies.models import PolicyVersion
from apps.releases import actions as release_actions
from apps.workspaces import actions as workspace_actions
from tests.approvals.promotions import (
    ask,
    deploy,
    lend,
    move,
    outcome_of,
    put_in_force,
    sentence_of,
    tick,
    tick_all,
)
from tests.approvals.test_races import at_once
from tests.cast import NOW
from tests.drill import HTMX, get, post, text_of
from tests.policies.documents import AFTERWARDS, SETTINGS, clause, make_document
from tests.world import World, last_event

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
ON_CALL = {"id": "on-call", "text": "On-call engineer assigned", "role": "DEVOPS"}


def ask_for_checklists(tier: str = "DEV", *more: dict[str, str]) -> PolicyVersion:
    """Put a policy in force with a checklist before the start, and one after the deployment."""
    lines = [*SETTINGS["checklist"]["lines"], ON_CALL, *more]
    rows = [
        *make_document()["clauses"],
        clause(20, "checklist", settings={**SETTINGS["checklist"], "lines": lines}),
        clause(21, "checklist", settings=AFTERWARDS),
    ]
    return put_in_force(tier, clauses=rows)


@pytest.fixture
def promotion(world: World) -> Promotion:
    ask_for_checklists()
    return ask(world, world.dev, starts_by_itself=False)


def line_of(promotion: Promotion, name: str) -> ChecklistLine:
    return promotion.checklist_lines.standing().get(line=name)


def test_it_waits_until_every_line_is_ticked_by_its_role_or_its_gate(world: World, promotion: Promotion) -> None:
    assert sentence_of(promotion, "checklist") == (
        "1 of 3 lines ticked. Missing: Release notes prepared and On-call engineer assigned."
    )
    noted = tick(line_of(promotion, "notes"), world.cast.release_engineer, note="In the wiki")
    event = last_event("tick.given")
    assert (event.actor_label, event.reason) == ("Release engineer", "In the wiki")
    assert event.summary.endswith("had “Release notes prepared” ticked by Release engineer")

    ready = tick_all(noted, world)

    assert (ready.state, outcome_of(ready, "checklist")) == (PromotionState.READY, "PASSED")
    evidence = next(row["evidence"] for row in ready.gates if row["name"] == "checklist")
    assert "Release notes prepared: ticked by Release engineer, 2026-11-18 19:00 UTC: “In the wiki”" in evidence


def test_only_a_person_of_the_role_ticks_a_line_once_on_the_plan_that_was_shown(
    world: World, promotion: Promotion
) -> None:
    line = line_of(promotion, "on-call")
    for name in ("release_engineer", "engineering_manager", "security", "auditor", "administrator", "outsider"):
        with pytest.raises(Denied, match="This needs somebody who is DevOps there"):
            tick(line, getattr(world.cast, name))
    with pytest.raises(Denied, match="Only a person"):
        tick(line, SYSTEM)
    with pytest.raises(Denied, match="ticks itself by PROD-1"):
        tick(line_of(promotion, "artifact"), world.cast.devops)
    with pytest.raises(actions.StalePlan):
        tick(line, world.cast.devops, plan_hash="0" * 64)
    for note in ("a\nb", "x" * 501):
        with pytest.raises(TextInvalid):
            tick(line, world.cast.devops, note=note)
    assert not Tick.objects.exists()

    tick(line, world.cast.devops)

    with pytest.raises(actions.AlreadyTicked, match="was ticked by DevOps at 19:00 UTC"):
        tick(line, world.cast.second_devops)


def test_whoever_was_lent_the_role_ticks_for_its_holder_and_both_are_named(world: World, promotion: Promotion) -> None:
    lend(world.cast.devops, "DEVOPS", to=world.cast.security)

    ticked = tick(line_of(promotion, "on-call"), world.cast.security)

    assert Tick.objects.with_people().get().people == "Security for DevOps"
    assert sentence_of(ticked, "checklist") == "2 of 3 lines ticked. Missing: Release notes prepared."
    assert last_event("tick.given").approval["on_behalf_of"] == "DevOps"


def test_a_changed_plan_voids_what_people_ticked(world: World, promotion: Promotion) -> None:
    ready = tick_all(promotion, world)
    move(ready.lane, world.release)

    settled = actions.settle(ready, now=NOW)

    assert (settled.state, outcome_of(settled, "checklist")) == (PromotionState.PENDING, "WAITING")
    assert not Tick.objects.standing().exists()
    with pytest.raises(IntegrityError), transaction.atomic():
        Tick.objects.update(voided_at=None, void_reason="")
    event = last_event("tick.voided")
    assert event.summary.endswith("The plan changed. What runs there changed from nothing to 1.0.0.")
    assert tick_all(settled, world).state == PromotionState.READY


def test_a_line_that_the_policy_words_otherwise_is_another_line(world: World, promotion: Promotion) -> None:
    ready = tick_all(promotion, world)
    ask_for_checklists("DEV", {"id": "dashboards", "text": "Monitoring dashboards ready", "role": "DEVOPS"})

    settled = actions.settle(ready, now=NOW)

    assert settled.state == PromotionState.PENDING
    assert list(settled.checklist_lines.open().filter(follows="").values_list("line", flat=True)) == [
        "notes", "on-call", "dashboards",
    ]  # fmt: skip
    assert not Tick.objects.standing().exists()


def test_a_tick_counts_only_while_who_gave_it_holds_the_role(world: World, promotion: Promotion) -> None:
    ready = tick_all(promotion, world)
    workspace_actions.end_role(world.cast.devops.memberships.get(), by=SYSTEM, now=NOW)

    [gate] = [result for result in actions.recheck(ready, now=NOW) if result.name == "checklist"]
    assert not gate.outcome.lets_pass
    assert actions.settle(ready, now=NOW).state == PromotionState.PENDING
    assert last_event("tick.voided").reason.startswith("DevOps no longer holds the role")


def test_a_tick_is_taken_back_with_a_reason_until_the_start(world: World, promotion: Promotion) -> None:
    ready = tick_all(promotion, world)
    given = line_of(ready, "on-call").ticks.get()
    with pytest.raises(Denied):
        actions.take_back(given, reason="No", by=world.cast.release_engineer, now=NOW)
    with pytest.raises(TextInvalid):
        actions.take_back(given, reason="", by=world.cast.devops, now=NOW)

    waiting = actions.take_back(given, reason="She is ill", by=world.cast.second_devops, now=NOW)

    assert waiting.state == PromotionState.PENDING
    event = last_event("tick.taken_back")
    assert (event.actor_label, event.reason) == ("Second DevOps", "She is ill")
    with pytest.raises(actions.TickGone):
        actions.take_back(given, reason="Again", by=world.cast.devops, now=NOW)
    actions.mark(tick_all(waiting, world), PromotionState.DEPLOYING, by=SYSTEM, now=NOW)
    with pytest.raises(actions.NotWaiting):
        actions.take_back(Tick.objects.standing().first(), reason="Late", by=world.cast.devops, now=NOW)


def test_the_start_keeps_what_gates_ticked_and_an_untouched_end_drops_it(world: World, promotion: Promotion) -> None:
    ready = tick_all(promotion, world)

    started = actions.mark(ready, PromotionState.DEPLOYING, by=SYSTEM, now=NOW)

    kept = line_of(started, "artifact").ticks.get()
    assert (kept.ticked_by, kept.note[:17]) == (None, "Sealed as sha256:")
    Tick.objects.filter(line__line="on-call").update(voided_at=NOW, void_reason="A test")
    with pytest.raises(actions.NotWaiting, match="is deploying"):
        tick(line_of(started, "on-call"), world.cast.devops)
    again = actions.mark(started, PromotionState.PENDING, by=SYSTEM, now=NOW)
    assert not Tick.objects.standing().filter(ticked_by=None).exists()
    assert sentence_of(again, "checklist").startswith("2 of 3 lines ticked.")


def deployed(world: World, promotion: Promotion) -> Promotion:
    return deploy(tick_all(promotion, world))


def test_after_the_deployment_lines_are_owed_for_a_time(world: World, promotion: Promotion) -> None:
    here = (world.cast.platform.pk,)
    assert owed_in(here, now=NOW, most=9) == []

    ended = deployed(world, promotion)

    assert last_event("checklist.owed").summary.endswith(
        "is owed: After the deployment, 2 lines until 2026-11-18 23:00 UTC"
    )
    assert line_of(ended, "state").ticks.get().note.startswith("by PROD-3: 1.0.0 is sealed")
    [owed] = owed_in(here, now=NOW + 4 * HOUR, most=9)
    assert (owed.promotion, owed.open, owed.is_overdue) == (ended, 1, False)
    assert owed_in(here, now=NOW + 5 * HOUR, most=9)[0].is_overdue
    assert [row.title for row in mine_in(world.cast.devops, here, now=NOW, most=9)] == ["After the deployment"]
    assert mine_in(world.cast.security, here, now=NOW, most=9) == []

    tick_all(ended, world, now=NOW + 5 * HOUR)

    assert owed_in(here, now=NOW, most=9) == []
    assert last_event("tick.given").summary.endswith("ticked by DevOps, after the deployment, late")
    given = Tick.objects.get(line__line="reports")
    with pytest.raises(actions.NotWaiting):
        actions.take_back(given, reason="No", by=world.cast.devops, now=NOW)


def test_an_owed_line_ticks_itself_once_its_gate_lets_pass(world: World, promotion: Promotion) -> None:
    started = actions.mark(tick_all(promotion, world), PromotionState.DEPLOYING, by=SYSTEM, now=NOW)
    release_actions.quarantine_release(world.release, reason="It hurt", by=SYSTEM, now=NOW)
    ended = actions.mark(started, PromotionState.COMPLETED, by=SYSTEM, now=NOW)
    line = line_of(ended, "state")
    jobs.see_to_approvals()
    with world.everything():
        assert not line.ticks.exists()
        release_actions.lift_quarantine(world.release, reason="Mended", by=SYSTEM, now=NOW)
        ChecklistLine.objects.filter(pk=line.pk).update(judged_at=NOW)

    jobs.see_to_approvals()

    with world.everything():
        assert line.ticks.get().ticked_by is None


def test_what_is_owed_ends_when_something_else_is_brought_there(world: World, promotion: Promotion) -> None:
    first = deployed(world, promotion)
    second = deployed(world, ask(world, world.dev, world.next_release("1.1.0"), starts_by_itself=False))

    assert [row.promotion for row in owed_in((world.cast.platform.pk,), now=NOW, most=9)] == [second]
    assert last_event("checklist.ended").target_id == str(first.pk)
    shown = shown_checklists(first, world.cast.devops, now=NOW + 9 * HOUR)[-1]
    assert (shown.is_overdue, shown.end_reason) == (False, f"Promotion #{second.number} was deployed there.")
    with pytest.raises(actions.NotWaiting, match="is no longer asked for"):
        tick(first.checklist_lines.get(line="reports"), world.cast.devops)

    move(second.lane, world.release)  # a rollback
    actions.settle_for_lane(second.lane, now=NOW)

    assert owed_in((world.cast.platform.pk,), now=NOW, most=9) == []


def test_what_was_asked_and_ticked_never_changes(world: World, promotion: Promotion) -> None:
    tick_all(promotion, world)

    for statement in ("approvals_tick SET note = 'x'", "approvals_checklistline SET text = 'x'"):
        with pytest.raises(Error, match="can not be changed"), transaction.atomic():
            connection.cursor().execute(f"UPDATE {statement}")


def test_the_pages_offer_each_line_to_its_role_and_show_it_to_all(world: World, promotion: Promotion) -> None:
    line = line_of(promotion, "on-call")
    page = reverse("approvals:promotion-detail", args=[promotion.number])
    door = reverse("approvals:tick-create", args=[line.pk])
    data = {"plan_hash": promotion.plan_hash, "note": "DevOps <b>"}
    assert door in text_of(get(world.cast.devops, page))
    assert "1 line to tick before it starts" in text_of(get(world.cast.devops, reverse("approvals:inbox")))
    assert door not in text_of(get(world.cast.security, page))
    assert "DevOps: DevOps, Second DevOps can tick it." in text_of(get(world.cast.security, page))
    assert post(world.cast.security, door, data).status_code == 403
    assert post(world.cast.outsider, door, data).status_code == 404
    assert post(world.cast.devops, door, {**data, "plan_hash": "x"}).status_code == 422
    assert post(world.cast.devops, door, {**data, "plan_hash": "0" * 64}).status_code == 409

    fragment = text_of(post(world.cast.devops, door, data, **HTMX))

    assert fragment.strip().startswith('<section class="card-p gbox')
    assert "DevOps &lt;b&gt;" in fragment
    assert post(world.cast.second_devops, door, data).status_code == 409
    with world.everything():
        given = line.ticks.get()
        assert AuditEvent.objects.filter(kind="tick.given").count() == 1
    back = reverse("approvals:tick-withdrawal", args=[given.pk])
    assert back in text_of(get(world.cast.second_devops, page))
    assert get(world.cast.security, back).status_code == 403
    assert "DevOps ticked it" in text_of(get(world.cast.devops, back))
    assert post(world.cast.security, back, {"reason": "No such person"}).status_code == 403

    assert post(world.cast.devops, back, {"reason": "She is ill"}).status_code == 302

    shown = text_of(get(world.cast.auditor, page))
    assert "no longer counts, DevOps took it back: She is ill" in shown


def test_what_is_owed_stands_on_the_front_page_and_the_promotion(world: World, promotion: Promotion) -> None:
    ended = deployed(world, promotion)
    door = reverse("approvals:tick-create", args=[line_of(ended, "reports").pk])
    page = reverse("approvals:promotion-detail", args=[ended.number])
    for address in ("/", reverse("approvals:inbox"), page):
        assert "After the deployment" in text_of(get(world.cast.devops, address)), address
    assert door in text_of(get(world.cast.devops, page))

    fragment = text_of(post(world.cast.devops, door, {"plan_hash": ended.plan_hash, "note": ""}, **HTMX))

    assert 'id="checklists"' in fragment
    assert "2 of 2</b> ticked" in fragment
    assert "After the deployment" not in text_of(get(world.cast.devops, "/"))


@pytest.mark.django_db(transaction=True)
def test_of_two_who_tick_a_line_at_once_one_does(world: World) -> None:
    with world.everything():
        ask_for_checklists()
        line = line_of(ask(world, world.dev, starts_by_itself=False), "on-call")

    results = at_once(world, lambda: tick(line, world.cast.devops), lambda: tick(line, world.cast.second_devops))

    assert [type(result) for result in results].count(actions.AlreadyTicked) == 1
    with world.everything():
        assert Tick.objects.standing().count() == 1
        assert AuditEvent.objects.filter(kind="tick.given").count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_tick_while_the_plan_changes_never_counts_for_the_new_plan(world: World) -> None:
    with world.everything():
        ask_for_checklists()
        promotion = ask(world, world.dev, starts_by_itself=False)
        line, shown = line_of(promotion, "on-call"), promotion.plan_hash

    def change() -> Promotion:
        move(promotion.lane, world.release)
        return actions.settle(promotion, now=NOW)

    at_once(world, lambda: tick(line, world.cast.devops, plan_hash=shown), change)

    with world.everything():
        assert actions.settle(promotion, now=NOW).plan_hash != shown
        assert not Tick.objects.standing().exists()


def test_a_release_goes_the_whole_way_where_a_tier_asks_for_checklists(world: World, promotion: Promotion) -> None:
    deployed(world, promotion)

    assert ask(world, world.qa).state == PromotionState.READY
    assert not ChecklistLine.objects.filter(promotion__lane__environment=world.qa).exists()
