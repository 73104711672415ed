"""The life of a roll-out. `advance` is the only code that assigns its state."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from apps.accounts.models import User
from apps.audit import actions as audit
from apps.audit.actors import Actor
from apps.core import live
from apps.core.verdict import Conflict
from apps.deployments.enums import OPEN_ROLLOUT, RolloutLaneState, RolloutState
from apps.deployments.models import Rollout, RolloutLane

S = RolloutState
P = RolloutLaneState

TABLE: dict[RolloutState, frozenset[RolloutState]] = {
    S.RUNNING: frozenset({S.PAUSED, S.COMPLETED, S.STOPPED}),
    S.PAUSED: frozenset({S.RUNNING, S.STOPPED}),
    S.COMPLETED: frozenset(),
    S.STOPPED: frozenset(),
}
WHEN: dict[RolloutState, str] = {
    S.RUNNING: "a person started it, or lets it go on",
    S.PAUSED: "a person holds it: what is under way goes on, no wave begins",
    S.COMPLETED: "every environment runs the release",
    S.STOPPED: "an environment failed, or a person stopped it",
}
KINDS: dict[RolloutState, str] = {
    S.RUNNING: "rollout.resumed",
    S.PAUSED: "rollout.paused",
    S.COMPLETED: "rollout.completed",
    S.STOPPED: "rollout.stopped",
}

PART_TABLE: dict[RolloutLaneState, frozenset[RolloutLaneState]] = {
    P.IN: frozenset({P.HELD, P.LEFT}),
    P.HELD: frozenset({P.IN, P.LEFT}),
    P.LEFT: frozenset(),
}
PART_WHEN: dict[RolloutLaneState, str] = {
    P.IN: "it is in a roll-out, or its workspace lets it go on",
    P.HELD: "its workspace holds it: no promotion is asked for, and no other workspace waits for it",
    P.LEFT: "its workspace took it out",
}
PART_KINDS: dict[RolloutLaneState, str] = {
    P.IN: "rollout.part_resumed",
    P.HELD: "rollout.part_held",
    P.LEFT: "rollout.part_left",
}


class RolloutMoved(Conflict):
    """Its state does not lead to the one that is wanted, or somebody else moved it first."""

    code = "rollout_moved"


def advance(
    rollout: Rollout,
    to: RolloutState,
    *,
    by: User | Actor,
    now: datetime,
    why: str = "",
    reason: str = "",
    told: Mapping[UUID, str] | None = None,
) -> None:
    """This function will move a locked roll-out to another state and write it down.

    Shapes: `why` is for everybody, `told` says more to the people of a workspace about their own part.
    Raises RolloutMoved: the table does not lead there, or it is not in the state that was read.
    """
    before = RolloutState(rollout.state)
    if to not in TABLE[before]:
        raise RolloutMoved(f"Roll-out {rollout} is {before.label.lower()} and can't become {to.label.lower()}.")
    columns = {"state": to, "outcome": why[:500]} | ({} if to in OPEN_ROLLOUT else {"ended_at": now})
    if not Rollout.objects.filter(pk=rollout.pk, state=before).update(**columns):
        raise RolloutMoved(f"Roll-out {rollout} is no longer {before.label.lower()}.")
    for name, value in columns.items():
        setattr(rollout, name, value)
    words = {
        workspace: f"is {to.label.lower()}. {(told or {}).get(workspace) or why}" for workspace in rollout.workspaces
    }
    record(rollout, KINDS[to], words, by=by, before=before, reason=reason)


def decide(row: RolloutLane, to: RolloutLaneState, *, by: User, now: datetime, reason: str) -> None:
    """This function will write what the workspace of a locked row decided about it; who calls it writes the event.

    Raises RolloutMoved: the table does not lead there, or it is not in the state that was read.
    """
    columns = {"state": to, "decided_by": by, "decided_at": now, "reason": reason}
    before = RolloutLaneState(row.state)
    if to not in PART_TABLE[before] or not RolloutLane.objects.filter(pk=row.pk, state=before).update(**columns):
        raise RolloutMoved(f"{row.lane.environment} is no longer as it was in this roll-out.")
    for name, value in columns.items():
        setattr(row, name, value)


def record(
    rollout: Rollout, kind: str, words: Mapping[UUID, str], *, by: User | Actor, before: str = "", reason: str = ""
) -> None:
    """This function will write an event into the ledger of each of these workspaces, in its own words.

    Open pages show it anew after commit.
    """
    for workspace_id, said in words.items():
        audit.record(
            kind,
            by=by,
            target=rollout,
            workspace_id=workspace_id,
            service_id=rollout.service_id,
            summary=f"Roll-out {rollout} of {rollout.service} {rollout.release} {said}".strip(),
            before={"state": before} if before else None,
            after={"state": rollout.state},
            reason=reason,
            target_details={"service": rollout.service.slug, "release": rollout.release.version},
        )
        live.hint(workspace_id, f"rollout:{rollout.pk}", f"release:{rollout.release_id}")
