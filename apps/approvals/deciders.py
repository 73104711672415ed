"""Through whom roles can decide: who holds them, and to whom they are lent. One answer for gates, pages and strips."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from apps.approvals.models import Delegation
from apps.approvals.permissions import Decider, Loan
from apps.workspaces.models import Membership

Deciders = Mapping[tuple[UUID, str], list[Decider]]


def deciders_of(workspaces: Collection[UUID], *, now: datetime, roles: Collection[str] | None = None) -> Deciders:
    """This function will return by (workspace, role) who can decide for the role there (two queries).

    Shapes: by name, holders before those to whom it is lent; a holder to whom it is lent as well is there once.
    """
    found: dict[tuple[UUID, str], list[Decider]] = defaultdict(list)
    held = Membership.objects.current().visible_in(tuple(workspaces)).select_related("user")
    lent = Delegation.objects.in_force(now).visible_in(tuple(workspaces)).with_people()
    if roles is not None:
        held, lent = held.filter(role_id__in=roles), lent.filter(membership__role_id__in=roles)
    for membership in held.order_by("user__display_name", "user__username"):
        found[membership.workspace_id, membership.role_id].append(Decider(membership.user))
    holders = {key: {decider.person.pk for decider in deciders} for key, deciders in found.items()}
    for delegation in lent.order_by("delegate__display_name", "delegate__username", "given_at"):
        key = (delegation.workspace_id, delegation.membership.role_id)
        if delegation.delegate_id not in holders[key]:
            found[key].append(Decider(delegation.delegate, loan_of(delegation)))
    return found


def loan_of(delegation: Delegation) -> Loan:
    """This function will return what rules know of a delegation that comes `with_people`."""
    return Loan(delegation.membership.role_id, delegation.pk, delegation.membership.user)
