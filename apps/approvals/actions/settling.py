"""Brings promotions to what is true now: judges the gates anew, voids what no longer counts, lets time run out."""

import logging
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from apps.accounts.models import User
from apps.approvals.actions.facts import Case, collect, open_case, requirement_facts
from apps.approvals.actions.lines import end_overtaken, ticks_of, void_tick, void_unbacked
from apps.approvals.actions.reported import follow_jobs
from apps.approvals.actions.requirements import ask_for
from apps.approvals.actions.unanswered import see_to_unanswered
from apps.approvals.enums import WAITING, PromotionState
from apps.approvals.ledger import record
from apps.approvals.models import Decision, Promotion, Requirement, Waiver
from apps.approvals.plan import plan_difference
from apps.approvals.querysets import PromotionQuerySet
from apps.approvals.transitions import advance, tell
from apps.audit.actors import SYSTEM, Actor
from apps.core import hints
from apps.core.verdict import Refusal
from apps.environments.models import Lane
from apps.policies.checklists import lines_for_jobs
from apps.policies.clauses import Gate
from apps.policies.facts import DecisionFacts, Facts
from apps.policies.gates import GateResult, evaluate, lets_pass
from apps.releases.models import Service

log = logging.getLogger(__name__)

START_TASK = "deployments.start_ready"
AT_ONCE = 50


@transaction.atomic
def settle(promotion: Promotion, *, now: datetime) -> Promotion:
    """This function will judge a waiting promotion anew and write down what follows; others it returns as they are.

    It voids decisions (the plan changed, the person lost the role, their time passed), plans anew, lets it expire, and
    moves it between waiting and ready. One that becomes ready and starts by itself wakes the engine; of one that nobody
    answers, people are told.
    """
    return settle_locked(lock(promotion.pk), now=now)


def settle_waiting(*, workspace_id: UUID, now: datetime, judged: timedelta = timedelta()) -> list[Promotion]:
    """This function will settle what waits in a workspace and was judged so long ago, the longest first, a bounded
    number at once.

    What somebody else is working on is left to them. A promotion that can't be judged is logged and left as it is.
    """
    waiting = Promotion.objects.waiting().filter(workspace_id=workspace_id).judged_by(now - judged)
    settled = (_settle_if_free(pk, now=now) for pk in list(waiting.values_list("pk", flat=True)[:AT_ONCE]))
    return [promotion for promotion in settled if promotion is not None]


@transaction.atomic
def settle_for_lane(lane: Lane, *, now: datetime) -> list[Promotion]:
    """This function will settle all that waits for a lane: call it after a freeze, a hold, a window or a deployment
    that no promotion asked for, such as a rollback.
    """
    end_overtaken(lane, "Something else was brought there since.", now=now)
    return _settle_all(Promotion.objects.waiting().filter(lane_id=lane.pk), now=now)


@transaction.atomic
def settle_for_service(service: Service, *, now: datetime) -> list[Promotion]:
    """This function will settle all that waits of a service: call it after a finding was accepted, or no longer is."""
    return _settle_all(Promotion.objects.waiting().filter(release__service_id=service.pk), now=now)


def _settle_all(waiting: PromotionQuerySet, *, now: datetime) -> list[Promotion]:
    """Settle them in one order, so that two who settle many never wait for each other."""
    return [settle_locked(lock(pk), now=now) for pk in list(waiting.order_by("pk").values_list("pk", flat=True))]


@transaction.atomic
def recheck(promotion: Promotion, *, now: datetime) -> tuple[GateResult, ...]:
    """This function will judge a promotion for the claim, in the claim's own transaction, and change nothing.

    A decision counts here only if it was given on the plan as it is now, by somebody who holds the role now.
    """
    promotion = lock(promotion.pk)
    case = open_case(promotion)
    facts = collect(case, _requirements(promotion), standing_decisions(promotion), now=now)
    return evaluate(case.policy, facts)


def lock(pk: UUID) -> Promotion:
    """This function will lock a promotion and return it with its subject.

    Two questions: one that waited for the lock would join what stood beside the row before it waited.
    """
    Promotion.objects.locked().only("pk").get(pk=pk)
    return Promotion.objects.with_subject().get(pk=pk)


def settle_locked(promotion: Promotion, *, now: datetime, case: Case | None = None) -> Promotion:
    """This function will do the work of `settle` on a promotion that the caller has locked, by the case that it has
    opened in this transaction, if it has.
    """
    if promotion.state not in WAITING:
        return promotion
    if why := _why_over(promotion, now):
        sentence = f"expired. {why}"
        return advance(promotion, PromotionState.EXPIRED, by=SYSTEM, now=now, sentence=sentence, outcome=why)
    case = case or open_case(promotion)
    if case.plan_hash != promotion.plan_hash:
        _replan(case, now=now)
    if case.policy.clause_of(Gate.CHECKLIST):
        void_unbacked(promotion, now=now)
    if any(lines_for_jobs(case.policy).values()):
        follow_jobs(promotion, now=now)
    requirements, decisions = _requirements(promotion), standing_decisions(promotion)
    facts = collect(case, requirements, decisions, now=now)
    kept = _void_lapsed(promotion, requirements, decisions, facts)
    if len(kept) < len(decisions):
        requirements = _requirements(promotion)
        facts = replace(facts, requirements=requirement_facts(case, requirements, kept, now=now))
    results = evaluate(case.policy, facts)
    _keep(case, results, now=now)
    _move(promotion, results, now=now)
    if promotion.state == PromotionState.PENDING:
        see_to_unanswered(case, requirements, kept, facts, now=now)
    return promotion


def _why_over(promotion: Promotion, now: datetime) -> str:
    lane = promotion.lane
    if lane.removed_at or lane.environment.destroyed_at:
        return f"{lane.service} is no longer in {lane.environment}."
    if now >= promotion.expires_at:
        return "Its time passed before it could start. Ask again if it is still wanted."
    return ""


def _settle_if_free(pk: UUID, *, now: datetime) -> Promotion | None:
    try:
        with transaction.atomic():
            if not Promotion.objects.select_for_update(skip_locked=True, no_key=True).filter(pk=pk).exists():
                return None
            return settle_locked(Promotion.objects.with_subject().get(pk=pk), now=now)
    except Refusal as refusal:
        log.warning("promotion %s can't be judged: %s", pk, refusal)
        return None


def _requirements(promotion: Promotion) -> list[Requirement]:
    return list(promotion.requirements.standing().select_related("role").order_by("position"))


def standing_decisions(promotion: Promotion) -> list[Decision]:
    """This function will return the decisions that stand, on requirements that stand, with people and roles."""
    standing = promotion.decisions.standing().filter(requirement__ended_at=None)
    return list(standing.with_people().with_backing())


def _replan(case: Case, *, now: datetime) -> None:
    promotion = case.promotion
    changes = " ".join(plan_difference(promotion.plan, case.plan))
    for decision in standing_decisions(promotion):
        _void(promotion, decision, f"The plan changed. {changes}", now=now)
    for waiver in promotion.waivers.standing():
        void_waiver(promotion, waiver, f"The plan changed. {changes}", now=now)
    # What a job proved of the release there holds on any plan, as other reports do.
    for tick in ticks_of(promotion).filter(evidence=None):
        void_tick(promotion, tick, f"The plan changed. {changes}", now=now)
    ask_for(promotion, case.policy, now=now)
    before = promotion.plan_hash
    write(promotion, plan=case.plan, plan_hash=case.plan_hash, outcome=f"Planned anew. {changes}"[:300])
    record(
        promotion,
        "promotion.replanned",
        f"was planned anew. {changes}",
        by=SYSTEM,
        before={"plan_hash": before},
        after={"plan_hash": promotion.plan_hash},
    )


def _void_lapsed(
    promotion: Promotion, requirements: list[Requirement], decisions: list[Decision], facts: Facts
) -> list[Decision]:
    """Void the decisions that no longer count, and return the others."""
    told = zip(requirements, facts.requirements, strict=True)
    said = {requirement.pk: found.decision for requirement, found in told if found.decision}
    kept = []
    for decision in decisions:
        if why := _why_void(decision, said[decision.requirement_id], facts.at):
            _void(promotion, decision, why, now=facts.at)
        else:
            kept.append(decision)
    return kept


def _why_void(decision: Decision, said: DecisionFacts, at: datetime) -> str:
    if not said.holds_role and decision.on_behalf_of:
        return f"{decision.on_behalf_of} no longer holds the role, or {decision.decided_by} left the workspace."
    if not said.holds_role:
        return f"{decision.decided_by} no longer holds the role."
    return "" if at < said.lapses_at else "Its time passed before the deployment started."


def _void(promotion: Promotion, decision: Decision, why: str, *, now: datetime) -> None:
    Decision.objects.filter(pk=decision.pk, voided_at=None).update(voided_at=now, void_reason=why[:200])
    Requirement.objects.filter(pk=decision.requirement_id).ask_again(now)
    role = decision.requirement.role.label
    record(
        promotion,
        "decision.voided",
        f"lost the decision of {decision.people} as {role}. {why}",
        by=SYSTEM,
        reason=why,
        approval={"requirement": role, "choice": decision.choice, "plan_hash": decision.plan_hash},
        people=decision.named,
    )


def void_waiver(
    promotion: Promotion, waiver: Waiver, why: str, *, now: datetime, by: User | Actor = SYSTEM, kind: str = ""
) -> None:
    """This function will end a waiver of a promotion that the caller has locked."""
    Waiver.objects.filter(pk=waiver.pk, voided_at=None).update(voided_at=now, void_reason=why[:200])
    record(
        promotion,
        kind or "waiver.voided",
        f"lost the {waiver}. {why}",
        by=by,
        reason=why,
        approval={"gate": waiver.gate, "plan_hash": waiver.plan_hash},
    )


def _keep(case: Case, results: tuple[GateResult, ...], *, now: datetime) -> None:
    promotion, gates = case.promotion, [_stored(result) for result in results]
    write(promotion, gates_at=now, policy_version=case.policy_version)
    if gates != promotion.gates:  # long, and nearly always as they were
        write(promotion, gates=gates)
        tell(promotion)


def _stored(result: GateResult) -> dict[str, Any]:
    next_open = result.next_open.isoformat() if result.next_open else None
    return {
        **asdict(result),
        "outcome": result.outcome.value,
        "evidence": list(result.evidence),
        "next_open": next_open,
    }


def write(promotion: Promotion, **columns: Any) -> None:
    """This function will set columns other than the state, which only `advance` does; the caller holds the lock."""
    Promotion.objects.filter(pk=promotion.pk).update(**columns)
    for name, value in columns.items():
        setattr(promotion, name, value)


def _move(promotion: Promotion, results: tuple[GateResult, ...], *, now: datetime) -> None:
    passed, is_ready = lets_pass(results), promotion.state == PromotionState.READY
    if passed and not is_ready:
        sentence = "is ready: every gate lets pass"
        advance(promotion, PromotionState.READY, by=SYSTEM, now=now, sentence=sentence)
        if promotion.starts_by_itself:
            hints.wake(START_TASK, promotion.pk)
    elif is_ready and not passed:
        why = next(result.sentence for result in results if not result.outcome.lets_pass)
        advance(promotion, PromotionState.PENDING, by=SYSTEM, now=now, sentence=f"waits again. {why}", outcome=why)
