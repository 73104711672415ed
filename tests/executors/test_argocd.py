"""What only the Argo CD executor does; what every executor promises is in `test_contract.py`."""

import json
from pathlib import Path

import pytest

from apps.deployments.executors.contract import (
    ArtifactRejected,
    ConfigurationRef,
    LaneRow,
    OutcomeUnknown,
    ReleaseFailed,
    StaleFence,
    Standing,
    TargetUntouched,
)
from apps.deployments.executors.remote import RemoteStep
from tests.executors.rigs import ArgocdRig
from tests.fakes.argocd import FakeArgocd
from tests.fakes.json_server import Answer
from tests.processes import eventually

SYNC = "POST .*/sync"


@pytest.fixture
def rig(argocd: FakeArgocd, tmp_path: Path) -> ArgocdRig:
    return ArgocdRig(argocd, tmp_path)


def test_the_application_says_who_brought_what_and_with_which_values(rig: ArgocdRig) -> None:
    order = rig.order(rig.old, configuration=ConfigurationRef(1, {"image__tag": "1.0.0", "replicas": "2"}))

    rig.deploy(order)

    assert rig.app["spec"]["source"] == {
        "repoURL": "https://charts.example.test",
        "chart": "greeter",
        "targetRevision": "1.0.0",
        "helm": {"values": json.dumps({"image": {"tag": "1.0.0"}, "replicas": 2})},
    }
    marks = {
        "eaip.operations/deployment": str(order.deployment_id),
        "eaip.operations/fence": str(order.fence),
    }
    assert rig.app["metadata"]["annotations"] == marks
    assert rig.argocd.syncs == [marks]


def test_a_helm_parameter_can_carry_the_version(rig: ArgocdRig) -> None:
    rig.argocd.application("greeter", targetRevision="main", helm={"parameters": [{"name": "a", "value": "b"}]})
    rig.argocd.revisions.add("main")
    rig.target.address["parameter"] = "image.tag"  # type: ignore[index]

    rig.deploy(rig.order(rig.old))

    source = rig.app["spec"]["source"]
    assert source["targetRevision"] == "main"
    added = {"name": "image.tag", "value": "1.0.0", "forceString": True}
    assert source["helm"]["parameters"] == [{"name": "a", "value": "b"}, added]


def test_a_rollback_brings_back_what_ran_though_the_tag_was_moved(rig: ArgocdRig) -> None:
    rig.target.address["revision"] = "v{version}"  # type: ignore[index]
    ran = rig.argocd.move_tag("v1.0.0", "as it ran")
    rig.argocd.move_tag("v1.1.0", "the next")
    rig.deploy(rig.order(rig.old))
    newer = rig.order(rig.new)
    rig.deploy(newer)
    rig.argocd.move_tag("v1.0.0", "something else")

    rig.deploy(rig.order(rig.old, rolls_back=newer.deployment_id))

    assert rig.app["spec"]["source"]["targetRevision"] == ran
    assert rig.app["status"]["sync"]["revision"] == ran


def test_a_chart_in_an_oci_registry_is_named_by_its_digest(rig: ArgocdRig) -> None:
    digest = "sha256:" + "a" * 64
    rig.argocd.application("greeter", repoURL="oci://registry.example.test/charts/greeter")
    rig.argocd.revisions.add(digest)
    manifest = json.loads(json.dumps(dict(rig.old.manifest)))
    manifest["chart"]["source"] = f"oci://registry.example.test/charts/greeter@{digest}"

    rig.deploy(rig.order(type(rig.old)(rig.old.version, rig.old.digest, manifest)))

    assert rig.app["spec"]["source"]["targetRevision"] == digest


def test_what_argo_cd_has_no_revision_of_is_rejected(rig: ArgocdRig) -> None:
    rig.argocd.revisions.clear()

    with pytest.raises(ArtifactRejected, match="Unable to resolve"):
        rig.deploy(rig.order(rig.old))

    assert rig.argocd.syncs == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"syncPolicy": {"automated": {}}}, "turn automatic sync off"),
        ({"sources": [{"repoURL": "https://a.example.test"}]}, "several sources"),
    ],
)
def test_an_application_that_two_would_deploy_to_is_refused(rig: ArgocdRig, change: dict, said: str) -> None:
    rig.app["spec"] |= change

    with pytest.raises(TargetUntouched, match=said):
        rig.deploy(rig.order(rig.old))


def test_a_sync_that_fails_is_the_releases_failure_with_argo_cds_words(rig: ArgocdRig) -> None:
    rig.app["spec"]["source"]["chart"] = "greeter"
    rig.argocd.revisions.add("4.0.0-failing")
    rig.target.address["revision"] = "4.0.0-failing"  # type: ignore[index]
    order = rig.order(rig.old)

    with pytest.raises(ReleaseFailed, match="one or more objects failed to apply"):
        rig.deploy(order)

    assert rig.executor.probe(order).state is Standing.BEGUN
    with pytest.raises(ReleaseFailed):  # tried again, it is not begun anew
        rig.deploy(rig.order(rig.old, deployment_id=order.deployment_id))
    assert len(rig.argocd.syncs) == 1


@pytest.mark.parametrize("lost", [SYNC, "PATCH"])
def test_an_answer_that_is_lost_leads_to_one_sync(rig: ArgocdRig, lost: str) -> None:
    rig.argocd.lose_answer(lost)
    order = rig.order(rig.old)

    try:
        rig.deploy(order)
    except OutcomeUnknown:
        assert rig.executor.probe(order).state is Standing.BEGUN
        rig.deploy(rig.order(rig.old, deployment_id=order.deployment_id))

    assert rig.look(order).state is Standing.APPLIED
    assert len(rig.argocd.syncs) == 1


def test_a_lost_worker_between_patch_and_sync_leaves_what_the_next_one_finishes(rig: ArgocdRig) -> None:
    rig.deploy(rig.order(rig.old))
    rig.argocd.refuse(SYNC, Answer(500, {"message": "away", "code": 13}))
    lost = rig.order(rig.new)
    with pytest.raises(OutcomeUnknown):
        rig.deploy(lost)
    assert rig.executor.probe(lost).state is Standing.BEGUN

    again = rig.order(rig.new, deployment_id=lost.deployment_id)
    rig.deploy(again)

    assert rig.executor.probe(again).state is Standing.APPLIED
    assert len(rig.argocd.syncs) == 2


def test_what_is_still_under_way_is_followed_further_and_not_begun_again(rig: ArgocdRig) -> None:
    lost = rig.order(rig.slow)
    for kind in (RemoteStep.CHECK, RemoteStep.START):
        rig.executor.apply(kind, lost, log=rig.lines.append)
    assert rig.executor.probe(lost).state is Standing.BEGUN

    again = rig.order(rig.slow, deployment_id=lost.deployment_id)
    thread, errors = rig.start(again)
    eventually(lambda: any("is Running" in line for line in rig.lines))
    rig.argocd.finish()
    thread.join(10)

    assert errors == []
    assert rig.executor.probe(again).state is Standing.APPLIED
    assert len(rig.argocd.syncs) == 1


def test_a_rollback_stops_what_the_bad_one_left_running(rig: ArgocdRig) -> None:
    rig.deploy(rig.order(rig.old))
    left = rig.order(rig.slow)
    for kind in (RemoteStep.CHECK, RemoteStep.START):
        rig.executor.apply(kind, left, log=rig.lines.append)

    back = rig.order(rig.old, rolls_back=left.deployment_id)
    rig.deploy(back)

    assert rig.executor.probe(back).state is Standing.APPLIED
    assert len(rig.argocd.sent("DELETE .*/operation")) == 1


def test_a_sync_that_was_stopped_by_us_is_begun_anew_by_the_next_attempt(rig: ArgocdRig) -> None:
    stopped = rig.order(rig.slow)
    thread, _errors = rig.start(stopped)
    eventually(lambda: rig.lines)
    rig.executor.cancel(stopped.deployment_id)
    thread.join(10)

    again = rig.order(rig.slow, deployment_id=stopped.deployment_id)
    for kind in (RemoteStep.CHECK, RemoteStep.START):
        rig.executor.apply(kind, again, log=rig.lines.append)

    assert len(rig.argocd.syncs) == 2


def test_an_operation_of_somebody_else_is_waited_for_and_never_stopped(rig: ArgocdRig) -> None:
    rig.argocd.somebody_syncs("greeter")

    with pytest.raises(TargetUntouched, match="at work for somebody else"):
        rig.deploy(rig.order(rig.old))
    assert rig.argocd.syncs == []
    rig.argocd.finish()
    rig.deploy(rig.order(rig.old))

    assert rig.argocd.sent("DELETE") == []
    assert len(rig.argocd.syncs) == 1


def test_a_worker_of_another_machine_with_a_lower_fence_is_refused_by_what_argo_cd_keeps(
    rig: ArgocdRig, tmp_path: Path
) -> None:
    order, late = rig.order(rig.old, fence=20), rig.order(rig.new, fence=10)
    rig.deploy(order)
    rig.executor.target_dir = tmp_path / "another-machine"

    for kind in RemoteStep:
        with pytest.raises(StaleFence):
            rig.executor.apply(kind, late, log=rig.lines.append)
    with pytest.raises(StaleFence):
        rig.executor.probe(late)

    assert len(rig.argocd.syncs) == 1


def test_a_look_leaves_its_fence_with_argo_cd(rig: ArgocdRig, tmp_path: Path) -> None:
    rig.executor.probe(rig.order(rig.old, fence=30))
    rig.executor.target_dir = tmp_path / "another-machine"

    with pytest.raises(StaleFence):
        rig.executor.apply(RemoteStep.START, rig.order(rig.old, fence=29), log=rig.lines.append)

    assert rig.argocd.syncs == []


def test_a_patch_of_who_was_overtaken_changes_nothing(rig: ArgocdRig) -> None:
    """Between our look and our patch another worker may have come in: Argo CD holds the fence that we have read."""
    rig.deploy(rig.order(rig.old, fence=40))
    late, seen = rig.order(rig.new, fence=41), rig.executor.look(rig.target)
    stale = json.loads(json.dumps(rig.app))
    rig.executor.probe(rig.order(rig.old, fence=42))
    rig.executor._application = lambda *_args, **_more: stale  # type: ignore[method-assign]

    with pytest.raises(Exception, match="test failed"):
        rig.executor.start(late, seen)

    assert rig.app["spec"]["source"]["targetRevision"] == "1.0.0"
    assert len(rig.argocd.syncs) == 1


def test_a_token_that_is_no_longer_good_is_said_and_nothing_is_touched(rig: ArgocdRig) -> None:
    rig.argocd.token = "another"
    order = rig.order(rig.old)

    with pytest.raises(TargetUntouched, match="does not accept the token"):
        rig.deploy(order)

    seen = rig.executor.probe(order)
    assert seen.state is Standing.UNREACHABLE
    assert "renew it" in seen.detail


def test_an_application_that_disappears_in_the_middle_is_nobodys_guess(rig: ArgocdRig) -> None:
    order = rig.order(rig.slow)
    thread, errors = rig.start(order)
    eventually(lambda: rig.lines)
    rig.argocd.vanish("greeter")
    thread.join(10)

    assert [type(error) for error in errors] == [OutcomeUnknown]
    assert rig.executor.probe(order).state is Standing.UNREACHABLE


def test_argo_cd_is_left_alone_for_as_long_as_it_asks(rig: ArgocdRig) -> None:
    rig.argocd.refuse(SYNC, Answer(429, {"message": "too many"}, retry_after="1"))

    rig.deploy(rig.order(rig.old))

    assert any("takes no more requests for 1 s" in line for line in rig.lines)
    assert len(rig.argocd.syncs) == 1


def test_an_emptied_lane_leaves_the_application_to_its_owner(rig: ArgocdRig) -> None:
    order = rig.order(rig.old)
    rig.deploy(order)

    rig.executor.reconcile((LaneRow(rig.target, order.fence, live=None),))

    assert rig.app["status"]["resources"] == []
    assert rig.executor.sample(rig.target).ok is False


BY_HAND = {
    "an image, with kubectl": lambda fake: fake.differs("greeter"),
    "version and sync": lambda fake: fake.somebody_synced("greeter", targetRevision="1.1.0"),
    "a sync to another revision": lambda fake: fake.somebody_synced("greeter", "1.1.0"),
    "a value": lambda fake: fake.somebody_synced("greeter", helm={"values": "{}"}),
    "the repository": lambda fake: fake.somebody_synced("greeter", repoURL="https://elsewhere.example.test"),
    "the whole Application": lambda fake: fake.vanish("greeter"),
}


@pytest.mark.parametrize("by_hand", BY_HAND)
def test_what_somebody_changed_there_is_flagged(rig: ArgocdRig, by_hand: str) -> None:
    row = rig.live(rig.order(rig.old))
    assert rig.executor.reconcile((row,)) == ()

    BY_HAND[by_hand](rig.argocd)
    (told,) = rig.executor.reconcile((row,))

    assert (told.drifted, told.mended) == (True, False)
    assert "A person has to deploy again" in told.detail


def test_a_tag_that_was_moved_and_synced_by_somebody_is_flagged(rig: ArgocdRig) -> None:
    rig.target.address["revision"] = "v{version}"  # type: ignore[index]
    rig.argocd.move_tag("v1.0.0", "as it ran")
    row = rig.live(rig.order(rig.old))
    rig.argocd.move_tag("v1.0.0", "something else")

    rig.argocd.somebody_synced("greeter")

    (told,) = rig.executor.reconcile((row,))
    assert told.drifted


def test_what_somebody_put_right_or_synced_anew_is_no_drift(rig: ArgocdRig) -> None:
    row = rig.live(rig.order(rig.old))
    for change in ({"targetRevision": "1.1.0"}, {"targetRevision": "1.0.0"}, {}):
        rig.argocd.somebody_synced("greeter", **change)

    assert rig.executor.reconcile((row,)) == ()


def test_a_rollback_to_the_commit_of_a_moved_tag_is_no_drift(rig: ArgocdRig) -> None:
    rig.target.address["revision"] = "v{version}"  # type: ignore[index]
    for tag in ("v1.0.0", "v1.1.0"):
        rig.argocd.move_tag(tag, "as it ran")
    rig.deploy(rig.order(rig.old))
    newer = rig.order(rig.new)
    rig.deploy(newer)
    rig.argocd.move_tag("v1.0.0", "something else")

    row = rig.live(rig.order(rig.old, rolls_back=newer.deployment_id))
    assert rig.executor.reconcile((row,)) == ()
    rig.argocd.somebody_synced("greeter")
    assert rig.executor.reconcile((row,)) == ()


@pytest.mark.parametrize(
    ("meanwhile", "said"),
    [
        (lambda fake: fake.somebody_syncs("greeter"), "synced by somebody else"),
        (lambda fake: fake.differs("greeter", compared_with="2.0.0"), "can't say"),
    ],
    ids=["somebody syncs", "its revision has moved on"],
)
def test_what_can_not_be_compared_neither_flags_nor_ends_a_flag(rig: ArgocdRig, meanwhile, said: str) -> None:
    row = rig.live(rig.order(rig.old))

    meanwhile(rig.argocd)
    (told,) = rig.executor.reconcile((row,))

    assert (told.drifted, told.mended) == (False, False)
    assert said in told.detail


def test_a_server_that_the_settings_do_not_know_is_said(rig: ArgocdRig) -> None:
    rig.target.address["server"] = "moon"  # type: ignore[index]

    with pytest.raises(TargetUntouched, match="no Argo CD called 'moon'"):
        rig.deploy(rig.order(rig.old))
