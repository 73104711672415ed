"""Which roles must approve a promotion, and which lines they must tick, as rows that decisions and ticks hang on."""

from datetime import datetime

from apps.accounts.models import Role
from apps.approvals.actions.lines import ask_for_lines
from apps.approvals.models import Promotion, Requirement
from apps.core.verdict import Conflict
from apps.policies.checklists import Phase, checklists_of
from apps.policies.clauses import Clause, Gate, TierPolicy


class UnknownRole(Conflict):
    """The policy asks for a role that nobody can hold, because it does not exist."""

    code = "unknown_role"
    next_step = "Correct the policy of the tier, or add the role."


def ask_for(promotion: Promotion, policy: TierPolicy, *, now: datetime) -> None:
    """This function will make a promotion's requirements those of the policy: one for each clause, others are ended.

    And the lines of checklists for before the start.
    Raises UnknownRole: a clause names a role that does not exist.
    """
    wanted = policy.clauses_of(Gate.APPROVALS)
    roles = {clause.word("role") for clause in wanted}
    lines = (line for phase in Phase for checklist in checklists_of(policy, phase) for line in checklist.lines)
    roles |= {line.role for line in lines if line.role}
    if unknown := roles - set(Role.objects.filter(code__in=roles).values_list("code", flat=True)):
        raise UnknownRole(f"The policy asks for the role {', '.join(sorted(unknown))}, which does not exist.")
    rows, asked = _rows_of(promotion, wanted), []
    for position, clause in enumerate(wanted):
        reason = f"{clause.id}: {clause.text}"[:200]
        if (row := rows.get(clause.id)) is not None:
            standing = Requirement.objects.filter(pk=row.pk)
            if row.ended_at is not None:
                standing.ask_again(now)
            standing.update(clause=clause.id, position=position, reason=reason, ended_at=None)
        else:
            row = Requirement.objects.create(
                workspace_id=promotion.workspace_id,
                promotion=promotion,
                role_id=clause.word("role"),
                clause=clause.id,
                position=position,
                reason=reason,
                waits_since=now,
            )
        asked.append(row.pk)
    promotion.requirements.standing().exclude(pk__in=asked).update(ended_at=now)
    ask_for_lines(promotion, policy, Phase.PRE, now=now)


def _rows_of(promotion: Promotion, wanted: tuple[Clause, ...]) -> dict[str, Requirement]:
    """Return the row of each clause: its own, else one of the role that no clause has any more, with its history."""
    rows = list(promotion.requirements.order_by("position", "pk"))
    own = {(row.role_id, row.clause): row for row in rows}
    found = {clause.id: own[key] for clause in wanted if (key := (clause.word("role"), clause.id)) in own}
    free = [row for row in rows if row not in found.values()]
    for clause in wanted:
        row = next((row for row in free if row.role_id == clause.word("role")), None)
        if row is not None and clause.id not in found:
            found[clause.id] = row
            free.remove(row)
    return found
