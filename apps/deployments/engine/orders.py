"""From rows to the words of the executor contract, and to the executor that a lane names."""

from functools import cache

from django.conf import settings
from django.utils.module_loading import import_string

from apps.configuration.models import ConfigurationVersion
from apps.deployments.enums import DeploymentKind
from apps.deployments.executors.contract import ConfigurationRef, Executor, Order, ReleaseRef, Slot, TargetRef
from apps.deployments.models import Deployment
from apps.environments import enums as environment_enums
from apps.environments.models import Lane
from apps.releases.models import Release


def executor_of(lane: Lane) -> Executor:
    return _made(settings.EXECUTORS[lane.executor])


def is_observed(executor: str) -> bool:
    """Return whether an executor sees what runs, so that drift would be flagged; one that is off sees nothing."""
    return executor in settings.EXECUTORS and _made(settings.EXECUTORS[executor]).can.observe


@cache
def _made(path: str) -> Executor:
    executor: Executor = import_string(path)()
    return executor


def order_of(deployment: Deployment, *, fence: int | None = None) -> Order:
    """Return all that an executor may know of an attempt; needs `with_subject`."""
    undone = (deployment.rolls_back_id or deployment.pk) if deployment.kind == DeploymentKind.ROLLBACK else None
    return Order(
        deployment_id=deployment.pk,
        fence=deployment.fence if fence is None else fence,
        target=target_of(deployment.lane),
        release=release_of(deployment.release),
        configuration=configuration_of(deployment.configuration),
        rolls_back=undone,
    )


def target_of(lane: Lane) -> TargetRef:
    return TargetRef(
        lane_key=lane.target_key,
        service_slug=lane.service.slug,
        environment_slug=lane.environment.slug,
        port=lane.port or 0,
        health_path=lane.service.health_path,
        address=lane.address,
    )


def release_of(release: Release) -> ReleaseRef:
    return ReleaseRef(version=release.version, digest=release.artifact_digest, manifest=release.artifact.manifest)


def configuration_of(version: ConfigurationVersion) -> ConfigurationRef:
    return ConfigurationRef(number=version.number, values=version.values)


def stored(slot: Slot | None) -> str:
    """Return the slot as the lane's row spells it."""
    return environment_enums.Slot[slot.name].value if slot else ""


def slot_named(text: str) -> Slot | None:
    return Slot[text] if text else None
