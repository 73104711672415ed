"""Makes the target match the rows of lanes where nothing is under way: after a start, and from time to time."""

import contextlib
import logging
from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.postgres.expressions import ArraySubquery
from django.db import connection
from django.db.models import DateTimeField, ExpressionWrapper, OuterRef, QuerySet, Subquery, Value
from django.db.models.expressions import RawSQL
from django.db.models.functions import JSONObject

from apps.audit import actions as audit
from apps.audit.actors import SYSTEM
from apps.core import clock, live
from apps.core.clock import CLOCK
from apps.core.durations import in_words
from apps.deployments import wording
from apps.deployments.engine import locks
from apps.deployments.engine.orders import configuration_of, executor_of, release_of, slot_named, target_of
from apps.deployments.enums import TERMINAL, DeploymentKind, DeploymentState
from apps.deployments.executors.contract import Correction, Executor, ExecutorError, LaneRow, SlotRow
from apps.deployments.models import Deployment
from apps.environments.models import Lane
from apps.health.models import EndpointCheck
from apps.workspaces.scope import workspace_scope

log = logging.getLogger(__name__)

# What was there before may still answer for so long, from a cache or while it ends.
LINGERS = timedelta(minutes=1)


def reconcile_all() -> int:
    """This function will make the target match the rows of every lane at rest; return how many corrections it took."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT workspace_id FROM lanes_at_rest()")
        workspaces = [row[0] for row in cursor.fetchall()]
    by_executor: dict[str, list[tuple[Lane, LaneRow]]] = defaultdict(list)
    with workspace_scope(workspaces):
        lanes = list(_at_rest())
        found = Deployment.objects.select_related("release__artifact", "configuration")
        brought, now = found.in_bulk({lane.brought_by for lane in lanes} - {None}), clock.now()
        for lane in lanes:
            by_executor[lane.executor].append((lane, _row(lane, brought.get(lane.brought_by), now)))
    return sum(_reconcile(executor_of(pairs[0][0]), pairs) for pairs in by_executor.values())


def _at_rest() -> "QuerySet[Any]":
    """Return the lanes of the scope where nothing is under way, with `fence` and `brought_by` of that same moment, and
    the versions that endpoint checks were `answered`.

    One statement sees one moment. Whoever claims an attempt later has a higher fence, and the target shuts its door to
    what was read before; what a fence read later would open.
    """
    tried = Deployment.objects.filter(lane=OuterRef("pk"), state__in=TERMINAL)
    succeeded = Deployment.objects.filter(state=DeploymentState.SUCCEEDED).order_by("-number")
    came_at = succeeded.filter(lane=OuterRef("lane")).values("ended_at")[:1]
    after = ExpressionWrapper(Subquery(came_at) + Value(LINGERS), output_field=DateTimeField())
    named = EndpointCheck.objects.naming().filter(lane=OuterRef("pk"), seen_at__gt=after).order_by("name")
    return (
        Lane.objects.with_cell()
        .filter(pk__in=RawSQL("SELECT id FROM lanes_at_rest()", ()))
        .annotate(
            fence=Subquery(tried.order_by("-fence").values("fence")[:1]),
            brought_by=Subquery(succeeded.filter(lane=OuterRef("pk")).values("pk")[:1]),
            answered=ArraySubquery(named.values_list(JSONObject(name="name", version="seen_version"))),
        )
    )


def _reconcile(executor: Executor, pairs: list[tuple[Lane, LaneRow]]) -> int:
    lanes: dict[str, Any] = {row.target.lane_key: lane for lane, row in pairs}
    corrections = [*_retired(executor, pairs), *executor.reconcile(tuple(row for _lane, row in pairs))]
    unmended = {correction.lane_key: correction for correction in corrections if not correction.mended}
    for key, lane in lanes.items():
        left = unmended.get(key)
        if lane.removed_at is not None and left is None:
            _empty(lane)
        if left is None or left.drifted:
            _flag(lane, left.detail if left else _answered(lane))
    for correction in corrections:
        if correction.mended:
            _record(lanes[correction.lane_key], correction)
        else:
            log.warning("%s can't be reconciled: %s", correction.lane_key, correction.detail)
    return len(corrections)


def _answered(lane: Any) -> str:
    """Say what answers users in place of what was deployed, as endpoint checks have heard; `lane` is of `_at_rest`."""
    told = [
        f"{each['name']} is answered by {each['version']}, not {lane.live_release}."
        for each in lane.answered
        if each["version"].removeprefix("v") != lane.live_release.version
    ]
    return f"{' '.join(told)} A person has to deploy again" if told else ""


def _retired(executor: Executor, pairs: list[tuple[Lane, LaneRow]]) -> list[Correction]:
    """Stop what was kept for instant rollback for long enough."""
    found = []
    for lane, row in pairs:
        if row.live is None or row.live.slot is None or row.warm is not None:
            continue
        with contextlib.suppress(ExecutorError):  # reconciliation comes to the same slot, and says what is wrong
            if executor.retire(row.target, row.live.slot.other, fence=row.fence):
                words = f"{in_words(settings.ENGINE_WARM)} after {lane.live_release} took over"
                detail = f"the slot kept for instant rollback was stopped {words}"
                found.append(Correction(row.target.lane_key, detail, mended=True))
    return found


def _empty(lane: Lane) -> None:
    """Nothing runs any more in a lane that was removed."""
    with workspace_scope([lane.workspace_id]):
        changes = {"live_release": None, "live_configuration": None, "live_slot": "", "live_since": None}
        if Lane.objects.filter(pk=lane.pk, live_release=lane.live_release).update(**changes):
            audit.record(
                "lane.switched",
                by=SYSTEM,
                target=lane,
                summary=f"{wording.place(lane)} runs nothing any more",
                environment_id=lane.environment_id,
                service_id=lane.service_id,
                before={"release": str(lane.live_release), "slot": lane.live_slot},
                after={"release": "", "slot": ""},
            )
            live.hint(lane.workspace_id, f"lane:{lane.pk}", f"environment:{lane.environment_id}")


def _flag(lane: Lane, drift: str) -> None:
    """What runs is not what was deployed, or it is again: said, and never overwritten (DEP-11)."""
    drift = wording.plain(drift, 300)
    if drift == lane.drift:
        return
    with workspace_scope([lane.workspace_id]):
        now = locks.lane(lane.pk)
        # Another worker has said so, or whoever came in between has brought, or brings, something of their own.
        came_between = now.generation != lane.generation or Deployment.objects.open().filter(lane=lane).exists()
        if now.drift == drift or came_between:
            return
        Lane.objects.filter(pk=lane.pk).update(drift=drift, drift_since=CLOCK if drift else None)
        audit.record(
            "lane.drifted" if drift else "lane.drift_ended",
            by=SYSTEM,
            target=lane,
            summary=f"{wording.place(lane)} has drifted: {drift}" if drift else f"{wording.place(lane)} drifts no more",
            outcome="FAILED" if drift else "SUCCESS",
            environment_id=lane.environment_id,
            service_id=lane.service_id,
            before={"drift": now.drift},
            after={"drift": drift},
        )
        live.hint(lane.workspace_id, f"lane:{lane.pk}", f"environment:{lane.environment_id}")


def _record(lane: Lane, correction: Correction) -> None:
    with workspace_scope([lane.workspace_id]):
        audit.record(
            "lane.reconciled",
            by=SYSTEM,
            target=lane,
            summary=f"{wording.place(lane)}: {correction.detail}",
            environment_id=lane.environment_id,
            service_id=lane.service_id,
        )
        live.hint(lane.workspace_id, f"lane:{lane.pk}")


def _row(lane: Any, latest: Deployment | None, now: datetime) -> LaneRow:
    """`lane` comes from `_at_rest`, `latest` is what it was `brought_by`."""
    live_one, warm = None, None
    if lane.live_release_id and latest and lane.removed_at is None:
        live_one = _slot_row(lane, latest, lane.live_slot)
        warm = _warm(lane, latest, now)
    return LaneRow(target=target_of(lane), fence=lane.fence or 0, live=live_one, warm=warm)


def _warm(lane: Lane, latest: Deployment, now: datetime) -> SlotRow | None:
    """Return what is kept in the other slot, for as long as going back shall be instant."""
    age = now - (latest.ended_at or latest.requested_at)
    if latest.kind == DeploymentKind.ROLLBACK or latest.from_release_id is None or age > settings.ENGINE_WARM:
        return None
    before = (
        Deployment.objects.filter(
            lane=lane,
            state=DeploymentState.SUCCEEDED,
            number__lt=latest.number,
            release_id=latest.from_release_id,
            configuration_id=latest.from_configuration_id,
        )
        .select_related("release__artifact", "configuration")
        .order_by("-number")
        .first()
    )
    serving = slot_named(lane.live_slot)
    if before is None or serving is None:
        return None
    return SlotRow(serving.other, before.pk, release_of(before.release), configuration_of(before.configuration))


def _slot_row(lane: Lane, brought_by: Deployment, slot: str) -> SlotRow:
    return SlotRow(
        slot_named(slot), brought_by.pk, release_of(brought_by.release), configuration_of(brought_by.configuration)
    )
