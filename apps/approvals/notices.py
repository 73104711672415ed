"""The words of what people are told by mail. A link leads to the page, where they decide; no mail decides anything."""

from dataclasses import dataclass

from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse

from apps.approvals.enums import NoticeKind
from apps.approvals.models import Notice, Promotion

SUBJECTS = {
    NoticeKind.REMINDER: "Waits for you",
    NoticeKind.ESCALATION: "Nobody answers",
    NoticeKind.ALARM: "Nobody can approve",
}


@dataclass(frozen=True)
class Letter:
    to: str
    subject: str
    body: str


def letter_of(notice: Notice, promotion: Promotion) -> Letter:
    """This function will write the mail of a notice, loaded with its recipient and its requirement's role."""
    address = settings.PORTAL_URL + reverse("approvals:promotion-detail", args=[promotion.number])
    context = {"notice": notice, "promotion": promotion, "role": notice.requirement.role, "address": address}
    subject = f"{SUBJECTS[NoticeKind(notice.kind)]}: {promotion.subject}"
    return Letter(notice.recipient.email, subject, render_to_string("emails/notice.txt", context))
