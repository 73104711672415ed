"""The life of a promotion. `advance` is the only code that assigns its state."""

from datetime import datetime
from typing import Any

from apps.accounts.models import User
from apps.approvals.enums import OPEN_PROMOTION, PromotionState
from apps.approvals.ledger import record
from apps.approvals.models import Promotion
from apps.audit.actors import Actor
from apps.core import live
from apps.core.verdict import Conflict

S = PromotionState

TABLE: dict[PromotionState, frozenset[PromotionState]] = {
    S.PENDING: frozenset({S.READY, S.REJECTED, S.EXPIRED, S.SUPERSEDED, S.WITHDRAWN}),
    S.READY: frozenset({S.PENDING, S.DEPLOYING, S.EXPIRED, S.SUPERSEDED, S.WITHDRAWN}),
    S.DEPLOYING: frozenset({S.PENDING, S.COMPLETED, S.FAILED}),
    S.COMPLETED: frozenset(),
    S.FAILED: frozenset(),
    S.REJECTED: frozenset(),
    S.EXPIRED: frozenset(),
    S.SUPERSEDED: frozenset(),
    S.WITHDRAWN: frozenset(),
}

# The kind of event that each new state leaves, and when it comes about (docs/reference/states.md).
KINDS: dict[PromotionState, str] = {state: f"promotion.{state.value.lower()}" for state in PromotionState}
WHEN: dict[PromotionState, str] = {
    S.PENDING: "asked; or a gate no longer lets pass, an approval became void, or the deployment ended untouched",
    S.READY: "every gate lets pass",
    S.DEPLOYING: "a deployment of it was started",
    S.COMPLETED: "its deployment succeeded",
    S.FAILED: "its deployment failed",
    S.REJECTED: "a person said no",
    S.EXPIRED: "its time passed, or its lane was removed, before it could start",
    S.SUPERSEDED: "a higher version was asked for, or runs there now",
    S.WITHDRAWN: "a person took it back",
}


class StaleState(Conflict):
    """Somebody else moved it first."""

    code = "stale_state"


class IllegalTransition(Conflict):
    """Its state does not lead to the one that is wanted."""

    code = "illegal_transition"


def advance(
    promotion: Promotion,
    to: PromotionState,
    *,
    by: User | Actor,
    now: datetime,
    sentence: str,
    outcome: str = "",
    reason: str = "",
    **changes: Any,
) -> Promotion:
    """This function will move a locked promotion to another state and write it down.

    Shapes: `sentence` completes "promotion #12 ..." in the trail; `changes` are further columns to set with the state.
    Raises IllegalTransition: the table does not lead there. Raises StaleState: it is not in the state that was read.
    """
    before = PromotionState(promotion.state)
    if to not in TABLE[before]:
        raise IllegalTransition(
            f"{_named(promotion)} is {before.label.lower()} and can't become {PromotionState(to).label.lower()}."
        )
    columns = {"state": to, "outcome": outcome[:300], **_moments(to, now), **changes}
    if not Promotion.objects.filter(pk=promotion.pk, state=before).update(**columns):
        raise StaleState(f"{_named(promotion)} is no longer {before.label.lower()}.")
    for name, value in columns.items():
        setattr(promotion, name, value)
    record(
        promotion,
        KINDS[to],
        sentence,
        by=by,
        outcome="FAILED" if to == S.FAILED else "SUCCESS",
        before={"state": before},
        after={"state": to},
        reason=reason,
        approval={"plan_hash": promotion.plan_hash},
    )
    tell(promotion)
    return promotion


def tell(promotion: Promotion) -> None:
    """This function will let open pages show the promotion anew, after commit."""
    live.hint(
        promotion.workspace_id,
        f"promotion:{promotion.pk}",
        f"lane:{promotion.lane_id}",
        f"release:{promotion.release_id}",
    )


def _moments(to: PromotionState, now: datetime) -> dict[str, datetime | None]:
    if to == S.READY:
        return {"ready_at": now}
    if to == S.PENDING:
        return {"ready_at": None}
    return {} if to in OPEN_PROMOTION else {"ended_at": now}


def _named(promotion: Promotion) -> str:
    return f"Promotion #{promotion.number}"
