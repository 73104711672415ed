"""What the sweeper of every worker sees to: owners of reviews are told of them; cuts and erasures go on."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone

from apps.accounts.letters import is_sent, letter_to
from apps.audit import actions as audit
from apps.audit.actors import SYSTEM
from apps.audit.source import coming_from, task_source
from apps.compliance import cutting
from apps.compliance.models import Review
from apps.workspaces import rights
from apps.workspaces.scope import workspace_scope

AHEAD = timedelta(days=7)
# Until a mail that was not taken, or whose worker died, is tried again.
PAUSE = timedelta(hours=1)


def remind_owners() -> None:
    """This function will mail the owners of reviews that are due within a week, or overdue, once each."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT workspace_id FROM reviews_untold()")
        workspaces = [row[0] for row in cursor.fetchall()]
    for workspace_id in workspaces:
        with workspace_scope([workspace_id]):
            claimed = _claim(workspace_id, now=timezone.now())
        for review, is_overdue in claimed:
            _tell(review, is_overdue=is_overdue)


def see_to_retention() -> None:
    """This function will go on with what two people confirmed: cuts, and erasures of personal data."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT retention_due()")
        workspaces = [row[0] for row in cursor.fetchall()]
    for workspace_id in workspaces:
        with coming_from(task_source()):
            cutting.go_on(workspace_id, now=timezone.now())


def _claim(workspace_id: UUID, *, now: datetime) -> list[tuple[Review, bool]]:
    """Take the next try of each, so that whoever comes meanwhile leaves it alone."""
    today = now.date()
    due = Q(next_due_date__range=(today, today + AHEAD)) & (Q(reminded_for=None) | ~Q(reminded_for=F("next_due_date")))
    late = Q(next_due_date__lt=today) & (Q(chased_for=None) | ~Q(chased_for=F("next_due_date")))
    free = Q(mail_after=None) | Q(mail_after__lte=now)
    found = Review.objects.locked().filter(due | late, free, workspace_id=workspace_id, ended_at=None)
    reviews = list(found.with_owner())
    Review.objects.filter(pk__in=[review.pk for review in reviews]).update(mail_after=now + PAUSE)
    return [(review, review.is_overdue(today)) for review in reviews]


def _tell(review: Review, *, is_overdue: bool) -> None:
    word = "overdue" if is_overdue else "due"
    with workspace_scope([review.workspace_id]):
        owners = [review.owner] if review.owner else rights.holders(str(review.owner_role_id), review.workspace_id)
    subject, page = f"Review is {word}: {review}", reverse("compliance:review-detail", args=[review.pk])
    letter = letter_to(owners, subject, "emails/review.txt", page=page, review=review, is_overdue=is_overdue)
    if not is_sent(letter):
        return
    with coming_from(task_source()), workspace_scope([review.workspace_id]):
        told = {"chased_for" if is_overdue else "reminded_for": review.next_due_date}
        Review.objects.locked().get(pk=review.pk)
        Review.objects.filter(pk=review.pk).update(mail_after=None, **told)
        audit.record(
            "review.reminded", by=SYSTEM, target=review,
            summary=f"Told {', '.join(map(str, owners)) or 'nobody, since nobody owns it now,'} that “{review}” is "
            f"{word} on {review.next_due_date}",
            after={"mailed": len(letter.to)}, people=owners,
        )  # fmt: skip
