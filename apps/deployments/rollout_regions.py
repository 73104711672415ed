"""The live part of the page of a roll-out: drawn once for all who watch it."""

from django.template.loader import render_to_string

from apps.core import live
from apps.deployments.models import Rollout
from apps.deployments.rollout_page import progress_context


def _progress(ask: live.Ask) -> str:
    rollout = Rollout.objects.visible_in(ask.workspaces).with_subject().get(pk=ask.subject)
    return render_to_string(
        "deployments/_rollout_progress.html", progress_context(rollout, workspaces=ask.workspaces, now=ask.now)
    )


def _may_watch(ask: live.Ask) -> bool:
    return Rollout.objects.visible_in(ask.workspaces).filter(pk=ask.subject).exists()


live.page(
    "rollout",
    live.region("progress", topics=("rollout:{subject}", "promotion:*", "deployment:*", "lane:*"), render=_progress),
    may_watch=_may_watch,
)
