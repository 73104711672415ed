from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from apps.accounts.models import User
from apps.audit import actions as audit
from apps.audit.actors import Actor, actor_of
from apps.core import live
from apps.core.texts import one_line
from apps.core.verdict import Conflict, Invalid
from apps.environments import permissions
from apps.environments.actions.lanes import LaneGone
from apps.environments.models import Lane

LONGEST = timedelta(hours=72)
FIELDS = ("close_watch_since", "close_watch_until", "close_watch_reason", "close_watch_by")


class CloseWatchInvalid(Invalid):
    code = "close_watch_invalid"


class CloseWatchOver(Conflict):
    code = "close_watch_over"


@transaction.atomic
def set_close_watch(lane: Lane, *, until: datetime, reason: str, by: User | Actor, now: datetime) -> Lane:
    """This function will mark a lane as watched closely until then. Callers want `health.actions.watch_closely`.

    One that is watched closely already keeps its beginning, and the later of the two ends: nobody shortens by asking
    for more. Raises CloseWatchInvalid: it would end before it begins, or later than LONGEST from now. LaneGone: the
    service is no longer there.
    """
    lane = _locked(lane, by)
    if lane.removed_at is not None:
        raise LaneGone(f"{lane.service} is no longer in {lane.environment}.")
    if not now < until <= now + LONGEST:
        raise CloseWatchInvalid(f"A close watch lasts up to {LONGEST // timedelta(hours=1)} hours from now.")
    standing = lane.close_watch_until if lane.is_watched_closely(now) else None
    before = _described(lane) if standing else None
    lane.close_watch_since = lane.close_watch_since if standing else now
    lane.close_watch_until = max(until, standing) if standing else until
    lane.close_watch_reason = one_line(reason, name="The reason", limit=300)
    lane.close_watch_by = actor_of(by).label[:150]
    lane.save(update_fields=FIELDS)
    did = f"Watches {lane.service} in {lane.environment.name} closely"
    _record("close_watch.begun", did, lane, by=by, reason=lane.close_watch_reason, before=before,
            after=_described(lane))  # fmt: skip
    return lane


@transaction.atomic
def end_close_watch(lane: Lane, *, by: User | Actor, now: datetime) -> Lane:
    """This function will end a close watch early. Raises CloseWatchOver: it was ended, or has ended by itself."""
    lane = _locked(lane, by)
    if not lane.is_watched_closely(now):
        raise CloseWatchOver(f"{lane.service} in {lane.environment} is not watched closely any more.")
    before = _described(lane)
    lane.close_watch_since = lane.close_watch_until = None
    lane.close_watch_reason = lane.close_watch_by = ""
    lane.save(update_fields=FIELDS)
    did = f"Ended the close watch of {lane.service} in {lane.environment.name}"
    _record("close_watch.ended", did, lane, by=by, before=before)
    return lane


def _locked(lane: Lane, by: User | Actor) -> Lane:
    lane = Lane.objects.locked().select_related("environment", "service").get(pk=lane.pk)
    permissions.may_watch_closely(by, lane.environment).require()
    return lane


def _described(lane: Lane) -> dict[str, object]:
    return {"until": lane.close_watch_until, "reason": lane.close_watch_reason, "by": lane.close_watch_by}


def _record(kind: str, did: str, lane: Lane, *, by: User | Actor, **details: Any) -> None:
    audit.record(
        kind, by=by, target=lane, environment_id=lane.environment_id, service_id=lane.service_id, summary=did, **details
    )
    live.hint(lane.workspace_id, f"lane:{lane.pk}", f"environment:{lane.environment_id}")
