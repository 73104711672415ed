"""What is helm's own, beside the promises of every executor; with the real helm 3 and 4 on the fake Kubernetes."""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from apps.deployments.executors.contract import (
    ArtifactRejected,
    ConfigurationRef,
    ExecutorError,
    LaneRow,
    Order,
    OutcomeUnknown,
    ReleaseFailed,
    ReleaseRef,
    StaleFence,
    Standing,
    TargetUntouched,
)
from apps.deployments.executors.helm import HelmStep
from apps.deployments.executors.helm import charts as charts_of
from apps.deployments.executors.helm.charts import values_of
from apps.deployments.executors.helm.client import Helm, HelmAway, find
from apps.deployments.executors.helm.workloads import NeverReady, changed, waiting_for
from apps.releases import manifests
from tests import charts
from tests.executors.rigs import HelmRig
from tests.fakes.kubernetes import FakeKubernetes
from tests.fakes.kubernetes.resources import DEPLOYMENTS, SECRETS
from tests.fakes.registry import FakeRegistry
from tests.helm_binaries import helm
from tests.processes import eventually

# What helm had asked last when it was killed, which the cluster still does, and how far that brought the attempt.
MOMENTS = {
    "the revision": ("POST .*/secrets", Standing.BEGUN),
    "the workload": ("(POST|PATCH) .*/deployments", Standing.BEGUN),
    "the end of the old revision": ("PUT .*/secrets/.*v1", Standing.BEGUN),
    "the end of its own": ("PUT .*/secrets/.*v2", Standing.APPLIED),
}


# The contract of executors is held against both with every `make test`.
@pytest.fixture(params=[pytest.param(3, marks=pytest.mark.reliability), 4])
def rig(request: pytest.FixtureRequest, cluster: FakeKubernetes, tmp_path: Path) -> HelmRig:
    return HelmRig(cluster, helm(request.param), tmp_path)


def killed(rig: HelmRig, order: Order, moment: str) -> ExecutorError:
    """Carry an order out, kill helm at a moment, and return how it ended."""
    rig.cluster.hold(moment)
    thread, errors = rig.start(order)
    eventually(lambda: rig.cluster.is_holding, within_seconds=20)
    for child in _helms():
        child.send_signal(signal.SIGKILL)
    eventually(lambda: not _helms())
    rig.cluster.let_go()
    thread.join(20)
    (error,) = errors
    return error


def _helms() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it may end while it is looked at
            found += [child] if child.name() == "helm" else []
    return found


@pytest.mark.parametrize("moment", [*MOMENTS][:2])
def test_what_a_killed_helm_left_is_mended_by_the_next_attempt(rig: HelmRig, moment: str) -> None:
    last_request, standing = MOMENTS[moment]
    rig.deploy(rig.order(rig.old))
    lost = rig.order(rig.new)

    error = killed(rig, lost, last_request)
    seen = rig.executor.probe(lost)
    again = rig.order(rig.new)
    results = dict(zip(HelmStep, rig.deploy(again), strict=True))

    assert isinstance(error, OutcomeUnknown)
    assert seen.state is standing
    assert results[HelmStep.REPAIR].changed == (standing is Standing.BEGUN)
    assert rig.executor.probe(again).state is Standing.APPLIED
    assert rig.image() == "greeter:1.1.0"


@pytest.mark.reliability
@pytest.mark.parametrize("attempt", range(20))
def test_twenty_of_twenty_killed_helms_are_mended_without_a_human(rig: HelmRig, attempt: int) -> None:
    moment = list(MOMENTS)[attempt % len(MOMENTS)]
    test_what_a_killed_helm_left_is_mended_by_the_next_attempt(rig, moment)


def test_a_first_installation_that_was_killed_is_taken_away_and_done_again(rig: HelmRig) -> None:
    lost = rig.order(rig.old)
    killed(rig, lost, "(POST|PATCH) .*/deployments")
    assert rig.revisions() == [("1", "pending-install")]

    results = dict(zip(HelmStep, rig.deploy(rig.order(rig.old)), strict=True))

    assert "nothing was deployed before" in results[HelmStep.REPAIR].detail
    assert rig.revisions() == [("1", "deployed")]


def test_what_was_left_half_way_can_be_discarded(rig: HelmRig) -> None:
    good, lost = rig.order(rig.old), rig.order(rig.new)
    rig.deploy(good)
    killed(rig, lost, MOMENTS["the workload"][0])

    rig.executor.discard(lost, log=rig.lines.append)

    assert rig.look(good).state is Standing.APPLIED
    assert rig.look(lost).state is Standing.NOT_APPLIED
    assert rig.image() == "greeter:1.0.0"


def test_the_cluster_itself_refuses_a_lower_fence_of_another_machine(rig: HelmRig, tmp_path: Path) -> None:
    late, order = rig.order(rig.new), rig.order(rig.old)
    rig.deploy(order)
    rig.executor.target_dir = tmp_path / "another-machine"

    with pytest.raises(StaleFence, match="The cluster has accepted fence"):
        rig.deploy(late)

    assert rig.executor.probe(order).state is Standing.APPLIED


def test_who_brought_it_stands_in_labels_and_description(rig: HelmRig) -> None:
    order = rig.order(rig.old)
    rig.deploy(order)

    (secret,) = rig.cluster.store.all(SECRETS, "demo")
    labels = secret["metadata"]["labels"]

    assert labels["eaip-deployment"] == str(order.deployment_id)
    assert labels["eaip-fence"] == str(order.fence)


def test_configuration_comes_by_a_file_that_only_we_can_read_and_is_gone_afterwards(rig: HelmRig) -> None:
    order = rig.order(rig.old, configuration=ConfigurationRef(2, {"GREETING": "s3cret", "image__tag": "1.0.0-a"}))
    modes = []
    folder = rig.folder / "target" / rig.target.lane_key

    with rig.hanging() as is_hanging:
        thread, _errors = rig.start(order)
        eventually(is_hanging)
        modes.append((folder / "values.json").stat().st_mode & 0o777)
        commands = [" ".join(child.cmdline()) for child in _helms()]
    thread.join(20)

    assert modes == [0o600]
    assert not any("s3cret" in command for command in commands)
    assert not (folder / "values.json").exists()
    assert rig.image() == "greeter:1.0.0-a"
    assert "s3cret" not in "\n".join(rig.lines)


def test_helm_sees_nothing_of_the_portals_environment(rig: HelmRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELM_NAMESPACE", "elsewhere")
    monkeypatch.setenv("KUBECONFIG", "/nonexistent")

    order = rig.order(rig.old)
    rig.deploy(order)

    assert rig.executor.probe(order).state is Standing.APPLIED


def test_a_chart_that_helm_can_not_render_leaves_the_target_untouched(rig: HelmRig) -> None:
    good, bad = rig.order(rig.old), rig.order(charts.stored(rig.store, "1.2.0", template="{{ fail `no` }}"))
    rig.deploy(good)

    with pytest.raises(TargetUntouched, match="refused before it changed anything") as refusal:
        rig.deploy(bad)

    assert not refusal.value.retry
    assert rig.look(bad).state is Standing.NOT_APPLIED
    assert rig.look(good).state is Standing.APPLIED


def test_a_failed_hook_is_a_failed_release(rig: HelmRig) -> None:
    hook = (
        "\n---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: check, annotations: {helm.sh/hook: pre-upgrade}}\n"
        'spec: {template: {spec: {restartPolicy: Never, containers: [{name: check, image: "check:broken"}]}}}\n'
    )
    rig.deploy(rig.order(rig.old))
    bad = rig.order(charts.stored(rig.store, "1.2.0", template=charts.WORKLOAD + hook))

    with pytest.raises(ReleaseFailed, match="could not install"):
        rig.deploy(bad)

    assert rig.executor.probe(bad).state is Standing.BEGUN


def test_a_cluster_or_a_helm_that_nobody_knows_is_said_so(rig: HelmRig) -> None:
    order = rig.order(rig.old)
    rig.executor.binary = "/nonexistent/helm"
    with pytest.raises(TargetUntouched, match="no helm at /nonexistent"):
        rig.deploy(order)
    rig.kubeconfigs.clear()
    with pytest.raises(TargetUntouched, match="no kubeconfig for the cluster 'fake'"):
        rig.deploy(order)

    assert rig.executor.probe(order).state is Standing.UNREACHABLE
    assert not rig.executor.sample(rig.target).ok


@pytest.mark.parametrize("by_hand", [("--set", "GREETING=Hi"), ("--version", "1.1.0")], ids=["a value", "a chart"])
def test_an_upgrade_by_hand_keeps_our_labels_and_is_flagged_all_the_same(
    rig: HelmRig, by_hand: tuple[str, str]
) -> None:
    row = rig.live(rig.order(rig.old))
    chart = charts_of.verified(rig.new if by_hand[0] == "--version" else rig.old, rig.store)
    client = rig.executor._helm(rig.target)
    command = [str(client.binary), "upgrade", rig.target.lane_key, str(chart), "--namespace", "demo", *by_hand]
    subprocess.run([*command, "--kubeconfig", str(client.kubeconfig)], check=True, env=client.environment)
    latest = client.latest(rig.target.lane_key)

    (told,) = rig.executor.reconcile((row,))

    assert latest
    assert row.live
    assert latest.labels["eaip-deployment"] == str(row.live.deployment_id)
    assert (told.drifted, told.mended) == (True, False)


def test_a_cluster_that_is_away_is_asked_once_and_told_for_each_of_its_lanes(
    rig: HelmRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, asked = LaneRow(rig.target, 1, live=None), []

    def away(_helm: Helm, release: str) -> None:
        asked.append(release)
        raise HelmAway("no answer")

    monkeypatch.setattr(Helm, "latest", away)
    corrections = rig.executor.reconcile((row, row, row))

    assert [(correction.mended, correction.detail) for correction in corrections] == [(False, "no answer")] * 3
    assert len(asked) == 1


def test_a_workload_that_gets_unready_later_shows_in_the_sample(rig: HelmRig) -> None:
    rig.deploy(rig.order(rig.old))
    assert rig.executor.sample(rig.target).ok

    deployment = rig.cluster.store.get(DEPLOYMENTS, "demo", rig.target.lane_key)
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "greeter:broken"
    rig.cluster.store.replace(DEPLOYMENTS, "demo", rig.target.lane_key, deployment)

    eventually(lambda: not rig.executor.sample(rig.target).ok)
    assert "pods" in rig.executor.sample(rig.target).detail


def test_values_nest_by_two_underscores_and_know_truth_and_whole_numbers() -> None:
    told = {
        "image__tag": "1.10",
        "replicas": "3",
        "debug": "false",
        "zip": "0123",
        "GREETING": "Hello",
        "a": "1",
        "a__b": "2",
    }

    assert json.loads(values_of(told)) == {
        "image": {"tag": "1.10"}, "replicas": 3, "debug": False, "zip": "0123", "GREETING": "Hello", "a": {"b": 2},
    }  # fmt: skip


def test_helm_is_found_by_its_setting_then_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "helm"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find("") == program
    assert find(str(program)) == program
    with pytest.raises(HelmAway, match="no helm at /elsewhere"):
        find("/elsewhere")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(HelmAway, match="EAIP_HELM"):
        find("")


def _workload(kind: str, spec: dict[str, object], **status: int) -> dict[str, object]:
    metadata = {"name": "x", "generation": 2}
    return {"kind": kind, "metadata": metadata, "spec": spec, "status": {"observedGeneration": 2, **status}}


TWO = {"replicas": 2}
NAMED = {"metadata": {"name": "x"}}


@pytest.mark.parametrize(
    ("workload", "said"),
    [
        (_workload("Deployment", TWO, updatedReplicas=2, availableReplicas=2, replicas=2), ""),
        (_workload("Deployment", TWO, updatedReplicas=1, availableReplicas=2), "1 of 2 pods are of this"),
        (_workload("Deployment", TWO, updatedReplicas=2, availableReplicas=0), "0 of 2 pods are ready"),
        (_workload("Deployment", TWO, updatedReplicas=2, availableReplicas=3, replicas=3), "1 pods of another"),
        (_workload("Deployment", {"replicas": 0}), ""),
        (_workload("Deployment", {}, observedGeneration=1), "not been looked at"),
        (_workload("StatefulSet", TWO, updatedReplicas=2, readyReplicas=1), "1 of 2 pods are ready"),
        (
            _workload("DaemonSet", {}, desiredNumberScheduled=3, updatedNumberScheduled=3, numberAvailable=2),
            "2 of 3 pods are ready",
        ),
        (_workload("ConfigMap", {}), ""),
    ],
)
def test_readiness_of_a_workload(workload: dict[str, object], said: str) -> None:
    found = waiting_for([workload])

    assert (said in found[0]) if said else (found == [])


def _pods(kind: str, **images: str) -> dict[str, object]:
    containers = [{"name": name, "image": image} for name, image in images.items()]
    spec: dict[str, object] = {"template": {"spec": {"containers": containers[:1], "initContainers": containers[1:]}}}
    return {
        "kind": kind,
        "metadata": {"name": "x"},
        "spec": {"jobTemplate": {"spec": spec}} if "Cron" in kind else spec,
    }


@pytest.mark.parametrize(
    ("live", "said"),
    [
        ([_pods("Deployment", main="a:1", wait="b:1")], []),
        ([_pods("Deployment", main="a:1", wait=f"b:1@sha256:{'0' * 64}")], []),
        ([_pods("Deployment", main="a:1", wait="b:2")], ["Deployment x has b:2 for wait, not b:1"]),
        ([_pods("Deployment", main="a:1")], ["Deployment x has nothing for wait, not b:1"]),
        ([_pods("Job", main="a:1", wait="b:1")], ["Deployment x is gone"]),
    ],
)
def test_images_that_differ_from_what_was_rendered(live: list[dict[str, object]], said: list[str]) -> None:
    rendered = [_pods("Deployment", main="a:1", wait="b:1"), _pods("Job", main="a:1"), {"kind": "ConfigMap"} | NAMED]

    assert changed(rendered, live) == said
    assert changed([_pods("CronJob", main="a:1")], [_pods("CronJob", main="a:2")])


def test_a_workload_that_the_cluster_has_given_up_on_is_never_ready() -> None:
    condition = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    given_up = _workload("Deployment", {}) | {"status": {"conditions": [condition]}}

    with pytest.raises(NeverReady, match="ProgressDeadlineExceeded"):
        waiting_for([given_up])


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as running:
        yield running


def _of_registry(registry: FakeRegistry, version: str, *, promised: str = "") -> ReleaseRef:
    """A release whose chart only the registry has; `promised` is the version that it was sealed with."""
    reference = registry.keep(charts.NAME, version, charts.archive(version))
    manifest = charts.manifest_of(version, charts.archive(promised or version), source=reference)
    return ReleaseRef(version, manifests.digest_of(manifest), manifest)


def test_a_chart_of_a_registry_is_fetched_by_digest_once(rig: HelmRig, registry: FakeRegistry) -> None:
    first = rig.order(_of_registry(registry, "1.5.0"))

    results = rig.deploy(first)
    asked = registry.asked
    rig.deploy(rig.order(first.release))

    assert results[0].changed
    assert rig.image() == "greeter:1.5.0"
    assert registry.asked == asked > 0


def test_an_archive_that_differs_from_the_sealed_one_is_rejected(rig: HelmRig, registry: FakeRegistry) -> None:
    with pytest.raises(ArtifactRejected, match="another archive"):
        rig.deploy(rig.order(_of_registry(registry, "1.5.0", promised="1.4.0")))

    assert rig.revisions() == []


def test_a_registry_that_is_away_leaves_the_target_untouched_and_a_rollback_never_asks_it(rig: HelmRig) -> None:
    with FakeRegistry() as gone:
        order = rig.order(_of_registry(gone, "1.5.0"))

    with pytest.raises(TargetUntouched, match="can't be fetched"):
        rig.deploy(order)
    with pytest.raises(ArtifactRejected, match="doesn't hold"):
        rig.deploy(rig.order(order.release, rolls_back=order.deployment_id))
