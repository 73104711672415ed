"""Who decides on Production confirms that it is them, through every door, and the decision says how."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.accounts.confirmation import Confirmation
from apps.accounts.enums import Proof
from apps.accounts.permissions import NotConfirmed
from apps.approvals import actions
from apps.approvals.models import Decision
from apps.policies.clauses import StepUp
from apps.policies.documents import InvalidPolicy, parse
from tests.accounts.factors import SECRET, by_password, code_at, register_app
from tests.approvals.promotions import ask_for_production, move, put_in_force, say
from tests.approvals.test_page_approvals import address, decision, fresh
from tests.cast import NOW, PASSWORD
from tests.drill import HTMX, get, post, signed_in, text_of
from tests.policies.documents import clause, make_document, make_policy
from tests.world import last_event

STRICT = "second_factor"


@pytest.fixture
def promotion(world):
    return ask_for_production(world)


def ask_strictly():
    """Let Production's policy ask for a second factor of DevOps."""
    clauses = make_document()["clauses"]
    approval = clause(len(clauses) + 1, "approvals", settings={"role": "DEVOPS", "step_up": STRICT})
    put_in_force("PRODUCTION", clauses=[*clauses, approval])


def test_the_strictest_of_the_roles_is_asked_for():
    policy = make_policy(
        clauses=[
            *make_document()["clauses"],
            clause(7, "approvals", settings={"role": "DEVOPS", "step_up": "second_factor_or_password"}),
            clause(8, "approvals", settings={"role": "SECURITY", "step_up": STRICT}),
            clause(9, "approvals", settings={"role": "AUDITOR"}),
        ]
    )

    assert policy.step_up("DEVOPS", "SECURITY", "AUDITOR") == StepUp.SECOND_FACTOR
    assert policy.step_up("DEVOPS", "AUDITOR") == StepUp.SECOND_FACTOR_OR_PASSWORD
    assert policy.step_up("AUDITOR") is policy.step_up() is None


def test_a_policy_knows_its_words():
    document = make_document()
    document["clauses"].append(clause(9, "approvals", settings={"role": "DEVOPS", "step_up": "sms"}))

    with pytest.raises(InvalidPolicy, match="step_up: expected one of second_factor, second_factor_or_password"):
        parse(document)


@pytest.mark.django_db
@pytest.mark.parametrize("choice", ["APPROVE", "REJECT"])
def test_no_decision_without_a_confirmation_that_counts(world, promotion, choice):
    person, others = world.cast.devops, by_password(world.cast.second_devops)
    old, made_up = by_password(person, NOW - timedelta(minutes=5)), Confirmation(person.pk, Proof.TOTP, NOW, person.pk)

    for confirmation in (None, others, old, made_up):
        with pytest.raises(NotConfirmed):
            say(promotion, "DEVOPS", person, choice=choice, comment="No", confirmation=confirmation)

    assert not Decision.objects.exists()


@pytest.mark.django_db
def test_who_has_a_factor_does_not_decide_by_password(world, promotion):
    register_app(world.cast.devops)

    with pytest.raises(NotConfirmed, match="confirm with it, not with your password"):
        say(promotion, "DEVOPS", world.cast.devops)


@pytest.mark.django_db
def test_a_decision_and_its_event_say_how(world, promotion):
    say(promotion, "DEVOPS", world.cast.devops)

    event = last_event("decision.approved")
    assert Decision.objects.get().confirmed_with == event.approval["confirmed_with"] == "PASSWORD"
    assert "as DevOps, confirmed with the password" in event.summary


@pytest.mark.django_db
def test_a_policy_may_ask_for_a_factor_or_for_nothing(world):
    ask_strictly()
    promotion = ask_for_production(world)
    with pytest.raises(NotConfirmed, match="you have none"):
        say(promotion, "DEVOPS", world.cast.devops)
    page = text_of(get(world.cast.devops, address(promotion)))
    assert "This needs a second factor, and you have none." in page

    put_in_force("PRODUCTION", roles=("DEVOPS",))
    page = text_of(get(world.cast.second_devops, address(promotion)))
    say(actions.settle(promotion, now=NOW), "DEVOPS", world.cast.second_devops, confirmation=None)

    assert "Confirm that it is you" not in page
    assert Decision.objects.get().confirmed_with == ""


@pytest.mark.django_db
@pytest.mark.parametrize("headers", [{}, HTMX], ids=["page", "fragment"])
def test_a_direct_post_is_refused_and_told_what_to_do(world, promotion, headers):
    given = decision(promotion, "DEVOPS", comment="Read every line")
    del given["password"]

    response = post(world.cast.devops, address(promotion, "decision-create"), given, **headers)

    page = text_of(response)
    assert response.status_code == 403
    assert "Confirm that it is you: with your password." in page
    assert "Read every line</textarea>" in page
    assert 'name="password"' in page
    with world.everything():
        assert not Decision.objects.exists()
        assert last_event("access.refused").change["code"]["after"] == "confirmation_missing"


@pytest.mark.django_db
def test_a_wrong_password_is_counted_and_keeps_the_comment(world, promotion):
    given = decision(promotion, "DEVOPS", comment="Read every line", password="wrong")

    response = post(world.cast.devops, address(promotion, "decision-create"), given)

    world.cast.devops.refresh_from_db()
    assert (response.status_code, world.cast.devops.failed_proofs) == (422, 1)
    assert "This is not your password." in text_of(response)
    assert "Read every line</textarea>" in text_of(response)


@pytest.mark.django_db
def test_a_confirmation_outlives_a_stale_plan_and_is_not_asked_for_twice(world, promotion):
    client, given = signed_in(world.cast.devops), decision(promotion, "DEVOPS")
    with world.everything():
        move(promotion.lane, world.release)

    stale = client.post(address(promotion, "decision-create"), given)
    del given["password"]
    now_known = {**given, "plan_hash": stale.context["shown"].plan_hash}
    done = client.post(address(promotion, "decision-create"), now_known)

    assert (stale.status_code, done.status_code) == (409, 302)
    assert "You confirmed that it is you with the password" in text_of(stale)


@pytest.mark.django_db
def test_an_app_s_code_decides_once_and_is_shown(world, promotion):
    with world.everything():
        register_app(world.cast.devops, now=timezone.now())
    page = text_of(get(world.cast.devops, address(promotion)))
    given = {**decision(promotion, "DEVOPS"), "code": code_at(SECRET, timezone.now()), "password": ""}

    done = post(world.cast.devops, address(promotion, "decision-create"), given)

    assert "code of your authenticator app" in page
    assert done.status_code == 302
    assert "confirmed with an authenticator app" in text_of(get(world.cast.auditor, address(promotion)))
    with world.everything():
        assert fresh(world, promotion).decisions.get().confirmed_with == "TOTP"
    assert PASSWORD not in page
