"""Who else is asked for what a release is, and that nobody who would benefit makes it less."""

from typing import Any

import pytest
from django.db import Error, connection, transaction
from django.urls import reverse

from apps.approvals import actions
from apps.approvals.models import Promotion
from apps.approvals.simulation import simulate
from apps.core.verdict import Denied
from apps.integrations.git_repository import GitRepository
from apps.policies.models import PolicyVersion
from apps.releases.actions import AlreadyDeclared, TraitUnknown
from apps.releases.models import Release, ReleaseChange, ReleaseTrait
from tests.approvals.promotions import ask, move, outcome_of, put_in_force, say, sentence_of
from tests.cast import NOW
from tests.drill import get, post, text_of
from tests.policies.documents import clause, make_document
from tests.world import World, last_event

pytestmark = pytest.mark.django_db


def approval(number: int, role: str, *traits: str) -> dict[str, Any]:
    return clause(number, "approvals", settings={"role": role, **({"traits": [*traits]} if traits else {})})


def let_ask(*clauses: dict[str, Any], **fields: Any) -> PolicyVersion:
    """Put a policy of Dev in force that asks these approvals."""
    return put_in_force("DEV", clauses=[*make_document()["clauses"], *clauses], **fields)


BY_TRAIT = (approval(8, "ENGINEERING_MANAGER", "MAJOR"), approval(9, "SECURITY", "SECURITY", "SENSITIVE"))


def declare(world: World, trait: str = "SENSITIVE", **fields: Any) -> ReleaseTrait:
    values = {"reason": "It reads passwords", "by": world.cast.devops, "now": NOW, **fields}
    return actions.declare_trait(world.release, trait=trait, **values)


def roles_of(promotion: Promotion) -> list[str]:
    return [row.role_id for row in promotion.requirements.standing().order_by("position")]


def test_without_its_traits_nobody_is_asked_and_the_gate_says_why(world: World) -> None:
    let_ask(*BY_TRAIT)

    promotion = ask(world, world.dev)

    assert roles_of(promotion) == []
    assert outcome_of(promotion, "approvals") == "NOT_REQUIRED"
    assert sentence_of(promotion, "approvals") == (
        "Nobody has to approve it, since it is none of this: PROD-8 is for a major change; "
        "PROD-9 is for a security update or a sensitive change."
    )


def test_a_trait_that_is_declared_later_asks_more_people_and_voids_what_was_approved(world: World) -> None:
    let_ask(approval(7, "DEVOPS"), *BY_TRAIT)
    promotion = say(ask(world, world.dev), "DEVOPS", world.cast.devops)

    declare(world, by=world.cast.engineering_manager)

    promotion.refresh_from_db()
    assert (roles_of(promotion), promotion.plan["traits"]) == (["DEVOPS", "SECURITY"], ["SENSITIVE"])
    assert not promotion.decisions.standing().exists()
    planned = last_event("promotion.replanned").summary
    assert "It is a sensitive change now. The policy's clause PROD-9 is new." in planned
    event = last_event("release.trait_declared")
    assert (event.summary, event.reason) == ("Declared Greeter 1.0.0 a sensitive change", "It reads passwords")


def test_nobody_takes_a_trait_back_or_declares_it_twice(world: World) -> None:
    declare(world)

    with pytest.raises(AlreadyDeclared):
        declare(world, by=world.cast.release_engineer)
    with pytest.raises(TraitUnknown, match="no trait 'MAJOR' to declare"):
        declare(world, "MAJOR")
    with pytest.raises(Denied):
        declare(world, "SECURITY", by=world.cast.auditor)
    with pytest.raises(Error, match="can not be changed or removed"), transaction.atomic():
        connection.cursor().execute("DELETE FROM releases_releasetrait")


def test_the_version_says_what_is_major_and_all_that_comes_along_counts(world: World) -> None:
    let_ask(*BY_TRAIT)
    move(world.lane(world.dev), world.release)
    between, last = world.next_release("1.1.0", traits=["SECURITY"]), world.next_release("2.0.0")
    assert isinstance(between, Release)

    promotion = ask(world, world.dev, last)

    assert promotion.plan["traits"] == ["SECURITY", "MAJOR"]
    assert roles_of(promotion) == ["ENGINEERING_MANAGER", "SECURITY"]


def test_two_clauses_of_one_role_are_two_people(world: World) -> None:
    let_ask(approval(8, "DEVOPS"), approval(9, "DEVOPS", "SENSITIVE"))
    declare(world)
    promotion = ask(world, world.dev)
    first, second = promotion.requirements.standing().order_by("position")
    given: dict[str, Any] = {"choice": "APPROVE", "comment": "", "plan_hash": promotion.plan_hash, "now": NOW}

    actions.decide(first, by=world.cast.devops, **given)

    with pytest.raises(Denied, match="one person counts once"):
        actions.decide(second, by=world.cast.devops, **given)
    assert actions.decide(second, by=world.cast.second_devops, **given).state == "READY"


def test_the_files_of_a_release_show_what_it_is(world: World, repository: GitRepository) -> None:
    let_ask(approval(9, "SECURITY", "INFRASTRUCTURE"), traits={"INFRASTRUCTURE": ["*"], "SENSITIVE": ["nowhere/*"]})
    release = world.next_release("1.1.0", tag="v1.1.0")

    promotion = ask(world, world.dev, release)

    assert ReleaseChange.objects.get().release == release
    assert promotion.plan["traits"] == ["INFRASTRUCTURE"]
    page = text_of(get(world.cast.devops, reverse("approvals:promotion-detail", args=[promotion.number])))
    assert f"1.1.0 changes {ReleaseChange.objects.get().paths[0]}" in page


def test_the_pages_say_what_it_is_and_who_was_not_asked(world: World) -> None:
    let_ask(approval(7, "DEVOPS"), *BY_TRAIT)
    promotion = ask(world, world.dev)
    form = reverse("approvals:trait-create", args=[world.release.pk])
    assert post(world.cast.release_engineer, form, {"trait": "MIGRATION", "reason": "It moves rows"}).status_code == 302

    page = text_of(get(world.cast.devops, reverse("approvals:promotion-detail", args=[promotion.number])))

    assert f"1.0.0, {world.cast.release_engineer}: It moves rows" in page
    assert "Not asked" in page
    assert "PROD-8" in page
    assert "Data migration" in text_of(get(world.cast.devops, reverse("approvals:inbox")))
    assert "It moves rows" in text_of(
        get(world.cast.devops, reverse("releases:release-detail", args=["greeter", "1.0.0"]))
    )
    assert get(world.cast.auditor, form).status_code == 403


def test_a_simulation_knows_the_traits_of_what_was_promoted(world: World) -> None:
    from tests.approvals.test_simulation import propose

    declare(world)
    promotion = ask(world, world.dev)
    proposals = [propose(world, approval(8, "SECURITY", trait) | {"id": "DEV-8"}) for trait in ("SENSITIVE",)]

    simulation = simulate(proposals[0], (world.cast.platform.pk,))

    assert [(row.promotion, row.why) for row in simulation.held_back] == [
        (promotion, (("Approvals", "Nobody approved as SECURITY."),))
    ]
