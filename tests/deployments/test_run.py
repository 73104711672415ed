"""The way of an attempt that nobody disturbs."""

from apps.deployments.enums import DeploymentState as S
from apps.deployments.enums import StepVerdict


def test_a_release_comes_to_serve(stage) -> None:
    deployment = stage.deploy()

    lane = stage.lane()
    assert stage.states(deployment) == ["QUEUED", "STARTING", "APPLYING", "VERIFYING", "SUCCEEDED"]
    assert (lane.live_release.version, lane.live_slot) == ("1.0.0", "GREEN")
    assert stage.judge.serves(lane.target_key) == "1.0.0"
    with stage.everything():
        assert {step.verdict for step in deployment.steps.all()} == {StepVerdict.DONE}
    assert deployment.state == S.SUCCEEDED
