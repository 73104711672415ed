"""The live endpoint in a server of its own: who sees what, when, and what happens after a break."""

import pytest
from django.test import Client

from apps.core import live as hints
from apps.dashboards.cells import cell_id
from apps.environments import actions
from apps.environments.enums import Health
from apps.environments.models import Environment, Lane
from apps.workspaces import actions as workspace_actions
from apps.workspaces.models import Membership
from tests.cast import NOW
from tests.live.conftest import Watching
from tests.processes import eventually
from tests.world import World

pytestmark = pytest.mark.django_db(transaction=True)

DASHBOARD = "/live/dashboard/"


def _change(world: World, environment: Environment) -> Lane:
    """Change what a cell says, as the health checks do: a row, and a hint."""
    lane = world.lane(environment)
    with world.everything():
        release = world.release
        Lane.objects.filter(pk=lane.pk).update(
            live_release=release, live_since=NOW, health=Health.FAULTY, health_detail=f"Broken in {environment.name}"
        )
        hints.hint(lane.workspace_id, f"lane:{lane.pk}")
    return lane


def _here(world: World, *workspaces: object) -> str:
    """Where a page that was made now stands."""
    with world.everything():
        return str(hints.cursor_now())


def _watch(live: Watching, world: World, user: object, **query: str):
    address = "&".join(f"{name}={value}" for name, value in {"since": _here(world), **query}.items())
    return live.watch(f"{DASHBOARD}?{address}", live.cookies(user))


def test_a_change_reaches_the_page_as_its_cells_alone(live: Watching, world: World) -> None:
    with _watch(live, world, world.cast.devops) as stream:
        stream.next("beat")
        lane = _change(world, world.qa)

        message = stream.until("Broken in QA")

    assert f'hx-target="#{cell_id(lane.pk)}" hx-swap="outerMorph"' in message.data
    assert "<table" not in message.data
    assert message.id


def test_nothing_is_sent_to_a_page_that_is_up_to_date(live: Watching, world: World) -> None:
    with _watch(live, world, world.cast.devops) as stream:
        assert stream.is_silent(for_seconds=1.5)


def test_a_page_that_comes_back_gets_what_it_missed_once(live: Watching, world: World) -> None:
    cookies = live.cookies(world.cast.devops)
    with live.watch(f"{DASHBOARD}?since={_here(world)}", cookies) as stream:
        _change(world, world.qa)
        seen = stream.until("Broken in QA").id
    with world.everything():
        actions.freeze(
            scope="ENVIRONMENT", environment=world.staging, workspace_id=world.cast.platform.pk, reason="Stock taking",
            ends_at=None, by=world.cast.devops, now=NOW,
        )  # fmt: skip

    with live.watch(f"{DASHBOARD}?since={_here(world)}", cookies, last=seen) as stream:
        message = stream.until("<table")
        assert stream.until("Froze Staging")
        eventually(stream.is_settled)
        latest = next(each.id for each in reversed(stream.messages) if each.id)

    assert "Broken in QA" in message.data
    with live.watch(DASHBOARD, cookies, last=latest) as stream:
        assert stream.is_silent(for_seconds=1.5)


def test_a_cursor_of_another_database_or_of_nobody_gets_everything(live: Watching, world: World) -> None:
    cookies = live.cookies(world.cast.devops)
    other = str(hints.Cursor("1:1:", "another database"))

    for cursor in (other, "nonsense", "W10"):
        with live.watch(f"{DASHBOARD}?since={cursor}", cookies) as stream:
            assert stream.until("<table")


def test_a_stream_never_shows_another_workspaces_rows(live: Watching, world: World) -> None:
    with (
        _watch(live, world, world.cast.outsider) as theirs,
        _watch(live, world, world.cast.customer_operator) as customers,
        _watch(live, world, world.cast.devops) as ours,
    ):
        theirs.next("beat"), customers.next("beat"), ours.next("beat")
        _change(world, world.qa)
        _change(world, world.customer_production)

        assert ours.until("Broken in QA")
        assert customers.until("Broken in North Bank")
        assert theirs.is_silent(for_seconds=1)
        assert not any("Broken in QA" in message.data for message in customers.messages)


def test_the_address_narrows_the_stream_to_one_workspace(live: Watching, world: World) -> None:
    foreign = live.get(f"{DASHBOARD}?ws={world.cast.customer.pk}", live.cookies(world.cast.devops))
    with _watch(live, world, world.cast.devops, ws=str(world.cast.platform.pk)) as stream:
        _change(world, world.qa)
        assert stream.until("Broken in QA")

    assert foreign.status_code == 404


def test_streams_end_at_once_when_the_person_signs_out(live: Watching, world: World) -> None:
    client = Client()
    client.force_login(world.cast.devops)
    cookies = {"sessionid": client.cookies["sessionid"].value}
    with live.watch(f"{DASHBOARD}?since={_here(world)}", cookies) as stream:
        stream.next("beat")
        client.post("/sign-out/")

        assert stream.ended.wait(5)
    assert live.get(DASHBOARD, cookies).status_code == 401


def test_streams_end_when_the_person_loses_the_workspace(live: Watching, world: World) -> None:
    with _watch(live, world, world.cast.security) as stream:
        stream.next("beat")
        with world.everything():
            membership = Membership.objects.get(user=world.cast.security)
            workspace_actions.end_role(membership, by=world.cast.administrator, now=NOW)

        assert stream.ended.wait(5)


def test_a_session_that_ended_without_a_hint_is_noticed(live: Watching, world: World) -> None:
    client = Client()
    client.force_login(world.cast.devops)
    with live.watch(f"{DASHBOARD}?since={_here(world)}", {"sessionid": client.cookies["sessionid"].value}) as stream:
        stream.next("beat")
        client.session.delete()

        assert stream.ended.wait(5)


def test_many_changes_are_told_at_most_once_a_second(live: Watching, world: World) -> None:
    with _watch(live, world, world.cast.devops) as stream:
        stream.next("beat")
        for _ in range(30):
            _change(world, world.qa)
        first = stream.until("Broken in QA", within=2)

        assert first
        assert len([message for message in stream.messages if "Broken in QA" in message.data]) <= 2


def test_what_is_not_there_or_of_others_is_404_and_nobody_watches_without_signing_in(
    live: Watching, world: World
) -> None:
    with world.everything():
        type(world.service).objects.filter(pk=world.service.pk).update(is_published=False)
    path = f"/live/services/{world.service.pk}/"
    cookies = live.cookies(world.cast.devops)

    with live.watch(path, cookies) as stream:
        assert stream.status == 200
    assert live.get(path, live.cookies(world.cast.outsider)).status_code == 404
    for nothing in ("nothing/", f"dashboard/{world.service.pk}/", "", "services/"):
        assert live.get(f"/live/{nothing}", cookies).status_code == 404, nothing
    assert live.get(DASHBOARD, {}).status_code == 401
    assert live.get(DASHBOARD, {"sessionid": "forged"}).status_code == 401
    assert live.get("/poll/dashboard/", {}).status_code == 401


def test_one_person_opens_only_so_many_streams(live: Watching, world: World) -> None:
    cookies = live.cookies(world.cast.devops)
    with live.watch(DASHBOARD, cookies), live.watch(DASHBOARD, cookies), live.watch(DASHBOARD, cookies):
        assert live.get(DASHBOARD, cookies).status_code == 429
    with live.watch(DASHBOARD, live.cookies(world.cast.security)) as others:
        assert others.status == 200


def test_pages_poll_while_redis_is_gone_and_miss_nothing(without_redis: Watching, world: World) -> None:
    cookies = without_redis.cookies(world.cast.devops)
    since = _here(world)
    with without_redis.watch(f"{DASHBOARD}?since={since}", cookies) as stream:
        assert stream.next("poll")
    assert without_redis.get(f"/poll/dashboard/?since={since}", cookies).status_code == 204
    with world.everything():
        actions.freeze(
            scope="ENVIRONMENT", environment=world.qa, workspace_id=world.cast.platform.pk, reason="Stock taking",
            ends_at=None, by=world.cast.devops, now=NOW,
        )  # fmt: skip

    polled = without_redis.get(f"/poll/dashboard/?since={since}", cookies)

    assert polled.status_code == 200
    assert '<hx-partial hx-target="#matrix"' in polled.text
    assert "frozen" in polled.text
