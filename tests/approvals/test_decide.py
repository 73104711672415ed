from datetime import timedelta

import pytest

from apps.approvals import actions
from apps.approvals.enums import PromotionState
from apps.approvals.models import Decision, Promotion
from apps.audit.actors import SYSTEM, Actor
from apps.core.texts import TextInvalid
from apps.core.verdict import Denied
from apps.workspaces import actions as workspace_actions
from tests.approvals.promotions import ask, ask_for_production, bring, move, say
from tests.approvals.test_replanning import put_in_force
from tests.cast import NOW, make_person
from tests.world import last_event

pytestmark = pytest.mark.django_db

LATER = NOW + timedelta(hours=1)


@pytest.fixture
def promotion(world):
    return ask_for_production(world)


def test_two_people_make_it_ready(world, promotion, woken):
    after_one = say(promotion, "DEVOPS", world.cast.devops, comment="Metrics are fine")
    after_two = say(promotion, "ENGINEERING_MANAGER", world.cast.engineering_manager, now=LATER)

    assert (after_one.state, after_two.state) == (PromotionState.PENDING, PromotionState.READY)
    assert after_two.ready_at == LATER
    assert woken[-1] == ("deployments.start_ready", promotion.pk)


def test_an_approval_leaves_its_event(world, promotion):
    say(promotion, "DEVOPS", world.cast.devops, comment="Metrics are fine")

    event = last_event("decision.approved")
    assert event.target_id == str(promotion.pk)
    assert event.actor_id == str(world.cast.devops.pk)
    assert event.reason == "Metrics are fine"
    assert event.approval["requirement"] == "DEVOPS"
    assert event.approval["plan_hash"] == promotion.plan_hash
    assert "Greeter 1.0.0 to Production" in event.summary


def test_a_rejection_ends_it(world, promotion):
    ended = say(promotion, "DEVOPS", world.cast.devops, choice="REJECT", comment="Not during the fair")

    assert ended.state == PromotionState.REJECTED
    assert ended.ended_at == NOW
    assert ended.outcome == "DevOps rejected it as DevOps: Not during the fair"
    assert last_event("decision.rejected").reason == "Not during the fair"
    assert last_event("promotion.rejected").actor_id == str(world.cast.devops.pk)


def test_a_rejection_needs_a_comment(world, promotion):
    with pytest.raises(TextInvalid, match="The comment is missing"):
        say(promotion, "DEVOPS", world.cast.devops, choice="REJECT", comment="  ")


def test_a_comment_has_a_limit(world, promotion):
    with pytest.raises(TextInvalid, match="2001"):
        say(promotion, "DEVOPS", world.cast.devops, comment="x" * 2001)


def test_a_choice_that_is_none_is_refused(world, promotion):
    with pytest.raises(actions.UnknownChoice):
        say(promotion, "DEVOPS", world.cast.devops, choice="MAYBE")


def test_a_double_click_approves_once(world, promotion):
    say(promotion, "DEVOPS", world.cast.devops)

    with pytest.raises(actions.AlreadyDecided, match="DevOps decided on this as DevOps at 19:00 UTC") as refusal:
        say(promotion, "DEVOPS", world.cast.devops)

    assert refusal.value.status == 409
    assert Decision.objects.count() == 1


def test_the_second_of_two_colleagues_is_told_who_was_quicker(world, promotion):
    say(promotion, "DEVOPS", world.cast.devops)

    with pytest.raises(actions.AlreadyDecided):
        say(promotion, "DEVOPS", world.cast.second_devops)


def test_one_person_counts_once(world, promotion):
    workspace_actions.grant_role(
        world.cast.devops, role="ENGINEERING_MANAGER", workspace=world.cast.platform, by=SYSTEM, now=NOW
    )
    say(promotion, "DEVOPS", world.cast.devops)

    with pytest.raises(Denied, match="one person counts once"):
        say(promotion, "ENGINEERING_MANAGER", world.cast.devops)


@pytest.mark.parametrize("person", ["release_engineer", "engineering_manager", "security", "auditor", "outsider"])
def test_the_role_must_be_held(world, promotion, person):
    with pytest.raises(Denied, match="This needs somebody who is DevOps"):
        say(promotion, "DEVOPS", getattr(world.cast, person))


def test_a_role_in_another_workspace_gives_nothing(world, promotion):
    with pytest.raises(Denied):
        say(promotion, "DEVOPS", world.cast.outsider)


def test_a_superuser_as_such_decides_nothing(world, promotion):
    root = make_person("root", "Root", (), world.cast.platform)
    root.is_superuser = root.is_staff = True
    root.save()

    with pytest.raises(Denied, match="This needs somebody who is DevOps"):
        say(promotion, "DEVOPS", root)


def test_an_administrator_of_the_workspace_decides_nothing(world, promotion):
    with pytest.raises(Denied, match="This needs somebody who is DevOps"):
        say(promotion, "DEVOPS", world.cast.administrator)


@pytest.mark.parametrize("actor", [SYSTEM, Actor("TOKEN", "1", "CI")], ids=["portal", "token"])
def test_no_program_decides(world, promotion, actor):
    with pytest.raises(Denied, match="Only a person can decide"):
        say(promotion, "DEVOPS", actor)


def test_a_closed_account_decides_nothing(world, promotion):
    world.cast.devops.is_active = False
    world.cast.devops.save()

    with pytest.raises(Denied, match="This account is closed"):
        say(promotion, "DEVOPS", world.cast.devops)


def test_who_asked_does_not_decide(world):
    bring(world, world.staging)
    promotion = ask(world, world.production, by=world.cast.devops)

    with pytest.raises(Denied, match="You asked for this promotion"):
        say(promotion, "DEVOPS", world.cast.devops)


@pytest.mark.parametrize(("part", "words"), [("author", "You wrote 1.1.0"), ("committer", "You committed 1.1.0")])
def test_whose_change_it_is_does_not_decide(world, part, words):
    promotion = ask_for_production(world, world.next_release("1.1.0", **{part: world.cast.devops}))

    with pytest.raises(Denied, match=words):
        say(promotion, "DEVOPS", world.cast.devops)


def test_who_entered_a_release_of_no_known_author_does_not_decide(world):
    workspace_actions.grant_role(
        world.cast.release_engineer, role="DEVOPS", workspace=world.cast.platform, by=SYSTEM, now=NOW
    )
    promotion = ask_for_production(world)
    Promotion.objects.filter(pk=promotion.pk).update(requested_by=world.cast.devops)

    with pytest.raises(Denied, match=r"You entered 1\.0\.0"):
        say(promotion, "DEVOPS", world.cast.release_engineer)


def test_a_plan_that_was_not_shown_is_not_approved(world, promotion):
    shown = promotion.plan_hash
    move(promotion.lane, world.release)

    with pytest.raises(actions.StalePlan, match=r"What runs there changed from nothing to 1\.0\.0\.") as refusal:
        say(promotion, "DEVOPS", world.cast.devops, plan_hash=shown)

    assert refusal.value.status == 409
    assert not Decision.objects.exists()


def test_an_old_page_is_told_what_changed_even_after_the_plan_was_made_anew(world, promotion):
    shown = promotion.plan_hash
    move(promotion.lane, world.release)
    actions.settle(promotion, now=NOW)

    with pytest.raises(actions.StalePlan, match=r"What runs there changed from nothing to 1\.0\.0\."):
        say(promotion, "DEVOPS", world.cast.devops, plan_hash=shown)


def test_a_made_up_hash_approves_nothing(world, promotion):
    with pytest.raises(actions.StalePlan):
        say(promotion, "DEVOPS", world.cast.devops, plan_hash="0" * 64)


def test_what_was_withdrawn_is_not_decided(world, promotion):
    actions.withdraw(promotion, reason="Later", by=world.cast.release_engineer, now=NOW)

    with pytest.raises(actions.NotWaiting, match=r"is withdrawn: nothing is left to decide as DevOps\."):
        say(promotion, "DEVOPS", world.cast.devops)


def test_what_has_expired_is_not_decided(world, promotion):
    with pytest.raises(actions.NotWaiting, match="is expired"):
        say(promotion, "DEVOPS", world.cast.devops, now=promotion.expires_at)


def test_a_requirement_that_a_new_policy_dropped_is_not_decided(world, promotion):
    put_in_force("PRODUCTION", roles=("SECURITY",))
    actions.settle(promotion, now=NOW)

    with pytest.raises(actions.NotWaiting):
        say(promotion, "DEVOPS", world.cast.devops)


def test_a_lapsed_approval_makes_room_for_another(world, promotion):
    say(promotion, "DEVOPS", world.cast.devops)

    say(promotion, "DEVOPS", world.cast.second_devops, now=NOW + timedelta(days=7))

    assert Decision.objects.standing().get().decided_by == world.cast.second_devops


def test_the_customer_decides_on_their_environment_alone(world):
    bring(world, world.staging)
    colleague = make_person("second-operator", "Second operator", ("CUSTOMER_OPERATOR",), world.cast.customer)
    promotion = ask(world, world.customer_production)

    with pytest.raises(Denied):
        say(promotion, "CUSTOMER_OPERATOR", world.cast.devops)

    assert say(promotion, "CUSTOMER_OPERATOR", colleague).state == PromotionState.READY
