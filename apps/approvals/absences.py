"""What the page of delegations shows: the roles that one may lend, and what one gave or has."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q

from apps.accounts.enums import Capability
from apps.accounts.models import User
from apps.approvals.models import Delegation
from apps.approvals.querysets import DelegationQuerySet
from apps.workspaces.models import Membership
from apps.workspaces.querysets import MembershipQuerySet


@dataclass(frozen=True)
class DelegationRow:
    """One delegation for somebody whom it concerns."""

    delegation: Delegation
    is_mine: bool
    word: str
    tone: str

    @property
    def may_end(self) -> bool:
        return self.word in {"In force", "To come"}


def lendable_by(user: User, workspaces: tuple[UUID, ...]) -> MembershipQuerySet:
    """This function will return the roles that this person holds and by which they decide on promotions."""
    held = Membership.objects.current().visible_in(workspaces).filter(user_id=user.pk)
    deciding = held.filter(role__capabilities__contains=[Capability.PROMOTION_DECIDE])
    return deciding.select_related("role", "workspace").order_by("workspace__name", "role__position")


def delegations_of(user: User, workspaces: tuple[UUID, ...]) -> DelegationQuerySet:
    """This function will return what this person gave and what they have, with the people; paged by `given_at`."""
    concerned = Q(membership__user_id=user.pk) | Q(delegate_id=user.pk)
    return Delegation.objects.visible_in(workspaces).filter(concerned).with_people()


def delegation_rows(delegations: Iterable[Delegation], user: User, *, now: datetime) -> list[DelegationRow]:
    """This function will say of each how it stands, in the order that they have."""
    return [
        DelegationRow(delegation, delegation.membership.user_id == user.pk, *_standing(delegation, now))
        for delegation in delegations
    ]


def _standing(delegation: Delegation, now: datetime) -> tuple[str, str]:
    if delegation.ended_at is not None:
        return "Ended", "idle"
    if delegation.ends_at <= now:
        return "Over", "idle"
    return ("To come", "wait") if delegation.begins_at > now else ("In force", "ok")
