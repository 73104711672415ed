"""The life of a roll-out. `advance` is the only code that assigns its state."""

from datetime import datetime

from apps.accounts.models import User
from apps.audit import actions as audit
from apps.audit.actors import Actor
from apps.core import live
from apps.core.verdict import Conflict
from apps.deployments.enums import OPEN_ROLLOUT, RolloutState
from apps.deployments.models import Rollout

S = RolloutState

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


class RolloutMoved(Conflict):
    """Its state does not lead to the one that is wanted, or somebody else moved it first."""

    code = "rollout_moved"


def advance(
    rollout: Rollout, to: RolloutState, *, by: User | Actor, now: datetime, why: str = "", reason: str = ""
) -> None:
    """This function will move a locked roll-out to another state and write it down.

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
    record(rollout, KINDS[to], f"is {to.label.lower()}. {why}", by=by, before=before, reason=reason)


def record(rollout: Rollout, kind: str, words: str, *, by: User | Actor, before: str = "", reason: str = "") -> None:
    """This function will write an event about a roll-out, and let open pages show it anew after commit."""
    audit.record(
        kind,
        by=by,
        target=rollout,
        service_id=rollout.service_id,
        summary=f"Roll-out {rollout} of {rollout.service} {rollout.release} {words}".strip(),
        before={"state": before} if before else None,
        after={"state": rollout.state},
        reason=reason,
        target_details={"service": rollout.service.slug, "release": rollout.release.version},
    )
    live.hint(rollout.workspace_id, f"rollout:{rollout.pk}", f"release:{rollout.release_id}")
