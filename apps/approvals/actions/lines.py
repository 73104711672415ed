"""The lines of checklists as rows that ticks hang on: asked for by the policy, ended when they no longer are."""

from datetime import datetime, timedelta

from django.db.models import F

from apps.accounts.models import User
from apps.approvals.ledger import record
from apps.approvals.models import ChecklistLine, Promotion, Tick
from apps.approvals.querysets import TickQuerySet
from apps.audit.actors import SYSTEM, Actor
from apps.environments.models import Lane
from apps.policies.checklists import Checklist, Line, Phase, checklists_of
from apps.policies.clauses import TierPolicy


def ask_for_lines(promotion: Promotion, policy: TierPolicy, phase: Phase, *, now: datetime) -> list[ChecklistLine]:
    """This function will make a promotion's lines for before or after the deployment those of the policy, and return
    the new ones.

    A line that is worded or ticked otherwise now is another line: what was ticked of the one before ends with it.
    """
    wanted = [
        _row(promotion, checklist, line, position, now=now)
        for checklist in checklists_of(policy, phase)
        for position, line in enumerate(checklist.lines)
    ]
    there = {_said(row): row for row in promotion.checklist_lines.standing().of_phase(phase)}
    gone = there.keys() - {_said(row) for row in wanted}
    end = {"ended_at": now, "end_reason": "The policy no longer asks for it so."}
    ChecklistLine.objects.filter(pk__in=[there[said].pk for said in gone], ended_at=None).update(**end)
    return ChecklistLine.objects.bulk_create(row for row in wanted if _said(row) not in there)


def ticks_of(promotion: Promotion) -> TickQuerySet:
    """This function will return the ticks that stand of what is to be done before the start."""
    ticks = Tick.objects.standing().filter(promotion_id=promotion.pk, line__phase=Phase.PRE, line__ended_at=None)
    return ticks.with_people().select_related("line", "line__role")


def void_unbacked(promotion: Promotion, *, now: datetime) -> None:
    """This function will void the ticks of people who no longer are what their line asks for."""
    for tick in ticks_of(promotion).with_backing().filter(ticked_by__isnull=False, is_backed=False):
        why = f"{tick.on_behalf_of or tick.ticked_by} no longer holds the role, or somebody left the workspace."
        void_tick(promotion, tick, why, now=now)


def keep_tick(tick: Tick, *, by: User | Actor) -> None:
    """This function will keep the one tick of a line. Shapes: its promotion is locked, so nobody comes between."""
    tick.workspace_id = tick.promotion.workspace_id
    tick.save(force_insert=True)
    after = ", after the deployment" if tick.line.phase == Phase.POST else ""
    late = ", late" if tick.line.due_at and tick.ticked_at > tick.line.due_at else ""
    record(
        tick.promotion,
        "tick.given",
        f"had “{tick.line}” ticked by {tick.people}{after}{late}",
        by=by,
        reason=tick.note,
        approval=details_of(tick),
        people=tick.named,
    )


def void_tick(promotion: Promotion, tick: Tick, why: str, *, now: datetime) -> None:
    """This function will void a tick of a promotion that the caller has locked."""
    if not end_tick(tick, why, by=None, now=now):
        return
    record(
        promotion,
        "tick.voided",
        f"lost the tick of {tick.people} at “{tick.line}”. {why}",
        by=SYSTEM,
        reason=why,
        approval=details_of(tick),
        people=tick.named,
    )


def end_tick(tick: Tick, why: str, *, by: User | None, now: datetime) -> bool:
    """This function will say whether it ended the tick: nobody did before."""
    end = {"voided_at": now, "voided_by": by, "void_reason": why[:300]}
    return bool(Tick.objects.filter(pk=tick.pk, voided_at=None).update(**end))


def details_of(tick: Tick) -> dict[str, str]:
    """This function will return what the ledger keeps of a tick, loaded with its line."""
    line = tick.line
    found = {"tick": str(tick.pk), "checklist": line.checklist, "line": line.line, "clause": line.clause}
    lent = {"on_behalf_of": str(tick.on_behalf_of), "delegation": str(tick.delegation_id)} if tick.on_behalf_of else {}
    told = {"evidence": str(tick.evidence_id)} if tick.evidence_id else {}
    return {**found, "plan_hash": tick.plan_hash, **lent, **told}


def end_overtaken(lane: Lane, why: str, *, now: datetime, by: Promotion | None = None) -> None:
    """This function will end what is owed of earlier deployments to a lane: what they brought no longer serves there.

    Shapes: `by` is the promotion that brought what serves, if one did. What was ticked stays ticked.
    """
    owed = ChecklistLine.objects.standing().of_phase(Phase.POST).filter(promotion__lane_id=lane.pk)
    if by is None:
        owed = owed.exclude(promotion__release_id=F("promotion__lane__live_release_id"))
    else:
        owed = owed.exclude(promotion_id=by.pk)
    open_in = set(owed.open().values_list("promotion_id", flat=True))
    owed.update(ended_at=now, end_reason=why[:200])
    for promotion in Promotion.objects.filter(pk__in=open_in).with_subject():
        record(promotion, "checklist.ended", f"is no longer owed the rest of its checklist. {why}", by=SYSTEM)


def _row(promotion: Promotion, checklist: Checklist, line: Line, position: int, *, now: datetime) -> ChecklistLine:
    due_at = now + timedelta(hours=checklist.hours) if checklist.hours else None
    return ChecklistLine(
        workspace_id=promotion.workspace_id,
        promotion=promotion,
        clause=checklist.clause,
        checklist=checklist.id,
        title=checklist.title,
        phase=checklist.phase,
        position=position,
        line=line.id,
        text=line.text,
        role_id=line.role or None,
        follows=line.clause,
        job=line.job,
        asked_at=now,
        due_at=due_at,
    )


def _said(row: ChecklistLine) -> tuple[object, ...]:
    return (
        row.clause, row.checklist, row.title, row.phase, row.position, row.line, row.text, row.role_id, row.follows,
        row.job,
    )  # fmt: skip
