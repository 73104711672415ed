"""The fixtures that other tests stand on."""

import pytest
from django.db import connection

from apps.environments.models import Lane
from apps.releases.enums import ReleaseState
from apps.workspaces.rights import capabilities_of
from tests.world import World


def test_a_test_that_does_not_commit_sees_every_workspace(world: World) -> None:
    assert connection.in_atomic_block
    assert world.release.state == ReleaseState.SEALED
    assert world.configuration(world.customer_production).number == 1
    assert "RELEASE_CREATE" in capabilities_of(world.cast.release_engineer, world.cast.platform.pk)


@pytest.mark.django_db(transaction=True)
def test_a_test_that_commits_opens_its_own_scope(world: World) -> None:
    assert not connection.in_atomic_block
    assert not Lane.objects.exists()

    with world.everything():
        assert Lane.objects.count() == len(world.lanes)
