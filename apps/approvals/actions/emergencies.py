"""What follows an emergency: it is watched closely, and who was not asked before is asked afterwards."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from apps.accounts.confirmation import Confirmation
from apps.accounts.models import User
from apps.approvals import permissions
from apps.approvals.actions.facts import owner_of
from apps.approvals.actions.settling import lock
from apps.approvals.models import Decision, Promotion
from apps.approvals.permissions import Vote, VotingFacts, votes_of
from apps.audit.actors import SYSTEM
from apps.core.verdict import Verdict
from apps.health import actions as health_actions
from apps.incidents import actions as incident_actions
from apps.incidents.enums import DebtKind
from apps.incidents.models import Debt
from apps.policies.clauses import Gate
from apps.policies.confirming import confirmed_with, step_up_of_production
from apps.policies.models import PolicyVersion
from apps.releases.repositories import repository_of
from apps.workspaces.models import Membership

# A day and night of traffic.
CLOSE_WATCH = timedelta(hours=24)


def follow_up(promotion: Promotion, *, now: datetime) -> None:
    """This function will do what an emergency asks for once it succeeded in Production, in that transaction.

    Before that nothing is over; a close watch of Staging would only have the patch soak longer there.
    Shapes: the promotion comes locked, `with_subject`.
    """
    incident, lane = promotion.incident, promotion.lane
    if incident is None or lane.removed_at is not None or not lane.environment.is_production:
        return
    reason = f"Emergency for incident {incident}: {promotion.release.service} {promotion.release}"[:300]
    health_actions.watch_closely(lane, until=now + CLOSE_WATCH, reason=reason, by=SYSTEM, now=now)
    subject = f"Promotion #{promotion.number}, {promotion.subject},"
    merges_back = bool(promotion.release.commit) and repository_of(promotion.release.service).path.is_dir()
    incident_actions.owe(
        incident,
        promotion_id=promotion.pk,
        subject=subject,
        roles=_not_asked(promotion),
        merges_back=merges_back,
        now=now,
    )


def _not_asked(promotion: Promotion) -> list[str]:
    """Return the roles that approve as usual and were not asked: by the policy that judged the promotion."""
    tier = promotion.lane.environment.tier
    version = PolicyVersion.objects.get(tier=tier, number=promotion.policy_version)
    policy = version.rules.for_traits(promotion.traits)
    owner = owner_of(promotion.lane)
    usual, then = (
        [clause.word("role") for clause in found.clauses_of(Gate.APPROVALS)]
        for found in (policy.for_owner(owner, in_emergency=hurried) for hurried in (False, True))
    )
    return [role for role in dict.fromkeys(usual) if role not in then]


@transaction.atomic
def approve_afterwards(
    debt: Debt, *, words: str, by: User, now: datetime, confirmation: Confirmation | None = None
) -> Debt:
    """This function will say what somebody who was not asked before an emergency finds of it.

    Raises Denied: they don't hold the role, or had a part in it. Raises DebtPaid: somebody was quicker. Raises
    NotConfirmed: approvals of Production are confirmed, and this is not.
    """
    if debt.kind != DebtKind.APPROVAL or debt.promotion_id is None:
        raise incident_actions.NotAnApproval(f"{debt.what} is a document that is owed, not an approval.")
    lock(debt.promotion_id)
    held = Membership.objects.current().filter(user_id=by.pk, workspace_id=debt.workspace_id)
    roles = frozenset(held.values_list("role_id", flat=True))
    may_approve_afterwards([debt], by=by, roles=roles)[debt.pk].require()
    proof = confirmed_with(step_up_of_production(), by, confirmation, now=now)
    return incident_actions.write_paid(debt, words=words, by=by, now=now, confirmed_with=proof)


def may_approve_afterwards(debts: Iterable[Debt], *, by: User, roles: frozenset[str]) -> Mapping[UUID, Verdict]:
    """This function will say of each approval that is owed whether somebody with these roles may give it (three
    queries, however many there are).
    """
    owed = [debt for debt in debts if debt.kind == DebtKind.APPROVAL]
    ids = {debt.promotion_id for debt in owed if debt.promotion_id}
    promotions = {each.pk: each for each in Promotion.objects.filter(pk__in=ids).with_subject()}
    said = list(
        Decision.objects.standing().filter(promotion_id__in=ids).select_related("decided_by", "requirement__role")
    )
    paid = list(Debt.objects.filter(promotion_id__in=ids, paid_at__isnull=False).select_related("role"))
    found = {}
    for debt in owed:
        votes = votes_of([each for each in said if each.promotion_id == debt.promotion_id])
        votes += tuple(
            Vote(each.pk, each.paid_by_id, str(each.role))
            for each in paid
            if each.promotion_id == debt.promotion_id and each.paid_by_id and each.role
        )
        promotion, facts = promotions[debt.promotion_id], VotingFacts(roles, votes)  # type: ignore[index]
        found[debt.pk] = permissions.may_approve_afterwards(by, promotion, str(debt.role_id), str(debt.role), facts)
    return found
