"""The frame of every page: what it counts, and that a page pays one query for it."""

from types import SimpleNamespace

import pytest

from apps.accounts.models import User
from apps.approvals.inbox import inbox
from apps.audit.actors import SYSTEM
from apps.dashboards import awaiting, navigation
from apps.dashboards.awaiting import awaiting_everybody
from apps.dashboards.navigation import Navigation
from apps.environments import actions as environment_actions
from apps.workspaces import actions as workspace_actions
from apps.workspaces.models import Membership
from tests.approvals.promotions import ask, ask_for_production, beside, bring, lend, say
from tests.cast import NOW, make_person
from tests.drill import get, text_of
from tests.world import World

pytestmark = pytest.mark.django_db


def frame(world: World, person: User) -> Navigation:
    workspaces = tuple(workspace.pk for workspace in world.cast.workspaces)
    return Navigation(SimpleNamespace(user=person, workspaces=workspaces), NOW)  # type: ignore[arg-type]


def everybody_agrees(world: World) -> dict[str, int]:
    """Return how many await each person, having compared it with their inbox."""
    found = {}
    told = awaiting_everybody(tuple(workspace.pk for workspace in world.cast.workspaces), now=NOW)
    for person in User.objects.all():
        counted = {workspace.pk: workspace.awaiting_me for workspace in frame(world, person).workspaces}
        assert counted == {pk: inbox(person, (pk,), now=NOW).count() for pk in counted}, person
        longest = inbox(person, tuple(counted), now=NOW).order_by("requested_at", "pk")
        assert told.get(person.pk, []) == list(longest.values_list("pk", flat=True)), person
        found[person.username] = sum(counted.values())
    return found


def test_what_awaits_a_person_is_counted_as_the_inbox_lists_it(world: World) -> None:
    cast, before = world.cast, everybody_agrees(world)
    for person in (cast.release_engineer, cast.security):
        workspace_actions.grant_role(person, role="DEVOPS", workspace=cast.platform, by=SYSTEM, now=NOW)
    make_person("second-operator", "Second operator", ("CUSTOMER_OPERATOR",), cast.customer)
    lend(cast.second_devops, "DEVOPS", to=cast.auditor)
    lend(cast.engineering_manager, "ENGINEERING_MANAGER", to=cast.devops)
    bring(world, world.staging)
    ask(world, world.customer_production)

    authored = ask_for_production(world, world.next_release("1.1.0", author=cast.devops))
    asked = everybody_agrees(world)
    say(authored, "DEVOPS", cast.second_devops)
    voted = everybody_agrees(world)
    committed = ask_for_production(world, world.next_release("1.2.0", committer=cast.security, author=cast.devops))
    decided = everybody_agrees(world)
    say(committed, "ENGINEERING_MANAGER", cast.engineering_manager, choice="REJECT", comment="Not now.")
    workspace_actions.end_role(
        Membership.objects.current().get(user=cast.security, role_id="DEVOPS"), by=SYSTEM, now=NOW
    )
    ended = everybody_agrees(world)

    assert not any(before.values())
    assert (asked[cast.second_devops.username], asked[cast.devops.username]) == (1, 0)
    assert [found[cast.auditor.username] for found in (asked, voted, decided)] == [1, 0, 1]
    assert (decided[cast.second_devops.username], decided[cast.engineering_manager.username]) == (1, 1)
    assert ended[cast.security.username] == 0
    assert ended["second-operator"] == 1


def test_what_awaits_a_person_is_counted_no_further_than_it_is_shown(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(awaiting, "MOST_COUNTED", 1)
    monkeypatch.setattr(navigation, "FRAME", navigation.FRAME.replace("LIMIT 101", "LIMIT 2"))
    first = ask_for_production(world)
    for version in ("1.1.0", "1.2.0"):
        beside(first, world.next_release(version))

    counted = {workspace.pk: workspace.awaiting_me for workspace in frame(world, world.cast.devops).workspaces}

    assert counted[world.cast.platform.pk] == 2
    page = text_of(get(world.cast.devops, "/approvals/delegations/"))
    assert '1+<span class="visually-hidden"> waiting for you' in page


def test_freezes_are_asked_for_only_while_one_is_in_force(world: World, django_assert_num_queries) -> None:
    # Their workspaces are asked for apart, since a customer may not see whose a freeze of everything is.
    # The frame's own prepared query passes Django's cursor by.
    with django_assert_num_queries(0):
        assert frame(world, world.cast.devops).freezes == []
    environment_actions.freeze(
        scope="ENVIRONMENT", environment=world.qa, workspace_id=world.cast.platform.pk, reason="Stock taking",
        ends_at=None, by=world.cast.devops, now=NOW,
    )  # fmt: skip

    with django_assert_num_queries(2):
        [freeze] = frame(world, world.cast.devops).freezes

    assert freeze.environment == world.qa


def test_a_customer_is_told_of_a_freeze_of_everything(world: World) -> None:
    environment_actions.freeze(
        scope="ALL", environment=None, lane=None, workspace_id=world.cast.platform.pk, reason="Audit week",
        ends_at=None, by=world.cast.devops, now=NOW,
    )  # fmt: skip

    page = get(world.cast.customer_operator, "/")

    assert "Audit week" in text_of(page)
