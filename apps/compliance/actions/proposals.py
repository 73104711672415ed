"""What takes two people: one proposes it, another confirms it and that it is them, or turns it down (ADR 0104)."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from apps.accounts.confirmation import Confirmation
from apps.accounts.models import User
from apps.audit import actions as audit
from apps.audit import seals
from apps.compliance import permissions
from apps.compliance.enums import LegalBasis, Wish, WishState
from apps.compliance.models import Cut, Erasure, LegalHold, Proposal, Retention
from apps.compliance.models.retention import LEAST_DAYS, latest_until
from apps.compliance.retention import retention_of
from apps.core.platform import PLATFORM_WORKSPACE_ID
from apps.core.texts import one_line
from apps.core.verdict import Conflict, Invalid
from apps.policies.clauses import StepUp
from apps.policies.confirming import confirmed_with, step_up_of_production
from apps.workspaces.models import Workspace

# More would hold all writers' seal back for as long as it is removed.
MOST_LEAVES = 1_000_000
ARCHIVE_YEARS = range(1, 31)
MOST_DAYS = 3_650


class WishDecided(Conflict):
    code = "wish_decided"


class WishPending(Conflict):
    """The same is proposed already."""

    code = "wish_pending"
    next_step = "Decide on the one that waits, or take it back."


class TermsInvalid(Invalid):
    code = "terms_invalid"


class NothingToCut(Conflict):
    code = "nothing_to_cut"
    next_step = "Choose a later month, or wait until entries are old enough."


class CutUnderWay(Conflict):
    code = "cut_under_way"
    next_step = "Wait until it has ended."


class Held(Conflict):
    """A legal hold covers what was to go."""

    code = "held"
    next_step = "Two people have to lift the hold first."


class StillActive(Conflict):
    code = "account_open"
    next_step = "Close the account first: manage.py close_account."


class AlreadyErased(Conflict):
    code = "already_erased"


class HoldLifted(Conflict):
    code = "hold_lifted"


@transaction.atomic
def propose_retention(
    workspace: Workspace, *, online_days: int, archive_years: int, reason: str, by: User, now: datetime
) -> Proposal:
    """This function will propose how long entries of a workspace stay online, and their archives after that.

    Units: days, 365 at least; years, 1 to 30. Raises TermsInvalid. Raises WishPending: another one waits.
    """
    permissions.may_keep(by, workspace.pk).require()
    if not LEAST_DAYS <= online_days <= MOST_DAYS or archive_years not in ARCHIVE_YEARS:
        raise TermsInvalid(f"Entries stay online for {LEAST_DAYS} to {MOST_DAYS} days, archives for 1 to 30 years.")
    terms = {"online_days": online_days, "archive_years": archive_years}
    return _propose(
        Wish.RETENTION, workspace, terms, reason=reason, by=by, now=now,
        summary=f"Proposed to keep entries of {workspace} for {online_days} days online and {archive_years} years",
    )  # fmt: skip


@transaction.atomic
def propose_cut(
    workspace: Workspace, *, until: date, legal_basis: str, reason: str, by: User, now: datetime
) -> Proposal:
    """This function will propose to archive and remove the entries of a workspace before a month.

    Raises TermsInvalid: the day is none that begins a month, or younger than the retention allows. Raises NothingToCut.
    Raises Held. Raises CutUnderWay. Raises WishPending.
    """
    permissions.may_keep(by, workspace.pk).require()
    last = _leaves_of(workspace.pk, until, now=now)
    return _propose(
        Wish.CUT, workspace, {"until": until.isoformat()}, legal_basis=legal_basis, reason=reason, by=by, now=now,
        summary=f"Proposed to cut the entries of {workspace} before {until:%d %B %Y}: leaves {last[0]} to {last[1]}",
    )  # fmt: skip


@transaction.atomic
def propose_lift(hold: LegalHold, *, reason: str, by: User, now: datetime) -> Proposal:
    """This function will propose to lift a legal hold. Raises HoldLifted. Raises WishPending."""
    hold = _standing(hold.pk)
    permissions.may_keep(by, hold.workspace_id).require()
    return _propose(
        Wish.LIFT, hold.workspace, {"hold": str(hold.pk)}, reason=reason, by=by, now=now,
        summary=f"Proposed to lift the legal hold on {hold.what}",
    )  # fmt: skip


@transaction.atomic
def propose_erasure(person: User, *, legal_basis: str, reason: str, by: User, now: datetime) -> Proposal:
    """This function will propose to erase a person's data in all workspaces. It is for the platform to do.

    Raises StillActive. Raises Held. Raises AlreadyErased. Raises WishPending.
    """
    permissions.may_keep(by, PLATFORM_WORKSPACE_ID).require()
    _require_erasable(person.pk)
    platform = Workspace.objects.get(pk=PLATFORM_WORKSPACE_ID)
    return _propose(
        Wish.ERASURE, platform, {"person": str(person.pk)}, legal_basis=legal_basis, reason=reason, by=by, now=now,
        summary=f"Proposed to erase the personal data of {person}", people=[person],
    )  # fmt: skip


@transaction.atomic
def confirm(
    proposal: Proposal, *, comment: str = "", by: User, now: datetime, confirmation: Confirmation | None = None
) -> Proposal:
    """This function will let happen what somebody else proposed; what takes longer goes on by itself (`jobs`).

    Raises WishDecided. Raises NotConfirmed: the person did not confirm that it is them. And what proposing raises.
    """
    proposal = _locked(proposal)
    permissions.may_confirm(by, proposal).require()
    proof = confirmed_with(step_up(), by, confirmation, now=now)
    _decide(proposal, WishState.CONFIRMED, comment=comment, by=by, now=now)
    kind, summary, before, after = _EFFECTS[Wish(proposal.wish)](proposal, now)
    audit.record(
        kind,
        by=by,
        target=proposal,
        workspace_id=proposal.workspace_id,
        summary=summary,
        reason=proposal.reason,
        before=before,
        after={**after, "legal_basis": proposal.legal_basis},
        approval={
            "proposal": str(proposal.pk), "proposed_by": str(proposal.proposed_by_id), "comment": proposal.comment,
            **({"confirmed_with": proof} if proof else {}),
        },
    )  # fmt: skip
    return proposal


@transaction.atomic
def turn_down(proposal: Proposal, *, comment: str, by: User, now: datetime) -> Proposal:
    """This function will end a proposal: its author takes it back, anybody else who may decide rejects it.

    Raises WishDecided. Raises TextInvalid: there is no comment.
    """
    comment = one_line(comment, name="The comment", limit=300)
    proposal = _locked(proposal)
    permissions.may_keep(by, proposal.workspace_id).require()
    is_own = by.pk == proposal.proposed_by_id
    state = WishState.WITHDRAWN if is_own else WishState.REJECTED
    _decide(proposal, state, comment=comment, by=by, now=now)
    audit.record(
        "retention.withdrawn" if is_own else "retention.rejected", by=by, target=proposal,
        summary=f"{'Took back' if is_own else 'Rejected'} the proposal to {proposal}", reason=proposal.comment,
        before={"state": WishState.OPEN}, after={"state": state},
    )  # fmt: skip
    return proposal


def step_up() -> StepUp:
    """This function will say how people confirm that it is them here: as for Production, and never not at all."""
    return step_up_of_production() or StepUp.SECOND_FACTOR_OR_PASSWORD


def _propose(
    wish: Wish, workspace: Workspace, terms: Mapping[str, Any], *, reason: str, by: User, now: datetime, summary: str,
    legal_basis: str = "", people: list[User] | None = None,
) -> Proposal:  # fmt: skip
    if wish in (Wish.CUT, Wish.ERASURE) and legal_basis not in LegalBasis.values:
        raise TermsInvalid("Name the legal basis.")
    # One at a time in a workspace, so that two who press at once do not both find none.
    Workspace.objects.select_for_update(no_key=True).get(pk=workspace.pk)
    same = Proposal.objects.filter(workspace=workspace, wish=wish, state=WishState.OPEN)
    if (same.filter(terms=dict(terms)) if wish in (Wish.LIFT, Wish.ERASURE) else same).exists():
        raise WishPending("The same is proposed already, and waits for another person.")
    proposal = Proposal.objects.create(
        workspace=workspace, wish=wish, terms=dict(terms), legal_basis=legal_basis, proposed_at=now, proposed_by=by,
        reason=one_line(reason, name="The reason", limit=300),
    )  # fmt: skip
    audit.record(
        "retention.proposed", by=by, target=proposal, summary=summary, reason=proposal.reason,
        after={"wish": wish, **terms, "legal_basis": legal_basis}, people=people or (),
    )  # fmt: skip
    return proposal


Told = tuple[str, str, Mapping[str, Any], Mapping[str, Any]]


def _keep(proposal: Proposal, now: datetime) -> Told:
    before = retention_of(proposal.workspace_id)
    kept = Retention.objects.create(
        workspace_id=proposal.workspace_id, proposal=proposal, since=now,
        online_days=proposal.terms["online_days"], archive_years=proposal.terms["archive_years"],
    )  # fmt: skip
    return (
        "retention.changed", f"Entries of {proposal.workspace} are kept: {kept}",
        {"online_days": before.online_days, "archive_years": before.archive_years}, dict(proposal.terms),
    )  # fmt: skip


def _cut(proposal: Proposal, now: datetime) -> Told:
    until = date.fromisoformat(proposal.terms["until"])
    first, last = _leaves_of(proposal.workspace_id, until, now=now)
    cut = Cut.objects.create(
        workspace_id=proposal.workspace_id, proposal=proposal, until=until, first_leaf=first, last_leaf=last,
        confirmed_at=now,
    )  # fmt: skip
    return (
        "retention.cut_confirmed", f"Confirmed to cut {cut} of {proposal.workspace}", {},
        {"until": until, "leaves": f"{first} to {last}"},
    )  # fmt: skip


def _lift(proposal: Proposal, now: datetime) -> Told:
    hold = _standing(UUID(proposal.terms["hold"]))
    hold.lifted_at, hold.lifted_with = now, proposal
    hold.save(update_fields=["lifted_at", "lifted_with"])
    return "legal_hold.lifted", f"Lifted the legal hold on {hold.what}", {"lifted_at": None}, {"lifted_at": now}


def _erase(proposal: Proposal, now: datetime) -> Told:
    person = UUID(proposal.terms["person"])
    _require_erasable(person)
    Erasure.objects.create(
        workspace_id=proposal.workspace_id, proposal=proposal, person_id=person, confirmed_at=now
    )  # fmt: skip
    return "subject.erasure_confirmed", "Confirmed to erase a person's data", {}, {"person": str(person)}


_EFFECTS: dict[Wish, Callable[[Proposal, datetime], Told]] = {
    Wish.RETENTION: _keep, Wish.CUT: _cut, Wish.LIFT: _lift, Wish.ERASURE: _erase,
}  # fmt: skip


def _leaves_of(workspace_id: UUID, until: date, *, now: datetime) -> tuple[int, int]:
    """Return the first and the last leaf that a cut before this day covers."""
    kept = retention_of(workspace_id)
    latest = latest_until(now, kept.online_days)
    if until.day != 1:
        raise TermsInvalid("A cut is of whole months: name the first day of a month.")
    if until > latest:
        raise TermsInvalid(
            f"Entries stay online for {kept.online_days} days, so that those before {latest:%d %B %Y} may go at most."
        )
    if Cut.objects.filter(workspace_id=workspace_id).under_way().exists():
        raise CutUnderWay("Another cut of this workspace is under way.")
    before = Cut.objects.filter(workspace_id=workspace_id).order_by("-last_leaf").first()
    first = before.last_leaf + 1 if before else 0
    end = seals.leaves_before(workspace_id, datetime(until.year, until.month, 1, tzinfo=UTC), since=first)
    if end <= first:
        raise NothingToCut(f"No sealed entry of this workspace is from before {until:%d %B %Y}.")
    if end - first > MOST_LEAVES:
        raise TermsInvalid(
            f"These are {end - first:,} entries, and a cut takes {MOST_LEAVES:,} at most. Choose an earlier month."
        )
    _require_not_held(workspace_id, first, end - 1)
    return first, end - 1


def _require_not_held(workspace_id: UUID, first: int, last: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT legal_hold_on_leaves(%s, %s, %s)", [workspace_id, first, last])
        (found,) = cursor.fetchone()
    if found:
        raise Held(f"A legal hold covers entries of it: {LegalHold.objects.get(pk=found).what}.")


def _require_erasable(person_id: UUID) -> None:
    if Erasure.objects.filter(person_id=person_id).exists():
        raise AlreadyErased("The data of this person were erased, or are about to be.")
    with connection.cursor() as cursor:
        cursor.execute("SELECT erasure_hindrance(%s)", [person_id])
        (hindrance,) = cursor.fetchone()
    if hindrance == "active":
        raise StillActive("The account is open: whoever still works here is named in the trail.")
    if hindrance:
        raise Held("A legal hold covers entries about this person.")


def _standing(hold_id: UUID) -> LegalHold:
    LegalHold.objects.locked().only("pk").get(pk=hold_id)
    found: LegalHold = LegalHold.objects.select_related("workspace").get(pk=hold_id)
    if found.lifted_at is not None:
        raise HoldLifted("This legal hold was lifted already.")
    return found


def _locked(proposal: Proposal) -> Proposal:
    Proposal.objects.locked().only("pk").get(pk=proposal.pk)
    found = Proposal.objects.select_related("workspace", "proposed_by", "decided_by").get(pk=proposal.pk)
    if found.state != WishState.OPEN:
        raise WishDecided(f"{found.decided_by} has decided on it already: {found.state_label.lower()}.")
    return found


def _decide(proposal: Proposal, state: WishState, *, comment: str, by: User, now: datetime) -> None:
    proposal.state, proposal.decided_at, proposal.decided_by = state, now, by
    proposal.comment = one_line(comment, name="The comment", limit=300) if comment else ""
    proposal.save(update_fields=["state", "decided_at", "decided_by", "comment"])
