import pytest

from apps.approvals import actions
from apps.approvals.inbox import gate_box, inbox, inbox_entries
from apps.approvals.models import Promotion
from apps.audit.actors import SYSTEM
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.policies.clauses import Gate
from apps.workspaces import actions as workspace_actions
from apps.workspaces.models import Membership
from tests.approvals.promotions import ask, ask_for_production, bring, move, say
from tests.cast import NOW, make_person

pytestmark = pytest.mark.django_db

HERE = (PLATFORM_WORKSPACE_ID,)


def shown(promotion):
    return Promotion.objects.with_subject().get(pk=promotion.pk)


def give_role(world, person, role):
    workspace_actions.grant_role(person, role=role, workspace=world.cast.platform, by=SYSTEM, now=NOW)


def test_it_lists_what_a_person_may_decide_now(world):
    promotion = ask_for_production(world)

    assert list(inbox(world.cast.devops, HERE, now=NOW)) == [promotion]
    assert list(inbox(world.cast.engineering_manager, HERE, now=NOW)) == [promotion]


@pytest.mark.parametrize("person", ["release_engineer", "security", "auditor", "outsider", "customer_operator"])
def test_others_have_nothing_there(world, person):
    ask_for_production(world)

    assert not inbox(getattr(world.cast, person), HERE, now=NOW)


def test_what_was_decided_leaves_the_inbox_of_the_role(world):
    promotion = say(ask_for_production(world), "DEVOPS", world.cast.devops)

    assert not inbox(world.cast.devops, HERE, now=NOW)
    assert not inbox(world.cast.second_devops, HERE, now=NOW)
    assert list(inbox(world.cast.engineering_manager, HERE, now=NOW)) == [promotion]


def test_what_one_has_a_part_in_is_not_in_the_inbox(world):
    give_role(world, world.cast.release_engineer, "DEVOPS")
    ask_for_production(world, world.next_release("1.1.0", author=world.cast.second_devops))

    assert not inbox(world.cast.release_engineer, HERE, now=NOW)
    assert not inbox(world.cast.second_devops, HERE, now=NOW)


def test_other_workspaces_are_left_out(world):
    bring(world, world.staging)
    colleague = make_person("second-operator", "Second operator", ("CUSTOMER_OPERATOR",), world.cast.customer)
    promotion = ask(world, world.customer_production)

    assert not inbox(colleague, HERE, now=NOW)
    assert list(inbox(colleague, (world.cast.customer.pk,), now=NOW)) == [promotion]


def test_time_alone_opens_only_what_waits_for_nothing_else(world):
    promotion = shown(ask_for_production(world))
    opens = "2026-11-24T18:00:00+00:00"
    *others, window, checklist, approvals = promotion.gates
    closed = {**window, "outcome": "WAITING", "next_open": opens}
    promotion.gates = [*others, closed, checklist, approvals]

    waits_for_people = gate_box(promotion, world.cast.devops, now=NOW)
    promotion.gates = promotion.gates[:-1]
    waits_for_time = gate_box(promotion, world.cast.devops, now=NOW)

    assert waits_for_people.next_open is None
    assert waits_for_time.next_open.isoformat() == opens


def test_the_list_and_the_rule_agree(world):
    """The filter of the list must say of everybody what `may_decide` says."""
    give_role(world, world.cast.devops, "ENGINEERING_MANAGER")
    one = ask_for_production(world, world.next_release("1.1.0", committer=world.cast.second_devops))
    say(one, "DEVOPS", world.cast.devops)

    for person in (world.cast.devops, world.cast.second_devops, world.cast.engineering_manager, world.cast.auditor):
        [entry] = inbox_entries([shown(one)], person, now=NOW)
        assert bool(entry.mine) == inbox(person, HERE, now=NOW).filter(pk=one.pk).exists(), person


def test_an_entry_says_who_can(world):
    [entry] = inbox_entries([shown(ask_for_production(world))], world.cast.devops, now=NOW)

    assert [row.label for row in entry.requirements] == ["Engineering manager", "DevOps"]
    assert [row.label for row in entry.mine] == ["DevOps"]
    assert entry.requirements[1].who_sentence == "DevOps, Second DevOps can decide."
    assert entry.requirements[0].verdict.sentence == "This needs somebody who is Engineering manager there."
    assert not entry.is_stuck


def test_an_entry_says_that_nobody_can(world):
    promotion = ask_for_production(world)
    held = Membership.objects.current().get(user=world.cast.engineering_manager)
    workspace_actions.end_role(held, by=SYSTEM, now=NOW)

    [entry] = inbox_entries([shown(promotion)], world.cast.devops, now=NOW)

    assert entry.is_stuck
    assert entry.requirements[0].who_sentence.startswith("Nobody can decide as Engineering manager now.")


def test_many_who_can_are_counted(world):
    promotion = ask_for_production(world)
    for person in (world.cast.security, world.cast.auditor):
        give_role(world, person, "DEVOPS")

    [entry] = inbox_entries([shown(promotion)], world.cast.devops, now=NOW)

    assert entry.requirements[1].who_sentence == "Auditor, DevOps, Second DevOps and 1 more can decide."


def test_entries_ask_four_questions_however_many_there_are(world, django_assert_num_queries):
    first = ask_for_production(world)
    second = ask_for_production(world, world.next_release("1.1.0"))
    promotions = [shown(first), shown(second)]

    with django_assert_num_queries(4):
        entries = inbox_entries(promotions, world.cast.devops, now=NOW)

    assert [entry.promotion for entry in entries] == promotions


def test_no_entries_of_nothing(world):
    assert inbox_entries([], world.cast.devops, now=NOW) == []


def test_the_box_puts_first_what_is_missing(world, django_assert_num_queries):
    promotion = shown(ask_for_production(world))

    with django_assert_num_queries(4):
        box = gate_box(promotion, world.cast.devops, now=NOW)

    assert [result.name for result in box.open] == ["approvals"]
    assert box.results[0] is box.open[0]
    assert {result.name for result in box.not_needed} == {
        Gate.COVERAGE, Gate.PROVENANCE, Gate.PERFORMANCE, Gate.API_COMPATIBILITY, Gate.EVENT_COMPATIBILITY,
        Gate.MIGRATIONS, Gate.ROLLBACK_READINESS, Gate.EMERGENCY_PATH, Gate.ENVIRONMENT, Gate.CHECKLIST,
        Gate.RECOVERY,
    }  # fmt: skip
    assert len(box.results) == len(Gate)
    assert box.headline == "Waiting for you, as DevOps."
    assert [row.label for row in box.mine] == ["DevOps"]


def test_the_box_of_somebody_else_says_what_is_missing(world):
    box = gate_box(shown(ask_for_production(world)), world.cast.auditor, now=NOW)

    assert box.headline == "0 of 2 approvals given. Waiting for Engineering manager and DevOps."
    assert box.mine == ()


def test_the_box_shows_decisions_and_those_that_no_longer_count(world):
    promotion = say(ask_for_production(world), "DEVOPS", world.cast.devops, comment="Fine")
    before = gate_box(shown(promotion), world.cast.devops, now=NOW).requirements[1]
    move(promotion.lane, world.release)
    actions.settle(promotion, now=NOW)

    after = gate_box(shown(promotion), world.cast.devops, now=NOW).requirements[1]

    assert before.decision.comment == "Fine"
    assert before.who_sentence == ""
    assert after.decision is None
    assert [decision.comment for decision in after.past] == ["Fine"]


@pytest.mark.parametrize(
    ("starts_by_itself", "words"),
    [(True, "Ready. It starts by itself."), (False, "Ready. It waits for somebody to start it.")],
)
def test_the_box_of_a_ready_promotion_says_how_it_starts(world, starts_by_itself, words):
    promotion = ask(world, world.dev, starts_by_itself=starts_by_itself)

    assert gate_box(shown(promotion), world.cast.devops, now=NOW).headline == words


def test_the_box_of_one_that_is_over_says_what_became_of_it(world):
    promotion = say(ask_for_production(world), "DEVOPS", world.cast.devops, choice="REJECT", comment="No")

    assert (
        gate_box(shown(promotion), world.cast.devops, now=NOW).headline == "Rejected. DevOps rejected it as DevOps: No"
    )


def test_one_that_was_not_judged_yet_says_so(world):
    promotion = ask_for_production(world)
    Promotion.objects.filter(pk=promotion.pk).update(gates=[])

    assert gate_box(shown(promotion), world.cast.auditor, now=NOW).headline == "Waiting to be judged."
