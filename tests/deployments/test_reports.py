"""What people say about what serves: kept, and undone at once where it hurts."""

import threading

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.audit.models import AuditEvent
from apps.core.verdict import Denied
from apps.deployments import reports, runner
from apps.deployments.engine.start import LaneBusy
from apps.deployments.enums import DeploymentState as S
from apps.deployments.enums import Harm
from apps.deployments.models import Deployment
from apps.environments.models import Hold
from apps.releases.enums import ReleaseState
from apps.releases.models import Release
from tests.drill import get, text_of


def _report(stage, deployment: Deployment, harm: Harm, by=None) -> Deployment | None:
    with stage.everything():
        return reports.report_problem(
            stage.fresh(deployment), harm=harm, reason="Orders fail", by=by or stage.world.cast.devops,
            now=timezone.now(),
        )  # fmt: skip


def _reported(stage) -> int:
    with stage.everything():
        return AuditEvent.objects.filter(kind="deployment.reported").count()


@pytest.mark.parametrize("harm", [Harm.CUSTOMERS, Harm.VULNERABILITY])
def test_what_hurts_is_rolled_back_quarantined_and_held(stage, harm: Harm) -> None:
    stage.deploy()
    bad = stage.deploy("1.1.0")

    back = _report(stage, bad, harm)
    runner.run(back.pk)

    lane = stage.lane()
    assert stage.fresh(back).state == S.SUCCEEDED
    assert stage.judge.serves(lane.target_key) == lane.live_release.version == "1.0.0"
    with stage.everything():
        release = Release.objects.get(version="1.1.0")
        assert release.state == ReleaseState.QUARANTINED
        assert release.quarantine_reason == f"{harm.label}, says DevOps: Orders fail"
        assert Hold.objects.open().filter(lane=lane).exists()
    assert _reported(stage) == 1


def test_anything_else_is_only_kept(stage) -> None:
    stage.deploy()
    live = stage.deploy("1.1.0")

    assert _report(stage, live, Harm.OTHER) is None

    assert stage.lane().live_release.version == "1.1.0"
    assert _reported(stage) == 1


def test_with_nothing_to_go_back_to_the_lane_is_held_and_a_person_called(stage) -> None:
    only = stage.deploy()

    assert _report(stage, only, Harm.CUSTOMERS) is None

    with stage.everything():
        assert Hold.objects.open().filter(lane=only.lane).exists()
        assert AuditEvent.objects.filter(kind="deployment.alarmed").exists()
        assert Release.objects.get(version="1.0.0").state == ReleaseState.QUARANTINED


def test_what_serves_no_more_can_not_be_reported(stage) -> None:
    first = stage.deploy()
    stage.deploy("1.1.0")

    with pytest.raises(reports.NotServing):
        _report(stage, first, Harm.CUSTOMERS)
    assert _reported(stage) == 0


def test_while_an_attempt_holds_the_lane_nothing_is_kept(stage) -> None:
    stage.deploy()
    live = stage.deploy("1.1.0")
    stage.start(stage.release("1.2.0"))

    with pytest.raises(LaneBusy):
        _report(stage, live, Harm.CUSTOMERS)
    assert _reported(stage) == 0
    with stage.everything():
        assert Release.objects.get(version="1.1.0").state == ReleaseState.SEALED


def test_who_may_not_roll_back_may_not_report(stage) -> None:
    stage.deploy()
    live = stage.deploy("1.1.0")

    with pytest.raises(Denied):
        _report(stage, live, Harm.CUSTOMERS, by=stage.world.cast.auditor)


def test_of_two_reports_at_once_one_rolls_back(stage) -> None:
    stage.deploy()
    bad = stage.deploy("1.1.0")
    start, backs, refusals = threading.Barrier(2), [], []

    def report() -> None:
        try:
            start.wait(10)
            backs.append(_report(stage, bad, Harm.CUSTOMERS))
        except (LaneBusy, reports.NotServing) as refusal:
            refusals.append(refusal)
        finally:
            connection.close()

    threads = [threading.Thread(target=report) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert (len(backs), len(refusals)) == (1, 1)
    assert _reported(stage) == 1


def test_the_page_says_what_a_report_does_and_does_it(stage) -> None:
    stage.deploy()
    bad = stage.deploy("1.1.0")
    client = Client()
    client.force_login(stage.world.cast.devops)
    address = reverse("deployments:report", args=[bad.number])

    assert address in client.get(reverse("deployments:deployment-detail", args=[bad.number])).content.decode()
    assert "rolled back to" in client.get(address).content.decode()
    assert client.post(address, {"reason": "Orders fail"}).status_code == 422
    answer = client.post(address, {"reason": "Orders fail", "harm": "CUSTOMERS"}, follow=True)

    assert "Rollback of" in answer.content.decode()


def test_the_first_release_of_a_lane_can_be_reported_from_its_page_too(stage) -> None:
    only = stage.deploy()

    page = text_of(get(stage.world.cast.devops, reverse("deployments:deployment-detail", args=[only.number])))

    assert reverse("deployments:report", args=[only.number]) in page
    assert "Roll back to" not in page
