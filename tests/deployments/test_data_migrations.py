"""The class of a data migration decides what going back may do."""

import pytest
from django.utils import timezone

from apps.audit.models import AuditEvent
from apps.deployments import actions, runner
from apps.deployments.engine import reconciliation
from apps.deployments.enums import DeploymentKind
from apps.deployments.enums import DeploymentState as S
from apps.deployments.models import Deployment
from apps.environments import actions as environment_actions
from apps.environments.models import Hold, Lane
from apps.releases.enums import ReleaseState
from apps.releases.models import Release
from tests.drill import get, post, text_of
from tests.releases.data_migrations import forward_only, migration, with_migrations

SICK = {"health": "bad"}


def bring(stage, version: str, *rows: dict[str, object]) -> Deployment:
    with stage.everything():
        release = stage.world.next_release(version, manifest=with_migrations(version, *rows))
    deployment = stage.start(release)
    runner.run(deployment.pk)
    return stage.fresh(deployment)


def lift(stage) -> None:
    with stage.everything():
        hold, devops = Hold.objects.open().get(), stage.world.cast.devops
        environment_actions.lift_hold(hold, reason="Looked at", by=devops, now=timezone.now())


def alarms(stage, deployment: Deployment) -> list[str]:
    with stage.everything():
        found = AuditEvent.objects.filter(kind="deployment.alarmed", target_id=str(deployment.pk))
        return [event.summary for event in found]


def test_over_a_forward_compatible_one_the_application_goes_back_by_itself(stage) -> None:
    stage.deploy()
    stage.judge.behave(v1_1_0=SICK)

    bad = bring(stage, "1.1.0", migration(**{"class": "FORWARD_COMPATIBLE"}))

    back = stage.rollback_of(bad)
    assert (bad.state, bad.rollback_withheld, back.state) == (S.FAILED, "", S.SUCCEEDED)
    assert stage.judge.serves(bad.target_key) == "1.0.0"
    assert alarms(stage, bad) == alarms(stage, back) == []


def test_over_a_reversible_one_it_goes_back_and_a_person_is_told_what_to_run(stage) -> None:
    stage.deploy()
    stage.judge.behave(v1_1_0=SICK)

    bad = bring(stage, "1.1.0", migration())

    back = stage.rollback_of(bad)
    assert back.state == S.SUCCEEDED
    assert back.outcome.endswith("The data has not gone back: run the rollback procedure of 0042.")
    assert "run the rollback procedure of 0042" in alarms(stage, back)[0]


@pytest.mark.parametrize("behaviour", [SICK, {"CHECK_GREEN": "fail"}], ids=["serving", "idle"])
def test_over_a_forward_only_one_nothing_goes_back_by_itself(stage, behaviour: dict[str, str]) -> None:
    stage.deploy()
    stage.judge.behave(v1_1_0=behaviour)

    bad = bring(stage, "1.1.0", forward_only())

    serves = stage.judge.serves(bad.target_key)
    reconciliation.reconcile_all()
    for due in runner.due_work(unclaimed=runner.AT_ONCE):
        runner.handle(due)
    assert stage.judge.serves(bad.target_key) == serves == ("1.1.0" if behaviour is SICK else "1.0.0")
    with stage.everything():
        assert bad.state == S.FAILED
        assert "0042 is forward-only" in bad.rollback_withheld
        assert not Deployment.objects.filter(kind=DeploymentKind.ROLLBACK).exists()
        assert "0042 is forward-only" in Hold.objects.open().get(lane=bad.lane).reason
        assert Release.objects.get(pk=bad.release_id).state == ReleaseState.QUARANTINED
        assert Lane.objects.get(pk=bad.lane_id).live_release == stage.world.release
    assert "Restore the data as its procedure says" in alarms(stage, bad)[0]


def test_a_person_goes_back_over_it_once_the_data_is_restored(stage) -> None:
    stage.deploy()
    stage.judge.behave(v1_1_0=SICK)
    bad = bring(stage, "1.1.0", forward_only())
    people, address = stage.world.cast, f"/deployments/{bad.number}/rollback/"

    shown = text_of(get(people.devops, f"/deployments/{bad.number}/"))
    assert "A person is needed." in shown
    assert "once the data is restored" in shown
    page = text_of(get(people.devops, address))
    assert "Restore the snapshot." in page
    assert "The data was restored as the procedures say" in page
    with stage.everything():
        form = {"to": str(stage.world.release.pk), "reason": "Totals are wrong"}
    refused = post(people.devops, address, form)
    assert refused.status_code == 409
    assert "Nothing was changed. Restore the data" in text_of(refused)
    with stage.everything():
        assert not Deployment.objects.filter(kind=DeploymentKind.ROLLBACK).exists()

    assert post(people.devops, address, {**form, "restored": "on"}).status_code == 302

    with stage.everything():
        back = Deployment.objects.get(kind=DeploymentKind.ROLLBACK)
    runner.run(back.pk)
    assert stage.fresh(back).state == S.SUCCEEDED
    assert stage.judge.serves(bad.target_key) == "1.0.0"
    with stage.everything():
        queued = AuditEvent.objects.get(kind="deployment.queued", target_id=str(back.pk))
        assert "The data was restored to before 0042, says DevOps." in queued.summary
        assert actions.rollback_target(stage.lane()).sentence  # nothing is left that nobody vouches for


def test_what_is_withheld_stays_withheld_for_the_next_that_fails(stage) -> None:
    """The migration has run, whatever the lane says: the next failure does not go back over it either."""
    stage.deploy()
    stage.judge.behave(v1_1_0=SICK, v1_2_0=SICK)
    bring(stage, "1.1.0", forward_only())
    lift(stage)

    worse = bring(stage, "1.2.0")

    assert (worse.state, "0042 is forward-only" in worse.rollback_withheld) == (S.FAILED, True)
    stage.judge.behave()
    lift(stage)
    good = bring(stage, "1.3.0")
    assert good.state == S.SUCCEEDED
    assert stage.judge.serves(good.target_key) == "1.3.0"
    with stage.everything():
        target = actions.rollback_target(stage.lane())
        assert [each.name for each in target.forward_only] == ["0042"]
        with pytest.raises(actions.DataNotRestored):
            actions.roll_back(stage.lane(), reason="Why", by=stage.world.cast.devops, now=timezone.now())
