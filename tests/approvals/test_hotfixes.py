"""A hotfix is cut from what Production runs, and merged back; what is overdue holds the next release."""

import subprocess
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse

from apps.approvals import actions, hotfixes
from apps.approvals.jobs import see_to_approvals
from apps.approvals.models import Promotion
from apps.audit.models import AuditEvent
from apps.incidents import actions as incident_actions
from apps.incidents.models import Debt, Incident
from apps.integrations.git_repository import GitRepository
from apps.policies.facts import Origin
from apps.releases.models import Release
from tests.approvals.promotions import ask, deploy, move, outcome_of, put_in_force, sentence_of
from tests.approvals.test_races import at_once, one_behind_another
from tests.cast import NOW
from tests.drill import get, text_of
from tests.incidents.test_incidents import declare
from tests.world import World, last_event

pytestmark = pytest.mark.django_db


def commit(repository: GitRepository, parent: str, message: str, *merged: str) -> str:
    """Commit the same files on top of another commit, on no branch; with the history of what is merged."""
    person = {f"GIT_{who}_{what}": "A b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    made = subprocess.run(
        ["git", "commit-tree", f"{parent}^{{tree}}", "-m", message, *(f"-p{each}" for each in (parent, *merged))],
        cwd=repository.path, env=person, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return made.stdout.strip()


def runs_in_production(world: World) -> Release:
    release = world.next_release("1.1.0", tag="v1.1.0")
    move(world.lane(world.production), release)
    put_in_force("PRODUCTION", "emergency_path")
    return release


def hurry(world: World, cut_from: str, repository: GitRepository, **fields: Any) -> Promotion:
    hotfix = world.next_release("1.1.1", commit=commit(repository, cut_from, "fix: it"))
    incident = fields.pop("incident", None) or declare(world)
    return ask(world, world.production, hotfix, incident=incident, starts_by_itself=False, **fields)


def look(world: World, *, now: Any = NOW) -> None:
    hotfixes.look_at_hotfixes(world.cast.platform.pk, now=now)


def test_a_hotfix_waits_until_the_repository_was_asked_and_passes_where_it_says_yes(
    world: World, repository: GitRepository
) -> None:
    promotion = hurry(world, runs_in_production(world).commit, repository)
    assert outcome_of(promotion, "emergency_path") == "RUNNING"

    look(world)

    promotion.refresh_from_db()
    assert (promotion.state, outcome_of(promotion, "emergency_path")) == ("READY", "PASSED")
    assert sentence_of(promotion, "emergency_path") == "1.1.1 was cut from 1.1.0, which Production runs."
    assert last_event("promotion.origin_found").change["origin"]["after"] == "PRODUCTION"
    page = text_of(get(world.cast.devops, reverse("approvals:promotion-detail", args=[promotion.number])))
    assert f"Hotfix: {promotion.release.commit}" in page


def test_a_hotfix_that_was_cut_elsewhere_does_not_pass(world: World, repository: GitRepository) -> None:
    runs_in_production(world)
    promotion = hurry(world, repository.resolve("v1.0.0"), repository)

    look(world)

    promotion.refresh_from_db()
    assert outcome_of(promotion, "emergency_path") == "FAILED"


def test_it_is_asked_anew_once_production_runs_something_else(world: World, repository: GitRepository) -> None:
    promotion = hurry(world, runs_in_production(world).commit, repository)
    look(world)
    other = world.next_release("1.1.2", commit=repository.resolve("v1.0.0"))
    move(world.lane(world.production), other)

    assert outcome_of(actions.settle(promotion, now=NOW), "emergency_path") == "RUNNING"


def emergency(world: World, repository: GitRepository) -> Incident:
    """Let a hotfix succeed in Production."""
    promotion = hurry(world, runs_in_production(world).commit, repository)
    look(world)
    deploy(Promotion.objects.with_subject().get(pk=promotion.pk))
    assert promotion.incident is not None
    return promotion.incident


def owed(incident: Incident) -> Debt:
    return incident.debts.get(kind="MERGE_BACK")


def test_it_is_owed_to_the_main_branch_until_that_has_it(world: World, repository: GitRepository) -> None:
    incident = emergency(world, repository)
    assert owed(incident).due_at == NOW + timedelta(hours=48)
    look(world)
    assert owed(incident).paid_at is None
    page = text_of(get(world.cast.devops, reverse("incidents:incident-detail", args=[incident.number])))
    assert "Hotfix merged back" in page

    hotfix = owed(incident).promotion.release.commit
    subprocess.run(["git", "update-ref", "HEAD", hotfix], cwd=repository.path, check=True)
    see_to_approvals()

    paid = owed(incident)
    assert (paid.paid_at is not None, paid.paid_by, paid.words) == (
        True, None, f"The main branch of the repository contains {hotfix[:12]}."
    )  # fmt: skip
    assert last_event("incident.paid").actor_label == "EAIP Operations"
    page = text_of(get(world.cast.devops, reverse("incidents:incident-detail", args=[incident.number])))
    assert "Seen by the portal" in page


def test_what_is_overdue_holds_the_next_ordinary_release_but_no_emergency(
    world: World, repository: GitRepository
) -> None:
    incident = emergency(world, repository)
    incident_actions.resolve(incident, resolution="Patched", by=world.cast.devops, now=NOW)
    late = NOW + timedelta(hours=49)
    promotion = ask(world, world.production, world.next_release("1.2.0"), now=late, starts_by_itself=False)

    assert outcome_of(promotion, "emergency_path") == "WAITING"
    assert "Overdue after an emergency of Greeter: Hotfix merged back and Post-mortem." in sentence_of(
        promotion, "emergency_path"
    )
    for debt in incident.debts.filter(kind__in=["MERGE_BACK", "POST_MORTEM"]):
        incident_actions.pay(debt, words="wiki/1", by=world.cast.devops, now=late)
    settled = actions.settle(promotion, now=late)
    assert (settled.state, outcome_of(settled, "emergency_path")) == ("READY", "NOT_REQUIRED")


@pytest.mark.django_db(transaction=True)
def test_of_two_workers_that_find_it_one_writes_it_down(world: World, repository: GitRepository) -> None:
    with world.everything():
        production = runs_in_production(world)
        promotion = hurry(world, production.commit, repository)

    def keep() -> None:
        hotfixes.keep_origin(promotion.pk, cut_from=production.commit, origin=Origin.PRODUCTION, now=NOW)

    assert at_once(world, keep, keep) == [None, None]
    with world.everything():
        assert AuditEvent.objects.filter(kind="promotion.origin_found").count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_person_first", [True, False])
def test_a_person_and_the_portal_that_say_at_once_that_it_is_merged_back_say_it_once(
    world: World, repository: GitRepository, is_person_first: bool
) -> None:
    with world.everything():
        debt = owed(emergency(world, repository))
        hotfix = debt.promotion.release.commit
    subprocess.run(["git", "update-ref", "HEAD", hotfix], cwd=repository.path, check=True)

    def say() -> Debt:
        return incident_actions.pay(debt, words="pull/7", by=world.cast.devops, now=NOW)

    def see() -> None:
        look(world)

    answers = one_behind_another(world, *((say, see) if is_person_first else (see, say)))

    with world.everything():
        debt.refresh_from_db()
        assert AuditEvent.objects.filter(kind="incident.paid").count() == 1
        assert debt.incident.entries.filter(text__startswith="Hotfix merged back").count() == 1
    if is_person_first:
        assert (answers[1], debt.words, debt.paid_by) == (None, "pull/7", world.cast.devops)
    else:
        assert isinstance(answers[1], incident_actions.DebtPaid), answers
        assert (debt.words, debt.paid_by) == (f"The main branch of the repository contains {hotfix[:12]}.", None)
