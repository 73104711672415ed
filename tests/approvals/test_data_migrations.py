"""Data migrations before a promotion starts: their gate, and the approval of their own."""

import pytest

from apps.approvals import actions
from apps.approvals.enums import PromotionState
from apps.audit.actors import SYSTEM
from apps.core.verdict import Denied
from apps.workspaces import actions as workspace_actions
from tests.approvals.promotions import (
    ask,
    bring,
    lane_of,
    move,
    outcome_of,
    put_in_force,
    say,
    sentence_of,
    store,
)
from tests.cast import NOW
from tests.drill import get, text_of
from tests.policies.documents import clause, make_document
from tests.releases.data_migrations import forward_only, migration, with_migrations
from tests.reported import reported

pytestmark = pytest.mark.django_db


@pytest.fixture
def strict(world):
    """Let Production ask for what is tried out in Staging, and for two roles, one of them where data is migrated."""
    rows = make_document("rollback_readiness", roles=("DEVOPS",))["clauses"]
    rows.append(clause(20, "migrations", settings={"tested": True}))
    rows.append(clause(21, "approvals", settings={"role": "MIGRATION_APPROVER", "traits": ["MIGRATION"]}))
    put_in_force("PRODUCTION", clauses=rows)
    workspace_actions.grant_role(
        world.cast.security, role="MIGRATION_APPROVER", workspace=world.cast.platform, by=SYSTEM, now=NOW
    )
    move(lane_of(world.production, world), reported(world.release), configuration=world.configuration(world.production))
    store(world.release)
    return world


def roles_of(promotion):
    return list(promotion.requirements.standing().values_list("role_id", flat=True))


def test_without_a_migration_nobody_more_is_asked(strict):
    release = strict.next_release("1.1.0")
    bring(strict, strict.staging, release)

    promotion = ask(strict, strict.production, release)

    assert roles_of(promotion) == ["DEVOPS"]
    assert outcome_of(promotion, "migrations") == "NOT_REQUIRED"
    assert promotion.plan["migrations"] == []


def test_with_one_a_person_of_its_own_approves_and_it_ran_in_staging(strict):
    release = strict.next_release("1.1.0", manifest=with_migrations("1.1.0", migration()))
    bring(strict, strict.staging, release)

    promotion = ask(strict, strict.production, release)

    assert roles_of(promotion) == ["DEVOPS", "MIGRATION_APPROVER"]
    assert promotion.plan["migrations"] == [{"id": "0042", "class": "REVERSIBLE", "sha256": "a" * 64}]
    assert outcome_of(promotion, "migrations") == "PASSED"
    assert "1 data migration (1 reversible)" in sentence_of(promotion, "migrations")
    assert "run the rollback of 0042" in sentence_of(promotion, "rollback_readiness")
    workspace_actions.grant_role(
        strict.cast.devops, role="MIGRATION_APPROVER", workspace=strict.cast.platform, by=SYSTEM, now=NOW
    )
    promotion = say(promotion, "DEVOPS", strict.cast.devops)
    with pytest.raises(Denied):
        say(promotion, "MIGRATION_APPROVER", strict.cast.devops)
    assert say(promotion, "MIGRATION_APPROVER", strict.cast.security).state == PromotionState.READY


def test_what_runs_there_decides_which_migrations_are_approved(strict):
    """Once a release that brought the migration runs there, nothing migrates any more, and the word given is void."""
    older = strict.next_release("1.1.0", manifest=with_migrations("1.1.0", forward_only()))
    release = strict.next_release("1.2.0")
    lane = lane_of(strict.production, strict)
    bring(strict, strict.staging, release)
    promotion = say(ask(strict, strict.production, release), "MIGRATION_APPROVER", strict.cast.security)
    assert "Only a person can go back" in sentence_of(promotion, "rollback_readiness")
    page = text_of(get(strict.cast.devops, f"/approvals/promotions/{promotion.number}/"))
    assert "never: 0042 is forward-only" in page
    assert "critical data" in page

    move(lane, older)
    promotion = actions.settle(promotion, now=NOW)

    assert roles_of(promotion) == ["DEVOPS"]
    assert promotion.plan["migrations"] == []
    assert "The data migrations changed." in promotion.decisions.get().void_reason
