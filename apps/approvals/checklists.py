"""What the pages show of checklists: how each line stands, and who may tick it, by the rules that the actions ask."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet

from apps.accounts.models import User
from apps.approvals import permissions
from apps.approvals.deciders import Deciders, deciders_of
from apps.approvals.enums import PromotionState
from apps.approvals.models import ChecklistLine, Delegation, Promotion, Tick
from apps.approvals.permissions import VotingFacts
from apps.core.verdict import Verdict
from apps.policies.checklists import Phase
from apps.policies.enums import Outcome
from apps.workspaces.models import Membership

NAMES = 3


@dataclass(frozen=True)
class LineRow:
    """One line for one viewer. `said` is what the gate says that it goes by; `past` are ticks that no longer count.

    `verdict` says whether the viewer may tick it, `who` names those who could.
    """

    line: ChecklistLine
    tick: Tick | None
    past: tuple[Tick, ...]
    verdict: Verdict
    said: str = ""
    is_passed: bool = False
    who: tuple[str, ...] = ()
    may_take_back: bool = False

    @property
    def is_ticked(self) -> bool:
        return self.tick is not None or self.is_passed

    @property
    def may_tick(self) -> bool:
        return not self.is_ticked and self.line.ended_at is None and bool(self.verdict)

    @property
    def who_sentence(self) -> str:
        job = " A job can, too." if self.line.job else ""
        if not self.who:
            return f"Nobody is {self.line.role} there now. An administrator can give somebody the role.{job}"
        more = f" and {len(self.who) - NAMES} more" if len(self.who) > NAMES else ""
        return f"{self.line.role}: {', '.join(self.who[:NAMES])}{more} can tick it.{job}"


@dataclass(frozen=True)
class ShownChecklist:
    """One checklist of one promotion. `due_at` is set for what is ticked after the deployment."""

    promotion: Promotion
    title: str
    clause: str
    phase: str
    rows: tuple[LineRow, ...]
    due_at: datetime | None
    is_overdue: bool

    @property
    def key(self) -> str:
        return f"{self.phase.lower()}-{self.rows[0].line.checklist}"

    @property
    def ticked(self) -> int:
        return sum(row.is_ticked for row in self.rows)

    @property
    def is_done(self) -> bool:
        return self.ticked == len(self.rows)

    @property
    def end_reason(self) -> str:
        """Why the rest is no longer owed; empty where it is, or where nothing is left."""
        return "" if self.is_done else next((row.line.end_reason or "" for row in self.rows if not row.is_ticked), "")


def shown_checklists(promotion: Promotion, user: User, *, now: datetime) -> tuple[ShownChecklist, ...]:
    """This function will tell the checklists of a promotion (one query where it has none, else five at most)."""
    ticks = Tick.objects.with_people().order_by("ticked_at")
    lines = (
        ChecklistLine.objects.filter(promotion_id=promotion.pk)
        .filter(Q(ended_at=None) | Q(phase=Phase.POST))
        .select_related("role")
        .prefetch_related(Prefetch("ticks", ticks))
        .order_by("-phase", "clause", "position")
    )
    found = list(lines)
    roles = {str(line.role_id) for line in found if line.role_id}
    deciders = deciders_of({promotion.workspace_id}, now=now, roles=roles) if roles else {}
    rows = [_row(line, promotion, user, deciders) for line in found]
    groups = groupby(rows, key=lambda row: (row.line.phase, row.line.clause, row.line.title))
    return tuple(_shown(promotion, tuple(group), now=now) for _, group in groups)


def _shown(promotion: Promotion, rows: tuple[LineRow, ...], *, now: datetime) -> ShownChecklist:
    first = rows[0].line
    is_owed = any(not row.is_ticked and row.line.ended_at is None for row in rows)
    is_overdue = first.due_at is not None and is_owed and now > first.due_at
    return ShownChecklist(promotion, first.title, first.clause, first.phase, rows, first.due_at, is_overdue)


def _row(line: ChecklistLine, promotion: Promotion, user: User, deciders: Deciders) -> LineRow:
    ticks = list(line.ticks.all())
    tick = next((tick for tick in ticks if tick.voided_at is None), None)
    people = deciders.get((line.workspace_id, str(line.role_id)), [])
    mine = [decider.loan for decider in people if decider.person == user]
    facts = VotingFacts(
        roles=frozenset({str(line.role_id)} if None in mine else ()), loans=tuple(loan for loan in mine if loan)
    )
    is_before = line.phase == Phase.PRE
    said, is_passed = _by_gate(line, promotion) if line.follows and tick is None and is_before else ("", False)
    return LineRow(
        line=line,
        tick=tick,
        past=tuple(tick for tick in ticks if tick.voided_at is not None),
        verdict=permissions.may_tick(user, line, facts),
        said=said,
        is_passed=is_passed,
        who=tuple(dict.fromkeys(str(decider) for decider in people)),
        may_take_back=(
            is_before
            and tick is not None
            and promotion.state in (PromotionState.PENDING, PromotionState.READY)
            and bool(permissions.may_take_back(user, tick, facts))
        ),
    )


def _by_gate(line: ChecklistLine, promotion: Promotion) -> tuple[str, bool]:
    """Return what the gate said that the line goes by, as it was judged last, and whether it lets pass."""
    for row in promotion.gates:
        if line.follows in row["clause"].split(", "):
            return row["sentence"], Outcome(row["outcome"]).lets_pass
    return f"Not needed, since {line.follows} is not asked for here.", bool(promotion.gates)


@dataclass(frozen=True)
class Owed:
    """How much of a promotion's checklist is open."""

    promotion: Promotion
    title: str
    open: int
    asked_at: datetime
    due_at: datetime | None
    is_overdue: bool


def owed_in(workspaces: tuple[UUID, ...], *, now: datetime, most: int) -> list[Owed]:
    """This function will return what is to be ticked of deployments, the most urgent first (one query).

    Units: so many lines at most are looked at.
    """
    lines = ChecklistLine.objects.visible_in(workspaces).owed().filter(promotion__lane__removed_at=None)
    return _grouped(_with_subject(lines.order_by("due_at", "promotion_id", "clause"))[:most], now=now)


def mine_in(user: User, workspaces: tuple[UUID, ...], *, now: datetime, most: int) -> list[Owed]:
    """This function will return what this person may tick now, what is owed first (one query).

    Units: so many lines at most are looked at.
    """
    held = Membership.objects.current().filter(
        user_id=user.pk, workspace_id=OuterRef("workspace_id"), role_id=OuterRef("role_id")
    )
    lent = Delegation.objects.in_force(now).filter(
        delegate_id=user.pk, workspace_id=OuterRef("workspace_id"), membership__role_id=OuterRef("role_id")
    )
    waits = Q(phase=Phase.POST, promotion__lane__removed_at=None) | Q(
        phase=Phase.PRE, promotion__state=PromotionState.PENDING
    )
    lines = ChecklistLine.objects.visible_in(workspaces).open().filter(waits, Q(Exists(held)) | Q(Exists(lent)))
    return _grouped(_with_subject(lines.order_by("due_at", "promotion_id", "clause"))[:most], now=now)


def _with_subject(lines: "QuerySet[ChecklistLine]") -> "QuerySet[ChecklistLine]":
    return lines.select_related("promotion__release__service", "promotion__lane__environment")


def _grouped(lines: Iterable[ChecklistLine], *, now: datetime) -> list[Owed]:
    found: dict[Any, list[ChecklistLine]] = {}
    for line in lines:
        found.setdefault((line.promotion_id, line.phase, line.clause), []).append(line)
    return [_owed(rows, now=now) for rows in found.values()]


def _owed(rows: list[ChecklistLine], *, now: datetime) -> Owed:
    first = rows[0]
    is_overdue = first.due_at is not None and now > first.due_at
    return Owed(first.promotion, first.title, len(rows), first.asked_at, first.due_at, is_overdue)


def by_phase(checklists: Iterable[ShownChecklist]) -> Mapping[str, list[ShownChecklist]]:
    """This function will put those before the start and those after the deployment apart."""
    found: dict[str, list[ShownChecklist]] = {phase.value: [] for phase in Phase}
    for checklist in checklists:
        found[checklist.phase].append(checklist)
    return found
