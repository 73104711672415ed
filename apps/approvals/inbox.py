"""What the pages show of approvals: who may decide what, in sentences, by the rules that the actions ask."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from apps.accounts.models import User
from apps.approvals import permissions
from apps.approvals.deciders import Deciders, deciders_of
from apps.approvals.enums import NoticeKind, PromotionState
from apps.approvals.models import Decision, Delegation, Notice, Promotion, Requirement
from apps.approvals.permissions import Loan, VotingFacts, votes_of
from apps.core.verdict import Verdict
from apps.policies.enums import Outcome
from apps.policies.gates import GateResult
from apps.releases.enums import ReleaseSource
from apps.workspaces.models import Membership


@dataclass(frozen=True)
class RequirementRow:
    """One requirement for one viewer. `verdict` says whether they may decide, `who` names those who could.

    `is_stuck`: nobody can, which calls for an administrator. `past` are decisions that no longer count.
    """

    requirement: Requirement
    decision: Decision | None
    past: tuple[Decision, ...]
    verdict: Verdict
    who: tuple[str, ...]
    loan: Loan | None = None

    @property
    def label(self) -> str:
        return str(self.requirement.role)

    @property
    def capacity(self) -> str:
        """As what the viewer would decide, and for whom."""
        return f"{self.label} for {self.loan.holder}" if self.loan else self.label

    @property
    def is_stuck(self) -> bool:
        return self.decision is None and not self.who

    @property
    def who_sentence(self) -> str:
        if self.decision is not None:
            return ""
        if not self.who:
            return f"Nobody can decide as {self.label} now. An administrator can give somebody the role."
        more = f" and {len(self.who) - 3} more" if len(self.who) > 3 else ""
        return f"{', '.join(self.who[:3])}{more} can decide."


def capacities(rows: Iterable[RequirementRow]) -> tuple[str, ...]:
    """This function will say as what somebody may decide, each once: two clauses may ask one role."""
    return tuple(dict.fromkeys(row.capacity for row in rows))


@dataclass(frozen=True)
class InboxEntry:
    """A promotion that waits, with all its requirements; `mine` are those that the viewer may decide now."""

    promotion: Promotion
    requirements: tuple[RequirementRow, ...]

    @property
    def mine(self) -> tuple[RequirementRow, ...]:
        return tuple(row for row in self.requirements if row.verdict)

    @property
    def capacities(self) -> tuple[str, ...]:
        return capacities(self.mine)

    @property
    def is_stuck(self) -> bool:
        return any(row.is_stuck for row in self.requirements)

    @property
    def is_reminded(self) -> bool:
        return any(row.requirement.reminded_at for row in self.mine)

    @property
    def is_escalated(self) -> bool:
        return any(row.requirement.escalated_at for row in self.mine)


@dataclass(frozen=True)
class GateBox:
    """All that stands between a promotion and its start. Gates in `open` come before those in `passed`."""

    promotion: Promotion
    open: tuple[GateResult, ...]
    passed: tuple[GateResult, ...]
    not_needed: tuple[GateResult, ...]
    requirements: tuple[RequirementRow, ...]

    @property
    def results(self) -> tuple[GateResult, ...]:
        return self.open + self.passed + self.not_needed

    @property
    def mine(self) -> tuple[RequirementRow, ...]:
        return tuple(row for row in self.requirements if row.verdict)

    @property
    def next_open(self) -> datetime | None:
        """When time alone lets it start; None when something else is missing as well."""
        moments = [result.next_open for result in self.open]
        return max((moment for moment in moments if moment), default=None) if all(moments) else None

    @property
    def headline(self) -> str:
        """The outcome in words."""
        promotion = self.promotion
        if promotion.state == PromotionState.READY:
            how = "It starts by itself." if promotion.starts_by_itself else "It waits for somebody to start it."
            return f"Ready. {how}"
        if promotion.state != PromotionState.PENDING:
            return f"{promotion.label}. {promotion.outcome}".strip()
        if self.mine:
            return f"Waiting for you, as {' or '.join(capacities(self.mine))}."
        return self.open[0].sentence if self.open else "Waiting to be judged."


def inbox(user: User, workspaces: tuple[UUID, ...], *, now: datetime) -> "QuerySet[Promotion]":
    """This function will return the promotions that this person may decide on now, with their names.

    Shapes: a filter for lists, to be paged by `requested_at`; whether a decision is taken is asked of `may_decide`.
    The frame of every page counts the same in SQL of its own.
    """
    standing = Decision.objects.standing()
    roles = Membership.objects.current().filter(
        user_id=user.pk, workspace_id=OuterRef("workspace_id"), role_id=OuterRef("role_id")
    )
    holder = OuterRef("membership__user_id")
    lent = Delegation.objects.in_force(now).filter(
        ~Exists(Promotion.objects.filter(_part_of(holder), pk=OuterRef(OuterRef("promotion_id")))),
        ~Exists(standing.filter(_counts(holder), promotion_id=OuterRef(OuterRef("promotion_id")))),
        delegate_id=user.pk,
        workspace_id=OuterRef("workspace_id"),
        membership__role_id=OuterRef("role_id"),
    )
    mine = Requirement.objects.standing().filter(
        Exists(roles) | Exists(lent),
        ~Exists(standing.filter(requirement_id=OuterRef("pk"))),
        promotion_id=OuterRef("pk"),
    )
    return (
        Promotion.objects.visible_in(workspaces)
        .named()
        .filter(
            Exists(mine),
            ~_part_of(user.pk),
            ~Exists(standing.filter(_counts(user.pk), promotion_id=OuterRef("pk"))),
            state=PromotionState.PENDING,
        )
    )


def waiting_for_others(
    awaited: "QuerySet[Promotion]", workspaces: tuple[UUID, ...], *, among: int
) -> "QuerySet[Promotion]":
    """This function will return what waits and is not in somebody's inbox, which is `awaited`, newest first.

    Shapes: with names. Units: of so many that wait, the newest, or whoever decides on all would have all read.
    """
    newest = Promotion.objects.visible_in(workspaces).waiting().order_by("-requested_at", "-pk")
    read = newest.filter(pk__in=newest.values("pk")[:among])
    return read.exclude(Exists(awaited.order_by().filter(pk=OuterRef("pk")))).named()


def told_to(user: User, workspaces: tuple[UUID, ...]) -> "QuerySet[Notice]":
    """This function will return what this person was told so that they see to it, and that is still so, newest first.

    Shapes: escalations and alarms, each with its requirement's role and the promotion's subject.
    """
    decided = Decision.objects.standing().filter(requirement_id=OuterRef("requirement_id"))
    of_now = Q(kind=NoticeKind.ESCALATION, told_at=F("requirement__escalated_at")) | Q(
        kind=NoticeKind.ALARM, told_at=F("requirement__stuck_since")
    )
    found = Notice.objects.visible_in(workspaces).filter(
        of_now,
        ~Exists(decided),
        recipient_id=user.pk,
        requirement__ended_at=None,
        requirement__promotion__state=PromotionState.PENDING,
    )
    subject = ("promotion__release__service", "promotion__lane__environment", "role")
    return found.select_related(*(f"requirement__{name}" for name in subject)).order_by("-told_at", "pk")


def _part_of(person: UUID | OuterRef) -> Q:
    """Return the condition that somebody asked for a promotion, or made what it is about."""
    return (
        Q(requested_by_id=person)
        | Q(release__author_id=person)
        | Q(release__committer_id=person)
        | Q(Q(release__author_id=None) | Q(release__source=ReleaseSource.API), release__created_by_id=person)
    )


def _counts(person: UUID | OuterRef) -> Q:
    """Return the condition that somebody decided, or that somebody did for them."""
    return Q(decided_by_id=person) | Q(on_behalf_of_id=person)


def inbox_entries(promotions: Iterable[Promotion], user: User, *, now: datetime) -> list[InboxEntry]:
    """This function will say of each promotion who may decide what (four queries, however many there are).

    Shapes: the promotions come `named`, in the order that they keep.
    """
    shown = list(promotions)
    rows = requirement_rows(shown, user, now=now)
    return [InboxEntry(promotion, rows.get(promotion.pk, ())) for promotion in shown]


def gate_box(promotion: Promotion, user: User, *, now: datetime) -> GateBox:
    """This function will tell the gates as they were last judged, and who may decide (four queries).

    Shapes: the promotion comes `with_subject`.
    """
    results = [_result(row) for row in promotion.gates]
    return GateBox(
        promotion=promotion,
        open=tuple(result for result in results if not result.outcome.lets_pass),
        passed=tuple(result for result in results if result.outcome in {Outcome.PASSED, Outcome.WAIVED}),
        not_needed=tuple(result for result in results if result.outcome == Outcome.NOT_REQUIRED),
        requirements=requirement_rows([promotion], user, now=now).get(promotion.pk, ()),
    )


def requirement_rows(
    promotions: list[Promotion], user: User, *, now: datetime
) -> dict[UUID, tuple[RequirementRow, ...]]:
    """This function will return the rows of each promotion's requirements by its id, in the policy's order."""
    subjects = {promotion.pk: promotion for promotion in promotions}
    requirements = list(
        Requirement.objects.standing()
        .filter(promotion_id__in=subjects)
        .select_related("role")
        .order_by("promotion", "position")
    )
    decisions: dict[UUID, list[Decision]] = {}
    for decision in Decision.objects.filter(promotion_id__in=subjects).with_people().order_by("decided_at"):
        decisions.setdefault(decision.promotion_id, []).append(decision)
    deciders = deciders_of(
        {requirement.workspace_id for requirement in requirements},
        now=now,
        roles={requirement.role_id for requirement in requirements},
    )
    rows: dict[UUID, tuple[RequirementRow, ...]] = {}
    for requirement in requirements:
        promotion = subjects[requirement.promotion_id]
        row = _row(requirement, promotion, user, decisions.get(promotion.pk, []), deciders)
        rows[promotion.pk] = (*rows.get(promotion.pk, ()), row)
    return rows


def _row(
    requirement: Requirement,
    promotion: Promotion,
    user: User,
    decisions: list[Decision],
    deciders: Deciders,
) -> RequirementRow:
    votes = votes_of([decision for decision in decisions if decision.voided_at is None])
    of_this = [decision for decision in decisions if decision.requirement_id == requirement.pk]
    people = deciders.get((promotion.workspace_id, requirement.role_id), [])
    mine = [decider.loan for decider in people if decider.person == user]
    facts = VotingFacts(
        roles=frozenset({requirement.role_id} if None in mine else ()),
        votes=votes,
        loans=tuple(loan for loan in mine if loan),
    )
    return RequirementRow(
        requirement=requirement,
        decision=next((decision for decision in of_this if decision.voided_at is None), None),
        past=tuple(decision for decision in of_this if decision.voided_at is not None),
        verdict=permissions.may_decide(user, requirement, promotion, facts),
        who=tuple(str(decider) for decider in permissions.eligible(people, requirement, promotion, votes)),
        loan=permissions.loan_for(user, requirement, promotion, facts),
    )


def _result(row: dict[str, Any]) -> GateResult:
    next_open = datetime.fromisoformat(row["next_open"]) if row["next_open"] else None
    return GateResult(
        **{**row, "outcome": Outcome(row["outcome"]), "evidence": tuple(row["evidence"]), "next_open": next_open}
    )
