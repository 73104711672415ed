"""What a guest decides about its part in another workspace's roll-out: to hold it, to let it go on, to leave."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from apps.accounts.models import User
from apps.approvals import actions as approval_actions
from apps.approvals.enums import WAITING
from apps.audit.actors import SYSTEM
from apps.core import hints
from apps.core.texts import one_line
from apps.core.verdict import Conflict
from apps.deployments import permissions
from apps.deployments.enums import RolloutLaneState
from apps.deployments.models import Rollout, RolloutLane
from apps.deployments.querysets import RolloutLaneQuerySet
from apps.deployments.rollout_transitions import PART_KINDS, PART_TABLE, decide, record
from apps.deployments.rollouts import TASK

_WORDS: dict[RolloutLaneState, str] = {
    RolloutLaneState.IN: "goes on in {}.",
    RolloutLaneState.HELD: "is held in {}: nothing is asked for there.",
    RolloutLaneState.LEFT: "comes no longer to {}.",
}


class NothingWaits(Conflict):
    """No environment of the workspace stands where that could still be decided."""

    code = "nothing_waits"
    next_step = "What is deploying can be cancelled, and what runs rolled back, on the page of its deployment."


def choices_of(rollout: Rollout, workspace_id: UUID) -> list[RolloutLaneState]:
    """This function will return what a guest can decide now about what of its part has not begun to deploy."""
    free = [row for row in _rows(rollout, workspace_id) if row.promotion is None or row.promotion.state in WAITING]
    leads = {to for row in free for to in PART_TABLE[RolloutLaneState(row.state)]}
    return [state for state in RolloutLaneState if state in leads]


@transaction.atomic
def decide_part(
    rollout: Rollout, *, workspace_id: UUID, to: RolloutLaneState, reason: str, by: User, now: datetime
) -> list[RolloutLane]:
    """This function will hold, resume or take out what of a guest's part has not begun to deploy.

    Promotions that wait are withdrawn; what is deploying, or done, stays as it is. The roll-out itself is not touched:
    no other workspace's part changes.
    Raises Denied: they may not. Raises NothingWaits: there is nothing left to decide about.
    Raises TextInvalid: for the reason, which must be given.
    """
    reason = one_line(reason, name="The reason", limit=300)
    permissions.may_decide_part(by, rollout, workspace_id).require()
    of_guest = _rows(rollout, workspace_id)
    list(of_guest.locked())  # then read anew: a promotion may have been asked for while this waited
    changed = [
        row for row in of_guest if to in PART_TABLE[RolloutLaneState(row.state)] and _is_free(row, by, reason, now)
    ]
    for row in changed:
        decide(row, to, by=by, now=now, reason=reason)
    if not changed:
        raise NothingWaits("No environment of this workspace waits in the roll-out any more where that could be done.")
    names = ", ".join(row.lane.environment.name for row in changed)
    record(rollout, PART_KINDS[to], {workspace_id: _WORDS[to].format(names)}, by=by, reason=reason)
    hints.wake(TASK, rollout.pk)
    return changed


def _rows(rollout: Rollout, workspace_id: UUID) -> RolloutLaneQuerySet:
    return rollout.lanes.in_order().filter(workspace_id=workspace_id, refusal="")


def _is_free(row: RolloutLane, by: User, reason: str, now: datetime) -> bool:
    """Withdraw its promotion if that waits, and say whether nothing of it has begun to deploy."""
    if row.promotion is None:
        return True
    if row.promotion.state not in WAITING:
        return False
    try:
        why = f"{by} took it out of roll-out {row.rollout}: {reason}"[:300]
        approval_actions.withdraw(row.promotion, reason=why, by=SYSTEM, now=now)
    except approval_actions.NotWaiting:  # it has just begun to deploy, and goes on
        return False
    RolloutLane.objects.filter(pk=row.pk).update(promotion=None)
    return True
