"""What only runs of GitHub Actions and GitLab do; what every executor promises is in `test_contract.py`."""

import json
import time
from pathlib import Path
from uuid import uuid4

import pytest

from apps.deployments.executors.contract import (
    ArtifactRejected,
    ConfigurationRef,
    LaneRow,
    OutcomeUnknown,
    ReleaseFailed,
    Standing,
    StepKind,
    TargetUntouched,
)
from apps.deployments.executors.remote import RemoteStep
from tests.executors.rigs import WorkflowRig
from tests.fakes.json_server import Answer
from tests.processes import eventually

BEGIN = "POST .*/(dispatches|pipeline)$"


@pytest.fixture(params=["github", "gitlab"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> WorkflowRig:
    return WorkflowRig(request.getfixturevalue(request.param), tmp_path)


def start(rig: WorkflowRig, order) -> None:
    for kind in (RemoteStep.CHECK, RemoteStep.START):
        rig.executor.apply(kind, order, log=rig.lines.append)


def test_a_run_is_told_all_that_it_has_to_know(rig: WorkflowRig) -> None:
    order = rig.order(rig.old, configuration=ConfigurationRef(3, {"image__tag": "1.0.0"}))

    rig.deploy(order)

    (run,) = rig.runs.rows
    assert run.ref == "v1.0.0"
    assert run.values == {
        "run": f"eaip {rig.target.lane_key} {order.deployment_id} {order.fence}",
        "action": "deploy",
        "version": "1.0.0",
        "digest": rig.old.digest,
        "environment": "dev",
        "configuration": json.dumps({"image": {"tag": "1.0.0"}}),
    }


def test_an_answer_that_was_lost_leads_to_one_run(rig: WorkflowRig) -> None:
    rig.fake.lose_answer(BEGIN)
    rig.runs.late_by = 3
    order = rig.order(rig.old)

    rig.deploy(order)

    assert rig.look(order).state is Standing.APPLIED
    assert len(rig.runs.rows) == 1


def test_a_run_that_shows_itself_late_is_waited_for_by_the_next_worker(rig: WorkflowRig) -> None:
    """The worker dies over the dispatch: that it was asked for stands in the lane's folder, the run in no list yet."""
    rig.runs.late_by = 1000
    lost = rig.order(rig.old)
    with pytest.raises(OutcomeUnknown, match="shows nothing of it"):
        start(rig, lost)
    rig.runs.rows[0].shown_after = 5
    note = rig.folder / "target" / rig.target.lane_key / "asked.json"
    note.write_text(json.dumps(json.loads(note.read_text()) | {"at": time.time()}))

    rig.deploy(rig.order(rig.old, deployment_id=lost.deployment_id))

    assert len(rig.runs.rows) == 1


def test_a_run_that_never_came_is_asked_for_again(rig: WorkflowRig) -> None:
    rig.fake.refuse(BEGIN, Answer(502, {"message": "bad gateway"}))
    lost = rig.order(rig.old)
    with pytest.raises(OutcomeUnknown):
        start(rig, lost)
    assert rig.executor.probe(lost).state is Standing.NOT_APPLIED

    again = rig.order(rig.old, deployment_id=lost.deployment_id)
    rig.deploy(again)

    assert rig.executor.probe(again).state is Standing.APPLIED
    assert len(rig.runs.rows) == 1


def test_a_run_that_failed_is_never_begun_again(rig: WorkflowRig) -> None:
    bad = rig.order(rig.broken)
    with pytest.raises(ReleaseFailed):
        rig.deploy(bad)

    with pytest.raises(ReleaseFailed):
        rig.deploy(rig.order(rig.broken, deployment_id=bad.deployment_id))

    assert len(rig.runs.rows) == 1


def test_a_run_that_we_stopped_is_begun_anew_by_the_next_attempt_alone(rig: WorkflowRig) -> None:
    stopped = rig.order(rig.slow)
    thread, _errors = rig.start(stopped)
    eventually(lambda: rig.lines)
    rig.executor.cancel(stopped.deployment_id)
    thread.join(10)
    assert rig.runs.rows[0].state == "cancelled"

    start(rig, rig.order(rig.slow, deployment_id=stopped.deployment_id))

    assert [run.state for run in rig.runs.rows] == ["cancelled", "running"]


def test_a_run_that_is_under_way_is_followed_by_the_next_worker(rig: WorkflowRig) -> None:
    lost = rig.order(rig.slow)
    start(rig, lost)
    assert rig.executor.probe(lost).state is Standing.BEGUN

    again = rig.order(rig.slow, deployment_id=lost.deployment_id)
    thread, errors = rig.start(again)
    eventually(lambda: any("running" in line or "in_progress" in line for line in rig.lines))
    rig.runs.finish()
    thread.join(10)

    assert errors == []
    assert len(rig.runs.rows) == 1


def test_a_rollback_stops_the_run_before_it(rig: WorkflowRig) -> None:
    rig.deploy(rig.order(rig.old))
    left = rig.order(rig.slow)
    start(rig, left)

    rig.deploy(rig.order(rig.old, rolls_back=left.deployment_id))

    assert [run.state for run in rig.runs.rows] == ["success", "cancelled", "success"]


def test_a_tag_that_is_gone_is_rejected_before_anything_runs(rig: WorkflowRig) -> None:
    rig.runs.tags.clear()
    order = rig.order(rig.old)

    with pytest.raises(ArtifactRejected, match=r"no tag v1\.0\.0"):
        rig.deploy(order)

    assert rig.runs.rows == []
    ready = rig.executor.readiness(rig.target, rig.old, order.configuration)
    assert (ready.ready, ready.warm) == (False, False)


def test_whoever_asks_for_a_page_waits_only_briefly_for_a_service_that_is_silent(
    rig: WorkflowRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.deployments.executors.remote.executor.READINESS_LIMIT", 0.2)
    rig.fake.hold(".*")
    began = time.monotonic()

    ready = rig.executor.readiness(rig.target, rig.old, rig.order(rig.old).configuration)

    assert (ready.ready, ready.answered) == (False, False)
    assert time.monotonic() - began < 5


def test_another_lane_of_the_same_workflow_is_another_lane(rig: WorkflowRig) -> None:
    rig.deploy(rig.order(rig.old))
    rig.runs.begin(f"eaip another-lane {uuid4()} 99999", "v1.1.0", {"action": "deploy"})
    rig.runs.begin("Deploy by hand", "v1.1.0", {"action": "deploy"})

    assert rig.executor.sample(rig.target).detail.startswith(("Run 1000", "Pipeline 1000"))


def test_a_lane_is_found_behind_many_runs_of_others(rig: WorkflowRig) -> None:
    order = rig.order(rig.old)
    rig.deploy(order)
    for number in range(250):
        rig.runs.begin(f"eaip another-lane {uuid4()} {number}", "v1.1.0", {"action": "deploy"})

    assert rig.executor.probe(order).state is Standing.APPLIED


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (429, {"retry_after": "1"}),
        (403, {"retry_after": "1"}),
        (403, {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "1"}),
    ],
)
def test_a_limit_is_kept_and_nothing_is_lost_by_it(rig: WorkflowRig, status: int, headers: dict[str, str]) -> None:
    rig.fake.refuse(BEGIN, Answer(status, {"message": "rate limit exceeded"}, **headers))
    rig.fake.refuse("GET .*/(runs|pipelines)", Answer(status, {"message": "rate limit exceeded"}, **headers))
    began = time.monotonic()

    rig.deploy(rig.order(rig.old))

    assert time.monotonic() - began > 2
    assert len(rig.runs.rows) == 1
    assert any("takes no more requests" in line for line in rig.lines)


def test_a_limit_that_is_too_long_to_wait_for_is_an_error_of_ours(rig: WorkflowRig) -> None:
    rig.fake.refuse("GET", Answer(429, {"message": "rate limit exceeded"}, retry_after="3000"))
    order = rig.order(rig.old)

    with pytest.raises(TargetUntouched, match="takes no more requests"):
        rig.deploy(order)

    asked = len(rig.fake.asked)
    assert rig.executor.probe(order).state is Standing.UNREACHABLE
    assert len(rig.fake.asked) == asked, "the service was asked though it wants to be left alone"


def test_taking_a_lane_away_is_a_run_of_its_own(rig: WorkflowRig) -> None:
    order = rig.order(rig.old)
    rig.deploy(order)

    rig.executor.remove(rig.target, fence=order.fence)

    last = rig.runs.rows[-1]
    assert (last.values["action"], last.ref) == ("remove", "v1.0.0")
    assert rig.executor.reconcile((LaneRow(rig.target, order.fence, live=None),)) == ()


def test_a_removal_that_failed_is_told_again_and_again(rig: WorkflowRig) -> None:
    order = rig.order(rig.old)
    rig.deploy(order)
    rig.executor.remove(rig.target, fence=order.fence)
    rig.runs.rows[-1].state = "failure"

    (correction,) = rig.executor.reconcile((LaneRow(rig.target, order.fence, live=None),))

    assert not correction.mended


def test_it_declares_what_it_can_and_has_no_slots(rig: WorkflowRig) -> None:
    can = rig.executor.can
    assert (can.probe, can.cancel, can.roll_back, can.keep_warm) == (True, True, True, False)
    assert [step.kind for step in rig.executor.plan(rig.order(rig.old))][-1] == StepKind.VERIFY
