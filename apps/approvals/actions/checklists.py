"""People tick lines and take ticks back; what goes by a gate is ticked by the portal."""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from apps.accounts.models import User
from apps.approvals import permissions
from apps.approvals.actions.decisions import NotWaiting, StalePlan, voting_facts
from apps.approvals.actions.facts import Case, collect, owner_of
from apps.approvals.actions.lines import ask_for_lines, details_of, end_tick, keep_tick, ticks_of, void_tick
from apps.approvals.actions.reported import follow_jobs, known_lines
from apps.approvals.actions.settling import lock, settle_locked, standing_decisions
from apps.approvals.enums import WAITING, PromotionState
from apps.approvals.ledger import record
from apps.approvals.models import ChecklistLine, Promotion, Tick
from apps.approvals.transitions import tell
from apps.audit.actors import SYSTEM, Actor
from apps.core.texts import one_line
from apps.core.verdict import Conflict, Invalid
from apps.environments.models import Environment
from apps.policies.checklists import Line, Phase, by_gate
from apps.policies.gates import judge
from apps.policies.judgement import moment
from apps.policies.models import PolicyVersion
from apps.releases.actions import keep_evidence
from apps.releases.enums import EvidenceKind
from apps.releases.models import Evidence, Release

NOTE = 500
AT_ONCE = 50


class AlreadyTicked(Conflict):
    """A double click, or somebody else was quicker."""

    code = "already_ticked"


class TickInvalid(Invalid):
    code = "tick_invalid"


class TickGone(Conflict):
    """It was taken back or voided before."""

    code = "tick_gone"


@transaction.atomic
def tick(line: ChecklistLine, *, note: str, plan_hash: str, by: User, now: datetime) -> Promotion:
    """This function will tick one line of a checklist, on the plan that was shown.

    Before the start the promotion is settled first, so that nobody ticks for what is no longer so, and after.
    Raises Denied: `by` may not tick it. Raises AlreadyTicked, NotWaiting, StalePlan: as they say. Raises TextInvalid:
    for the note, which may be empty.
    """
    note = one_line(note, name="The note", limit=NOTE, required=False)
    promotion = settle_locked(lock(line.promotion_id), now=now)
    line = ChecklistLine.objects.locked().select_related("role").get(pk=line.pk)
    if there := line.ticks.standing().with_people().first():
        raise AlreadyTicked(f"“{line}” was ticked by {there.people} at {there.ticked_at:%H:%M} UTC.")
    if line.ended_at is not None:
        raise NotWaiting(f"“{line}” is no longer asked for. {line.end_reason}")
    facts = voting_facts(by, promotion, [], now=now)
    permissions.may_tick(by, line, facts).require()
    if plan_hash != promotion.plan_hash:
        raise StalePlan("The plan is not the one that you were shown.")
    if line.phase == Phase.PRE and promotion.state not in WAITING:
        raise NotWaiting(
            f"Promotion #{promotion.number} is {promotion.label.lower()}: nothing is left to tick before it."
        )
    loan = permissions.loan_to_tick(line, facts)
    keep_tick(
        Tick(
            line=line,
            promotion=promotion,
            note=note,
            plan_hash=plan_hash,
            ticked_at=now,
            ticked_by=by,
            on_behalf_of=loan.holder if loan else None,
            delegation_id=loan.delegation_id if loan else None,
        ),
        by=by,
    )
    tell(promotion)
    return settle_locked(promotion, now=now)


@transaction.atomic
def take_back(tick: Tick, *, reason: str, by: User, now: datetime) -> Promotion:
    """This function will take a tick back before the deployment starts: the line is open again.

    Raises Denied: `by` neither ticked it nor may tick it. Raises TickGone, NotWaiting: as they say. Raises TextInvalid:
    for the reason.
    """
    reason = one_line(reason, name="The reason", limit=300)
    promotion = settle_locked(lock(tick.promotion_id), now=now)
    tick = Tick.objects.with_people().select_related("line__role").get(pk=tick.pk)
    if tick.voided_at is not None:
        raise TickGone(f"The tick at “{tick.line}” does not count any more: {tick.void_reason}")
    if tick.line.phase != Phase.PRE or promotion.state not in WAITING:
        raise NotWaiting("The deployment has begun: what was ticked until then stays as it is.")
    permissions.may_take_back(by, tick, voting_facts(by, promotion, [], now=now)).require()
    if not end_tick(tick, reason, by=by, now=now):
        raise TickGone(f"The tick at “{tick.line}” does not count any more.")
    record(
        promotion,
        "tick.taken_back",
        f"lost the tick of {tick.people} at “{tick.line}”, taken back by {by}",
        by=by,
        reason=reason,
        approval=details_of(tick),
        people=tick.named,
    )
    tell(promotion)
    return settle_locked(promotion, now=now)


@transaction.atomic
def report_lines(
    release: Release,
    *,
    environment: Environment | None,
    report: bytes,
    artifact_digest: str = "",
    by: Actor,
    now: datetime,
) -> tuple[Evidence, bool]:
    """This function will keep what a job says of lines of checklists, and let it count in each promotion of the release
    that waits in the environment or is owed lines there; the gates of those that wait are judged anew.

    Raises what `keep_evidence` does: then nothing was kept, and no line changes.
    """
    kind, known = EvidenceKind.CHECKLIST, known_lines(release, environment) if environment else {}
    kept = keep_evidence(
        release,
        kind=kind,
        environment=environment,
        artifact_digest=artifact_digest,
        lines=known,
        report=report,
        by=by,
        now=now,
    )
    asked = ChecklistLine.objects.standing().filter(job=True, promotion__lane__environment=environment)
    waits = Q(phase=Phase.PRE, promotion__state__in=WAITING)
    owed = Q(phase=Phase.POST, promotion__state=PromotionState.COMPLETED)
    found = asked.filter(waits | owed, promotion__release=release).values_list("promotion_id", flat=True)
    # In one order, so that two reports that come at once never wait for each other.
    for promotion_id in sorted(set(found)):
        promotion = lock(promotion_id)
        follow_jobs(promotion, by=by, now=now)
        settle_locked(promotion, now=now)
    return kept


def keep_gates_ticks(promotion: Promotion, *, now: datetime) -> None:
    """This function will keep, as its deployment starts, which lines were ticked by gates and what those said.

    Shapes: the promotion comes locked, with its gates as they were judged last.
    """
    said = {clause: row["sentence"] for row in promotion.gates for clause in row["clause"].split(", ")}
    for line in promotion.checklist_lines.standing().of_phase(Phase.PRE).exclude(follows=""):
        note = said.get(line.follows, f"Not needed, since {line.follows} is not asked for here.")
        keep_tick(_by_gate(line, promotion, note, now=now), by=SYSTEM)


def drop_gates_ticks(promotion: Promotion, *, now: datetime) -> None:
    """This function will void what `keep_gates_ticks` kept: the deployment ended with nothing changed."""
    for kept in ticks_of(promotion).of_gates():
        void_tick(promotion, kept, "The deployment ended with nothing changed.", now=now)


def owe_lines(promotion: Promotion, *, now: datetime) -> None:
    """This function will ask for what is to be ticked after a deployment, by the policy that judged the promotion.

    Shapes: the promotion comes locked, `with_subject`, and has just succeeded.
    """
    case = _case(promotion)
    rows = ask_for_lines(promotion, case.policy, Phase.POST, now=now)
    if not rows:
        return
    due = max(row.due_at for row in rows if row.due_at)
    titles = ", ".join(dict.fromkeys(row.title for row in rows))
    record(promotion, "checklist.owed", f"is owed: {titles}, {len(rows)} lines until {moment(due)}", by=SYSTEM)
    _judge(case, now=now)
    follow_jobs(promotion, now=now)


def tick_owed(*, workspace_id: UUID, now: datetime) -> None:
    """This function will tick owed lines of a workspace whose gates have come to let pass, a bounded number at once."""
    owed = ChecklistLine.objects.owed().filter(workspace_id=workspace_id).exclude(follows="")
    waiting = owed.order_by("judged_at").values_list("promotion_id", flat=True)[:AT_ONCE]
    for promotion_id in dict.fromkeys(waiting):
        with transaction.atomic():
            _judge(_case(lock(promotion_id)), now=now)


def _case(promotion: Promotion) -> Case:
    """Return the promotion as it was judged: by its own version of the policy, on the plan that was carried out."""
    tier, number = promotion.lane.environment.tier, promotion.policy_version
    rules = PolicyVersion.objects.get(tier=tier, number=number).rules
    owner = owner_of(promotion.lane)
    policy = rules.for_owner(owner, in_emergency=promotion.was_emergency)
    return Case(promotion, policy, number, promotion.plan)


def _judge(case: Case, *, now: datetime) -> None:
    promotion = case.promotion
    lines = list(promotion.checklist_lines.owed().exclude(follows=""))
    if not lines:
        return
    requirements = list(promotion.requirements.standing().select_related("role").order_by("position"))
    facts = collect(case, requirements, standing_decisions(promotion), now=now)
    for line in lines:
        asked = Line(line.line, line.text, clause=line.follows)
        answer = by_gate(asked, case.policy, lambda gate: judge(gate, case.policy, facts))
        if answer.is_ticked:
            keep_tick(_by_gate(line, promotion, answer.said, now=now), by=SYSTEM)
    promotion.checklist_lines.owed().exclude(follows="").update(judged_at=now)
    tell(promotion)


def _by_gate(line: ChecklistLine, promotion: Promotion, said: str, *, now: datetime) -> Tick:
    note = said if len(said) <= NOTE else f"{said[: NOTE - 1]}…"
    return Tick(line=line, promotion=promotion, note=note, plan_hash=promotion.plan_hash, ticked_at=now)
