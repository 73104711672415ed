"""What an open page of a release is told when its promotion ends."""

from datetime import timedelta

from django.utils import timezone

from apps.core import live
from apps.deployments.release_regions import _gates
from tests.deployments.conftest import Stage


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
