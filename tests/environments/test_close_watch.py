"""A lane under a close watch: who may begin and end it, how long it lasts, and what the pages say of it."""

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from apps.audit.actors import SYSTEM
from apps.audit.models import AuditEvent
from apps.core.texts import TextInvalid
from apps.core.verdict import Denied
from apps.dashboards import matrix, places
from apps.environments import actions
from apps.environments.models import Lane
from tests.approvals.test_races import at_once
from tests.cast import NOW
from tests.drill import get, post, text_of
from tests.world import HOSTILE, World, last_event

HOUR = timedelta(hours=1)
WHY = "The emergency of tonight"


def begin(world: World, **values: Any) -> Lane:
    wanted = {"until": NOW + HOUR, "reason": WHY, "by": world.cast.devops, "now": NOW, **values}
    return actions.set_close_watch(world.lane(world.staging), **wanted)


def fresh(world: World) -> Lane:
    return Lane.objects.get(pk=world.lane(world.staging).pk)


def test_a_close_watch_begins_and_ends_by_itself(world: World) -> None:
    begin(world)

    lane = fresh(world)
    assert lane.is_watched_closely(NOW + HOUR - timedelta(seconds=1))
    assert not lane.is_watched_closely(NOW + HOUR)
    event = last_event("close_watch.begun")
    assert (event.reason, event.service_id) == (WHY, world.service.pk)
    with pytest.raises(actions.CloseWatchOver):
        actions.end_close_watch(lane, by=world.cast.devops, now=NOW + HOUR)


def test_a_person_ends_it_early(world: World) -> None:
    lane = begin(world)

    actions.end_close_watch(lane, by=world.cast.devops, now=NOW)

    assert not fresh(world).is_watched_closely(NOW)
    assert last_event("close_watch.ended").change["reason"] == {"before": WHY, "after": None}


def test_asking_for_more_never_shortens_it(world: World) -> None:
    begin(world, until=NOW + 4 * HOUR)
    begin(world, until=NOW + 2 * HOUR, reason="Another", by=SYSTEM, now=NOW + HOUR)

    lane = fresh(world)
    assert (lane.close_watch_since, lane.close_watch_until) == (NOW, NOW + 4 * HOUR)
    assert (lane.close_watch_reason, lane.close_watch_by) == ("Another", SYSTEM.label)
    begin(world, now=NOW + 5 * HOUR, until=NOW + 6 * HOUR)
    assert fresh(world).close_watch_since == NOW + 5 * HOUR


@pytest.mark.parametrize("until", [NOW, NOW - HOUR, NOW + timedelta(hours=72, seconds=1)])
def test_it_lasts_up_to_three_days(world: World, until: Any) -> None:
    with pytest.raises(actions.CloseWatchInvalid):
        begin(world, until=until)


def test_it_needs_a_reason_a_service_and_somebody_who_may(world: World) -> None:
    with pytest.raises(TextInvalid):
        begin(world, reason=" ")
    with pytest.raises(Denied):
        begin(world, by=world.cast.release_engineer)
    lane = begin(world)
    with pytest.raises(Denied):
        actions.end_close_watch(lane, by=world.cast.auditor, now=NOW)
    actions.remove_lane(lane, by=world.cast.devops, now=NOW)
    with pytest.raises(actions.LaneGone):
        begin(world)


@pytest.mark.django_db(transaction=True)
def test_two_who_begin_and_two_who_end_at_once(world: World) -> None:
    with world.everything():
        lane = world.lane(world.staging)
    spans = (2 * HOUR, 3 * HOUR)
    at_once(world, *(lambda span=span: begin(world, until=NOW + span) for span in spans))
    with world.everything():
        assert fresh(world).close_watch_until == NOW + 3 * HOUR
        assert AuditEvent.objects.filter(kind="close_watch.begun").count() == 2

    ended = at_once(world, *[lambda: actions.end_close_watch(lane, by=world.cast.devops, now=NOW)] * 2)

    assert sorted(type(each).__name__ for each in ended) == ["CloseWatchOver", "Lane"]
    with world.everything():
        assert AuditEvent.objects.filter(kind="close_watch.ended").count() == 1


def _page(world: World, name: str = "environment-detail") -> str:
    return reverse(f"environments:{name}", args=[world.staging.workspace.slug, world.staging.slug])


def test_it_is_begun_and_ended_on_the_environments_page(world: World) -> None:
    create, lane = _page(world, "close-watch-create"), world.lane(world.staging)
    end = reverse("environments:close-watch-end", args=[lane.pk])
    sent = {"watch-lane": lane.pk, "watch-reason": WHY, "watch-hours": "4"}
    for person, status in ((world.cast.outsider, 404), (world.cast.auditor, 403)):
        assert post(person, create, sent).status_code == status
        assert post(person, end).status_code == status if status == 404 else 409
    assert get(world.cast.devops, create).status_code == get(world.cast.devops, end).status_code == 405
    assert post(world.cast.devops, create, {**sent, "watch-hours": "90"}).status_code == 422
    elsewhere = {**sent, "watch-lane": world.lane(world.qa).pk}
    assert post(world.cast.devops, create, elsewhere).status_code == 422

    assert post(world.cast.devops, create, sent)["Location"] == _page(world)

    page = text_of(get(world.cast.devops, _page(world)))
    assert f"{WHY} " in page
    assert end in page
    assert end not in text_of(get(world.cast.auditor, _page(world)))
    with world.everything():
        left = fresh(world).close_watch_until - timezone.now()
        found = places.load((world.cast.platform.pk,), (), now=timezone.now())
        cells = matrix.row_of(world.service.slug, (world.cast.platform.pk,), found, now=timezone.now())
    assert 3.9 * HOUR < left <= 4 * HOUR
    assert ["Watched closely" in cell.more for cell in cells] == [False, False, True, False]
    assert post(world.cast.devops, end)["Location"] == _page(world)
    assert post(world.cast.devops, end).status_code == 409


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_reason_is_shown_as_text(world: World, text: str) -> None:
    begin(world, reason=text, now=timezone.now(), until=timezone.now() + HOUR)

    assert "<script>alert" not in text_of(get(world.cast.devops, _page(world)))
