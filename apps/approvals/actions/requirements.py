"""Which roles must approve a promotion, as rows that decisions hang on."""

from datetime import datetime

from apps.accounts.models import Role
from apps.approvals.models import Promotion, Requirement
from apps.core.verdict import Conflict
from apps.policies.clauses import Gate, TierPolicy


class UnknownRole(Conflict):
    """The policy asks for a role that nobody can hold, because it does not exist."""

    code = "unknown_role"
    next_step = "Correct the policy of the tier, or add the role."


def ask_for(promotion: Promotion, policy: TierPolicy, *, now: datetime) -> None:
    """This function will make a promotion's requirements those of the policy: new rows for new roles, others ended.

    Raises UnknownRole: a clause names a role that does not exist.
    """
    wanted = {str(clause.settings["role"]): clause for clause in policy.clauses_of(Gate.APPROVALS)}
    if unknown := wanted.keys() - Role.objects.filter(code__in=wanted).values_list("code", flat=True):
        raise UnknownRole(f"The policy asks for the role {', '.join(sorted(unknown))}, which does not exist.")
    there = {requirement.role_id: requirement for requirement in promotion.requirements.all()}
    for position, (role, clause) in enumerate(wanted.items()):
        reason = f"{clause.id}: {clause.text}"[:200]
        if role in there:
            asked = Requirement.objects.filter(pk=there[role].pk)
            if there[role].ended_at is not None:
                asked.ask_again(now)
            asked.update(position=position, reason=reason, ended_at=None)
        else:
            Requirement.objects.create(
                workspace_id=promotion.workspace_id,
                promotion=promotion,
                role_id=role,
                position=position,
                reason=reason,
                waits_since=now,
            )
    promotion.requirements.standing().exclude(role_id__in=wanted).update(ended_at=now)
