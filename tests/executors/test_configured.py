from uuid import uuid4

import pytest
from django.utils.module_loading import import_string

from apps.deployments.executors.builder import build
from apps.deployments.executors.configured import artifact_store, local_executor
from apps.deployments.executors.contract import ConfigurationRef, Order, ReleaseRef, StepKind, TargetRef
from apps.integrations.git_repository import GitRepository
from deploy.launcher.ports import free_ports
from tests.processes import DeploymentTarget


def test_the_executor_of_the_settings_deploys(deployment_target: DeploymentTarget, repository: GitRepository) -> None:
    artifact = build(repository, repository.resolve("v2.0.0"), store=artifact_store(), log=print)
    target = TargetRef("configured", "greeter", "dev", free_ports(1)[0], "/health")
    release = ReleaseRef("2.0.0", artifact.digest, artifact.manifest)
    order = Order(uuid4(), 1, target, release, ConfigurationRef(1))
    executor = local_executor()

    for step in executor.plan(order):
        if step.kind is not StepKind.VERIFY:
            executor.apply(step.kind, order, log=print)

    assert executor.sample(target).version == "2.0.0"
    assert executor.reconcile(()) == ()
    executor.slots.supervisor.remove("configured-blue")
    executor.slots.proxy.remove("configured")


@pytest.mark.parametrize("kind", ["argocd", "github", "gitlab", "flux", "tekton"])
def test_a_service_elsewhere_is_off_until_the_settings_name_one(settings, kind: str) -> None:
    executor = import_string(settings.EXECUTORS[kind]).__wrapped__()  # not the one that this process keeps

    assert executor.connections == settings.CONNECTIONS[kind] == {}
    assert (executor.can.probe, executor.can.keep_warm) == (True, False)
