"""The words of what people are told of a promotion by mail."""

from django.urls import reverse

from apps.accounts.letters import Letter, letter_to
from apps.approvals.enums import NoticeKind
from apps.approvals.models import Notice, Promotion

SUBJECTS = {
    NoticeKind.REMINDER: "Waits for you",
    NoticeKind.ESCALATION: "Nobody answers",
    NoticeKind.ALARM: "Nobody can approve",
}


def letter_of(notice: Notice, promotion: Promotion) -> Letter:
    """This function will write the mail of a notice, loaded with its recipient and its requirement's role."""
    return letter_to(
        [notice.recipient],
        f"{SUBJECTS[NoticeKind(notice.kind)]}: {promotion.subject}",
        "emails/notice.txt",
        page=reverse("approvals:promotion-detail", args=[promotion.number]),
        notice=notice,
        promotion=promotion,
        role=notice.requirement.role,
    )
