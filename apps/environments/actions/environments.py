from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from apps.accounts.models import User
from apps.audit import actions as audit
from apps.audit.actors import Actor
from apps.core import live
from apps.core.texts import one_line
from apps.core.verdict import Conflict, Invalid
from apps.environments import permissions
from apps.environments.actions import lanes, resources
from apps.environments.actions.standing import standing
from apps.environments.enums import DataClass, Tier
from apps.environments.models import Environment, Lane
from apps.workspaces.models import Workspace

FIELDS = ("slug", "name", "tier", "purpose", "data_class", "url_pattern", "deployment_method")


class EnvironmentInvalid(Invalid):
    code = "environment_invalid"


class EnvironmentExists(Conflict):
    code = "environment_exists"
    next_step = "Choose another short name."


class EnvironmentBusy(Conflict):
    code = "environment_busy"


@transaction.atomic
def create_environment(
    workspace: Workspace,
    *,
    slug: str,
    name: str,
    tier: str,
    purpose: str,
    data_class: str,
    url_pattern: str,
    deployment_method: str,
    position: int | None = None,
    by: User | Actor,
    now: datetime,
) -> Environment:
    """This function will add an environment to a workspace, with nothing in it yet.

    Shapes: `position` orders the columns of the matrix; by default that of the tier.
    Raises EnvironmentInvalid: a word that is not in its list, a malformed short name, real data outside production.
    Raises EnvironmentExists: the workspace has one of that short name.
    """
    permissions.may_create(by, workspace, tier=tier).require()
    environment = Environment(
        workspace=workspace,
        slug=one_line(slug, name="The short name", limit=40),
        name=one_line(name, name="The name", limit=60),
        tier=tier,
        position=list(Tier.values).index(tier) * 10 if position is None and tier in Tier.values else position or 0,
        purpose=one_line(purpose, name="The purpose", limit=200),
        data_class=data_class,
        url_pattern=one_line(url_pattern, name="The URL pattern", limit=200),
        deployment_method=one_line(deployment_method, name="The deployment method", limit=80),
        created_at=now,
        created_by=by if isinstance(by, User) else None,
    )
    _check(environment)
    try:
        with transaction.atomic():
            environment.save(force_insert=True)
    except IntegrityError as error:
        raise EnvironmentExists(f"{workspace} has an environment {environment.slug} already.") from error
    audit.record(
        "environment.created",
        by=by,
        target=environment,
        environment_id=environment.pk,
        summary=f"Created the environment {environment.name}",
        after={field: getattr(environment, field) for field in FIELDS},
    )
    live.hint(workspace.pk, f"environment:{environment.pk}")
    return environment


@transaction.atomic
def destroy_environment(environment: Environment, *, by: User, now: datetime) -> Environment:
    """This function will end an environment: its lanes are removed and its resources given back. Its history stays.

    A Local one can be destroyed at any time; any other only when nothing runs there.
    Raises EnvironmentGone: it is destroyed already.
    Raises EnvironmentBusy: a deployment is under way in it, or something runs there.
    """
    environment = standing(environment)
    permissions.may_destroy(by, environment).require()
    held = list(Lane.objects.locked().filter(environment=environment, removed_at=None).select_related("service"))
    running = [str(lane.service) for lane in held if lane.live_release_id]
    if running and environment.tier != Tier.LOCAL:
        raise EnvironmentBusy(f"{', '.join(running)} runs in {environment}. Remove it from there first.")
    for lane in held:
        lanes.remove_locked(lane, by=by, now=now)
    for resource in environment.resources.filter(released_at=None):
        resources.release_resource(resource, by=by, now=now)
    environment.destroyed_at, environment.destroyed_by = now, by
    environment.save(update_fields=["destroyed_at", "destroyed_by"])
    audit.record(
        "environment.destroyed",
        by=by,
        target=environment,
        environment_id=environment.pk,
        summary=f"Destroyed the environment {environment.name}",
        before={"running": running},
    )
    live.hint(environment.workspace_id, f"environment:{environment.pk}")
    return environment


@transaction.atomic
def recreate_environment(environment: Environment, *, by: User, now: datetime) -> Environment:
    """This function will destroy a Local environment and create it anew, with the same services and nothing running.

    Raises EnvironmentInvalid: it is not a Local one. Else as `destroy_environment`.
    """
    if environment.tier != Tier.LOCAL:
        raise EnvironmentInvalid(f"{environment} is not a Local environment; only those can be made anew.")
    held = list(environment.lanes.filter(removed_at=None).select_related("service"))
    destroy_environment(environment, by=by, now=now)
    described = {field: getattr(environment, field) for field in FIELDS}
    again = create_environment(environment.workspace, **described, position=environment.position, by=by, now=now)
    for lane in held:
        more = {"executor": lane.executor, "address": lane.address}
        lanes.create_lane(again, service=lane.service, **more, by=by, now=now)
    return again


def _check(environment: Environment) -> None:
    if environment.data_class == DataClass.REAL and environment.tier != Tier.PRODUCTION:
        raise EnvironmentInvalid("Real data belongs in a Production environment only.")
    try:
        environment.clean_fields(exclude=["created_by", "destroyed_by", "workspace"])
    except ValidationError as error:
        told = "; ".join(f"{name}: {' '.join(texts)}" for name, texts in error.message_dict.items())
        raise EnvironmentInvalid(told) from error
