"""What is looked at from time to time: put on the calendar, done by its owner, taken off."""

import calendar
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction

from apps.accounts.models import Role, User
from apps.audit import actions as audit
from apps.compliance import permissions
from apps.compliance.access import Access, access_at
from apps.compliance.enums import ReviewKind
from apps.compliance.models import Review, ReviewDone
from apps.compliance.usual import USUAL
from apps.core.canonical import sha256_of
from apps.core.texts import many_lines, one_line
from apps.core.verdict import Conflict, Invalid
from apps.policies.models import PolicyVersion
from apps.workspaces.models import Workspace

# What a reviewer says of a row of access; of their own, others have to say it.
KEEP, FLAG, OWN = "KEEP", "FLAG", "OWN"
# For so long what a page showed may be answered: who confirms rows confirms what is so today.
FRESH = timedelta(days=1)


class ReviewExists(Conflict):
    code = "review_exists"
    next_step = "Give it another title, or take the other one off the calendar first."


class ReviewEnded(Conflict):
    code = "review_ended"


class AlreadyCompleted(Conflict):
    code = "review_completed"


class GoesByRows(Conflict):
    """A review of access is completed on its own page, where each row gets an answer."""

    code = "review_goes_by_rows"
    next_step = "Open the review's rows and answer each."


class NotAnswered(Invalid):
    """Some rows of a review of access have no answer, or the rows are others than those that were shown."""

    code = "rows_not_answered"
    next_step = "Answer every row."


@transaction.atomic
def set_review(
    workspace: Workspace,
    *,
    kind: str,
    title: str,
    asks: str,
    interval_months: int,
    next_due_date: date,
    by: User,
    now: datetime,
    owner: User | None = None,
    owner_role: Role | None = None,
) -> Review:
    """This function will put a review on the calendar of a workspace, owned by a person or by who holds a role.

    Units: interval in months, 1 to 36. Raises ReviewExists: one of this title stands there.
    """
    permissions.may_manage(by, workspace).require()
    values = {
        "kind": kind,
        "title": one_line(title, name="The title", limit=120),
        "asks": one_line(asks, name="What it asks", limit=500),
        "interval_months": interval_months,
        "owner": owner,
        "owner_role": owner_role,
        "next_due_date": next_due_date,
    }
    try:
        with transaction.atomic():
            review = Review.objects.create(workspace=workspace, set_at=now, set_by=by, **values)
    except IntegrityError as error:
        if "review_once" not in str(error):
            raise
        raise ReviewExists(f"“{values['title']}” is on the calendar of {workspace} already.") from error
    audit.record(
        "review.set",
        by=by,
        target=review,
        summary=f"Put “{review}” on the calendar, every {interval_months} months, owned by {review.owner_label}",
        after={"kind": kind, "interval_months": interval_months, "owner": review.owner_label,
               "next_due_date": next_due_date},
        people=[owner] if owner else (),
    )  # fmt: skip
    return review


@transaction.atomic
def set_usual(workspace: Workspace, *, by: User, now: datetime) -> list[Review]:
    """This function will put the usual reviews on the calendar that are not there yet, due after one interval."""
    permissions.may_manage(by, workspace).require()
    # One at a time in a workspace, so that two who press at once do not both find it empty.
    Workspace.objects.select_for_update(no_key=True).get(pk=workspace.pk)
    there = set(Review.objects.filter(workspace=workspace, ended_at=None).values_list("kind", flat=True))
    return [
        set_review(
            workspace, kind=usual.kind, title=usual.title, asks=usual.asks, interval_months=usual.interval_months,
            next_due_date=later(now.date(), usual.interval_months), by=by, now=now,
            owner_role=Role.objects.get(code=usual.owner_role),
        )
        for usual in USUAL
        if usual.kind not in there
    ]  # fmt: skip


@transaction.atomic
def end_review(review: Review, *, by: User, now: datetime) -> Review:
    """This function will take a review off the calendar; what was done of it stays on record. Raises ReviewEnded."""
    review = _locked(review)
    permissions.may_manage(by, review.workspace).require()
    review.ended_at, review.ended_by = now, by
    review.save(update_fields=["ended_at", "ended_by"])
    audit.record(
        "review.ended", by=by, target=review, summary=f"Took “{review}” off the calendar",
        before={"next_due_date": review.next_due_date},
    )  # fmt: skip
    return review


@transaction.atomic
def complete(
    review: Review, *, due_date: date, note: str, link: str = "", with_policies: bool = False, by: User, now: datetime
) -> ReviewDone:
    """This function will write down that a review was done for the day it was due; the next one follows its interval.

    Shapes: `with_policies` keeps which version of each policy is in force at this moment.
    Raises AlreadyCompleted: somebody completed it for that day. Raises ReviewEnded. Raises GoesByRows: it is of access.
    Raises TextInvalid: there is no note.
    """
    review = _locked(review)
    if review.kind == ReviewKind.ACCESS:
        raise GoesByRows(f"“{review}” is completed row by row.")
    details = {"policies": _policies()} if with_policies else {}
    return _done(review, due_date=due_date, note=note, link=link, details=details, by=by, now=now)


@transaction.atomic
def complete_access(
    review: Review,
    *,
    due_date: date,
    as_of: datetime,
    answers: Mapping[str, str],
    note: str,
    by: User,
    now: datetime,
) -> ReviewDone:
    """This function will keep what a reviewer said of each row of access of the workspace as it stood at `as_of`.

    Shapes: `answers` by `row_id`, KEEP or FLAG; of their own rows nobody says anything, others have to.
    Raises NotAnswered: a row has no answer, or an answer no row, or `as_of` is older than a day.
    Raises AlreadyCompleted. Raises ReviewEnded.
    """
    review = _locked(review)
    permissions.may_complete(by, review).require()
    if now - as_of > FRESH:
        raise NotAnswered("These rows are as they stood more than a day ago. Load the page anew.")
    rows = access_at(as_of, [review.workspace_id])
    asked = {row_id(row): row for row in rows if row.person_id != str(by.pk)}
    if missing := [row.who for key, row in asked.items() if answers.get(key) not in (KEEP, FLAG)]:
        raise NotAnswered(f"{len(missing)} rows have no answer, the first is of {missing[0]}.")
    if answers.keys() - asked.keys():
        raise NotAnswered("The rows that were answered are others than those of that moment.")
    said = [{**row.as_row(), "answer": answers.get(row_id(row), OWN) if row_id(row) in asked else OWN} for row in rows]
    flagged = [row for row in said if row["answer"] == FLAG]
    details = {"access": {"as_of": as_of.isoformat(), "digest": sha256_of(said), "rows": said}}
    return _done(
        review, due_date=due_date, note=note, link="", details=details, by=by, now=now,
        more={
            "as_of": as_of, "rows": len(said), "digest": details["access"]["digest"],
            "flagged": [f"{row['who']}: {row['what']}" for row in flagged][:100],
            "own": sum(row["answer"] == OWN for row in said),
        },
    )  # fmt: skip


def row_id(row: Access) -> str:
    """This function will name a row of access in a form."""
    return sha256_of(row.key)[:24]


def later(day: date, months: int) -> date:
    """This function will return the day so many months later, or the last of that month where it has no such day."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def _done(
    review: Review, *, due_date: date, note: str, link: str, details: Mapping[str, Any], by: User, now: datetime,
    more: Mapping[str, Any] | None = None,
) -> ReviewDone:  # fmt: skip
    permissions.may_complete(by, review).require()
    if review.next_due_date != due_date:
        before = ReviewDone.objects.filter(review=review, due_date=due_date).select_related("done_by").first()
        who = f"{before.done_by} completed it" if before else "it was completed"
        raise AlreadyCompleted(f"For {due_date:%d %B %Y} {who} already; it is due next on {review.next_due_date}.")
    done = ReviewDone.objects.create(
        workspace_id=review.workspace_id, review=review, due_date=due_date, done_at=now, done_by=by,
        note=many_lines(note, name="The note", limit=4000, required=True), link=link, details=dict(details),
    )  # fmt: skip
    # What was missed for longer than an interval is not made up for: the next one counts from today then.
    following = later(due_date, review.interval_months)
    review.next_due_date = following if following > now.date() else later(now.date(), review.interval_months)
    review.save(update_fields=["next_due_date"])
    audit.record(
        "review.completed",
        by=by,
        target=review,
        summary=f"Completed “{review}”, due on {due_date:%d %B %Y}{', late' if done.was_late else ''}",
        reason=done.note,
        before={"next_due_date": due_date},
        after={"next_due_date": review.next_due_date, "link": link, **({k: v for k, v in details.items()
               if k == "policies"}), **(more or {})},
    )  # fmt: skip
    return done


def _locked(review: Review) -> Review:
    found: Review = Review.objects.locked().with_owner().get(pk=review.pk)
    if found.ended_at is not None:
        raise ReviewEnded(f"“{found}” was taken off the calendar.")
    return found


def _policies() -> Sequence[Mapping[str, Any]]:
    in_force = PolicyVersion.objects.filter(is_active=True).order_by("tier")
    return [{"tier": each.tier, "version": each.number, "digest": each.digest} for each in in_force]
