"""How promotions leave the list: people take them back, and the engine says what became of them."""

from datetime import datetime
from typing import Any

from django.db import transaction

from apps.accounts.enums import Capability
from apps.accounts.models import User
from apps.approvals import permissions
from apps.approvals.actions.checklists import drop_gates_ticks, keep_gates_ticks, owe_lines
from apps.approvals.actions.decisions import NotWaiting
from apps.approvals.actions.emergencies import follow_up
from apps.approvals.actions.facts import order_of
from apps.approvals.actions.lines import end_overtaken
from apps.approvals.actions.settling import lock, settle_locked, write
from apps.approvals.enums import WAITING, PromotionState
from apps.approvals.models import Promotion
from apps.approvals.transitions import advance
from apps.audit.actors import SYSTEM, Actor
from apps.core.texts import one_line
from apps.workspaces import rights

# What the engine may say, and the words for it in the trail.
SENTENCES: dict[PromotionState, str] = {
    PromotionState.PENDING: "waits again: its deployment ended with nothing changed",
    PromotionState.DEPLOYING: "is being deployed",
    PromotionState.COMPLETED: "was deployed",
    PromotionState.FAILED: "failed to be deployed",
}


@transaction.atomic
def withdraw(promotion: Promotion, *, reason: str, by: User | Actor, now: datetime) -> Promotion:
    """This function will take a waiting promotion back.

    Raises Denied: `by` neither asked for it nor operates deployments there. Raises NotWaiting: it was started or ended.
    Raises TextInvalid: for the reason, which must be given.
    """
    reason = one_line(reason, name="The reason", limit=300)
    promotion = lock(promotion.pk)
    right = rights.may(by, Capability.DEPLOYMENT_OPERATE, promotion.workspace_id, promotion.lane.environment)
    permissions.may_withdraw(by, promotion, right=right).require()
    if promotion.state not in WAITING:
        raise NotWaiting(
            f"Promotion #{promotion.number} is {promotion.label.lower()} and can't be withdrawn.",
            next_step="Cancel its deployment instead." if promotion.is_open else "",
        )
    return advance(
        promotion,
        PromotionState.WITHDRAWN,
        by=by,
        now=now,
        sentence="was withdrawn",
        outcome=f"{by} withdrew it: {reason}",
        reason=reason,
    )


@transaction.atomic
def mark(
    promotion: Promotion,
    state: PromotionState,
    *,
    by: User | Actor,
    now: datetime,
    outcome: str = "",
    starts_by_itself: bool = False,
) -> Promotion:
    """This function will write down what the engine did with a promotion: DEPLOYING, COMPLETED, FAILED or PENDING.

    Say COMPLETED after the lane was changed: what else waits for the lane is judged here by what runs there now.
    Back to PENDING, the next start waits for a person unless `starts_by_itself` (a gate turned before the start):
    what somebody cancelled, or what could not run, must not start again in a loop. One that is over already
    (superseded, withdrawn, expired while its deployment waited) stays as it is: nothing of it keeps a deployment from
    ending. Raises IllegalTransition, StaleState: it is not in a state that leads there.
    """
    promotion = lock(promotion.pk)
    changes: dict[str, Any] = {}
    if state == PromotionState.PENDING:
        changes["starts_by_itself"] = promotion.starts_by_itself and starts_by_itself
    if state == PromotionState.DEPLOYING:
        changes["was_emergency"] = promotion.is_emergency
    if promotion.state == state == PromotionState.PENDING:  # a gate turned while its deployment waited
        write(promotion, outcome=outcome[:300], **changes)
    elif promotion.is_open or state == PromotionState.DEPLOYING:
        advance(promotion, state, by=by, now=now, sentence=SENTENCES[state], outcome=outcome, **changes)
    if state == PromotionState.DEPLOYING:
        keep_gates_ticks(promotion, now=now)
    if state == PromotionState.PENDING:
        drop_gates_ticks(promotion, now=now)
        return settle_locked(promotion, now=now)
    if state == PromotionState.COMPLETED:
        end_overtaken(promotion.lane, f"Promotion #{promotion.number} was deployed there.", now=now, by=promotion)
        if promotion.state == PromotionState.COMPLETED:
            owe_lines(promotion, now=now)
        if promotion.was_emergency:
            follow_up(promotion, now=now)
        _settle_others(promotion, now=now)
    return promotion


def _settle_others(ended: Promotion, *, now: datetime) -> None:
    """What waits for the lane is judged by what runs there now; what was overtaken is over."""
    waiting = Promotion.objects.waiting().filter(lane_id=ended.lane_id).order_by("pk").values_list("pk", flat=True)
    for pk in list(waiting):
        other = lock(pk)
        if other.state in WAITING and order_of(other.release) < order_of(ended.release):
            why = f"Promotion #{ended.number} brought the higher version {ended.release} there."
            sentence = f"was superseded. {why}"
            advance(other, PromotionState.SUPERSEDED, by=SYSTEM, now=now, sentence=sentence, outcome=why)
        else:
            settle_locked(other, now=now)
