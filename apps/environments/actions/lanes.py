from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.db import IntegrityError, connection, models, transaction

from apps.accounts.models import User
from apps.audit import actions as audit
from apps.audit.actors import Actor
from apps.core import live
from apps.core.verdict import Conflict, Invalid
from apps.environments import addresses, permissions
from apps.environments.actions import resources
from apps.environments.actions.standing import standing
from apps.environments.addresses import HELM, LOCAL
from apps.environments.enums import ResourceKind
from apps.environments.local_ports import PORTS, free_ports, is_free
from apps.environments.models import Environment, Lane
from apps.environments.resource_uris import normalised

SLUG_SHARE = 15


class LaneExists(Conflict):
    code = "lane_exists"


class LaneGone(Conflict):
    code = "lane_gone"


class LaneOccupied(Conflict):
    code = "lane_occupied"
    next_step = "Wait until the deployment has ended, or cancel it."


class PortTaken(Conflict):
    code = "port_taken"
    next_step = "Choose another port, or none: then a free one is taken."


class NoPortLeft(Conflict):
    code = "no_port_left"


class LaneInvalid(Invalid):
    code = "lane_invalid"


@transaction.atomic
def create_lane(
    environment: Environment,
    *,
    service: models.Model,
    port: int | None = None,
    executor: str = LOCAL,
    address: Mapping[str, str] | None = None,
    by: User | Actor,
    now: datetime,
) -> Lane:
    """This function will prepare a service in an environment: a lane with a place of its own, and nothing running yet.

    Shapes: `address` as `addresses` says for the executor; a lane of this machine has a port in its place.
    Raises LaneInvalid: no such executor here, or no address that it could find.
    Raises ResourceTaken: the namespace belongs to another environment.
    Raises LaneExists: the service is prepared there already.
    Raises PortTaken: another lane has the port, or a program of this machine listens on it.
    Raises NoPortLeft: no port was asked for and none is free.
    """
    environment = standing(environment)
    permissions.may_prepare(by, environment).require()
    lane = Lane(environment=environment, workspace_id=environment.workspace_id, executor=executor)
    lane.service_id = service.pk  # services stand above environments, so their type is not known here
    lane.target_key, lane.created_at = _target_key(lane, service), now
    if executor not in settings.EXECUTORS:
        raise LaneInvalid(f"There is no executor {executor!r} here.")
    if executor == LOCAL:
        lane.port = _claim_port(environment, port, by=by, now=now)
    elif executor == HELM:
        lane.address = _claim_namespace(environment, address or {}, by=by, now=now)
    elif executor in addresses.REMOTE:
        lane.address = _claim_remote(environment, executor, address or {}, by=by, now=now)
    try:
        with transaction.atomic():
            lane.save(force_insert=True)
    except IntegrityError as error:
        raise LaneExists(f"{service} is prepared in {environment} already.") from error
    audit.record(
        "lane.created",
        by=by,
        target=lane,
        environment_id=environment.pk,
        service_id=service.pk,
        summary=f"Prepared {service} in {environment.name}",
        after={"target": lane.target_key, "executor": executor, "port": lane.port, "address": lane.address},
    )
    live.hint(environment.workspace_id, f"environment:{environment.pk}")
    return lane


@transaction.atomic
def remove_lane(lane: Lane, *, by: User, now: datetime) -> Lane:
    """This function will take a service out of an environment; what runs there is stopped after it.

    Raises LaneGone: it was removed already. Raises LaneOccupied: a deployment holds it.
    """
    lane = Lane.objects.locked().select_related("environment", "service").get(pk=lane.pk)
    permissions.may_prepare(by, lane.environment).require()
    if lane.removed_at is not None:
        raise LaneGone(f"{lane.service} is no longer in {lane.environment}.")
    return remove_locked(lane, by=by, now=now)


def remove_locked(lane: Lane, *, by: User, now: datetime) -> Lane:
    """This function will remove a lane that the caller has locked and may remove. Raises LaneOccupied: as above."""
    # Asked by the name of the relation, since deployments stand above environments; one locks the lane to begin.
    if Lane.objects.filter(pk=lane.pk, deployments__isnull=False, deployments__ended_at=None).exists():
        raise LaneOccupied(f"A deployment of {lane.service} is under way in {lane.environment}.")
    lane.removed_at = now
    lane.save(update_fields=["removed_at"])
    for resource in lane.environment.resources.filter(released_at=None, normalised=_endpoint(lane)):
        resources.release_locked(resource, by=by, now=now)
    audit.record(
        "lane.removed",
        by=by,
        target=lane,
        environment_id=lane.environment_id,
        service_id=lane.service_id,
        summary=f"Removed {lane.service} from {lane.environment.name}",
        before={"live_release": str(lane.live_release_id or "")},
    )
    live.hint(lane.workspace_id, f"lane:{lane.pk}", f"environment:{lane.environment_id}")
    return lane


def _target_key(lane: Lane, service: Any) -> str:
    """Return a name that people can read, that fits folders and programs, and that no later lane gets again."""
    lane.pk = lane.pk or uuid4()
    slugs = (service.slug[:SLUG_SHARE].strip("-_"), lane.environment.slug[:SLUG_SHARE].strip("-_"))
    return "-".join((*slugs, lane.pk.hex[-8:])).lower().replace("_", "-")


def _claim_port(environment: Environment, port: int | None, *, by: User | Actor, now: datetime) -> int:
    for candidate in _candidates(port):
        try:
            with transaction.atomic():
                resources.claim(environment, ResourceKind.ENDPOINT, _local(candidate), by=by, now=now)
        except resources.ResourceTaken as error:
            if port is not None:
                raise PortTaken(f"Port {port} is not free: {error}") from error
            continue
        return candidate
    raise NoPortLeft(f"No port from {PORTS.start} to {PORTS.stop - 1} is free on this machine.")


def _claim_namespace(
    environment: Environment, address: Mapping[str, str], *, by: User | Actor, now: datetime
) -> dict[str, str]:
    """Lanes of one environment may share a namespace; no two environments ever do."""
    try:
        found = addresses.kubernetes(address, clusters=settings.KUBECONFIGS)
    except addresses.AddressInvalid as error:
        raise LaneInvalid(str(error)) from error
    uri = normalised(f"kubernetes://{found['cluster']}/{found['namespace']}")
    if not environment.resources.filter(released_at=None, normalised=uri).exists():
        resources.claim(environment, ResourceKind.NAMESPACE, uri, by=by, now=now)
    return found


def _claim_remote(
    environment: Environment, executor: str, address: Mapping[str, str], *, by: User | Actor, now: datetime
) -> dict[str, str]:
    try:
        found = addresses.remote(executor, address, servers=settings.CONNECTIONS.get(executor, {}))
    except addresses.AddressInvalid as error:
        raise LaneInvalid(str(error)) from error
    if uri := addresses.uri(executor, found):
        resources.claim(environment, ResourceKind.ENDPOINT, uri, by=by, now=now)
    return found


def _candidates(port: int | None) -> Iterator[int]:
    if port is None:
        # Who counted on from the first one each time would ask about every lane that there is.
        with connection.cursor() as cursor:
            cursor.execute("SELECT nextval('lane_port')")
            (turn,) = cursor.fetchone()
        yield from free_ports(settings.TARGET_DIR, turn)
        return
    if not is_free(port):
        raise PortTaken(f"Another program of this machine listens on port {port}.")
    yield port


def _endpoint(lane: Lane) -> str:
    """Return what the lane has claimed for itself; empty where it has nothing alone."""
    if lane.executor == LOCAL:
        return _local(lane.port)
    uri = addresses.uri(lane.executor, lane.address)
    return normalised(uri) if uri else ""


def _local(port: int | None) -> str:
    return f"http://127.0.0.1:{port}"
