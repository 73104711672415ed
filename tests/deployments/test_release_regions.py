"""What an open page of a release is told when its promotion ends."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.core import live
from apps.deployments.release_page import Stop, stops_of
from apps.deployments.release_regions import _gates
from apps.health.models import Alert
from tests.approvals.promotions import move
from tests.cast import NOW
from tests.deployments.conftest import Stage
from tests.world import World

HOUR = timedelta(hours=1)


def _told(stage: Stage, later: timedelta = timedelta()) -> str:
    workspaces = (stage.world.cast.platform.pk,)
    with stage.everything():
        parts = _gates(live.Ask(workspaces, str(stage.world.release.pk), {}, timezone.now() + later))
    return " ".join(part.html for part in parts)


def test_an_open_page_learns_that_the_promotion_has_ended(stage: Stage) -> None:
    stage.deploy()

    assert "is completed now" in _told(stage)


def test_what_ended_long_ago_is_not_sent_again(stage: Stage) -> None:
    stage.deploy()

    assert _told(stage, later=timedelta(minutes=5)) == ""


@pytest.mark.django_db
def test_a_release_soaks_on_its_page_as_the_gate_counts_it(world: World) -> None:
    lane = world.lane(world.dev)
    move(lane, world.release)
    alert = Alert(workspace_id=lane.workspace_id, lane=lane, fingerprint="1", name="Errors", severity="critical")

    def stop() -> Stop:
        return stops_of(world.release, workspaces=(lane.workspace_id,), now=NOW + 3 * HOUR)[0]

    assert (stop().word, stop().soaked) == ("Live", 3 * HOUR)
    alert.starts_at = alert.told_at = NOW + HOUR
    alert.save()
    assert (stop().word, stop().soaked) == ("Live, faulty", None)
    alert.ends_at = NOW + 2 * HOUR
    alert.save()
    assert (stop().word, stop().soaked) == ("Live", HOUR)
