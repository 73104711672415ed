"""Who is told of an approval that nobody gives: who may, then the role above, and at once where nobody can."""

from datetime import datetime
from uuid import UUID

from django.conf import settings

from apps.accounts.enums import Capability
from apps.accounts.models import User
from apps.approvals import permissions
from apps.approvals.actions.facts import Case
from apps.approvals.deciders import deciders_of
from apps.approvals.enums import NoticeKind
from apps.approvals.ledger import record
from apps.approvals.models import Decision, Notice, Promotion, Requirement
from apps.approvals.transitions import tell
from apps.audit.actors import SYSTEM
from apps.core import hints
from apps.policies.facts import Facts
from apps.policies.reminders import Reminders
from apps.workspaces import rights

MAIL_TASK = "approvals.mail"
NOBODY = "nobody, since nobody there could change it"


def see_to_unanswered(
    case: Case, requirements: list[Requirement], decisions: list[Decision], facts: Facts, *, now: datetime
) -> None:
    """This function will tell people of the requirements of a locked, waiting promotion, of each thing once.

    What is told once is told again only when a decision became void since, or somebody could decide in between.
    """
    for requirement, told in zip(requirements, facts.requirements, strict=True):
        is_stuck = told.decision is None and not told.may_decide
        if requirement.stuck_since and not is_stuck and _write(requirement, "stuck_since", None):
            sentence = f"can be approved as {requirement.role} again"
            record(case.promotion, "requirement.freed", sentence, by=SYSTEM)
            tell(case.promotion)
        if told.decision is None:
            for kind in due(requirement, case.promotion, case.policy.reminders, is_stuck=is_stuck, now=now):
                _tell(kind, case, requirement, decisions, now=now)


def due(
    requirement: Requirement, promotion: Promotion, terms: Reminders, *, is_stuck: bool, now: datetime
) -> list[NoticeKind]:
    """This function will say what is to be told of a requirement on which nobody decided."""
    since = requirement.waits_since or promotion.requested_at
    if is_stuck:
        return [NoticeKind.ALARM] if requirement.stuck_since is None else []
    found = []
    if requirement.reminded_at is None and terms.reminds(since, now):
        found.append(NoticeKind.REMINDER)
    if requirement.escalated_at is None and terms.escalates(since, now):
        found.append(NoticeKind.ESCALATION)
    return found


def _tell(kind: NoticeKind, case: Case, requirement: Requirement, decisions: list[Decision], *, now: datetime) -> None:
    if not _write(requirement, kind.column, now):
        return
    people = _recipients(kind, case, requirement, decisions, now=now)
    Notice.objects.bulk_create(
        Notice(
            workspace_id=requirement.workspace_id,
            requirement=requirement,
            kind=kind,
            recipient=person,
            told_at=now,
            mail_after=now if settings.EMAIL_HOST and person.email else None,
        )
        for person in people
    )
    names = ", ".join(map(str, people)) or NOBODY
    record(
        case.promotion,
        kind.event,
        f"{kind.clause.format(role=requirement.role)}. Told: {names}",
        by=SYSTEM,
        approval={"requirement": requirement.role_id},
    )
    tell(case.promotion)
    if settings.EMAIL_HOST and people:
        hints.wake(MAIL_TASK, requirement.workspace_id)


def _write(requirement: Requirement, column: str, moment: datetime | None) -> bool:
    """Set a moment that is not set, or take it away; False where that was done already."""
    as_read = Requirement.objects.filter(pk=requirement.pk, **{f"{column}__isnull": moment is not None})
    setattr(requirement, column, moment)
    return bool(as_read.update(**{column: moment}))


def _recipients(
    kind: NoticeKind, case: Case, requirement: Requirement, decisions: list[Decision], *, now: datetime
) -> list[User]:
    workspace_id, above = requirement.workspace_id, case.policy.reminders.escalate_to
    if kind == NoticeKind.ALARM:
        return _who_can_help(workspace_id)
    deciders = deciders_of([workspace_id], now=now, roles={requirement.role_id, above})
    able = permissions.eligible(
        deciders.get((workspace_id, requirement.role_id), ()),
        requirement,
        case.promotion,
        permissions.votes_of(decisions),
    )
    asked = [decider.person for decider in able]
    if kind == NoticeKind.REMINDER:
        return asked
    holders = [decider.person for decider in deciders.get((workspace_id, above), ()) if not decider.loan]
    return [person for person in holders if person not in asked] or _who_can_help(workspace_id)


def _who_can_help(workspace_id: UUID) -> list[User]:
    """Return who may give somebody the role, and who may change what asks for it, each once.

    An administrator by a grant alone is no member and has no inbox there: the mail is all that reaches them.
    """
    able = (*rights.administrators(workspace_id), *rights.capable(Capability.POLICY_CHANGE, workspace_id))
    return list({person.pk: person for person in able}.values())
