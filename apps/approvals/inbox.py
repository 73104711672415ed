"""What the pages show of approvals: who may decide what, in sentences, by the rules that the actions ask."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from apps.accounts.models import User
from apps.approvals import permissions
from apps.approvals.enums import PromotionState
from apps.approvals.models import Decision, Promotion, Requirement
from apps.approvals.permissions import VotingFacts, votes_of
from apps.core.verdict import Verdict
from apps.policies.enums import Outcome
from apps.policies.gates import GateResult
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

    @property
    def label(self) -> str:
        return str(self.requirement.role)

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


@dataclass(frozen=True)
class InboxEntry:
    """A promotion that waits, with all its requirements; `mine` are those that the viewer may decide now."""

    promotion: Promotion
    requirements: tuple[RequirementRow, ...]

    @property
    def mine(self) -> tuple[RequirementRow, ...]:
        return tuple(row for row in self.requirements if row.verdict)

    @property
    def is_stuck(self) -> bool:
        return any(row.is_stuck for row in self.requirements)


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
            return f"Waiting for you, as {' or '.join(row.label for row in self.mine)}."
        return self.open[0].sentence if self.open else "Waiting to be judged."


def inbox(user: User, workspaces: tuple[UUID, ...]) -> "QuerySet[Promotion]":
    """This function will return the promotions that this person may decide on now, with their subjects.

    Shapes: a filter for lists, to be paged by `requested_at`; whether a decision is taken is asked of `may_decide`.
    The frame of every page counts the same in SQL of its own.
    """
    standing = Decision.objects.standing()
    roles = Membership.objects.current().filter(
        user_id=user.pk, workspace_id=OuterRef("workspace_id"), role_id=OuterRef("role_id")
    )
    mine = Requirement.objects.standing().filter(
        Exists(roles), ~Exists(standing.filter(requirement_id=OuterRef("pk"))), promotion_id=OuterRef("pk")
    )
    own = Promotion.objects.filter(
        Q(requested_by_id=user.pk)
        | Q(release__author_id=user.pk)
        | Q(release__committer_id=user.pk)
        | Q(release__author_id=None, release__created_by_id=user.pk),
        pk=OuterRef("pk"),
    )
    return (
        Promotion.objects.visible_in(workspaces)
        .with_subject()
        .filter(
            Exists(mine),
            ~Exists(own),
            ~Exists(standing.filter(promotion_id=OuterRef("pk"), decided_by_id=user.pk)),
            state=PromotionState.PENDING,
        )
    )


def inbox_entries(promotions: Iterable[Promotion], user: User) -> list[InboxEntry]:
    """This function will say of each promotion who may decide what (three queries, however many there are).

    Shapes: the promotions come `with_subject`, in the order that they keep.
    """
    shown = list(promotions)
    rows = requirement_rows(shown, user)
    return [InboxEntry(promotion, rows.get(promotion.pk, ())) for promotion in shown]


def gate_box(promotion: Promotion, user: User) -> GateBox:
    """This function will tell the gates as they were last judged, and who may decide (three queries).

    Shapes: the promotion comes `with_subject`.
    """
    results = [_result(row) for row in promotion.gates]
    return GateBox(
        promotion=promotion,
        open=tuple(result for result in results if not result.outcome.lets_pass),
        passed=tuple(result for result in results if result.outcome in {Outcome.PASSED, Outcome.WAIVED}),
        not_needed=tuple(result for result in results if result.outcome == Outcome.NOT_REQUIRED),
        requirements=requirement_rows([promotion], user).get(promotion.pk, ()),
    )


def requirement_rows(promotions: list[Promotion], user: User) -> dict[UUID, tuple[RequirementRow, ...]]:
    """This function will return the rows of each promotion's requirements by its id, in the policy's order."""
    subjects = {promotion.pk: promotion for promotion in promotions}
    requirements = list(
        Requirement.objects.standing()
        .filter(promotion_id__in=subjects)
        .select_related("role")
        .order_by("promotion", "position")
    )
    decisions: dict[UUID, list[Decision]] = {}
    for decision in (
        Decision.objects.filter(promotion_id__in=subjects)
        .select_related("decided_by", "requirement__role")
        .order_by("decided_at")
    ):
        decisions.setdefault(decision.promotion_id, []).append(decision)
    holders = _holders(requirements)
    rows: dict[UUID, tuple[RequirementRow, ...]] = {}
    for requirement in requirements:
        promotion = subjects[requirement.promotion_id]
        row = _row(requirement, promotion, user, decisions.get(promotion.pk, []), holders)
        rows[promotion.pk] = (*rows.get(promotion.pk, ()), row)
    return rows


def _row(
    requirement: Requirement,
    promotion: Promotion,
    user: User,
    decisions: list[Decision],
    holders: dict[tuple[UUID, str], list[User]],
) -> RequirementRow:
    votes = votes_of([decision for decision in decisions if decision.voided_at is None])
    of_this = [decision for decision in decisions if decision.requirement_id == requirement.pk]
    people = holders.get((promotion.workspace_id, requirement.role_id), [])
    roles = frozenset({requirement.role_id} if user in people else ())
    return RequirementRow(
        requirement=requirement,
        decision=next((decision for decision in of_this if decision.voided_at is None), None),
        past=tuple(decision for decision in of_this if decision.voided_at is not None),
        verdict=permissions.may_decide(user, requirement, promotion, VotingFacts(roles, votes)),
        who=tuple(str(person) for person in permissions.eligible(people, requirement, promotion, votes)),
    )


def _holders(requirements: list[Requirement]) -> dict[tuple[UUID, str], list[User]]:
    found: dict[tuple[UUID, str], list[User]] = {}
    memberships = (
        Membership.objects.current()
        .filter(
            workspace_id__in={requirement.workspace_id for requirement in requirements},
            role_id__in={requirement.role_id for requirement in requirements},
        )
        .select_related("user")
        .order_by("user__display_name", "user__username")
    )
    for membership in memberships:
        found.setdefault((membership.workspace_id, membership.role_id), []).append(membership.user)
    return found


def _result(row: dict[str, Any]) -> GateResult:
    next_open = datetime.fromisoformat(row["next_open"]) if row["next_open"] else None
    return GateResult(
        **{**row, "outcome": Outcome(row["outcome"]), "evidence": tuple(row["evidence"]), "next_open": next_open}
    )
