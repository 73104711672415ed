from datetime import datetime
from uuid import UUID

from django.db import transaction

from apps.accounts.models import User
from apps.audit import actions as audit
from apps.core import live
from apps.core.texts import one_line
from apps.core.verdict import Conflict, Invalid
from apps.environments import permissions
from apps.environments.enums import FreezeScope
from apps.environments.models import Environment, Freeze, Lane
from apps.workspaces.models import Workspace


class FreezeInvalid(Invalid):
    code = "freeze_invalid"


class FreezeOver(Conflict):
    code = "freeze_over"


@transaction.atomic
def freeze(
    *,
    scope: str,
    environment: Environment | None = None,
    lane: Lane | None = None,
    workspace_id: UUID,
    reason: str,
    ends_at: datetime | None,
    by: User,
    now: datetime,
) -> Freeze:
    """This function will let no deployment start in the scope until it is lifted or `ends_at`; rollbacks pass.

    Raises FreezeInvalid: scope and object don't belong together, it would end before it begins, or has no reason.
    """
    if scope not in FreezeScope.values:
        raise FreezeInvalid(f"There is no scope {scope!r}.")
    if (scope == FreezeScope.LANE) != (lane is not None):
        raise FreezeInvalid("Name the service in an environment that is to be frozen.")
    if (scope == FreezeScope.ENVIRONMENT) != (environment is not None):
        raise FreezeInvalid("Name the environment that is to be frozen.")
    if ends_at is not None and ends_at <= now:
        raise FreezeInvalid("A freeze ends after it begins; choose a later end, or none.")
    place = environment or (lane.environment if lane else None)
    workspace = Workspace.objects.get(pk=workspace_id)
    permissions.may_freeze(by, workspace, scope=scope, environment=place).require()
    made = Freeze.objects.create(
        workspace=workspace,
        scope=scope,
        environment=environment,
        lane=lane,
        reason=one_line(reason, name="The reason", limit=300),
        frozen_at=now,
        frozen_by=by,
        ends_at=ends_at,
    )
    audit.record(
        "freeze.set",
        by=by,
        target=made,
        environment_id=place.pk if place else None,
        service_id=lane.service_id if lane else None,
        summary=f"Froze {scope_in_words(made)}",
        reason=made.reason,
        after={"scope": scope, "ends_at": ends_at},
    )
    live.hint(workspace_id, "freeze")
    return made


@transaction.atomic
def lift_freeze(freeze: Freeze, *, by: User, now: datetime) -> Freeze:
    """This function will let deployments start again.

    Raises FreezeOver: it was lifted, or has ended by itself.
    """
    freeze = Freeze.objects.locked().get(pk=freeze.pk)
    permissions.may_lift_freeze(by, freeze).require()
    if freeze.lifted_at is not None:
        raise FreezeOver(f"{freeze.lifted_by} lifted this freeze on {freeze.lifted_at:%d %B %Y at %H:%M} UTC.")
    if freeze.ends_at is not None and freeze.ends_at <= now:
        raise FreezeOver(f"This freeze ended by itself on {freeze.ends_at:%d %B %Y at %H:%M} UTC.")
    freeze.lifted_at, freeze.lifted_by = now, by
    freeze.save(update_fields=["lifted_at", "lifted_by"])
    audit.record(
        "freeze.lifted",
        by=by,
        target=freeze,
        environment_id=freeze.lane.environment_id if freeze.lane else freeze.environment_id,
        service_id=freeze.lane.service_id if freeze.lane else None,
        summary=f"Lifted the freeze of {scope_in_words(freeze)}",
        before={"reason": freeze.reason, "ends_at": freeze.ends_at},
    )
    live.hint(freeze.workspace_id, "freeze")
    return freeze


def scope_in_words(freeze: Freeze) -> str:
    """This function will name what is frozen."""
    if freeze.lane is not None:
        return f"{freeze.lane.service} in {freeze.lane.environment}"
    if freeze.environment is not None:
        return str(freeze.environment)
    return "everything" if freeze.scope == FreezeScope.ALL else f"all of {freeze.workspace}"
