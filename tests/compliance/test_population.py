"""What runs has its deployment's entry, or is listed: with a target that is deployed to, and switched by hand."""

from django.utils import timezone

from apps.compliance.checks import CHECKS, Scope
from apps.compliance.enums import Standing, Status
from apps.compliance.population import running_in, told
from apps.deployments.engine import reconciliation
from apps.deployments.executors.contract import Slot
from apps.environments.models import Lane
from apps.incidents import actions as incident_actions
from tests.deployments.conftest import Stage, judge, stage
from tests.deployments.file_target import Place

__all__ = ["judge", "stage"]


def test_deployment_is_on_record_and_what_somebody_switched_by_hand_drifts(stage: Stage) -> None:
    stage.deploy()
    live = stage.deploy("1.1.0")
    cast, place = stage.world.cast, Place(live.target_key)
    with stage.everything():
        [before] = told(list(running_in((cast.platform.pk,))))
        said = CHECKS["population_complete"](Scope((cast.platform.pk,), timezone.now(), timezone.now()))
    other = Slot(place.standings().live).other.value
    place.append({"effect": "switch", "slot": other, "fence": live.fence, "deployment": "", "version": ""})
    reconciliation.reconcile_all()
    with stage.everything():
        incident_actions.declare(
            cast.platform, title="What is this?", severity="SEV3", environment=stage.world.dev,
            service=stage.world.service, by=cast.devops, now=timezone.now(),
        )  # fmt: skip
        [after] = told(list(running_in((cast.platform.pk,))))
        worse = CHECKS["population_complete"](Scope((cast.platform.pk,), timezone.now(), timezone.now()))

    assert (before.standing, before.lane.brought_number, said.status) == (Standing.RECORDED, live.number, Status.MET)
    assert before.lane.entry
    assert (after.standing, worse.status, worse.figures["drifting"]) == (Standing.DRIFT, Status.ATTENTION, 1)
    assert after.lane.drift.endswith("serves, which nobody here asked for")
    assert after.called.endswith("declared by DevOps")


def test_release_that_a_lane_only_claims_has_no_entry(stage: Stage) -> None:
    stage.deploy()
    stage.deploy("1.1.0")
    with stage.everything():
        # Once deployed, but not what was deployed last: somebody wrote the row past the engine.
        Lane.objects.filter(live_release__version="1.1.0").update(live_release=stage.world.release)
        [found] = told(list(running_in((stage.world.cast.platform.pk,))))

    assert found.standing == Standing.NO_ENTRY
