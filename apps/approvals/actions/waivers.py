"""A person lets one promotion pass one gate, for a reason and for a while."""

from datetime import datetime, timedelta

from django.db import transaction

from apps.accounts.confirmation import Confirmation
from apps.accounts.models import User
from apps.approvals import permissions
from apps.approvals.actions.decisions import NotWaiting, StalePlan
from apps.approvals.actions.facts import open_case
from apps.approvals.actions.settling import lock, settle_locked, void_waiver
from apps.approvals.enums import WAITING, PromotionState
from apps.approvals.ledger import record
from apps.approvals.models import Promotion, Waiver
from apps.core.texts import one_line
from apps.core.verdict import Conflict, Denied, Invalid
from apps.policies.clauses import WAIVABLE, Clause, Gate, TierPolicy
from apps.policies.confirming import confirmed_with
from apps.policies.enums import Outcome
from apps.policies.gates import TITLES
from apps.policies.judgement import moment
from apps.workspaces import rights

LONGEST_HOURS = 7 * 24


class WaiverInvalid(Invalid):
    code = "waiver_invalid"


class NotWaivable(Denied):
    code = "not_waivable"


class NothingToWaive(Conflict):
    """The gate lets it pass already."""

    code = "nothing_to_waive"


class WaiverOver(Conflict):
    """Somebody was quicker, or the plan changed."""

    code = "waiver_over"


def waivable_clause(policy: TierPolicy, gate: str) -> Clause | None:
    """This function will return the clause of a gate that can be waived by the role it names; None where it can't."""
    clause = policy.clause_of(Gate(gate)) if gate in WAIVABLE else None
    return clause if clause is not None and "waived_by" in clause.settings else None


@transaction.atomic
def waive(
    promotion: Promotion,
    *,
    gate: str,
    reason: str,
    hours: int,
    plan_hash: str,
    by: User,
    now: datetime,
    confirmation: Confirmation | None = None,
) -> Promotion:
    """This function will let a promotion pass a gate that holds it back, on the plan that was shown, for some hours.

    It ends with the promotion's own time at the latest. Raises Denied: `by` does not hold the role that the clause
    names, or had a part in it. Raises NotWaivable: the gate never is. Raises NotWaiting, NothingToWaive, StalePlan: as
    they say. Raises WaiverInvalid, TextInvalid: for the hours and the reason. Raises NotConfirmed: who approves there
    confirms that it is them, and so does who waives.
    """
    reason = one_line(reason, name="The reason", limit=300)
    if not 1 <= hours <= LONGEST_HOURS:
        raise WaiverInvalid(f"A gate is waived for 1 to {LONGEST_HOURS} hours.")
    promotion = lock(promotion.pk)
    case = open_case(promotion) if promotion.state in WAITING else None
    promotion = settle_locked(promotion, now=now, case=case)
    if case is None or promotion.state != PromotionState.PENDING:
        raise NotWaiting(f"Promotion #{promotion.number} is {promotion.label.lower()}: nothing holds it back.")
    clause = waivable_clause(case.policy, gate)
    if clause is None:
        raise NotWaivable("No role may waive this gate there.")
    role = clause.word("waived_by")
    holds_role = rights.has_role(by, role, promotion.workspace_id) if isinstance(by, User) else False
    permissions.may_waive(by, role, promotion, holds_role=holds_role).require()
    if plan_hash != promotion.plan_hash:
        raise StalePlan("The plan is not the one that you were shown.")
    if any(row["name"] == gate and Outcome(row["outcome"]).lets_pass for row in promotion.gates):
        raise NothingToWaive(f"{TITLES[Gate(gate)]} lets it pass already.")
    proof = confirmed_with(case.policy.strictest_step_up, by, confirmation, now=now)
    for lapsed in promotion.waivers.standing().filter(gate=gate):
        void_waiver(promotion, lapsed, "It counted no longer, and another took its place.", now=now)
    waiver = Waiver.objects.create(
        workspace_id=promotion.workspace_id,
        promotion=promotion,
        gate=gate,
        role_id=role,
        reason=reason,
        plan_hash=plan_hash,
        granted_at=now,
        granted_by=by,
        expires_at=min(now + timedelta(hours=hours), promotion.expires_at),
    )
    record(
        promotion,
        "waiver.granted",
        f"got a {waiver} by {by}, until {moment(waiver.expires_at)}",
        by=by,
        reason=reason,
        approval={
            "waiver": str(waiver.pk),
            "gate": gate,
            "role": role,
            "plan_hash": plan_hash,
            **({"confirmed_with": proof} if proof else {}),
        },
    )
    return settle_locked(promotion, now=now, case=case)


@transaction.atomic
def withdraw_waiver(waiver: Waiver, *, reason: str, by: User, now: datetime) -> Promotion:
    """This function will end a waiver early, before what it lets pass has started: from now on the gate counts.

    Raises Denied: `by` neither gave it nor holds the role that did. Raises NotWaiting: it was started, or has ended.
    Raises WaiverOver: it is void already. Raises TextInvalid: for the reason.
    """
    reason = one_line(reason, name="The reason", limit=200)
    promotion = lock(waiver.promotion_id)
    waiver = promotion.waivers.select_related("granted_by", "role").get(pk=waiver.pk)
    permissions.may_withdraw_waiver(
        by, waiver, holds_role=rights.has_role(by, waiver.role_id, promotion.workspace_id)
    ).require()
    if promotion.state not in WAITING:
        raise NotWaiting(f"Promotion #{promotion.number} is {promotion.label.lower()}: the waiver was used already.")
    if waiver.voided_at:
        raise WaiverOver(f"The {waiver} is void already: {waiver.void_reason}")
    void_waiver(promotion, waiver, reason, now=now, by=by, kind="waiver.withdrawn")
    return settle_locked(promotion, now=now)
