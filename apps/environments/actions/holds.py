from datetime import datetime
from uuid import UUID

from django.db import transaction

from apps.accounts.models import User
from apps.audit import actions as audit
from apps.audit.actors import Actor
from apps.core import live
from apps.core.texts import one_line
from apps.core.verdict import Conflict
from apps.environments import permissions
from apps.environments.models import Hold, Lane


class HoldLifted(Conflict):
    code = "hold_lifted"


@transaction.atomic
def set_hold(lane: Lane, *, reason: str, deployment_id: UUID | None, by: User | Actor, now: datetime) -> Hold:
    """This function will keep automation off a lane until a person lifts it.

    A lane that is held already keeps its first hold, which is returned: the reason that began it must stay visible.
    """
    lane = Lane.objects.locked().select_related("environment", "service").get(pk=lane.pk)
    if isinstance(by, User):
        permissions.may_lift_hold(by, lane).require()
    if (standing := Hold.objects.open().filter(lane=lane).first()) is not None:
        return standing
    hold = Hold.objects.create(
        workspace_id=lane.workspace_id,
        lane=lane,
        reason=one_line(reason[:300], name="The reason", limit=300),
        deployment_id=deployment_id,
        set_at=now,
    )
    audit.record(
        "hold.set",
        by=by,
        target=hold,
        environment_id=lane.environment_id,
        service_id=lane.service_id,
        summary=f"Held {lane.service} in {lane.environment.name}",
        reason=hold.reason,
        causation={"deployment": str(deployment_id)} if deployment_id else None,
    )
    live.hint(lane.workspace_id, f"lane:{lane.pk}", f"environment:{lane.environment_id}")
    return hold


@transaction.atomic
def lift_hold(hold: Hold, *, reason: str, by: User, now: datetime) -> Hold:
    """This function will let automation pass the lane again.

    Raises HoldLifted: somebody did so already.
    """
    hold = Hold.objects.locked().select_related("lane__environment", "lane__service").get(pk=hold.pk)
    permissions.may_lift_hold(by, hold.lane).require()
    if hold.lifted_at is not None:
        raise HoldLifted(f"{hold.lifted_by} lifted this hold on {hold.lifted_at:%d %B %Y at %H:%M} UTC.")
    hold.lifted_at, hold.lifted_by = now, by
    hold.lift_reason = one_line(reason, name="The reason", limit=300)
    hold.save(update_fields=["lifted_at", "lifted_by", "lift_reason"])
    audit.record(
        "hold.lifted",
        by=by,
        target=hold,
        environment_id=hold.lane.environment_id,
        service_id=hold.lane.service_id,
        summary=f"Lifted the hold of {hold.lane.service} in {hold.lane.environment.name}",
        reason=hold.lift_reason,
        before={"reason": hold.reason},
    )
    live.hint(hold.workspace_id, f"lane:{hold.lane_id}", f"environment:{hold.lane.environment_id}")
    return hold
