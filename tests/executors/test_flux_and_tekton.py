"""What only Flux and Tekton do; what every executor promises is in `test_contract.py`."""

from pathlib import Path

import pytest

from apps.deployments.executors.contract import ConfigurationRef, StaleFence, TargetUntouched
from apps.deployments.executors.remote import RemoteStep
from tests.executors.rigs import FluxRig, TektonRig
from tests.fakes.kubernetes import FakeKubernetes
from tests.fakes.kubernetes.resources import HELM_RELEASES, PIPELINES
from tests.processes import eventually

VALUES = ConfigurationRef(1, {"image__tag": "1.0.0"})


def test_a_helm_release_gets_version_values_and_the_wish_to_be_reconciled(
    cluster: FakeKubernetes, tmp_path: Path
) -> None:
    rig = FluxRig(cluster, tmp_path, "HelmRelease")
    order = rig.order(rig.old, configuration=VALUES)

    rig.deploy(order)

    assert rig.object["spec"]["chart"]["spec"]["version"] == "1.0.0"
    assert rig.object["spec"]["values"] == {"image": {"tag": "1.0.0"}}
    notes = rig.object["metadata"]["annotations"]
    assert notes["reconcile.fluxcd.io/requestedAt"] == f"{order.deployment_id}/{order.fence}"
    assert rig.object["status"]["lastHandledReconcileAt"] == notes["reconcile.fluxcd.io/requestedAt"]


def test_a_kustomization_gets_the_version_as_a_variable(cluster: FakeKubernetes, tmp_path: Path) -> None:
    rig = FluxRig(cluster, tmp_path, "Kustomization")
    rig.deploy(rig.order(rig.old, configuration=ConfigurationRef(1, {"COLOUR": "red"})))
    rig.deploy(rig.order(rig.new, configuration=ConfigurationRef(2, {})))

    assert rig.object["spec"]["postBuild"]["substitute"] == {"EAIP_VERSION": "1.1.0"}


def test_a_step_that_is_ended_suspends_the_helm_release_which_is_no_cancel_and_the_next_attempt_goes_on(
    cluster: FakeKubernetes, tmp_path: Path
) -> None:
    """A worker that is stopped ends its steps; what Flux's controller is at goes on to its end all the same."""
    rig = FluxRig(cluster, tmp_path, "HelmRelease")
    rig.deploy(rig.order(rig.old))
    order = rig.order(rig.slow)
    thread, _errors = rig.start(order)
    eventually(lambda: rig.lines)
    rig.executor.cancel(order.deployment_id)
    thread.join(10)
    assert (rig.object["spec"]["suspend"], rig.executor.can.cancel) == (True, False)

    rig.deploy(rig.order(rig.old, rolls_back=order.deployment_id))

    assert rig.object["spec"]["suspend"] is False
    assert rig.executor.sample(rig.target).ok


def test_who_was_overtaken_is_refused_by_the_cluster_itself(cluster: FakeKubernetes, tmp_path: Path) -> None:
    """Between our read and our write another worker comes in: the version of the object has changed."""
    rig = FluxRig(cluster, tmp_path, "HelmRelease")
    rig.deploy(rig.order(rig.old, fence=50))
    late, seen = rig.order(rig.new, fence=51), rig.executor.look(rig.target)
    stale = rig.object
    rig.executor.probe(rig.order(rig.old, fence=52))
    answers = iter([stale])
    read = rig.executor._object  # type: ignore[attr-defined]
    rig.executor._object = lambda target: next(answers, None) or read(target)  # type: ignore[attr-defined]

    with pytest.raises(StaleFence, match="fence 52"):
        rig.executor.start(late, seen)

    assert rig.object["spec"]["chart"]["spec"]["version"] == "1.0.0"


def test_other_values_and_no_object_at_all_are_flagged(cluster: FakeKubernetes, tmp_path: Path) -> None:
    rig = FluxRig(cluster, tmp_path, "HelmRelease")
    row = rig.live(rig.order(rig.old, configuration=VALUES))
    obj = rig.object
    obj["spec"]["values"] = {}

    cluster.store.replace(rig.resource, "demo", "greeter", obj)
    told = [*rig.executor.reconcile((row,))]
    cluster.store.delete(rig.resource, "demo", "greeter")
    told += rig.executor.reconcile((row,))

    assert [(each.drifted, each.mended) for each in told] == [(True, False)] * 2


def test_a_chart_that_flux_itself_went_back_to_is_flagged(
    cluster: FakeKubernetes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = FluxRig(cluster, tmp_path, "HelmRelease")
    row = rig.live(rig.order(rig.new))
    obj = rig.object
    obj["status"]["history"] = [{"chartName": "greeter", "chartVersion": "1.0.0+6f5902ac237"}]
    monkeypatch.setattr(rig.executor, "_object", lambda _target: obj)

    (told,) = rig.executor.reconcile((row,))

    assert told.drifted
    assert "the chart 1.0.0+6f5902ac237, not 1.1.0" in told.detail


def test_a_suspended_release_neither_flags_nor_ends_a_flag(cluster: FakeKubernetes, tmp_path: Path) -> None:
    rig = FluxRig(cluster, tmp_path, "HelmRelease")
    row = rig.live(rig.order(rig.old))
    obj = rig.object
    obj["spec"]["suspend"] = True
    cluster.store.replace(rig.resource, "demo", "greeter", obj)

    (told,) = rig.executor.reconcile((row,))

    assert (told.drifted, told.mended) == (False, False)
    assert "is suspended" in told.detail


def test_a_helm_release_that_nobody_made_is_said(cluster: FakeKubernetes, tmp_path: Path) -> None:
    rig = FluxRig(cluster, tmp_path, "HelmRelease")
    cluster.store.delete(HELM_RELEASES, "demo", "greeter")

    with pytest.raises(TargetUntouched, match="whoever runs Flux has to make it"):
        rig.deploy(rig.order(rig.old))


def test_a_pipeline_run_bears_the_name_of_its_lane_and_fence(cluster: FakeKubernetes, tmp_path: Path) -> None:
    rig = TektonRig(cluster, tmp_path)
    order = rig.order(rig.old, configuration=VALUES)

    rig.deploy(order)

    (run,) = rig.runs
    assert run["metadata"]["name"] == f"eaip-{rig.target.lane_key}-{order.fence}"
    assert {"name": "version", "value": "1.0.0"} in run["spec"]["params"]


def test_a_pipeline_run_is_made_once_also_when_asked_twice(cluster: FakeKubernetes, tmp_path: Path) -> None:
    rig = TektonRig(cluster, tmp_path)
    order = rig.order(rig.old)

    rig.executor.start(order, None)
    rig.executor.start(order, None)

    assert len(rig.runs) == 1


def test_a_pipeline_that_nobody_made_is_said(cluster: FakeKubernetes, tmp_path: Path) -> None:
    rig = TektonRig(cluster, tmp_path)
    cluster.store.delete(PIPELINES, "demo", "deploy")

    with pytest.raises(TargetUntouched, match="no Pipeline deploy"):
        rig.executor.apply(RemoteStep.CHECK, rig.order(rig.old), log=rig.lines.append)
