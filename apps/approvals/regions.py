"""The live parts of the page of a promotion: drawn once for all who watch it."""

from datetime import datetime

from django.template.loader import render_to_string

from apps.accounts.models import User
from apps.approvals.models import Promotion
from apps.approvals.page import shown_box
from apps.approvals.querysets import PromotionQuerySet
from apps.core import live

TOPICS = ("promotion:{subject}",)


def watched(ask: live.Ask) -> PromotionQuerySet:
    return Promotion.objects.visible_in(ask.workspaces).filter(pk=ask.subject)


def gate_parts(promotion: Promotion, *, now: datetime) -> list[live.Part]:
    """This function will draw the rows of the gate box, and say that its buttons may have to change with them."""
    # Rows name those who can decide and speak to nobody, so they are the same for a viewer without a role.
    shown = shown_box(promotion, by=User(), now=now)
    return [
        live.Part("#gates", render_to_string("approvals/_gates.html", {"shown": shown})),
        live.Part("#gate-news", render_to_string("approvals/_gate_news.html", {"promotion": promotion})),
    ]


def _gates(ask: live.Ask) -> list[live.Part]:
    return gate_parts(watched(ask).with_subject().get(), now=ask.now)


GATES = live.region("gates", topics=TOPICS, render=_gates)

live.page("promotion", GATES, may_watch=lambda ask: watched(ask).exists())
