"""Roles that are lent while their holder is absent: given, ended early, and void once one of the two has left."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from apps.accounts.models import User
from apps.approvals import permissions
from apps.approvals.models import Delegation
from apps.audit import actions as audit
from apps.audit.actors import SYSTEM, Actor
from apps.core.texts import one_line
from apps.core.verdict import Conflict, Invalid
from apps.workspaces.models import Membership

LONGEST = timedelta(days=90)


class SpanInvalid(Invalid):
    code = "span_invalid"
    next_step = "Give another beginning or end."


class AlreadyDelegated(Conflict):
    code = "already_delegated"
    next_step = "End the one there is, or choose another time or person."


class DelegationEnded(Conflict):
    code = "delegation_ended"


@transaction.atomic
def delegate(
    membership: Membership,
    *,
    to: User,
    ends_at: datetime,
    reason: str,
    by: User,
    now: datetime,
    begins_at: datetime | None = None,
) -> Delegation:
    """This function will lend a person's own role to another member of the workspace, from now unless said otherwise.

    Units: at most LONGEST, and not over before it is given.
    Raises Denied: it is not theirs, decides nothing, or `to` is no other member. Raises SpanInvalid, TextInvalid: for
    what was given. Raises AlreadyDelegated: `to` has the role from them in that time already.
    """
    reason = one_line(reason, name="The reason", limit=300)
    membership = Membership.objects.locked().select_related("role", "user", "workspace").get(pk=membership.pk)
    there = Membership.objects.current().filter(workspace_id=membership.workspace_id, user_id=to.pk)
    permissions.may_delegate(by, membership, to, is_member=there.exists()).require()
    begins_at = max(begins_at or now, now)
    _check(begins_at, ends_at)
    open_ones = Delegation.objects.open().filter(membership_id=membership.pk, delegate_id=to.pk)
    if open_ones.filter(begins_at__lt=ends_at, ends_at__gt=begins_at).exists():
        raise AlreadyDelegated(f"{to} stands in for you as {membership.role} in that time already.")
    delegation = Delegation.objects.create(
        workspace_id=membership.workspace_id,
        membership=membership,
        delegate=to,
        reason=reason,
        begins_at=begins_at,
        ends_at=ends_at,
        given_at=now,
    )
    span = {"begins_at": begins_at, "ends_at": ends_at}
    _record(delegation, "given", f"Lent {delegation.sentence}", by=by, reason=reason, after=span)
    return delegation


@transaction.atomic
def end_delegation(delegation: Delegation, *, by: User, now: datetime) -> Delegation:
    """This function will end a delegation at once. What was decided by it counts on, since it was in force then.

    Raises Denied: `by` neither gave nor has it. Raises DelegationEnded: it has ended already, or its time is over.
    """
    delegation = Delegation.objects.locked().with_people().get(pk=delegation.pk)
    permissions.may_end_delegation(by, delegation).require()
    if delegation.ended_at is not None or delegation.ends_at <= now:
        raise DelegationEnded(f"The delegation of {delegation.sentence} has ended already.")
    _end(delegation, f"{by} ended it.", now=now)
    after = {"ended_at": now, "end_reason": delegation.end_reason}
    _record(delegation, "ended", f"Ended the delegation of {delegation.sentence}", by=by, after=after)
    return delegation


def void_delegations(*, workspace_id: UUID, now: datetime) -> list[Delegation]:
    """This function will end those whose holder left the role, or whose delegate left the workspace, for good.

    None of them was in force any more; this keeps one from coming back with the person.
    """
    with transaction.atomic():
        void = list(Delegation.objects.void().filter(workspace_id=workspace_id).locked().with_people())
        for delegation in void:
            why = f"{delegation.membership.user} left the role, or {delegation.delegate} the workspace."
            _end(delegation, why, now=now)
            _record(delegation, "voided", f"The delegation of {delegation.sentence} is void", by=SYSTEM, reason=why)
        return void


def _check(begins_at: datetime, ends_at: datetime) -> None:
    if ends_at <= begins_at:
        raise SpanInvalid("A delegation ends after it begins, and not in the past.")
    if ends_at - begins_at > LONGEST:
        raise SpanInvalid(f"A delegation lasts at most {LONGEST.days} days. Who stays away longer gives the role back.")


def _end(delegation: Delegation, why: str, *, now: datetime) -> None:
    delegation.ended_at, delegation.end_reason = now, why[:200]
    delegation.save(update_fields=["ended_at", "end_reason"])


def _record(
    delegation: Delegation,
    verb: str,
    summary: str,
    *,
    by: User | Actor,
    reason: str = "",
    after: Mapping[str, Any] | None = None,
) -> None:
    audit.record(
        f"delegation.{verb}",
        by=by,
        target=delegation,
        summary=f"{summary} in {delegation.workspace}",
        target_details={"label": delegation.sentence[:200]},
        reason=reason,
        after=after,
        people=[delegation.membership.user, delegation.delegate],
    )
