"""Another policy comes into force by two people, or not at all."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts.models import Role, User
from apps.approvals import actions as approval_actions
from apps.audit.models import AuditEvent
from apps.core.texts import TextInvalid
from apps.core.verdict import Conflict, Denied
from apps.policies import actions, documents, sources
from apps.policies.enums import ProposalState
from apps.policies.models import PolicyProposal, PolicyVersion
from tests.approvals.promotions import ask, lane_of, outcome_of
from tests.cast import NOW, PASSWORD
from tests.drill import get, post, signed_in, text_of
from tests.policies.proposals import activate, in_force, text
from tests.world import World, last_event

pytestmark = pytest.mark.django_db

LIST = reverse("policies:policy-list")
CREATE = reverse("policies:proposal-create", args=["qa"])


def propose(cast: Any, by: User | None = None, **more: Any) -> PolicyProposal:
    return actions.propose(text(**more), tier="QA", reason="Too little is tested", by=by or cast.devops, now=NOW)


def test_another_person_puts_a_proposal_in_force(world: World) -> None:
    before, proposal = in_force(), propose(world.cast)

    version = activate(proposal, comment="Read it", by=world.cast.engineering_manager)

    assert (in_force(), version.number, version.created_by) == (version, before.number + 1, world.cast.devops)
    assert PolicyProposal.objects.get().version == version
    event = last_event("policy.activated")
    assert (event.actor_label, event.change["version"]["after"]) == ("Engineering manager", version.number)
    assert AuditEvent.objects.filter(kind="policy.proposed", target_id=str(proposal.pk)).count() == 1


def test_the_rules_of_a_version_are_read_once() -> None:
    rules = in_force("DEV").rules

    assert in_force("DEV").rules is rules
    assert in_force("QA").rules is not rules
    assert rules == documents.parse(in_force("DEV").document)


def test_what_waits_is_judged_by_the_new_policy(world: World) -> None:
    document = in_force("DEV").document
    clause = {"id": "DEV-9", "gate": "parts_list", "text": "What is in it is known.", "source": "A test"}
    source = sources.written({**document, "clauses": [*document["clauses"], clause]}, schema_url="s")
    promotion = ask(world, world.dev, starts_by_itself=False)
    assert outcome_of(promotion, "parts_list") == "NOT_REQUIRED"
    proposal = actions.propose(source, tier="DEV", reason="A test", by=world.cast.devops, now=NOW)
    version = activate(proposal, by=world.cast.security)

    [promotion] = approval_actions.settle_for_lane(lane_of(world.dev, world), now=NOW)

    assert (outcome_of(promotion, "parts_list"), promotion.policy_version) == ("WAITING", version.number)


def test_its_author_can_not_put_it_in_force(world: World) -> None:
    proposal, before = propose(world.cast), in_force()

    with pytest.raises(Denied, match="You proposed it"):
        activate(proposal, by=world.cast.devops)

    assert in_force() == before
    with pytest.raises(IntegrityError, match="proposal_activated_by_another"), transaction.atomic():
        PolicyProposal.objects.filter(pk=proposal.pk).update(
            state=ProposalState.ACTIVATED, decided_by=world.cast.devops, decided_at=NOW, version=before
        )


@pytest.mark.parametrize("who", ["release_engineer", "auditor", "customer_operator", "administrator", "outsider"])
def test_who_does_not_answer_for_the_rules_changes_none(world: World, who: str) -> None:
    person, proposal = getattr(world.cast, who), propose(world.cast)

    with pytest.raises(Denied):
        propose(world.cast, person)
    with pytest.raises(Denied):
        activate(proposal, by=person)
    with pytest.raises(Denied):
        actions.turn_down(proposal, comment="No", by=person, now=NOW)


def test_a_proposal_on_top_of_what_is_no_longer_in_force_is_of_the_past(world: World) -> None:
    first, second = propose(world.cast), propose(world.cast, world.cast.security, least=90)
    activate(first, by=world.cast.engineering_manager)

    with pytest.raises(actions.ProposalOvertaken, match="version 2"):
        activate(second, by=world.cast.engineering_manager)

    assert in_force() == PolicyProposal.objects.get(pk=first.pk).version
    page = text_of(get(world.cast.engineering_manager, reverse("policies:proposal-detail", args=[second.pk])))
    assert "Version 3 is in force since" in page


@pytest.mark.parametrize(
    ("who", "state", "kind"),
    [("devops", "WITHDRAWN", "policy.withdrawn"), ("security", "REJECTED", "policy.rejected")],
)
def test_a_proposal_is_taken_back_or_rejected_once(world: World, who: str, state: str, kind: str) -> None:
    proposal, person = propose(world.cast), getattr(world.cast, who)

    assert actions.turn_down(proposal, comment="Not now", by=person, now=NOW).state == state

    assert (last_event(kind).reason, last_event(kind).actor_label) == ("Not now", str(person))
    with pytest.raises(actions.ProposalDecided):
        activate(proposal, by=world.cast.engineering_manager)
    with pytest.raises(IntegrityError, match="is final"), transaction.atomic():
        PolicyProposal.objects.filter(pk=proposal.pk).update(state=ProposalState.OPEN, decided_at=None, decided_by=None)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("tier: [", "Line 1, column 8: This is not YAML"),
        ("", "This field is required."),
        ("&a [*a, *a]", "Anchors and aliases are not allowed"),
        (lambda: text().replace("tier: QA", "tier: DEV"), "tier: expected QA, whose policy this shall be."),
        (lambda: text(least=101), "least_percent: expected a whole number from 1 to 100."),
        (
            lambda: text().replace("gate: coverage", "gate: approvals").replace("least_percent: 80", "role: NOBODY"),
            "settings.role: expected one of ARCHITECTURE_REVIEWER, AUDITOR, CAB",
        ),
    ],
)
def test_a_bad_policy_is_refused_with_line_and_reason_and_nothing_is_kept(
    world: World, source: Any, words: str
) -> None:
    given, before = source() if callable(source) else source, in_force()

    answer = post(world.cast.devops, CREATE, {"source": given, "reason": "A test"})

    assert answer.status_code == 422
    assert words in text_of(answer)
    with world.everything():
        assert in_force() == before
        assert not PolicyProposal.objects.exists()


def test_nothing_is_proposed_that_is_in_force_and_what_was_written_stays_in_the_form(world: World) -> None:
    same = sources.written(in_force().document, schema_url="s") + "# A comment\n"

    answer = post(world.cast.devops, CREATE, {"source": same, "reason": "A test"})

    assert answer.status_code == 422
    assert "This says what version 2 says, which is in force." in text_of(answer)
    assert "# A comment" in text_of(answer)


def test_a_proposal_that_asks_a_role_that_is_no_more_does_not_come_into_force(world: World) -> None:
    Role.objects.create(code="CABINET", label="Change board", capabilities=[], position=9)
    source = text().replace("gate: coverage", "gate: approvals").replace("least_percent: 80", "role: CABINET")
    proposal = actions.propose(source, tier="QA", reason="A test", by=world.cast.devops, now=NOW)
    before = in_force()
    Role.objects.get(code="CABINET").delete()

    with pytest.raises(sources.InvalidSource, match=r"settings\.role: expected one of"):
        activate(proposal, by=world.cast.security)

    assert (in_force(), PolicyProposal.objects.get().state) == (before, ProposalState.OPEN)


def test_turning_it_down_needs_a_word(world: World) -> None:
    with pytest.raises(TextInvalid):
        actions.turn_down(propose(world.cast), comment="", by=world.cast.security, now=NOW)
    address = reverse("policies:proposal-decision", args=[propose(world.cast).pk])

    answer = post(world.cast.security, address, {"choice": "TURN_DOWN", "comment": ""})

    assert answer.status_code == 422
    assert "Say why: whoever wrote it will want to know." in text_of(answer)
    assert post(world.cast.security, address, {"choice": "TURN_DOWN", "comment": "Too strict"}).status_code == 302


def test_from_the_form_to_the_page_of_the_new_version(world: World) -> None:
    written = text_of(get(world.cast.devops, CREATE))
    assert "id: QA-1" in written
    with world.everything():
        changed = text()
    proposed = post(world.cast.devops, CREATE, {"source": changed, "reason": "Too little is tested"})
    mine = text_of(get(world.cast.devops, proposed["Location"]))
    theirs = text_of(get(world.cast.security, proposed["Location"]))

    assert "You proposed it: another person has to put it in force." in mine
    assert "Put it in force" in theirs
    assert "least_percent: 80" in theirs
    decision = f"{proposed['Location']}decision/"
    given = {"choice": "ACTIVATE", "comment": "Read it"}
    assert post(world.cast.security, decision, given).status_code == 403  # nobody confirmed it
    assert post(world.cast.security, decision, {**given, "password": PASSWORD}).status_code == 302
    with world.everything():
        assert last_event("policy.activated").approval["confirmed_with"] == "PASSWORD"
    page = text_of(get(world.cast.auditor, reverse("policies:policy-detail", args=["qa"])))
    assert "DevOps proposed it, Security put it in force" in page
    assert "What changed since version 2" in page
    old = text_of(get(world.cast.auditor, reverse("policies:policy-version", args=["qa", 2])))
    assert "No longer in force" in old
    source = get(world.cast.auditor, reverse("policies:policy-source", args=["qa", 3])).content
    assert sources.read(source)[0]["clauses"][-1]["id"] == "QA-50"


def test_a_tenant_sees_the_policies_and_no_proposal(world: World) -> None:
    proposal = propose(world.cast)

    page = text_of(get(world.cast.customer_operator, LIST))

    assert "Production" in page
    assert "Too little is tested" not in page
    assert get(world.cast.customer_operator, reverse("policies:proposal-detail", args=[proposal.pk])).status_code == 404


def test_the_lists_cost_the_same_for_few_and_many(world: World) -> None:
    client = signed_in(world.cast.devops)

    def cost(address: str) -> int:
        client.get(address)
        with CaptureQueriesContext(connection) as asked:
            client.get(address)
        return len(asked)

    addresses = LIST, reverse("policies:policy-detail", args=["qa"])
    with world.everything():
        activate(propose(world.cast), by=world.cast.security)
    few = [cost(address) for address in addresses]
    with world.everything():
        for least in range(1, 6):
            actions.turn_down(propose(world.cast, least=least), comment="No", by=world.cast.security, now=NOW)
            activate(propose(world.cast, least=least), by=world.cast.security)

    assert [cost(address) for address in addresses] == few


@pytest.mark.django_db(transaction=True)
def test_of_all_who_decide_at_once_one_does_for_each_proposal_and_one_for_the_tier(world: World) -> None:
    with world.everything():
        two = [propose(world.cast), propose(world.cast, least=90)]
    race = [(proposal, by) for proposal in two for by in (world.cast.security, world.cast.engineering_manager)]
    race += [(two[0], world.cast.devops), (two[1], world.cast.devops)]
    barrier = threading.Barrier(len(race))

    def act(entry: tuple[PolicyProposal, User]) -> str:
        proposal, by = entry
        barrier.wait()
        try:
            with world.everything():
                if by == proposal.proposed_by:
                    actions.turn_down(proposal, comment="No", by=by, now=NOW)
                    return "taken back"
                activate(proposal, by=by)
        except Conflict as refusal:
            return refusal.code
        finally:
            connection.close()
        return "in force"

    with ThreadPoolExecutor(len(race)) as threads:
        answers = sorted(threads.map(act, race))

    assert set(answers) <= {"in force", "taken back", "proposal_decided", "proposal_overtaken"}
    with world.everything():
        activated = PolicyProposal.objects.filter(state=ProposalState.ACTIVATED).count()
        assert activated == answers.count("in force") <= 1
        assert PolicyProposal.objects.filter(state=ProposalState.WITHDRAWN).count() == answers.count("taken back")
        assert in_force().number == 2 + activated == PolicyVersion.objects.filter(tier="QA").count()
        assert AuditEvent.objects.filter(kind="policy.activated").count() == activated
