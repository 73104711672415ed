from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction

from apps.accounts.models import User
from apps.audit import actions as audit
from apps.audit.actors import Actor, actor_of
from apps.audit.models import AuditEvent
from apps.core import live
from apps.core.verdict import Conflict, Invalid, Refusal
from apps.environments import permissions
from apps.environments.actions.standing import standing
from apps.environments.enums import ResourceKind
from apps.environments.models import Environment, Resource
from apps.environments.resource_uris import UriInvalid, normalised, without_secrets
from apps.workspaces.scope import workspaces_of

# Somebody who guesses names would learn from refusals what others have.
REFUSALS = 20
WITHIN = timedelta(minutes=10)


class ResourceInvalid(Invalid):
    code = "resource_invalid"


class ResourceTaken(Conflict):
    code = "resource_taken"
    next_step = "Give this environment a data store, channel or address of its own."


class ResourceReleased(Conflict):
    code = "resource_released"


class TooManyClaims(Refusal):
    status = 429
    code = "too_many_claims"
    next_step = "Wait ten minutes."


@transaction.atomic
def claim_resource(environment: Environment, *, kind: str, uri: str, by: User | Actor, now: datetime) -> Resource:
    """This function will give an environment a resource for itself alone, over all workspaces.

    Two spellings of one resource are one (`resource_uris.normalised`); credentials are not kept.
    Raises ResourceInvalid: the address can't be read or the kind is unknown.
    Raises ResourceTaken: an environment has it; names which one only to those who may see it.
    Raises TooManyClaims: after 20 such refusals in ten minutes.
    """
    environment = standing(environment)
    permissions.may_manage(by, environment).require()
    _slow_down(by)
    return claim(environment, kind, uri, by=by, now=now)


def claim(environment: Environment, kind: str, uri: str, *, by: User | Actor, now: datetime) -> Resource:
    """This function will claim for a caller that has locked the environment and checked the right."""
    if kind not in ResourceKind.values:
        raise ResourceInvalid(f"There is no kind of resource {kind!r}.")
    try:
        shown, key = without_secrets(uri), normalised(uri)
    except UriInvalid as error:
        raise ResourceInvalid(str(error)) from error
    person = by.pk if isinstance(by, User) else None
    with connection.cursor() as cursor:
        # The database decides: another environment's row may be one that this transaction can't see.
        cursor.execute(
            "SELECT resource, owner_workspace, owner_environment FROM claim_resource(%s, %s, %s, %s, %s, %s)",
            [environment.pk, kind, shown, key, person, now],
        )
        claimed, owner_workspace, owner_name = cursor.fetchone()
    if claimed is None:
        raise ResourceTaken(_taken(environment, key, owner_workspace, owner_name, by))
    resource = Resource.objects.get(pk=claimed)
    audit.record(
        "resource.claimed",
        by=by,
        target=resource,
        environment_id=environment.pk,
        summary=f"{environment.name} has {shown} to itself",
        after={"kind": kind, "uri": shown, "normalised": key},
    )
    live.hint(environment.workspace_id, f"environment:{environment.pk}")
    return resource


@transaction.atomic
def release_resource(resource: Resource, *, by: User, now: datetime) -> Resource:
    """This function will give a resource back, so that another environment can have it.

    Raises ResourceReleased: it was given back already.
    """
    resource = Resource.objects.locked().select_related("environment").get(pk=resource.pk)
    permissions.may_destroy(by, resource.environment).require()
    if resource.released_at is not None:
        raise ResourceReleased(f"{resource.environment} has given {resource.uri} back already.")
    return release_locked(resource, by=by, now=now)


def release_locked(resource: Resource, *, by: User, now: datetime) -> Resource:
    """This function will give back a resource for a caller that has checked the right."""
    resource.released_at, resource.released_by = now, by
    resource.save(update_fields=["released_at", "released_by"])
    audit.record(
        "resource.released",
        by=by,
        target=resource,
        environment_id=resource.environment_id,
        summary=f"{resource.environment.name} gave {resource.uri} back",
        before={"uri": resource.uri},
    )
    live.hint(resource.workspace_id, f"environment:{resource.environment_id}")
    return resource


def _taken(environment: Environment, key: str, owner: UUID | None, name: str | None, by: User | Actor) -> str:
    visible = workspaces_of(by) if isinstance(by, User) else (environment.workspace_id,)
    if owner is not None and owner in visible:
        return f"{key} belongs to the environment {name}. Nothing is shared between environments."
    return f"{key} is taken."


def _slow_down(by: User | Actor) -> None:
    actor = actor_of(by)
    if actor.type == "SYSTEM":
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        since = cursor.fetchone()[0] - WITHIN
    refused = AuditEvent.objects.filter(
        kind="access.refused", actor_id=actor.id, recorded_at__gt=since, change__code__after=ResourceTaken.code
    )
    if refused[:REFUSALS].count() >= REFUSALS:
        raise TooManyClaims(f"{REFUSALS} claims were refused in the last ten minutes.")
