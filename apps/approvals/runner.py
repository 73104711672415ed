"""Mails what people were told: outside of any transaction, tried again later when the server does not take it."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.db.models import F
from django.utils import timezone

from apps.accounts.letters import Letter, is_sent
from apps.approvals.enums import PromotionState
from apps.approvals.ledger import record
from apps.approvals.models import Decision, Notice, Promotion
from apps.approvals.notices import letter_of
from apps.audit.actors import SYSTEM
from apps.audit.source import coming_from, task_source
from apps.workspaces.scope import workspace_scope

# Until the next try, counted from the one before; after the last it is given up. So is found what a dead worker left.
PAUSES = tuple(timedelta(minutes=minutes) for minutes in (2, 10, 60, 240, 720))


def mail_due() -> int:
    """This function will mail all notices that are due, and return how many were sent. A lost hint is found so."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT workspace_id, id FROM notices_unmailed()")
        due = cursor.fetchall()
    return sum(mail(workspace_id, notice_id) for workspace_id, notice_id in due)


def mail(workspace_id: UUID, notice_id: UUID) -> bool:
    """This function will try to mail one notice, unless another worker does or nothing waits any more."""
    with workspace_scope([workspace_id]):
        letter = _claim(notice_id, now=timezone.now())
    if letter is None or not is_sent(letter):
        return False
    with coming_from(task_source(notice_id=notice_id)), workspace_scope([workspace_id]):
        _mailed(notice_id, now=timezone.now())
    return True


def _claim(notice_id: UUID, *, now: datetime) -> Letter | None:
    """Take the next try, so that whoever comes meanwhile leaves it alone."""
    found = Notice.objects.locked().select_related("recipient", "requirement__role").filter(mail_after__lte=now)
    notice = found.filter(pk=notice_id).first()
    if notice is None:
        return None
    promotion = Promotion.objects.with_subject().get(requirements=notice.requirement_id)
    is_over = (
        promotion.state != PromotionState.PENDING
        or Decision.objects.standing().filter(requirement_id=notice.requirement_id).exists()
        or not notice.recipient.is_active
    )
    tries = notice.mail_tries
    later = None if is_over or tries >= len(PAUSES) else now + PAUSES[tries]
    Notice.objects.filter(pk=notice_id).update(mail_after=later, mail_tries=F("mail_tries") + 1)
    return None if is_over else letter_of(notice, promotion)


def _mailed(notice_id: UUID, *, now: datetime) -> None:
    notice = Notice.objects.locked().select_related("recipient", "requirement").get(pk=notice_id)
    Notice.objects.filter(pk=notice_id).update(mailed_at=now, mail_after=None)
    promotion = Promotion.objects.with_subject().get(pk=notice.requirement.promotion_id)
    record(
        promotion,
        "notice.mailed",
        f"was mailed to {notice.recipient} as {notice.get_kind_display().lower()}",
        by=SYSTEM,
    )
